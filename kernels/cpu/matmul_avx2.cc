// The matrix product by AVX2: 16-bit activations times one 8-bit digit of the weights (vpmaddwd), a pair of products per
// lane. A pair is at most 2 * 32639 * 128, so 256 of them fit int32; then they move to 64 bits.
#include <immintrin.h>

#include <cstring>

#include "kernels/cpu/matmul_isa.h"

namespace ibid::kernels {
namespace {

constexpr size_t kFlush = 256 * 4 / kDepthStep;   // blocks along k between moves to 64 bits
constexpr int kVectors = 4;         // weight vectors of a tile: 16 outputs of one digit, or 8 of two
constexpr int kTokens = 2;          // with 3, gcc keeps the accumulators in memory

void store_row(const QuantRows& a, int row, const int16_t* q, float scale) {
  uint8_t* to = quant_row(a, row);
  std::memset(to, 0, 2 * padded_k(a.k));
  std::memcpy(to, q, sizeof(int16_t) * static_cast<size_t>(a.k));
  *quant_row_scale(a, row) = scale;
}

// Pair sums of `blocks` blocks along k: sum[v][t][8], two lanes for each of the 4 outputs of vector v.
template <int D, int T>
__attribute__((noinline)) void pair_sums(const int8_t* w, const uint8_t* a, size_t a_stride, size_t blocks,
                                         __m256i (*sum)[kTokens]) {
  __m256i acc[kVectors][T];
  unroll<kVectors>([&](auto v) IBID_INLINE { unroll<T>([&](auto t) IBID_INLINE { acc[v][t] = _mm256_setzero_si256(); }); });
  for (size_t b = 0; b < blocks; b++, w += kBlockBytes * D) {
    for (size_t j = 0; j < kDepthStep / 4; j++, a += 8) {
      __m256i x[T];
      unroll<T>([&](auto t) IBID_INLINE {
        int64_t four;
        std::memcpy(&four, a + t * a_stride, 8);
        x[t] = _mm256_set1_epi64x(four);
      });
      unroll<kVectors>([&](auto v) IBID_INLINE {
        const int8_t* at = w + v % D * kBlockBytes + j * kQuadBytes + v / D * 16;
        const __m256i weights = _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(at)));
        unroll<T>([&](auto t) IBID_INLINE { acc[v][t] = _mm256_add_epi32(acc[v][t], _mm256_madd_epi16(weights, x[t])); });
      });
    }
  }
  unroll<kVectors>([&](auto v) IBID_INLINE { unroll<T>([&](auto t) IBID_INLINE { sum[v][t] = acc[v][t]; }); });
}

// One tile: 16 / D outputs from n, T rows from row.
template <int D, int T>
void tile(const MatmulJob& job, const WeightView& v, size_t n, size_t row) {
  constexpr int kOutputs = 4 * kVectors / D;
  const size_t blocks = v.k / kDepthStep, width = static_cast<size_t>(job.w->n);
  const int8_t* w = v.digit + n / kPanel * v.panel_bytes() + n % kPanel * 4;
  const uint8_t* a = quant_row(*job.a, static_cast<int>(row));
  int64_t total[T][kOutputs] = {};
  __m256i sum[kVectors][kTokens];
  for (size_t done = 0; done < blocks; done += kFlush) {
    pair_sums<D, T>(w + done * kBlockBytes * D, a + done * kDepthStep * sizeof(int16_t), quant_row_stride(job.a->k),
                    blocks - done < kFlush ? blocks - done : kFlush, sum);
    for (int t = 0; t < T; t++)
      for (int i = 0; i < 4 * kVectors; i++) {
        const int vector = i / 4, weight_of_digit = D == 2 && vector % D == 0 ? 256 : 1;
        int32_t pair[2];
        std::memcpy(pair, reinterpret_cast<const char*>(&sum[vector][t]) + i % 4 * 8, 8);
        total[t][vector / D * 4 + i % 4] += weight_of_digit * (int64_t{pair[0]} + pair[1]);
      }
  }
  for (size_t t = 0; t < T; t++)
    for (size_t i = 0; i < kOutputs && n + i < width; i++)
      job.y[(row + t) * width + n + i] = finish(job, v, row + t, n + i, total[t][i]);
}

template <int D>
void tiles_of(const MatmulJob& job, int panel, int panels, int row, int rows) {
  const WeightView v = view(*job.w);
  const size_t from = static_cast<size_t>(panel) * kPanel, to = from + static_cast<size_t>(panels) * kPanel;
  for (size_t n = from; n < to; n += 4 * kVectors / D) {
    size_t t = static_cast<size_t>(row), left = static_cast<size_t>(rows);
    for (; left >= kTokens; t += kTokens, left -= kTokens) tile<D, kTokens>(job, v, n, t);
    if (left == 1) tile<D, 1>(job, v, n, t);
  }
}

void tiles(const MatmulJob& job, int panel, int panels, int row, int rows) {
  if (job.w->profile == Profile::w16a16) tiles_of<2>(job, panel, panels, row, rows);
  else tiles_of<1>(job, panel, panels, row, rows);
}

// A vpmaddwd multiplies 16 pairs of 16 by 8 bits: as many as 32 products of int8 digits.
int64_t burn(int64_t rounds) {
  constexpr int kChains = 12;
  __m256i acc[kChains];
  const __m256i w = _mm256_set1_epi16(5);
  unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = _mm256_set1_epi16(i + 1); });
  for (int64_t r = 0; r < rounds; r++)
    unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(acc[i], w)); });
  unroll<kChains>([&](auto i) IBID_INLINE { keep(acc[i]); });
  return rounds * kChains * 32;
}

}  // namespace

const MatmulTable kMatmulAvx2 = {Isa::avx2, store_row, tiles, burn};

}  // namespace ibid::kernels
