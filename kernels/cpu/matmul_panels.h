// What the products over panels of digits share (matmul.h): where digits of activations lie, and what is fetched ahead.
#pragma once
#include "kernels/cpu/matmul_isa.h"

namespace ibid::kernels {
// Local to each including file, as in matmul_isa.h.
namespace {

// Bytes from one step of 64 along k to the next, and from a row's high digits to its low ones.
constexpr size_t kStepBytes = 2 * kDepthStep, kLow = kDepthStep;

// How far ahead a panel that is read once is fetched, in bytes. Measured on two Intel servers: 20 to 30 % more bandwidth than the
// processor's own fetching reaches; 1 to 2 KiB and 5 KiB are 2 to 15 % slower, and at 4096 what is fetched and what is read lie at
// one place of their pages.
constexpr size_t kStreamAhead = 3072;

// Fetches lines of a panel into L2, `pace` lines for each step of 64 along k: while one panel is worked on several times over,
// the memory would stand idle, and then the processor. A step may be done in parts.
struct Ahead {
  const int8_t* at;
  size_t pace;
  void step(size_t part = 0, size_t parts = 1) {
    for (size_t i = part; i < pace; i += parts, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

// What pass number `pass` of `passes` over panel p fetches: its share of the next panel, if that is before `end`; where one pass is all,
// the same stream further on.
inline Ahead ahead_of(const WeightView& v, size_t p, size_t end, size_t pass, size_t passes) {
  const size_t lines = kBlockBytes / 64 * static_cast<size_t>(v.digits), pace = (lines + passes - 1) / passes;
  if (passes == 1) return {v.digit + p * v.panel_bytes() + kStreamAhead, lines};
  return {v.digit + (p + 1) * v.panel_bytes() + pass * (v.k / kDepthStep) * pace * 64, p + 1 < end ? pace : 0};
}

}  // namespace
}  // namespace ibid::kernels
