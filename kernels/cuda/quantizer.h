// The row quantiser (NUMERICS 3) as a thread uses it: what a row's largest magnitude says, a value's digits, and the norm made of them.
//
// Owns: the arithmetic of a scale and of digits, host and device. Must not know: who finds the largest magnitude.
#pragma once
#include "kernels/cuda/launch.h"
#include "kernels/math.h"
#include "kernels/ops.h"

namespace ibid::kernels::cuda {

__host__ __device__ inline unsigned magnitude(float x) { return math::bits(x) & 0x7fffffff; }

// The rule for a row whose largest magnitude has these bits. A bad row, and one of almost nothing, has inverse 0 and scale 0.
struct RowScale {
  float inverse, scale;
  bool bad;
};
__device__ inline RowScale row_scale(unsigned largest, int quant_max) {
  float amax = math::from_bits(largest);
  bool bad = largest >= 0x7f800000;
  if (bad || amax < 0x1p-96f) return {0, 0, bad};
  return {static_cast<float>(quant_max) / amax, amax / static_cast<float>(quant_max), false};
}

// RNE(x * inverse); 0 where the row has no scale, whatever x is.
__device__ inline int quantized(float x, const RowScale& s) { return s.scale == 0 ? 0 : math::round_int(x * s.inverse); }

// q = 256 H + L, both int8 (NUMERICS 2.2).
__device__ inline int high_digit(int q) { return (q + 128) >> 8; }
__device__ inline int low_digit(int q) { return q - (high_digit(q) << 8); }

// RMSNorm's factor (NUMERICS 5), from the sum of the k squares of a row's integers and their scale.
__device__ inline long long square(int q) { return static_cast<long long>(q) * q; }
__device__ inline float inverse_rms(long long squares, float scale, int k, float eps) {
  float mean = (static_cast<float>(squares) * (scale * scale)) / static_cast<float>(k);
  return 1.0f / sqrtf(mean + eps);
}

// Four digits as the bytes of a word, the first lowest.
__device__ inline unsigned pack4(int a, int b, int c, int d) {
  return (static_cast<unsigned>(a) & 255) | (static_cast<unsigned>(b) & 255) << 8 | (static_cast<unsigned>(c) & 255) << 16 |
         static_cast<unsigned>(d) << 24;
}

}  // namespace ibid::kernels::cuda
