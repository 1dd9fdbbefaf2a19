// The elementary functions of numerics v1: one source for host and device.
//
// Owns: exp, exp2, log, log1p, silu in float32; exp, log, pow, sin, cos in float64 (RoPE tables only); rounding to integers; the order of
// floats as integers; Philox and the noise made of it.
// Must not know: rows, ops, instruction sets.
//
// 1. Only + - * / and integer operations on bits, in the written order: IEEE-754 makes the result the same everywhere, and a
//    vectorised loop equals a scalar one. No fma: baseline x86-64 has no such instruction. Compile with contraction off.
// 2. No branches in the float32 functions of NUMERICS 8 and 9, so that loops over them vectorise.
// 3. Round to nearest even is the rounding mode, denormals are kept (kernels/cpu/fpenv.h).
// 4. Everything has internal linkage: these functions are compiled under several instruction sets within one program, and the
//    linker must never choose one for the other.
// The largest errors stated here were measured over all float32 arguments; test/unit/math_test.cc asserts them on a sample.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define IBID_HD static inline __host__ __device__
#else
#define IBID_HD static inline
#endif

namespace ibid::kernels::math {

IBID_HD uint32_t bits(float x) { uint32_t b; __builtin_memcpy(&b, &x, 4); return b; }
IBID_HD float from_bits(uint32_t b) { float x; __builtin_memcpy(&x, &b, 4); return x; }
IBID_HD uint64_t bits(double x) { uint64_t b; __builtin_memcpy(&b, &x, 8); return b; }
IBID_HD double from_bits(uint64_t b) { double x; __builtin_memcpy(&x, &b, 8); return x; }

// --- rounding to integers (NUMERICS 1.4): adding 1.5 * 2^23 leaves no bits for a fraction ---------------------------------

constexpr float kRound32 = 0x1.8p23f;
constexpr double kRound64 = 0x1.8p52;

// RNE(x). REQUIRES: |x| < 2^22
IBID_HD int32_t round_int(float x) { return static_cast<int32_t>(bits(x + kRound32) - bits(kRound32)); }
IBID_HD float round_even(float x) { return (x + kRound32) - kRound32; }
// RNE(x). REQUIRES: 0 <= x <= 2^23
IBID_HD int32_t round_weight(float x) { return static_cast<int32_t>(bits(x + 0x1p23f) - bits(0x1p23f)); }
// RNE(x). REQUIRES: |x| < 2^51
IBID_HD int64_t round_int(double x) { return static_cast<int64_t>(bits(x + kRound64) - bits(kRound64)); }
// The smallest integer >= x. REQUIRES: |x| < 2^22
IBID_HD float ceil_int(float x) {
  float n = round_even(x);
  return n < x ? n + 1.0f : n;
}
// 2^n. REQUIRES: -126 <= n <= 127
IBID_HD float pow2(int32_t n) { return from_bits(static_cast<uint32_t>(n + 127) << 23); }

// x with its magnitude limited: min and max of floats, in integers, because compilers do not vectorise comparisons of floats
// that might raise an exception, and turn clamps into branches. REQUIRES: x is not NaN; limit > 0
IBID_HD float limit_magnitude(float x, float limit) {
  int32_t b = static_cast<int32_t>(bits(x)), m = b & 0x7fffffff, most = static_cast<int32_t>(bits(limit));
  m = m < most ? m : most;
  return from_bits(static_cast<uint32_t>(m | (b ^ (b & 0x7fffffff))));
}

// The value of an IEEE-754 binary16, exact.
IBID_HD float half_to_float(uint16_t h) {
  uint32_t sign = uint32_t{h} >> 15 << 31, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 0) {
    float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return from_bits(sign | wide << 23 | fraction << 13);
}

// An integer with the order of the floats; -0 counts as +0. REQUIRES: x is not NaN
IBID_HD int32_t order_key(float x) {
  int32_t b = static_cast<int32_t>(bits(x + 0.0f));
  return b ^ ((b >> 31) & 0x7fffffff);
}
// The float that has this key: the same bits are turned back.
IBID_HD float from_order_key(int32_t key) { return from_bits(static_cast<uint32_t>(key ^ ((key >> 31) & 0x7fffffff))); }

// REQUIRES: n >= 1
IBID_HD int32_t largest_key(const float* x, int n) {
  int32_t largest = INT32_MIN;
  for (int i = 0; i < n; ++i) {
    int32_t key = order_key(x[i]);
    largest = key > largest ? key : largest;
  }
  return largest;
}

// --- float32 (NUMERICS 9.1 to 9.5) -----------------------------------------------------------------------------------------------

constexpr float kLog2e = 0x1.715476p+0f;
constexpr float kLn2Hi = 0x1.62e4p-1f, kLn2Lo = 0x1.7f7d1cp-20f;   // kLn2Hi has 15 bits: n * kLn2Hi is exact

// e^x with x clamped to [-87, 87]: always finite, normal and positive. Largest error 0.99 ulp.
IBID_HD float exp32(float x) {
  x = limit_magnitude(x, 87.0f);
  float n = round_even(x * kLog2e);
  float r = (x - n * kLn2Hi) - n * kLn2Lo;
  float p = 0x1.6a2444p-10f;
  p = p * r + 0x1.1239d6p-7f;
  p = p * r + 0x1.5558f2p-5f;
  p = p * r + 0x1.555492p-3f;
  p = p * r + 0x1.fffffcp-2f;
  float e = 1.0f + (r + (r * r) * p);
  return e * pow2(static_cast<int32_t>(n));
}

// 2^f. REQUIRES: |f| <= 1/2
IBID_HD float exp2_fraction(float f) {
  float p = 0x1.5bba0ep-10f;
  p = p * f + 0x1.3cea88p-7f;
  p = p * f + 0x1.c6b752p-5f;
  p = p * f + 0x1.ebf9bcp-3f;
  p = p * f + 0x1.62e42ap-1f;
  return 1.0f + p * f;
}

// 2^t for the weights of attention: 0 below -64, at most 1. REQUIRES: t <= 0. Largest error 2.30 ulp.
IBID_HD float exp2_weight(float t) {
  float u = limit_magnitude(t, 64.0f);
  float n = round_even(u);
  uint32_t e = bits(exp2_fraction(u - n) * pow2(static_cast<int32_t>(n)));
  int32_t beyond = static_cast<int32_t>(bits(64.0f)) - static_cast<int32_t>(bits(t) & 0x7fffffff);   // negative below -64
  return from_bits(e & ~static_cast<uint32_t>(beyond >> 31));
}

// log x. REQUIRES: x > 0, finite and normal. Largest error 0.92 ulp.
IBID_HD float log32(float x) {
  int32_t k = static_cast<int32_t>(bits(x) - bits(0x1.6a09e6p-1f)) >> 23;      // x = 2^k m, m in [sqrt(1/2), sqrt(2))
  float m = from_bits(bits(x) - (static_cast<uint32_t>(k) << 23));
  float n = static_cast<float>(k);
  float f = m - 1.0f;
  float s = f / (2.0f + f);                                                    // log m = 2 atanh(s), and 2 s = f - s f
  float z = s * s;
  float p = 0x1.e2f668p-3f;
  p = p * z + 0x1.2438d8p-2f;
  p = p * z + 0x1.999a7ap-2f;
  p = p * z + 0x1.555554p-1f;
  float t = (s * z) * p;
  return n * kLn2Hi + (f - (s * f - (t + n * kLn2Lo)));
}

// log(1 + x). REQUIRES: -1 < x <= 0. Largest error 1.44 ulp.
IBID_HD float log1p32(float x) {
  float u = 1.0f + x;
  float lost = x - (u - 1.0f);                                                 // exact
  return log32(u) + lost / u;
}

// x / (1 + e^-x)
IBID_HD float silu32(float x) { return x / (1.0f + exp32(-x)); }
// NUMERICS 8
IBID_HD float gated(float gate, float up) { return silu32(gate) * up; }

// --- float64, for RoPE tables (NUMERICS 9.3): Taylor series, whose coefficients anyone can write down ---------------------

// e^x. REQUIRES: |x| <= 700
IBID_HD double exp64(double x) {
  double n = (x * 0x1.71547652b82fep+0 + kRound64) - kRound64;
  double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  double p = 1.0 / 87178291200.0;                                              // 1/14!
  double factorial = 87178291200.0;
  for (int i = 13; i >= 0; --i) {
    factorial = factorial / (i + 1);
    p = p * r + 1.0 / factorial;
  }
  return p * from_bits(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
}

// log x. REQUIRES: x > 0, finite and normal
IBID_HD double log64(double x) {
  int64_t k = static_cast<int64_t>(bits(x) - bits(0x1.6a09e667f3bcdp-1)) >> 52;
  double m = from_bits(bits(x) - (static_cast<uint64_t>(k) << 52));
  double n = static_cast<double>(k);
  double f = m - 1.0;
  double s = f / (2.0 + f);
  double z = s * s;
  double p = 0.0;
  for (int i = 12; i >= 1; --i) p = (p + 2.0 / (2 * i + 1)) * z;               // 2/3 z + 2/5 z^2 + ...
  return n * 0x1.62e42feep-1 + (f - (s * f - (s * p + n * 0x1.a39ef35793c76p-33)));
}

// x^y = e^(y log x). REQUIRES: as log64 and exp64
IBID_HD double pow64(double x, double y) { return exp64(y * log64(x)); }

struct SinCos { double sin, cos; };

// REQUIRES: 0 <= x < 2^20, so that n has 20 bits and n times the first two parts of pi/2 (33 and 32 bits) is exact
IBID_HD SinCos sincos64(double x) {
  double n = (x * 0x1.45f306dc9c883p-1 + kRound64) - kRound64;
  double r = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
  double z = r * r;
  double s = 0.0, c = 0.0;
  for (int i = 9; i >= 1; --i) {
    s = (1.0 + s) * (-z / ((2 * i) * (2 * i + 1)));                            // -z/6 (1 - z/20 (1 - ...))
    c = (1.0 + c) * (-z / ((2 * i) * (2 * i - 1)));                            // -z/2 (1 - z/12 (1 - ...))
  }
  double sin = r + r * s, cos = 1.0 + c;
  int64_t quadrant = static_cast<int64_t>(n) & 3;
  if (quadrant == 1) return {cos, -sin};
  if (quadrant == 2) return {-sin, -cos};
  if (quadrant == 3) return {-cos, sin};
  return {sin, cos};
}

// --- noise (NUMERICS 11.7) ----------------------------------------------------------------------------------------------

struct Philox { uint32_t word[4]; };

// Philox4x32 with 10 rounds. key = key0 + 2^32 key1
IBID_HD Philox philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t{0xD2511F53} * c0, b = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ key0;
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ key1;
    c1 = static_cast<uint32_t>(b);
    c3 = static_cast<uint32_t>(a);
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// -log(E), E exponentially distributed: the Gumbel noise of one (noise key, token, position, sample).
IBID_HD float gumbel(uint64_t noise_key, uint32_t token, uint32_t position, uint32_t sample_index) {
  Philox r = philox(token, position, sample_index, 0, static_cast<uint32_t>(noise_key), static_cast<uint32_t>(noise_key >> 32));
  uint64_t u = r.word[0] | uint64_t{r.word[1]} << 32;
  // float(u + 1/2), rounded once. Below 2^42 that is exact in double; above, everything under bit 16 is one sticky bit, which
  // stands at least three bits below the last one that float32 keeps.
  bool small = (u >> 42) == 0;
  uint64_t x = small ? u : (u >> 16) | 1;
  double scale = from_bits(small ? bits(1.0) : bits(65536.0)), half = from_bits(small ? bits(0.5) : 0);
  double d = from_bits(bits(0x1p52) | x) - 0x1p52;
  float v = static_cast<float>(d * scale + half) * 0x1p-64f;
  return -log32(-log1p32(-limit_magnitude(v, 0x1.fffffep-1f)));
}

// By how much the first score leads the second (NUMERICS 11.8).
// Logits far apart and penalties can take a score or the difference to an infinity.
IBID_HD float lead(float first, float second) {
  float difference = first - second;
  return difference == difference ? limit_magnitude(difference, 0x1.fffffep127f) : 0.0f;
}

}  // namespace ibid::kernels::math
