// What the AVX-512 and the AMX product share: the activations' layout, the epilogue, and the tiles for few rows. Every
// function is local to the including file: the two files' flags differ, and the linker must not mix their code.
#pragma once
// gcc 12 takes the intrinsics' own "undefined" operands for mistakes (its bug 105593), wherever they are inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <cstring>

#include "kernels/cpu/matmul_panels.h"

namespace ibid::kernels {
namespace {

inline void store_digits(const QuantRows& a, int row, const int16_t* q, float scale) {
  uint8_t* to = quant_row(a, row);
  const size_t k = static_cast<size_t>(a.k);
  const __m512i bias = _mm512_set1_epi16(128);
  for (size_t i = 0; i < k; i += 32) {
    const __mmask32 mask = k - i < 32 ? (1u << (k - i)) - 1 : ~0u;
    const __m512i x = _mm512_add_epi16(_mm512_maskz_loadu_epi16(mask, q + i), bias);
    // q = 256 H + L with L in [-128, 127]: the bytes of q + 128 are H and L + 128, both modulo 256.
    const __m256i high = _mm512_cvtepi16_epi8(_mm512_add_epi16(_mm512_srai_epi16(x, 8), bias)), low = _mm512_cvtepi16_epi8(x);
    uint8_t* at = to + i / kDepthStep * kStepBytes + i % kDepthStep;
    _mm256_store_si256(reinterpret_cast<__m256i*>(at), high);
    _mm256_store_si256(reinterpret_cast<__m256i*>(at + kLow), low);
  }
  *quant_row_scale(a, row) = scale;
}

// 16 exact sums S = 2^b upper + rest, b = 8 D for D digits to a weight.                      REQUIRES: upper + (rest >> b) fits int32
struct Sums { __m512i upper, rest; };

// S = 65536 high + 256 cross + low.
inline Sums join(__m512i high, __m512i cross, __m512i low) {
  const __m512i bits = _mm512_and_si512(cross, _mm512_set1_epi32(255));
  return {_mm512_add_epi32(high, _mm512_srai_epi32(cross, 8)), _mm512_add_epi32(low, _mm512_slli_epi32(bits, 8))};
}

// To float32, each by one rounding. With the carry from rest, S is 2^b upper + (the last b bits of rest). Cut in two, 2^(b + 8)
// (upper >> 8) and the b + 8 bits below, each part has at most 24 bits, which float32 holds exactly: adding them is the only rounding.
template <int D>
inline __m512 sums_to_float(const Sums& s) {
  constexpr int kBits = 8 * D;
  const __m512i byte = _mm512_set1_epi32(255), upper = _mm512_add_epi32(s.upper, _mm512_srai_epi32(s.rest, kBits));
  const __m512i coarse = _mm512_andnot_si512(byte, upper), bits = _mm512_and_si512(s.rest, _mm512_set1_epi32((1 << kBits) - 1));
  const __m512i fine = _mm512_or_si512(_mm512_slli_epi32(_mm512_and_si512(upper, byte), kBits), bits);
  return _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(coarse), _mm512_set1_ps(1 << kBits)), _mm512_cvtepi32_ps(fine));
}

// silu(gate) * up of 16 outputs. Apart: what runs between tile instructions stays small.
__attribute__((noinline)) inline void put_gated(float* to, __mmask16 mask, __m512 gates, __m512 others) {
  alignas(64) float gate[16], up[16], y[16];
  _mm512_store_ps(gate, gates);
  _mm512_store_ps(up, others);
  for (int i = 0; i < 16; i++) y[i] = math::gated(gate[i], up[i]);
  _mm512_mask_storeu_ps(to, mask, _mm512_load_ps(y));
}

// The written epilogue for outputs of one panel, a row at a time. It holds what the job says by value: the compiler must take
// each store to y for a change of everything reached through pointers.
class Epilogue {
 public:
  Epilogue() = default;
  Epilogue(const MatmulJob& job, const WeightView& v, size_t panel, size_t row)
      : gated_(job.gated), width_(static_cast<size_t>(job.width)), a_stride_(quant_row_stride(job.a->k)) {
    const size_t n = panel * kPanel, at = row * width_ + (gated_ ? n / 2 : n);
    mask_ = first_of(static_cast<size_t>(job.w->n) - n);
    gated_mask_ = static_cast<__mmask16>(first_of(gated_ ? width_ - n / 2 : 0));
    scale_ = v.scale + n;
    bias_ = job.w->bias ? job.w->bias + n : nullptr;
    residual_ = job.residual ? job.residual + at : nullptr;
    y_ = job.y + at;
    a_scale_ = reinterpret_cast<const uint8_t*>(quant_row_scale(*job.a, static_cast<int>(row)));
  }

