// The matrix product in vectors of 256 bits. Every function is local to the including file, which provides
//   add_products, add_products_from   16 products of words, added up in pairs:
//                                     vpmaddwd and an addition, or AVX-VNNI's vpdpwssd, which is both
//   word_sums                         the sums for 16-bit weights, which lie as words
//   stream_ahead                      how far ahead a stream of weights is fetched
//
// 8-bit weights are widened as they are read: a pair of products is at most 2 * 32639 * 128, so 256 of them fit int32.
//
// What bounds it is the number of instructions. 16 multiply-adds take 2 of them with 8-bit weights (1 with VNNI) and 4 with 16-bit weights
// (1.5), and a share of the loads. Zen, and Intel cores since Haswell, do three or four of these a cycle and start five or six instructions
// of any kind, so nothing else may stand in the loops. Where the core's other thread is busy (a virtual machine's neighbour) half as many
// start, and their number alone counts. So for many rows 8-bit weights are widened beforehand, which makes half of the loads operands of
// other instructions (wide_sums): 2.6 instructions in all for one vpmaddwd instead of 3.0 (one less each with VNNI).
//
// Sums are added to by instructions of our own (add_to, add_products): left alone, gcc 12 starts all products first and has no registers
// for the sums, and with a barrier after each it moves every second one through another register.
#pragma once
#include <immintrin.h>

#include <cstring>

#include "kernels/cpu/matmul_isa.h"

namespace ibid::kernels {
namespace {

constexpr size_t kPiece = 256 * 4;                 // of k: pairs of 8-bit weights this deep fit int32
constexpr size_t kTokens = 6, kWideTokens = 3;     // rows of a tile of one strip, of two, at most: as many as 16 registers hold
constexpr size_t kWideRows = 64;                   // so many are worth widening for: with AVX2 fewer than 48 lose by it
constexpr size_t kParts = 4;                       // tiles that fetch the next strips together: one alone waits for memory
constexpr size_t kRowBlock = 24 * kTokens;         // rows that wait for the rest of k
constexpr size_t kStreamRows = 2;                  // so few rows run as fast as memory brings weights: fetched just ahead

size_t stream_ahead();                             // the including file's: how far, in bytes

IBID_INLINE inline void add_to(__m256i& sum, __m256i value) { asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(value)); }

// The products of a and b, in pairs, added to a sum; and with b in memory.
// (Left to itself, gcc loads them all and has no registers for the sums.)
IBID_INLINE inline void add_products(__m256i& sum, __m256i a, __m256i b);
IBID_INLINE inline void add_products_from(__m256i& sum, __m256i a, const __m256i& b);

void store_words(const QuantRows& a, int row, const int16_t* q, float scale) {
  uint8_t* to = quant_row(a, row);
  const size_t bytes = sizeof(int16_t) * static_cast<size_t>(a.k);
  std::memcpy(to, q, bytes);
  std::memset(to + bytes, 0, 2 * padded_k(a.k) - bytes);
  *quant_row_scale(a, row) = scale;
}

// The exact sums of a row for two strips, whose outputs fill a cache line. The first piece of k sets them, the others add.
static_assert(kLine == 2 * kStrip);
using Sums = double[kLine];

// What a tile fetches into the second-level cache while it multiplies: `step` bytes for each line of weights that it reads.
struct Fetch {
  const int8_t* at;
  size_t step;
};

IBID_INLINE inline void put_sums(double* sums, __m256d more, bool add) {
  _mm256_store_pd(sums, add ? _mm256_add_pd(_mm256_load_pd(sums), more) : more);
}

// The sums of 4 outputs, each of which has two lanes that began at kLaneStart = -2^31. As unsigned numbers these are the sums plus 2^31,
// so the two add up as 64-bit integers, which are the low bits of a double of 2^52 and more.
constexpr int32_t kLaneStart = INT32_MIN;
__m256d add_pairs(__m256i pairs) {
  const __m256i two = _mm256_add_epi64(_mm256_blend_epi32(pairs, _mm256_setzero_si256(), 0xAA), _mm256_srli_epi64(pairs, 32));
  const __m256i bits = _mm256_or_si256(two, _mm256_castpd_si256(_mm256_set1_pd(0x1p52)));
  return _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(0x1p52 + 0x1p32));
}

