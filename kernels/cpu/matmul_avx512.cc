// The matrix product by AVX-512 VNNI. Weights of 8 bits: unsigned activation digits times signed weights, four along k per lane, two
// instructions for 64 products (matmul_x512.h). Weights of 16 bits would take four that way and take three as words (matmul_fold.h).
//
// Upper bytes of weights are not stored a second time. Of four words along k the first and the third lie in one vector, the others in the
// next: u of the others are its odd bytes, u of the former are at even places of what is loaded one byte behind the first vector.
#include "kernels/cpu/matmul_fold.h"
#include "kernels/cpu/matmul_x512.h"

namespace ibid::kernels {
namespace {

// Of a step 64 deep: what asks for lines at once. Always, however few they are: here that costs nothing.
constexpr size_t kParts = 2 * kBlockBytes / 64 / kBurst;
constexpr size_t kPartQuads = kDepthStep / 4 / kParts;

inline size_t words_at(size_t k) { return 2 * k; }         // of an activation row: where its words begin, behind the digits

void store_row(const QuantRows& a, int row, const int16_t* q, float scale) {
  store_digits(a, row, q, scale);
  const size_t k = static_cast<size_t>(a.k);
  uint8_t* to = quant_row(a, row) + words_at(padded_k(a.k));
  for (size_t i = 0; i < k; i += 32) {
    const __m512i x = _mm512_maskz_loadu_epi16(k - i < 32 ? (1u << (k - i)) - 1 : ~0u, q + i);
    _mm512_store_si512(to + 2 * i, _mm512_shufflehi_epi16(_mm512_shufflelo_epi16(x, 0xD8), 0xD8));   // of four: 0, 2, 1, 3
  }
}

// low and high of T rows and the halves of a panel, after the last fold.
template <int T>
struct PairSums { __m512i low[T][2], high[T][2]; };

// Adds the products of 4 along k. digits, words: row 0's. first: excess adds up 128 u of each output.
template <int T, bool first>
[[gnu::always_inline]] inline void add_quad(const int8_t* w, const uint8_t* digits, const uint8_t* words, size_t a_stride,
                                            __m512i (&low)[T][2], __m512i (&high)[T][2], __m512i (&excess)[2]) {
  constexpr __mmask64 kEven = 0x5555555555555555;
  __m512i weights[2];
  const auto add_words = [&](size_t pair) IBID_INLINE {
    unroll<2>([&](auto half) IBID_INLINE { weights[half] = _mm512_load_si512(w + pair * kQuadBytes + half * 64); });
    unroll<T>([&](auto t) IBID_INLINE {
      const __m512i x = broadcast4(words + pair * 4 + t * a_stride);
      unroll<2>([&](auto half) IBID_INLINE { low[t][half] = _mm512_dpwssd_epi32(low[t][half], x, weights[half]); });
    });
  };
  add_words(0);
  add_words(1);
  unroll<2>([&](auto half) IBID_INLINE { weights[half] = _mm512_mask_loadu_epi8(weights[half], kEven, w + half * 64 + 1); });
  if constexpr (first)
    unroll<2>([&](auto half) IBID_INLINE { excess[half] = _mm512_dpbusd_epi32(excess[half], _mm512_set1_epi8(-128), weights[half]); });
  unroll<T>([&](auto t) IBID_INLINE {
    const __m512i x = broadcast4(digits + t * a_stride);
    unroll<2>([&](auto half) IBID_INLINE { high[t][half] = _mm512_dpbusd_epi32(high[t][half], x, weights[half]); });
  });
}

// How much too large high is after each kFold products, because activations are stored as H + 128:
// the first rows that meet a panel compute it.
using Excess = __m512i[kFolds][2];

inline __m512i rest_of(__m512i low, __m512i high) { return _mm512_sub_epi32(low, _mm512_slli_epi32(high, 16)); }

// The sums of a panel and T rows. Apart and noinline so that the compiler has the registers for all accumulators.
template <int T, bool first>
__attribute__((noinline)) void pair_sums(const int8_t* w, const uint8_t* a, size_t a_stride, size_t k, Excess& excesses, Ahead ahead,
                                         PairSums<T>& sums) {
  __m512i low[T][2], high[T][2];
  unroll<T>([&](auto t) IBID_INLINE { unroll<2>([&](auto half) IBID_INLINE { low[t][half] = high[t][half] = _mm512_setzero_si512(); }); });
  const uint8_t *digits = a, *words = a + words_at(k);
  for (size_t i = 0; i < k; i += kFold) {
    const size_t end = k - i < kFold ? k : i + kFold;
    __m512i excess[2] = {};
    for (size_t step = i; step < end; step += kDepthStep, digits += kStepBytes - kDepthStep)
      for (size_t part = 0; part < kParts; part++) {
        ahead.step(part, kParts);
#pragma GCC unroll 2
        for (size_t quad = 0; quad < kPartQuads; quad++, w += 2 * kQuadBytes, digits += 4, words += 8)
          add_quad<T, first>(w, digits, words, a_stride, low, high, excess);
      }
    unroll<2>([&](auto half) IBID_INLINE {
      __m512i& too_much = excesses[i / kFold][half];
      if constexpr (first) too_much = excess[half];
      unroll<T>([&](auto t) IBID_INLINE {
        high[t][half] = _mm512_sub_epi32(high[t][half], too_much);
        high[t][half] = _mm512_add_epi32(high[t][half], _mm512_srai_epi32(rest_of(low[t][half], high[t][half]), 16));
      });
    });
  }
  unroll<T>([&](auto t) IBID_INLINE {
    unroll<2>([&](auto half) IBID_INLINE {
      sums.low[t][half] = low[t][half];
      sums.high[t][half] = high[t][half];
    });
  });
}

// A panel of pairs and T rows.
struct PairTile {
  static constexpr int kRows = 6;      // at most: 24 accumulators
  Excess excesses;                     // of the panel at hand

  template <int T>
  void run(const MatmulJob& job, const WeightView& v, size_t panel, size_t row, bool first, Ahead ahead) {
    PairSums<T> sums;
    const auto sum = first ? pair_sums<T, true> : pair_sums<T, false>;
    sum(v.digit + panel * v.panel_bytes(), quant_row(*job.a, static_cast<int>(row)), quant_row_stride(job.a->k), v.k,
        excesses, ahead, sums);
    const Epilogue epilogue(job, v, panel, row);
    for (size_t t = 0; t < T; t++)
      epilogue.finish<2>(t, [&](auto half) IBID_INLINE {
        return Sums{sums.high[t][half], rest_of(sums.low[t][half], sums.high[t][half])};
      });
  }
};

void tiles(const MatmulJob& job, const MatmulPiece& piece) {
  if (job.w->profile == Profile::w16a16) vector_tiles<PairTile>(job, piece);
  else vector_tiles<DigitTile<1>>(job, piece);
}

int64_t burn(int64_t rounds) {
  constexpr int kChains = 16;
  __m512i acc[kChains];
  const __m512i x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(5);
  unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = _mm512_set1_epi32(i); });   // equal chains would be merged into one
  for (int64_t r = 0; r < rounds; r++)
    unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = _mm512_dpbusd_epi32(acc[i], x, w); });
  unroll<kChains>([&](auto i) IBID_INLINE { keep(acc[i]); });
  return rounds * kChains * 64;
}

}  // namespace

const MatmulTable kMatmulAvx512 = {Isa::avx512, WeightLayout::pairs, store_row, tiles, burn};

}  // namespace ibid::kernels
