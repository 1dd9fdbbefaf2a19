// The scalar rules of attention (NUMERICS 7) that the CPU and CUDA share: one source for host and device, like math.h.
//
// Owns: limits of scores, the scale of a head, what a position sees, rescaling. Must not know: layouts, tiles, loops.
#pragma once
#include "kernels/math.h"
#include "kernels/ops.h"

namespace ibid::kernels {

constexpr float kScoreUnitMax = 0x1p60f;   // keeps S * unit finite, whatever the scales
constexpr float kScoreMax = 0x1p21f;       // scores saturate here, so that their maximum is an exact integer

// How many positions of a block a query at `position` sees.
IBID_HD int visible_positions(int position, int block) {
  int visible = position + 1 - block * kBlock;
  return visible < 0 ? 0 : visible > kBlock ? kBlock : visible;
}

// 2^difference of two maxima, at least 2^-126.                                                  difference: integer <= 0
IBID_HD float rescale(float difference) { return math::pow2(difference < -126.0f ? -126 : static_cast<int32_t>(difference)); }

// Scores are in powers of two: log2(e) / sqrt(head_dim), each operation in float64, rounded once to float32.
static inline float attention_scale(int head_dim) {
  return static_cast<float>(0x1.71547652b82fep+0 / __builtin_sqrt(static_cast<double>(head_dim)));
}

}  // namespace ibid::kernels