// Four values of a row, for each of four outputs.
IBID_INLINE inline __m256i four_of(const uint8_t* at) {
  int64_t four;
  std::memcpy(&four, at, sizeof four);
  return _mm256_set1_epi64x(four);
}

// The sums of a strip of 8-bit weights and T rows, `depth` <= kPiece deep, from sum[t][first].
template <int T>
__attribute__((noinline)) void byte_sums(const int8_t* w, Fetch fetch, const uint8_t* a, size_t a_stride, size_t depth, Sums* sum,
                                         size_t first, bool add) {
  __m256i acc[2][T];
  unroll<T>([&](auto t) IBID_INLINE { acc[0][t] = acc[1][t] = _mm256_set1_epi32(kLaneStart); });
  for (size_t twice = 0; twice < depth / 8; twice++, w += 2 * kStripBytes, a += 16, fetch.at += fetch.step) {
    __builtin_prefetch(fetch.at, 0, 2);
    unroll<2>([&](auto quad) IBID_INLINE {
      const __m128i* half = reinterpret_cast<const __m128i*>(w + quad * kStripBytes);
      const __m256i weights[2] = {_mm256_cvtepi8_epi16(_mm_load_si128(half)), _mm256_cvtepi8_epi16(_mm_load_si128(half + 1))};
      unroll<T>([&](auto t) IBID_INLINE {
        const __m256i x = four_of(a + t * a_stride + quad * 8);
        unroll<2>([&](auto v) IBID_INLINE { add_products(acc[v][t], weights[v], x); });
      });
    });
  }
  unroll<T>([&](auto t) IBID_INLINE {
    unroll<2>([&](auto v) IBID_INLINE { put_sums(sum[t] + first + 4 * v, add_pairs(acc[v][t]), add); });
  });
}

// A piece of a line's 8-bit weights as words: [k / 4][4][4 outputs][4].
using WideLine = __m256i[kPiece * kLine / 16];

void widen(const int8_t* const (&strips)[2], size_t depth, __m256i* out) {
  for (size_t at = 0; at < depth * kStrip; at += kStripBytes)
    for (const int8_t* strip : strips)
      for (size_t half = 0; half < kStripBytes; half += 16)
        _mm256_store_si256(out++, _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(strip + at + half))));
}

// The sums of a line and T rows, `depth` <= kPiece deep.
template <int T>
__attribute__((noinline)) void wide_sums(const __m256i* w, Fetch fetch, const uint8_t* a, size_t a_stride, size_t depth, Sums* sum,
                                         bool add) {
  __m256i acc[4][T];
  unroll<T>([&](auto t) IBID_INLINE { unroll<4>([&](auto v) IBID_INLINE { acc[v][t] = _mm256_set1_epi32(kLaneStart); }); });
  for (size_t left = depth / 16; left > 0; left--, w += 16, a += 32, fetch.at += fetch.step) {
    __builtin_prefetch(fetch.at, 0, 2);
    unroll<4>([&](auto quad) IBID_INLINE {
      const __m256i weights[2] = {w[4 * quad], w[4 * quad + 1]};
      unroll<T>([&](auto t) IBID_INLINE {
        const __m256i x = four_of(a + t * a_stride + quad * 8);
        unroll<2>([&](auto v) IBID_INLINE { add_products(acc[v][t], weights[v], x); });
        unroll<2>([&](auto v) IBID_INLINE { add_products_from(acc[2 + v][t], x, w[4 * quad + 2 + v]); });
      });
    });
  }
  unroll<T>([&](auto t) IBID_INLINE { unroll<4>([&](auto v) IBID_INLINE { put_sums(sum[t] + 4 * v, add_pairs(acc[v][t]), add); }); });
}

