// The matrix product by AVX2: matmul_x256.h with vpmaddwd.
#include "kernels/cpu/matmul_x256.h"

namespace ibid::kernels {
namespace {

size_t stream_ahead() { return 1024; }      // AMD EPYC (Zen 3): 2 KiB and more are 10 % slower

void add_products(__m256i& sum, __m256i a, __m256i b) { add_to(sum, _mm256_madd_epi16(a, b)); }

void add_products_from(__m256i& sum, __m256i a, const __m256i& b) {
  __m256i p;
  asm("vpmaddwd %2, %1, %0" : "=x"(p) : "x"(a), "m"(b));
  add_to(sum, p);
}

// A pair of words is at most 2 * 32639^2 < 2^31, so it fits, but no second one with it. Two sums keep all of it: low = sum(p) modulo 2^32
// and high = sum(p >> 16). What they leave, sum(p mod 2^16), is below 2^32: there are at most kMaxDepth / 2 < 2^16 pairs.
template <int T>
__attribute__((noinline)) void word_sums(const int8_t* w, Fetch fetch, const uint8_t* a, size_t a_stride, size_t depth, Sums* sum,
                                         size_t first) {
  __m256i low[T], high[T];
  unroll<T>([&](auto t) IBID_INLINE { low[t] = high[t] = _mm256_setzero_si256(); });
  for (size_t twice = 0; twice < depth / 4; twice++, w += 2 * kStripBytes, a += 8, fetch.at += fetch.step) {
    __builtin_prefetch(fetch.at, 0, 2);
    unroll<2>([&](auto pair) IBID_INLINE {
      const __m256i weights = _mm256_load_si256(reinterpret_cast<const __m256i*>(w) + pair);
      unroll<T>([&](auto t) IBID_INLINE {
        int32_t two;
        std::memcpy(&two, a + t * a_stride + pair * 4, 4);
        const __m256i p = _mm256_madd_epi16(weights, _mm256_set1_epi32(two));
        add_to(low[t], p);
        add_to(high[t], _mm256_srai_epi32(p, 16));
      });
    });
  }
  unroll<T>([&](auto t) IBID_INLINE { put_joined(sum[t] + first, low[t], high[t]); });
}

}  // namespace

const MatmulTable kMatmulAvx2 = {Isa::avx2, WeightLayout::strips, store_words, tiles, burn};

}  // namespace ibid::kernels
