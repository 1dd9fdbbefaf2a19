// The row ops as loops that vectorise; included once per instruction set, inside its namespace, after its simd primitives.
//
// Owns: the fast form of row_ops_scalar.cc, value for value. Must not know: which instruction set it is compiled for.
//
// 1. Everything has internal linkage and no function comes from the C++ library: its templates would be compiled under this file's
//    instruction set and could be linked into code for older machines.
// 2. The file that includes this provides: kLanes, kChunk, Vec, Acc, load, store, zero, pair, dot, pin (see row_ops_avx2.cc),
//    and has F16C or NEON.

// --- quantiser (NUMERICS 3) ----------------------------------------------------------------------------------------------

static bool quantize(const float* x, int k, int16_t* q, float* scale) {
  RowScale s = row_scale(largest_magnitude(x, k), kQuantMax);
  *scale = s.scale;
  if (s.scale == 0) {
    for (int i = 0; i < k; ++i) q[i] = 0;
    return !s.bad;
  }
  for (int i = 0; i < k; ++i) q[i] = static_cast<int16_t>(math::round_int(x[i] * s.inverse));
  return true;
}

// --- norm, rotation (NUMERICS 5, 6) ----------------------------------------------------------------------------------------

static int64_t square_sum(const int16_t* q, int k) {
  int64_t sum = 0;
  for (int i = 0; i < k; ++i) sum += static_cast<uint32_t>(int32_t{q[i]} * q[i]);
  return sum;
}

static bool norm(const float* x, const float* weight, float eps, int k, float* temp, int16_t* q, float* scale) {
  if (!quantize(x, k, q, scale)) return false;
  float r = inverse_rms(square_sum(q, k), *scale, k, eps);
  for (int i = 0; i < k; ++i) temp[i] = (x[i] * r) * weight[i];
  return quantize(temp, k, q, scale);
}

static void rotate(const float* __restrict x, const float* __restrict table, int head_dim, float* __restrict y) {
  int half = head_dim / 2;
  for (int i = 0; i < half; ++i) {
    y[i] = x[i] * table[i] - x[half + i] * table[half + i];
    y[half + i] = x[half + i] * table[i] + x[i] * table[half + i];
  }
}

// --- storage formats (NUMERICS 4.4, 4.6) ----------------------------------------------------------------------------------------

#if defined(__aarch64__)
static inline float half(const uint8_t* p) {
  __fp16 h;
  __builtin_memcpy(&h, p, 2);
  return h;
}
static inline void eight_halves(const uint8_t* at, float* out) {
  float16x8_t h = vreinterpretq_f16_u8(vld1q_u8(at));
  vst1q_f32(out, vcvt_f32_f16(vget_low_f16(h)));
  vst1q_f32(out + 4, vcvt_high_f32_f16(h));
}
#else
static inline float half(const uint8_t* p) {
  uint16_t h;
  __builtin_memcpy(&h, p, 2);
  return _cvtsh_ss(h);
}
static inline void eight_halves(const uint8_t* at, float* out) {
  _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
}
#endif
static void halves(const uint8_t* at, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) eight_halves(at + 2 * i, out + i);
  for (; i < n; ++i) out[i] = half(at + 2 * i);
}

static void dequantize_bf16(const uint8_t* __restrict at, int64_t n, float* __restrict out) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t h;
    __builtin_memcpy(&h, at + 2 * i, 2);
    out[i] = math::from_bits(uint32_t{h} << 16);
  }
}

static void dequantize_q8_0(const uint8_t* __restrict at, int64_t n, float* __restrict out) {
  for (; n > 0; n -= 32, at += 34, out += 32) {
    float d = half(at);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(at[2 + i])) * d;
  }
}

static void dequantize_q4_0(const uint8_t* __restrict at, int64_t n, float* __restrict out) {
  for (; n > 0; n -= 32, at += 18, out += 32) {
    float d = half(at);
    for (int i = 0; i < 16; ++i) out[i] = static_cast<float>((at[2 + i] & 15) - 8) * d;
    for (int i = 0; i < 16; ++i) out[16 + i] = static_cast<float>((at[2 + i] >> 4) - 8) * d;
  }
}

static void dequantize_q4_1(const uint8_t* __restrict at, int64_t n, float* __restrict out) {
  for (; n > 0; n -= 32, at += 20, out += 32) {
    float d = half(at), m = half(at + 2);
    for (int i = 0; i < 16; ++i) out[i] = static_cast<float>(at[4 + i] & 15) * d + m;
    for (int i = 0; i < 16; ++i) out[16 + i] = static_cast<float>(at[4 + i] >> 4) * d + m;
  }
}