// S of 4 lanes, from high = floor(S / 65536) or less and low = S modulo 2^32: every step is exact.         REQUIRES: S - 65536 high < 2^32
__m256d join(__m128i low, __m128i high) {
  const __m128i rest = _mm_xor_si128(_mm_sub_epi32(low, _mm_slli_epi32(high, 16)), _mm_set1_epi32(INT32_MIN));   // - 2^31
  return _mm256_add_pd(_mm256_mul_pd(_mm256_cvtepi32_pd(high), _mm256_set1_pd(0x1p16)),
                       _mm256_add_pd(_mm256_cvtepi32_pd(rest), _mm256_set1_pd(0x1p31)));
}
void put_joined(double* sums, __m256i low, __m256i high) {
  put_sums(sums, join(_mm256_castsi256_si128(low), _mm256_castsi256_si128(high)), false);
  put_sums(sums + 4, join(_mm256_extracti128_si256(low, 1), _mm256_extracti128_si256(high, 1)), false);
}

// The including file's: the sums of a strip of 16-bit weights and T rows, all of k; a vector of weights is a strip, 2 deep.
template <int T>
void word_sums(const int8_t* w, Fetch fetch, const uint8_t* a, size_t a_stride, size_t depth, Sums* sum, size_t first);

// f(T, row, i) for the tiles i of T rows that make up [0, rows), as equal as can be: few rows run slower than many.
template <size_t kMost, class F>
void each_tile(size_t rows, F f) {
  const size_t tiles = (rows + kMost - 1) / kMost;
  for (size_t i = 0, row = 0; i < tiles; i++) {
    const size_t height = (rows - row) / (tiles - i);
    unroll<kMost>([&](auto t) { if (height == t + 1) f(std::integral_constant<int, t + 1>{}, row, i); });
    row += height;
  }
}

// Apart: its registers would be taken from the rest of the epilogue.
__attribute__((noinline)) void put_gated(float* to, __m256 gates, __m256 others) {
  alignas(32) float gate[kStrip], up[kStrip];
  _mm256_store_ps(gate, gates);
  _mm256_store_ps(up, others);
  for (size_t i = 0; i < kStrip; i++) to[i] = math::gated(gate[i], up[i]);
}

// The epilogue of `rows` rows from t, two strips from n, as finish() words it; where the outputs end, by finish() itself.
void finish_line(const MatmulJob& job, const WeightView& v, size_t t, size_t rows, size_t n, const Sums* sum) {
  const size_t width = static_cast<size_t>(job.width), first = job.gated ? n / 2 : n;
  if (first + (job.gated ? kStrip : kLine) > width) {
    for (size_t i = 0; i < rows; i++) finish_outputs(job, v, t + i, n, [&](size_t j) { return static_cast<int64_t>(sum[i][j]); });
    return;
  }
  const float* bias = job.w->bias ? job.w->bias + n : nullptr;
  const __m256 scale[2] = {_mm256_loadu_ps(v.scale + n), _mm256_loadu_ps(v.scale + n + kStrip)};
  for (size_t i = 0; i < rows; i++) {
    const __m256 row_scale = _mm256_set1_ps(*quant_row_scale(*job.a, static_cast<int>(t + i)));
    const float* residual = job.residual ? job.residual + (t + i) * width + n : nullptr;
    float* to = job.y + (t + i) * width + first;
    __m256 y[2];
    unroll<2>([&](auto s) IBID_INLINE {
      const double* from = sum[i] + s * kStrip;
      y[s] = _mm256_set_m128(_mm256_cvtpd_ps(_mm256_load_pd(from + 4)), _mm256_cvtpd_ps(_mm256_load_pd(from)));
      y[s] = _mm256_mul_ps(_mm256_mul_ps(y[s], row_scale), scale[s]);
      if (bias) y[s] = _mm256_add_ps(y[s], _mm256_loadu_ps(bias + s * kStrip));
      if (residual) y[s] = _mm256_add_ps(y[s], _mm256_loadu_ps(residual + s * kStrip));
      if (!job.gated) _mm256_storeu_ps(to + s * kStrip, y[s]);
    });
    if (job.gated) put_gated(to, y[0], y[1]);
  }
}

