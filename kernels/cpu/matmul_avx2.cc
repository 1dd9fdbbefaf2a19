// The matrix product by AVX2, around vpmaddwd: 16 products of 16 bits, added in pairs.
//
// 8-bit weights are widened as they are read: a pair is at most 2 * 32639 * 128, so 256 of them fit int32.
// 16-bit weights lie as words: a pair is at most 2 * 32639^2 < 2^31, so it fits, but no second one with it. Two sums keep all of it:
// low = sum(p) modulo 2^32 and high = sum(p >> 16). Then sum(p) = 2^16 high + rest, where rest = sum(p mod 2^16) < 2^32 is
// low - 2^16 high modulo 2^32, because there are at most kMaxDepth / 2 < 2^16 pairs.
//
// Per 16 multiply-adds of 8-bit weights: 2 instructions and a share of the widening; of 16-bit weights: 4. Zen and Intel cores since
// Haswell do three or four of these a cycle, so that is the bound.
//
// keep() pins each sum where it is written: left alone, gcc 12 starts all products first and has no registers for the sums.
#include <immintrin.h>

#include <cstring>

#include "kernels/cpu/matmul_isa.h"

namespace ibid::kernels {
namespace {

constexpr size_t kFlush = 256 * 4 / kDepthStep;   // blocks along k whose pairs of 8-bit weights fit int32
constexpr int kTokens = 5;                        // of a tile of one strip: as many as 16 registers hold

void store_row(const QuantRows& a, int row, const int16_t* q, float scale) {
  uint8_t* to = quant_row(a, row);
  std::memset(to, 0, 2 * padded_k(a.k));
  std::memcpy(to, q, sizeof(int16_t) * static_cast<size_t>(a.k));
  *quant_row_scale(a, row) = scale;
}

// The exact sums of a strip's two halves, 4 outputs each, for T rows of activations.
template <int T>
using Sums = __m256d[2][T];

// The sums of 4 outputs, each of which has two lanes.
__m256d add_pairs(__m256i pairs) {
  const __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(pairs)), high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(pairs, 1));
  return _mm256_permute4x64_pd(_mm256_hadd_pd(low, high), 0xD8);
}

// 8-bit weights, `blocks` blocks along k; a vector is half a strip, 4 deep.
template <int T>
__attribute__((noinline)) void byte_sums(const int8_t* w, size_t ahead, const uint8_t* a, size_t a_stride, size_t blocks, Sums<T>& sum) {
  __m256i acc[2][T];
  unroll<T>([&](auto t) IBID_INLINE { acc[0][t] = acc[1][t] = _mm256_setzero_si256(); });
  for (size_t quad = 0; quad < blocks * (kDepthStep / 4); quad++, w += kStripBytes, a += 8) {
    __builtin_prefetch(w + ahead, 0, 2);
    const __m256i weights[2] = {_mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(w))),
                                _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(w) + 1))};
    unroll<T>([&](auto t) IBID_INLINE {
      int64_t four;
      std::memcpy(&four, a + t * a_stride, 8);
      const __m256i x = _mm256_set1_epi64x(four);
      unroll<2>([&](auto v) IBID_INLINE { acc[v][t] = _mm256_add_epi32(acc[v][t], _mm256_madd_epi16(weights[v], x)), keep(acc[v][t]); });
    });
  }
  unroll<2>([&](auto v) IBID_INLINE { unroll<T>([&](auto t) IBID_INLINE { sum[v][t] = _mm256_add_pd(sum[v][t], add_pairs(acc[v][t])); }); });
}

// sum(p) of 4 lanes from its two halves: every step is exact.
__m256d join(__m128i low, __m128i high) {
  const __m128i rest = _mm_xor_si128(_mm_sub_epi32(low, _mm_slli_epi32(high, 16)), _mm_set1_epi32(INT32_MIN));   // - 2^31
  return _mm256_add_pd(_mm256_mul_pd(_mm256_cvtepi32_pd(high), _mm256_set1_pd(0x1p16)), _mm256_add_pd(_mm256_cvtepi32_pd(rest), _mm256_set1_pd(0x1p31)));
}

