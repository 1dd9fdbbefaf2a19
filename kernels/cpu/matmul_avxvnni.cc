// The matrix product by AVX-VNNI, which Intel's desktop processors have in place of AVX-512: matmul_x256.h with vpdpwssd. Weights of 16
// bits take three instructions for 32 products (matmul_fold.h), and upper bytes of weights are put together from their words. They are
// made unsigned by 128 more, so high is too large by 128 times the sum of H, which activation rows bring along.
#include "kernels/cpu/matmul_fold.h"
#include "kernels/cpu/matmul_x256.h"

namespace ibid::kernels {
namespace {

size_t stream_ahead() { return 3072; }      // Intel Xeon: 1 KiB is 17 to 23 % slower, 4 KiB as fast

// {vex}: not the encoding of AVX-512, which the assembler prefers.
void add_products(__m256i& sum, __m256i a, __m256i b) { asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b)); }
void add_products_from(__m256i& sum, __m256i a, const __m256i& b) { asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "m"(b)); }

// The products of unsigned bytes with signed ones, in fours, added to a sum.
IBID_INLINE inline void add_bytes(__m256i& sum, __m256i a, __m256i b) { asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b)); }

// Behind a row's words: the digits H, of four along k the first, the third, the second, the fourth;
// then what high is too large by, int32 for each fold.
size_t digits_at(size_t k) { return 2 * k; }
size_t excess_at(size_t k) { return 3 * k; }

void store_row(const QuantRows& a, int row, const int16_t* q, float scale) {
  store_words(a, row, q, scale);
  const size_t k = padded_k(a.k);
  uint8_t* words = quant_row(a, row);
  const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 2, 6, 8, 12, 10, 14, -1, -1, -1, -1, -1, -1, -1, -1));
  for (size_t fold = 0; fold < k; fold += kFold) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = fold; i < k && i < fold + kFold; i += 16) {
      const __m256i q16 = _mm256_load_si256(reinterpret_cast<const __m256i*>(words + 2 * i));
      const __m256i high = _mm256_srai_epi16(_mm256_add_epi16(q16, _mm256_set1_epi16(128)), 8);
      add_products(sum, high, _mm256_set1_epi16(128));
      const __m256i bytes = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(high, order), 0x08);
      _mm_store_si128(reinterpret_cast<__m128i*>(words + digits_at(k) + i), _mm256_castsi256_si128(bytes));
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_hadd_epi32(four, four);
    four = _mm_hadd_epi32(four, four);
    _mm_storeu_si32(words + excess_at(k) + fold / kFold * sizeof(int32_t), four);
  }
}

constexpr uint64_t kByte128 = 0x8080'8080'8080'8080;
// in memory: sums, operands and a mask have all registers
alignas(32) constexpr uint64_t kPlus128[4] = {kByte128, kByte128, kByte128, kByte128};

IBID_INLINE inline __m256i lanes_of(const uint8_t* at) {
  int32_t lane;
  std::memcpy(&lane, at, sizeof lane);
  return _mm256_set1_epi32(lane);
}

template <int T>
__attribute__((noinline)) void word_sums(const int8_t* w, Fetch fetch, const uint8_t* a, size_t a_stride, size_t depth, Sums* sum,
                                         size_t first) {
  const uint8_t *digits = a + digits_at(depth), *excess = a + excess_at(depth);
  __m256i low[T], high[T];
  unroll<T>([&](auto t) IBID_INLINE { low[t] = high[t] = _mm256_setzero_si256(); });
  for (size_t left = depth, now; left > 0; left -= now, excess += sizeof(int32_t)) {
    now = left < kFold ? left : kFold;
#pragma GCC unroll 2
    for (size_t quad = 0; quad < now / 4; quad++, w += 2 * kStripBytes, a += 8, digits += 4, fetch.at += fetch.step) {
      __builtin_prefetch(fetch.at, 0, 2);
      __m256i weights[2];
      unroll<2>([&](auto pair) IBID_INLINE {
        weights[pair] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w) + pair);
        unroll<T>([&](auto t) IBID_INLINE { add_products(low[t], weights[pair], lanes_of(a + t * a_stride + pair * 4)); });
      });
      __m256i upper = _mm256_or_si256(_mm256_srli_epi16(weights[0], 8), _mm256_and_si256(weights[1], _mm256_set1_epi16(-256)));
      asm("vpxor %1, %0, %0" : "+x"(upper) : "m"(kPlus128));
      unroll<T>([&](auto t) IBID_INLINE { add_bytes(high[t], upper, lanes_of(digits + t * a_stride)); });
    }
    unroll<T>([&](auto t) IBID_INLINE {
      high[t] = _mm256_sub_epi32(high[t], lanes_of(excess + t * a_stride));
      const __m256i rest = _mm256_sub_epi32(low[t], _mm256_slli_epi32(high[t], 16));
      high[t] = _mm256_add_epi32(high[t], _mm256_srai_epi32(rest, 16));
    });
  }
  unroll<T>([&](auto t) IBID_INLINE { put_joined(sum[t] + first, low[t], high[t]); });
}

}  // namespace

const MatmulTable kMatmulAvxVnni = {Isa::avxvnni, WeightLayout::strips, store_row, tiles, burn};

}  // namespace ibid::kernels