  // Row t after the first: sums(half) gives those of half a panel.
  template <int D, class F>
  [[gnu::always_inline]] void finish(size_t t, F sums) const {
    const __m512 a_scale = _mm512_set1_ps(*reinterpret_cast<const float*>(a_scale_ + t * a_stride_));
    float* to = y_ + t * width_;
    __m512 y[2];
    unroll<2>([&](auto half) IBID_INLINE {
      const __mmask16 mask = static_cast<__mmask16>(mask_ >> 16 * half);
      y[half] = _mm512_mul_ps(sums_to_float<D>(sums(half)), a_scale);
      y[half] = _mm512_mul_ps(y[half], _mm512_load_ps(scale_ + 16 * half));
      if (bias_) y[half] = _mm512_add_ps(y[half], _mm512_maskz_loadu_ps(mask, bias_ + 16 * half));
      if (residual_) y[half] = _mm512_add_ps(y[half], _mm512_maskz_loadu_ps(mask, residual_ + t * width_ + 16 * half));
      if (!gated_) _mm512_mask_storeu_ps(to + 16 * half, mask, y[half]);
    });
    static_assert(kGate == 8);       // of 16 rows the lower half are gates
    if (gated_) put_gated(to, gated_mask_, _mm512_shuffle_f32x4(y[0], y[1], 0x44), _mm512_shuffle_f32x4(y[0], y[1], 0xEE));
  }

 private:
  static uint32_t first_of(size_t live) { return live < kPanel ? (1u << live) - 1 : ~0u; }

  bool gated_ = false;
  size_t width_ = 0, a_stride_ = 0;
  uint32_t mask_ = 0;                // the rows of the weight that there are
  __mmask16 gated_mask_ = 0;         // the pairs
  const float *scale_ = nullptr, *bias_ = nullptr, *residual_ = nullptr;
  float* y_ = nullptr;
  const uint8_t* a_scale_ = nullptr;
};

