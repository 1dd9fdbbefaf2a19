// Products of 16-bit words by instructions that add up in 32 bits: three for four products of digits.
//
// One instruction multiplies pairs of words, but sums of their products do not fit 32 bits. Two of them give low = S modulo 2^32 all
// the same, and a third, for bytes, gives high = the sum of H * u, where a = 256 H + L with -128 <= L < 128 and w = 256 u + l with
// 0 <= l < 256. To S - 65536 high a product adds 256 H l + L w, at most kRest in magnitude. Over kFold products that stays within 31
// bits and a sign, so rest = low - 65536 high, modulo 2^32 and then taken as signed, is exact. A fold then adds rest >> 16 to high, which
// makes it floor(S / 65536), and the next kFold products begin with a rest below 65536.
#pragma once
#include "kernels/cpu/matmul_isa.h"
#include "kernels/quantizer.h"

namespace ibid::kernels {
namespace {

constexpr int64_t kRest = 256 * 127 * 255 + 128 * kQuantMax;
constexpr size_t kFold = 128, kFolds = (kMaxDepth + kFold - 1) / kFold;
static_assert(kRest * static_cast<int64_t>(kFold) + 65535 < int64_t{1} << 31 && kFold % kDepthStep == 0);      // rest fits int32
static_assert(int64_t{kQuantMax} * kQuantMax / 65536 * kMaxDepth < int64_t{1} << 31);                           // so does floor(S / 65536)

}  // namespace
}  // namespace ibid::kernels