// 16-bit weights, all of k; a vector is a strip, 2 deep.
template <int T>
__attribute__((noinline)) void word_sums(const int8_t* w, size_t ahead, const uint8_t* a, size_t a_stride, size_t blocks, Sums<T>& sum) {
  __m256i low[T], high[T];
  unroll<T>([&](auto t) IBID_INLINE { low[t] = high[t] = _mm256_setzero_si256(); });
  for (size_t pair = 0; pair < blocks * (kDepthStep / 2); pair++, w += kStripBytes, a += 4) {
    __builtin_prefetch(w + ahead, 0, 2);
    const __m256i weights = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
    unroll<T>([&](auto t) IBID_INLINE {
      int32_t two;
      std::memcpy(&two, a + t * a_stride, 4);
      const __m256i p = _mm256_madd_epi16(weights, _mm256_set1_epi32(two));
      low[t] = _mm256_add_epi32(low[t], p);
      high[t] = _mm256_add_epi32(high[t], _mm256_srai_epi32(p, 16));
      keep(low[t]), keep(high[t]);
    });
  }
  unroll<T>([&](auto t) IBID_INLINE {
    sum[0][t] = join(_mm256_castsi256_si128(low[t]), _mm256_castsi256_si128(high[t]));
    sum[1][t] = join(_mm256_extracti128_si256(low[t], 1), _mm256_extracti128_si256(high[t], 1));
  });
}

// The epilogue of 4 outputs from n, as finish() words it.
void finish_four(const MatmulJob& job, const WeightView& v, size_t t, size_t n, __m256d sum) {
  const size_t width = static_cast<size_t>(job.w->n);
  if (n + 4 > width) {
    alignas(32) double one[4];
    _mm256_store_pd(one, sum);
    for (size_t i = 0; n + i < width; i++) job.y[t * width + n + i] = finish(job, v, t, n + i, static_cast<int64_t>(one[i]));
    return;
  }
  __m128 y = _mm_mul_ps(_mm256_cvtpd_ps(sum), _mm_set1_ps(*quant_row_scale(*job.a, static_cast<int>(t))));
  y = _mm_mul_ps(y, _mm_loadu_ps(v.scale + n));
  if (job.w->bias) y = _mm_add_ps(y, _mm_loadu_ps(job.w->bias + n));
  if (job.residual) y = _mm_add_ps(y, _mm_loadu_ps(job.residual + t * width + n));
  _mm_storeu_ps(job.y + t * width + n, y);
}

// One tile: a strip of outputs from n, T rows from row. Fetches into the second-level cache what lies `ahead` bytes behind its weights.
template <int D, int T>
void tile(const MatmulJob& job, const WeightView& v, size_t n, size_t row, size_t ahead) {
  const size_t blocks = v.k / kDepthStep, stride = quant_row_stride(job.a->k);
  const int8_t* w = v.strip(n);
  const uint8_t* a = quant_row(*job.a, static_cast<int>(row));
  Sums<T> sum;
  if constexpr (D == 2) {
    word_sums<T>(w, ahead, a, stride, blocks, sum);
  } else {
    for (auto& vector : sum) for (__m256d& s : vector) s = _mm256_setzero_pd();
    for (size_t done = 0; done < blocks; done += kFlush)
      byte_sums<T>(w + done * kStrip * kDepthStep, ahead, a + done * kDepthStep * sizeof(int16_t), stride, blocks - done < kFlush ? blocks - done : kFlush, sum);
  }
  for (size_t i = 0; i < 2 && n + 4 * i < static_cast<size_t>(job.w->n); i++)
    for (size_t t = 0; t < T; t++) finish_four(job, v, row + t, n + 4 * i, sum[i][t]);
}

// The first rows to take a strip fetch the next one: alone it is too short for the processor to see it coming.
template <int D>
void tiles_of(const MatmulJob& job, int panel, int panels, int row, int rows) {
  const WeightView v = view(*job.w);
  const size_t from = static_cast<size_t>(panel) * kPanel, to = from + static_cast<size_t>(panels) * kPanel;
  const size_t first = static_cast<size_t>(row), end = first + static_cast<size_t>(rows);
  for (size_t n = from; n < to; n += kStrip) {
    size_t t = first, ahead = kStrip * v.k * D;
    for (; t + kTokens <= end; t += kTokens, ahead = 0) tile<D, kTokens>(job, v, n, t, ahead);
    if (t + 4 == end) tile<D, 4>(job, v, n, t, ahead);
    if (t + 3 == end) tile<D, 3>(job, v, n, t, ahead);
    if (t + 2 == end) tile<D, 2>(job, v, n, t, ahead);
    if (t + 1 == end) tile<D, 1>(job, v, n, t, ahead);
  }
}

void tiles(const MatmulJob& job, int panel, int panels, int row, int rows) {
  if (job.w->profile == Profile::w16a16) tiles_of<2>(job, panel, panels, row, rows);
  else tiles_of<1>(job, panel, panels, row, rows);
}

// A vpmaddwd and its sum count as 32 products of int8 digits: of 16-bit activations with 8-bit weights.
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

const MatmulTable kMatmulAvx2 = {Isa::avx2, true, store_row, tiles, burn};

}  // namespace ibid::kernels