inline __m512i broadcast4(const uint8_t* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

// Adds the products of one digit of a panel, 4 deep, with T rows: of their high digits to `by_high`, of the low to `by_low`.
template <int T>
[[gnu::always_inline]] inline void add_products(const int8_t* w, const uint8_t* a, size_t a_stride, __m512i (&by_high)[T][2],
                                                __m512i (&by_low)[T][2]) {
  const __m512i weights[2] = {_mm512_load_si512(w), _mm512_load_si512(w + 64)};
  unroll<T>([&](auto t) IBID_INLINE {
    const __m512i high = broadcast4(a + t * a_stride), low = broadcast4(a + t * a_stride + kLow);
    unroll<2>([&](auto half) IBID_INLINE {
      by_high[t][half] = _mm512_dpbusd_epi32(by_high[t][half], high, weights[half]);
      by_low[t][half] = _mm512_dpbusd_epi32(by_low[t][half], low, weights[half]);
    });
  });
}

// Lines that may be asked for at once. A core waits for some 16 at a time: what it needs next would queue behind more.
constexpr size_t kBurst = 8;

// Adds the products of a panel and T rows; what is to be fetched for a step is asked for in `parts` parts for each digit.
template <int D, int T, size_t parts>
[[gnu::always_inline]] inline void add_steps(const int8_t* w, const uint8_t* a, size_t a_stride, size_t steps, Ahead ahead,
                                             __m512i (&high)[T][2], __m512i (&cross)[T][2], __m512i (&low)[T][2]) {
  const auto add_digit = [&](size_t digit, __m512i (&by_high)[T][2], __m512i (&by_low)[T][2]) IBID_INLINE {
    constexpr size_t kPart = kDepthStep / parts;
    for (size_t i = 0; i < kDepthStep; i += kPart) {
      ahead.step(digit * parts + i / kPart, D * parts);
      // Not unrolled entirely: gcc would keep every activation of the high digits for the low ones, and spill.
#pragma GCC unroll 2
      for (size_t j = i; j < i + kPart; j += 4, w += kQuadBytes) add_products<T>(w, a + j, a_stride, by_high, by_low);
    }
  };
  for (size_t s = 0; s < steps; s++, a += kStepBytes) {
    if (D == 2) add_digit(0, high, cross);
    add_digit(D - 1, cross, low);
  }
}

// Sums of digit products of a panel and T rows: sum[plane][t][half], planes high, cross, low (high unused when D is 1).
// Apart and noinline so that the compiler has the registers for all accumulators.
template <int D, int T>
__attribute__((noinline)) void panel_sums(const int8_t* w, const uint8_t* a, size_t a_stride, size_t steps,
                                          const int32_t* correction, size_t n, Ahead ahead, __m512i (*sum)[T][2]) {
  __m512i high[T][2], cross[T][2], low[T][2];
  unroll<2>([&](auto half) IBID_INLINE {
    const __m512i of_high = _mm512_load_si512(correction + 16 * half), of_low = _mm512_load_si512(correction + (D - 1) * n + 16 * half);
    unroll<T>([&](auto t) IBID_INLINE {
      high[t][half] = of_high;
      low[t][half] = of_low;
      cross[t][half] = D == 1 ? of_high : _mm512_add_epi32(of_high, of_low);
    });
  });
  if (ahead.pace > kBurst) add_steps<D, T, 8>(w, a, a_stride, steps, ahead, high, cross, low);
  else add_steps<D, T, 1>(w, a, a_stride, steps, ahead, high, cross, low);
  unroll<T>([&](auto t) IBID_INLINE {
    unroll<2>([&](auto half) IBID_INLINE {
      sum[0][t][half] = high[t][half];
      sum[1][t][half] = cross[t][half];
      sum[2][t][half] = low[t][half];
    });
  });
}

// A panel and T rows.
template <int D>
struct DigitTile {
  static constexpr int kRows = D == 2 ? 4 : 6;       // at most: 24 accumulators
  template <int T>
  void run(const MatmulJob& job, const WeightView& v, size_t panel, size_t row, bool /*first*/, Ahead ahead) {
    __m512i sum[3][T][2];
    panel_sums<D, T>(v.digit + panel * v.panel_bytes(), quant_row(*job.a, static_cast<int>(row)), quant_row_stride(job.a->k),
                     v.k / kDepthStep, v.correction + panel * kPanel, v.n, ahead, sum);
    const Epilogue epilogue(job, v, panel, row);
    for (size_t t = 0; t < T; t++)
      epilogue.finish<D>(t, [&](auto half) IBID_INLINE {
        if constexpr (D == 2) return join(sum[0][t][half], sum[1][t][half], sum[2][t][half]);
        else return Sums{sum[1][t][half], sum[2][t][half]};
      });
  }
};

// A panel and min(T, left) rows. first: they are the first rows that meet this panel.
template <class Tile, int T>
void tile_upto(Tile& tile, size_t left, const MatmulJob& job, const WeightView& v, size_t panel, size_t row, bool first, Ahead ahead) {
  if constexpr (T > 1)
    if (left < T) return tile_upto<Tile, T - 1>(tile, left, job, v, panel, row, first, ahead);
  tile.template run<T>(job, v, panel, row, first, ahead);
}

template <class Tile>
void vector_tiles(const MatmulJob& job, const MatmulPiece& piece) {
  constexpr size_t kRows = Tile::kRows;
  Tile tile;
  const WeightView v = view(*job.w);
  const size_t all = static_cast<size_t>(piece.rows), passes = (all + kRows - 1) / kRows;
  const size_t first = static_cast<size_t>(piece.panel), end = first + static_cast<size_t>(piece.panels);
  const size_t wanted = static_cast<size_t>(piece.ahead);
  for (size_t p = first; p < end; p++)
    for (size_t pass = 0; pass < passes; pass++)
      tile_upto<Tile, kRows>(tile, all - pass * kRows, job, v, p, static_cast<size_t>(piece.row) + pass * kRows, pass == 0,
                             ahead_of(v, p, wanted, pass, passes));
}

}  // namespace
}  // namespace ibid::kernels
