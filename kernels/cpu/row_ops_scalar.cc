// The row ops as the specification words them, one value at a time: what every other instruction set is compared with.
#include "kernels/cpu/row_ops.h"

#include <cmath>
#include <cstring>

#include "kernels/cpu/row_ops_scalar.h"
#include "kernels/k_quants.h"
#include "kernels/math.h"

namespace ibid::kernels::scalar {

// NUMERICS 3
bool quantize(const float* x, int k, int16_t* q, float* scale) {
  uint32_t amax_bits = 0;
  for (int i = 0; i < k; ++i) {
    uint32_t magnitude = math::bits(x[i]) & 0x7fffffff;
    if (magnitude > amax_bits) amax_bits = magnitude;
  }
  float amax = math::from_bits(amax_bits);
  bool bad = amax_bits >= 0x7f800000;
  if (bad || amax < 0x1p-96f) {
    for (int i = 0; i < k; ++i) q[i] = 0;
    *scale = 0;
    return !bad;
  }
  float inverse = static_cast<float>(kQuantMax) / amax;
  for (int i = 0; i < k; ++i) q[i] = static_cast<int16_t>(std::nearbyint(x[i] * inverse));
  *scale = amax / static_cast<float>(kQuantMax);
  return true;
}

// NUMERICS 5
static bool norm(const float* x, const float* weight, float eps, int k, float* temp, int16_t* q, float* scale) {
  float s = 0;
  if (!quantize(x, k, q, &s)) {
    *scale = 0;
    return false;
  }
  int64_t squares = 0;
  for (int i = 0; i < k; ++i) squares += int64_t{q[i]} * q[i];
  float mean = (static_cast<float>(squares) * (s * s)) / static_cast<float>(k);
  float r = 1.0f / std::sqrt(mean + eps);
  for (int i = 0; i < k; ++i) temp[i] = (x[i] * r) * weight[i];
  return quantize(temp, k, q, scale);
}

// NUMERICS 6
static void rotate(const float* x, const float* table, int head_dim, float* y) {
  int half = head_dim / 2;
  for (int i = 0; i < half; ++i) {
    float c = table[i], s = table[half + i], a = x[i], b = x[half + i];
    y[i] = a * c - b * s;
    y[half + i] = b * c + a * s;
  }
}

// --- storage formats (NUMERICS 4.4, 4.6) --------------------------------------------------------------------------------------

static float half_to_float(const uint8_t* at) {
  uint16_t h;
  std::memcpy(&h, at, 2);
  return math::half_to_float(h);
}

static void dequantize_q8_0(const uint8_t* block, float* out) {
  float d = half_to_float(block);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * d;
}

static void dequantize_q4_0(const uint8_t* block, float* out) {
  float d = half_to_float(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((block[2 + i] & 15) - 8) * d;
    out[16 + i] = static_cast<float>((block[2 + i] >> 4) - 8) * d;
  }
}

static void dequantize_q4_1(const uint8_t* block, float* out) {
  float d = half_to_float(block), m = half_to_float(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(block[4 + i] & 15) * d + m;
    out[16 + i] = static_cast<float>(block[4 + i] >> 4) * d + m;
  }
}

// Bit i of the four bytes at `bits`, as the fifth of value i.
static int fifth_bit(const uint8_t* bits, int i) { return (bits[i / 8] >> i % 8 & 1) << 4; }

static void dequantize_q5_0(const uint8_t* block, float* out) {
  float d = half_to_float(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(((block[6 + i] & 15) | fifth_bit(block + 2, i)) - 16) * d;
    out[16 + i] = static_cast<float>((block[6 + i] >> 4 | fifth_bit(block + 2, 16 + i)) - 16) * d;
  }
}

static void dequantize_q5_1(const uint8_t* block, float* out) {
  float d = half_to_float(block), m = half_to_float(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((block[8 + i] & 15) | fifth_bit(block + 4, i)) * d + m;
    out[16 + i] = static_cast<float>(block[8 + i] >> 4 | fifth_bit(block + 4, 16 + i)) * d + m;
  }
}

static void dequantize_iq4_nl(const uint8_t* block, float* out) {
  static const int8_t kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  float d = half_to_float(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(kValues[block[2 + i] & 15]) * d;
    out[16 + i] = static_cast<float>(kValues[block[2 + i] >> 4]) * d;
  }
}

static void each_block(void (*convert)(const uint8_t* block, float* out), DType dtype, const uint8_t* at, int64_t cols, float* out) {
  const Storage s = storage(dtype);
  for (int64_t i = 0; i < cols; i += s.block) convert(at + i / s.block * s.bytes, out + i);
}

static void dequantize(DType dtype, const void* row, int64_t cols, float* out) {
  const uint8_t* at = static_cast<const uint8_t*>(row);
  switch (dtype) {
    case DType::f32: std::memcpy(out, at, static_cast<size_t>(cols) * 4); return;
    case DType::f16:
      for (int64_t i = 0; i < cols; ++i) out[i] = half_to_float(at + 2 * i);
      return;
    case DType::bf16:
      for (int64_t i = 0; i < cols; ++i) out[i] = math::from_bits(uint32_t{at[2 * i]} << 16 | uint32_t{at[2 * i + 1]} << 24);
      return;
    case DType::q8_0: each_block(dequantize_q8_0, dtype, at, cols, out); return;
    case DType::q4_0: each_block(dequantize_q4_0, dtype, at, cols, out); return;
    case DType::q4_1: each_block(dequantize_q4_1, dtype, at, cols, out); return;
    case DType::q5_0: each_block(dequantize_q5_0, dtype, at, cols, out); return;
    case DType::q5_1: each_block(dequantize_q5_1, dtype, at, cols, out); return;
    case DType::iq4_nl: each_block(dequantize_iq4_nl, dtype, at, cols, out); return;
    case DType::q2_k:
    case DType::q3_k:
    case DType::q4_k:
    case DType::q5_k:
    case DType::q6_k:
    case DType::iq4_xs: dequantize_runs(dtype, at, cols, out); return;
  }
}

}  // namespace ibid::kernels::scalar

namespace ibid::kernels {

const RowOps kRowOpsScalar = {
    scalar::quantize, scalar::norm, scalar::rotate, scalar::dequantize, kVectorTile, scalar::attend,
    scalar::merge, scalar::all_finite, scalar::argmax, scalar::weigh, scalar::add_noise,
};

}  // namespace ibid::kernels
