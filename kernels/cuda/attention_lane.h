// The arithmetic of attention as a lane does it, in the form that costs a GPU least: every function has the bits of its rule.
//
// Owns: single sums, scores, weights, and the state of a column. Must not know: layouts, tiles, blocks, memory.
//
// Integers become floats here without a conversion, which a GPU does at a quarter of the rate: where one unit in the last place of a float
// is 1, or 65536, adding an integer to its bits adds that many units.
#pragma once
#include "kernels/attention_rules.h"
#include "kernels/cuda/launch.h"
#include "kernels/math.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::cuda {

constexpr float kUnseen = -2 * kScoreMax;        // a score whose power is 0 beside any that is seen

// The bits of 0x1.8p39f, where a unit is 65536: what sums of H H start from.
constexpr int kSumStart = 0x53400000;

// float(65536 HH + 256 M + LL), rounded once: the sum of two floats that are exact. high: kSumStart + HH.
// REQUIRES: products of digits of at most 256 terms, so that |256 M + LL| < 2^31 and |65536 HH + ..| < 2^38
__device__ __forceinline__ float round_sum(int high, int middle, int low) {
  const int rest = middle * 256 + low;
  const float large = math::from_bits(static_cast<uint32_t>(high + (rest >> 16))) - (0x1.8p39f + 0x1p23f);
  return large + math::from_bits(0x4b000000u | (static_cast<uint32_t>(rest) & 0xffff));            // 0x1p23f and the lowest 16 bits
}
__device__ __forceinline__ float round_sum(const int (&sum)[3][4], int v) { return round_sum(sum[0][v], sum[1][v], sum[2][v]); }

__device__ __forceinline__ void start_sums(int (&sum)[3][4]) {
#pragma unroll
  for (int v = 0; v < 4; ++v) sum[0][v] = kSumStart, sum[1][v] = sum[2][v] = 0;
}

// The score of a sum (7.3).
__device__ __forceinline__ float limited_score(float sum, float a, float k_scale) {
  return math::limit_magnitude(sum * math::limit_magnitude(a * k_scale, kScoreUnitMax), kScoreMax);
}

// M of a block whose largest score is `top` (7.4). Where nothing is seen, what makes every power 0.
__device__ __forceinline__ float block_max(float top) {
  const float m = math::ceil_int(top);
  return m < -kScoreMax ? -kScoreMax : m;
}

// math::exp2_weight. Below -64 the rest of the result does not matter, and n is added to the exponent.
__device__ __forceinline__ float power(float x) {
  const float shifted = x + math::kRound32;                            // its lowest bits are n
  const float e = math::exp2_fraction(x - (shifted - math::kRound32));
  const float p = math::from_bits(math::bits(e) + (math::bits(shifted) << 23));
  return x < -64.0f ? 0.0f : p;
}

// What a block does to a column (7.6).
struct Merge { float keep, take; };
struct State {
  float max, total;                              // M and l

  __device__ __forceinline__ Merge add(float block_max, float block_total) {
    const float n = max > block_max ? max : block_max;
    const Merge m{rescale(max - n), rescale(block_max - n)};
    total = total * m.keep + block_total * m.take;
    max = n;
    return m;
  }
};
// The state that a first block is merged into like any other, o being 0: a block's o is never -0, so that 0 + o is o.
__device__ __forceinline__ State no_block() { return {kUnseen, 0}; }

}  // namespace ibid::kernels::cuda