// The outputs of two strips from n for `rows` rows from t. A strip meets all rows, since it stays in the first-level cache while they
// pass by; outputs are written a line at a time, when both strips have theirs: rows meet in few sets of the caches, and half a line
// would be gone before the other half comes.
template <int D>
void line_of(const MatmulJob& job, const WeightView& v, size_t n, size_t t, size_t rows) {
  alignas(32) Sums sums[kRowBlock];
  const size_t stride = quant_row_stride(job.a->k), piece = D == 2 ? v.k : kPiece, next = kLine * v.k * D;
  const size_t parts = rows >= kParts * kTokens ? kParts : 1;
  for (size_t from = 0; from < v.k; from += piece) {
    const size_t depth = v.k - from < piece ? v.k - from : piece;
    for (size_t s = 0; s < kLine; s += kStrip) {
      const int8_t* w = v.strip(n + s) + from * kStrip * D;
      each_tile<kTokens>(rows, [&](auto T, size_t row, size_t part) {
        const uint8_t* a = quant_row(*job.a, static_cast<int>(t + row)) + from * sizeof(int16_t);
        const size_t ahead = rows <= kStreamRows ? stream_ahead() : part < parts ? next + part * (depth * kStrip * D / parts) : 0;
        const Fetch fetch{w + ahead, 2 * kStripBytes / parts};
        if constexpr (D == 2) word_sums<T>(w, fetch, a, stride, depth, sums + row, s);
        else byte_sums<T>(w, fetch, a, stride, depth, sums + row, s, from > 0);
        if (s > 0 && from + depth == v.k) finish_line(job, v, t + row, T, n, sums + row);
      });
    }
  }
}

// The same of many rows and 8-bit weights, which are widened once.
void wide_line_of(const MatmulJob& job, const WeightView& v, size_t n, size_t t, size_t rows) {
  alignas(32) Sums sums[kRowBlock];
  alignas(64) WideLine wide;
  const size_t stride = quant_row_stride(job.a->k);
  const int8_t* line = v.strip(n);
  for (size_t from = 0; from < v.k; from += kPiece) {
    const size_t depth = v.k - from < kPiece ? v.k - from : kPiece, part_bytes = depth * kLine / kParts;
    widen({line + from * kStrip, v.strip(n + kStrip) + from * kStrip}, depth, wide);
    each_tile<kWideTokens>(rows, [&](auto T, size_t row, size_t part) {
      const uint8_t* a = quant_row(*job.a, static_cast<int>(t + row)) + from * sizeof(int16_t);
      const Fetch fetch{line + (part < kParts ? kLine * (v.k + from) + part * part_bytes : 0), 16 * kLine / kParts};
      wide_sums<T>(wide, fetch, a, stride, depth, sums + row, from > 0);
      if (from + depth == v.k) finish_line(job, v, t + row, T, n, sums + row);
    });
  }
}

// All outputs pass over a block of rows before the next block comes, so that the block's activations stay near.
template <int D>
void tiles_of(const MatmulJob& job, size_t from, size_t to, size_t row, size_t end) {
  const WeightView v = view(*job.w);
  for (; row < end; row += kRowBlock)
    for (size_t n = from; n < to; n += kLine) {
      const size_t rows = end - row < kRowBlock ? end - row : kRowBlock;
      if (D == 1 && rows >= kWideRows) wide_line_of(job, v, n, row, rows);
      else line_of<D>(job, v, n, row, rows);
    }
}

void tiles(const MatmulJob& job, const MatmulPiece& piece) {
  const size_t from = static_cast<size_t>(piece.panel) * kPanel, to = from + static_cast<size_t>(piece.panels) * kPanel;
  const size_t row = static_cast<size_t>(piece.row);
  const auto of = job.w->profile == Profile::w16a16 ? tiles_of<2> : tiles_of<1>;
  of(job, from, to, row, row + static_cast<size_t>(piece.rows));
}

// 16 products and their sums count as 32 products of int8 digits: of 16-bit activations with 8-bit weights.
int64_t burn(int64_t rounds) {
  constexpr int kChains = 12;
  __m256i acc[kChains];
  const __m256i w = _mm256_set1_epi16(5);
  unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = _mm256_set1_epi16(i + 1); });
  for (int64_t r = 0; r < rounds; r++)
    unroll<kChains>([&](auto i) IBID_INLINE { add_products(acc[i], acc[i], w); });
  unroll<kChains>([&](auto i) IBID_INLINE { keep(acc[i]); });
  return rounds * kChains * 32;
}

}  // namespace
}  // namespace ibid::kernels
