// The row quantiser (NUMERICS 3) and the norm made of it (5): one source for host and device, like math.h.
//
// Owns: what a row's largest magnitude says, a value's integer and its digits. Must not know: layouts, threads, instruction sets.
//
// 1. Everything has internal linkage, as in math.h, 4.
// 2. row_ops_scalar.cc writes the rules out for itself: whatever runs this source is compared with that.
#pragma once
#include <math.h>

#include "kernels/math.h"
#include "kernels/ops.h"

namespace ibid::kernels {

// The bits of |x|: as integers they have the order of magnitudes, with infinity and NaNs above all that is finite.
IBID_HD uint32_t magnitude(float x) { return math::bits(x) & 0x7fffffff; }

IBID_HD uint32_t largest_magnitude(const float* x, int k) {
  int32_t largest = 0;                      // signed: baseline SIMD compares no unsigned integers
  for (int i = 0; i < k; ++i) {
    int32_t m = static_cast<int32_t>(magnitude(x[i]));
    largest = m > largest ? m : largest;
  }
  return static_cast<uint32_t>(largest);
}

// The rule for a row whose largest magnitude has these bits. A bad row, and one of almost nothing, has inverse 0 and scale 0.
struct RowScale {
  float inverse, scale;
  bool bad;
};
IBID_HD RowScale row_scale(uint32_t largest, int quant_max) {
  float amax = math::from_bits(largest);
  bool bad = largest >= 0x7f800000;
  if (bad || amax < 0x1p-96f) return {0, 0, bad};
  return {static_cast<float>(quant_max) / amax, amax / static_cast<float>(quant_max), false};
}

// RNE(x * inverse); 0 where the row has no scale, whatever x is.
IBID_HD int quantized(float x, const RowScale& s) { return s.scale == 0 ? 0 : math::round_int(x * s.inverse); }

// q = 256 H + L, both int8 (NUMERICS 2.2).
IBID_HD int high_digit(int q) { return (q + 128) >> 8; }
IBID_HD int low_digit(int q) { return q - 256 * high_digit(q); }

// RMSNorm's factor (NUMERICS 5), from the sum of the squares of a row's k integers and their scale.
IBID_HD int64_t square(int q) { return int64_t{q} * q; }
IBID_HD float inverse_rms(int64_t squares, float scale, int k, float eps) {
  float mean = (static_cast<float>(squares) * (scale * scale)) / static_cast<float>(k);
  return 1.0f / sqrtf(mean + eps);
}

}  // namespace ibid::kernels