// Adds the fifth bits of 32 values to their other four.
static void add_fifth_bits(const uint8_t* bits, int32_t* v) {
  uint32_t all;
  __builtin_memcpy(&all, bits, 4);
  for (int i = 0; i < 32; ++i) v[i] |= static_cast<int32_t>(all >> i & 1) << 4;
}
static void nibbles(const uint8_t* at, int32_t* v) {
  for (int i = 0; i < 16; ++i) v[i] = at[i] & 15;
  for (int i = 0; i < 16; ++i) v[16 + i] = at[i] >> 4;
}

static void dequantize_q5_0(const uint8_t* __restrict at, int64_t n, float* __restrict out) {
  for (; n > 0; n -= 32, at += 22, out += 32) {
    float d = half(at);
    int32_t v[32];
    nibbles(at + 6, v);
    add_fifth_bits(at + 2, v);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(v[i] - 16) * d;
  }
}

static void dequantize_q5_1(const uint8_t* __restrict at, int64_t n, float* __restrict out) {
  for (; n > 0; n -= 32, at += 24, out += 32) {
    float d = half(at), m = half(at + 2);
    int32_t v[32];
    nibbles(at + 8, v);
    add_fifth_bits(at + 4, v);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(v[i]) * d + m;
  }
}

static void dequantize_iq4_nl(const uint8_t* __restrict at, int64_t n, float* __restrict out) {
  for (; n > 0; n -= 32, at += 18, out += 32) {
    float d = half(at);
    for (int i = 0; i < 16; ++i) out[i] = static_cast<float>(iq4_value(at[2 + i] & 15)) * d;
    for (int i = 0; i < 16; ++i) out[16 + i] = static_cast<float>(iq4_value(at[2 + i] >> 4)) * d;
  }
}

static void dequantize(DType dtype, const void* row, int64_t cols, float* out) {
  const uint8_t* at = static_cast<const uint8_t*>(row);
  switch (dtype) {
    case DType::f32: __builtin_memcpy(out, at, static_cast<size_t>(cols) * 4); return;
    case DType::f16: halves(at, cols, out); return;
    case DType::bf16: dequantize_bf16(at, cols, out); return;
    case DType::q8_0: dequantize_q8_0(at, cols, out); return;
    case DType::q4_0: dequantize_q4_0(at, cols, out); return;
    case DType::q4_1: dequantize_q4_1(at, cols, out); return;
    case DType::q5_0: dequantize_q5_0(at, cols, out); return;
    case DType::q5_1: dequantize_q5_1(at, cols, out); return;
    case DType::iq4_nl: dequantize_iq4_nl(at, cols, out); return;
    case DType::q2_k:
    case DType::q3_k:
    case DType::q4_k:
    case DType::q5_k:
    case DType::q6_k:
    case DType::iq4_xs: dequantize_runs(dtype, at, cols, out); return;
  }
}

// --- sampling arrays (NUMERICS 10, 11) -------------------------------------------------------------------------------------

static bool all_finite(const float* x, int n) { return largest_magnitude(x, n) < 0x7f800000; }

// The first chunk that holds the largest value, then the first place in it.
static int argmax(const float* x, int n) {
  constexpr int kStep = 1024;
  int best_chunk = 0;
  int32_t best = INT32_MIN;
  for (int i = 0; i < n; i += kStep) {
    int32_t key = math::largest_key(x + i, n - i < kStep ? n - i : kStep);
    if (key > best || i == 0) {
      best = key;
      best_chunk = i;
    }
  }
  int at = best_chunk;
  while (math::order_key(x[at]) != best) ++at;
  return at;
}

static inline int64_t weight_of(float score, float max) {
  return math::round_int(static_cast<double>(math::exp32(score - max)) * 0x1p40);
}

static int64_t weigh(const float* __restrict x, int n, float max, int64_t* __restrict p) {
  int64_t sum = 0;
  if (p) {
    for (int i = 0; i < n; ++i) sum += p[i] = weight_of(x[i], max);
  } else {
    for (int i = 0; i < n; ++i) sum += weight_of(x[i], max);
  }
  return sum;
}

static void add_noise(float* __restrict x, const int32_t* __restrict id, int n, uint64_t key, uint32_t position, uint32_t sample_index) {
  for (int i = 0; i < n; ++i) x[i] = x[i] + math::gumbel(key, static_cast<uint32_t>(id[i]), position, sample_index);
}
