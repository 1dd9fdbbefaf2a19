// The matrix product of arm64: signed activation digits times signed weight digits, four along k per lane (sdot).
//
// Half a panel, a cache line of weights for each four of k, meets as many rows as the 32 registers have accumulators for; one row
// meets a whole panel, so that weights are read as the one stream that they are. Proved under emulation; how fast it is on which processor,
// nobody has measured yet. Loads for 96 sdot of three rows with 8-bit weights: 22; for 64 of two rows with 16-bit weights: 20.
#include <arm_neon.h>

#include "kernels/cpu/matmul_panels.h"
#include "kernels/quantizer.h"

namespace ibid::kernels {
namespace {

constexpr size_t kFour = 16;                      // bytes of a vector: four outputs, four of k

void store_row(const QuantRows& a, int row, const int16_t* q, float scale) {
  int8_t* to = reinterpret_cast<int8_t*>(quant_row(a, row));
  for (size_t i = 0; i < padded_k(a.k); i++) {
    const int value = i < static_cast<size_t>(a.k) ? q[i] : 0;
    int8_t* at = to + i / kDepthStep * kStepBytes + i % kDepthStep;
    at[0] = static_cast<int8_t>(high_digit(value));
    at[kLow] = static_cast<int8_t>(low_digit(value));
  }
  *quant_row_scale(a, row) = scale;
}

// sum[t][v]: of row t, four outputs.
template <int T, int V>
using Sums = int32x4_t[T][V];

// Adds the products of one digit of V vectors of outputs, 16 deep, with T rows: of their high digits to `by_high`, of the low to `by_low`.
template <int T, int V>
[[gnu::always_inline]] inline void add_products(const int8_t* w, const int8_t* a, size_t a_stride, Sums<T, V>& by_high,
                                                Sums<T, V>& by_low) {
  int8x16_t high[T], low[T];
  unroll<T>([&](auto t) IBID_INLINE { high[t] = vld1q_s8(a + t * a_stride), low[t] = vld1q_s8(a + t * a_stride + kLow); });
  unroll<4>([&](auto quad) IBID_INLINE {
    unroll<V>([&](auto v) IBID_INLINE {
      const int8x16_t weights = vld1q_s8(w + quad * kQuadBytes + v * kFour);
      unroll<T>([&](auto t) IBID_INLINE {
        by_high[t][v] = vdotq_laneq_s32(by_high[t][v], weights, high[t], quad);
        by_low[t][v] = vdotq_laneq_s32(by_low[t][v], weights, low[t], quad);
      });
    });
  });
}

// Sums of digit products of V vectors of outputs and T rows: sum[plane], planes high, cross, low (high unused when D is 1), to memory.
// Apart and noinline so that the compiler has the registers for all accumulators.
template <int D, int T, int V>
__attribute__((noinline)) void digit_sums(const int8_t* w, const int8_t* a, size_t a_stride, size_t steps, Ahead ahead,
                                          int32_t (*sum)[T][4 * V]) {
  Sums<T, V> high, cross, low;
  unroll<T>([&](auto t) IBID_INLINE { unroll<V>([&](auto v) IBID_INLINE { high[t][v] = cross[t][v] = low[t][v] = vdupq_n_s32(0); }); });
  for (size_t s = 0; s < steps; s++, a += kStepBytes) {
    ahead.step();
    if (D == 2)
      for (size_t j = 0; j < kDepthStep; j += kFour, w += 4 * kQuadBytes) add_products<T, V>(w, a + j, a_stride, high, cross);
    for (size_t j = 0; j < kDepthStep; j += kFour, w += 4 * kQuadBytes) add_products<T, V>(w, a + j, a_stride, cross, low);
  }
  unroll<T>([&](auto t) IBID_INLINE {
    unroll<V>([&](auto v) IBID_INLINE {
      if (D == 2) vst1q_s32(sum[0][t] + 4 * v, high[t][v]);
      vst1q_s32(sum[1][t] + 4 * v, cross[t][v]);
      vst1q_s32(sum[2][t] + 4 * v, low[t][v]);
    });
  });
}

// T rows and the outputs from n, 4 V of them.
template <int D, int T, int V>
void tile(const MatmulJob& job, const WeightView& v, size_t n, size_t row, Ahead ahead) {
  int32_t sum[3][T][4 * V];
  const int8_t* w = v.digit + n / kPanel * v.panel_bytes() + n % kPanel * 4;
  digit_sums<D, T, V>(w, reinterpret_cast<const int8_t*>(quant_row(*job.a, static_cast<int>(row))), quant_row_stride(job.a->k),
                      v.k / kDepthStep, ahead, sum);
  for (size_t t = 0; t < T; t++)
    for (size_t line = 0; line < 4 * V; line += kLine)
      finish_outputs(job, v, row + t, n + line, [&](size_t i) {
        const int64_t exact = 256 * int64_t{sum[1][t][line + i]} + sum[2][t][line + i];
        return D == 2 ? 65536 * int64_t{sum[0][t][line + i]} + exact : exact;
      });
}

// The same for min(T, left) rows.
template <int D, int T>
void tile_upto(size_t left, const MatmulJob& job, const WeightView& v, size_t n, size_t row, Ahead ahead) {
  if constexpr (T > 1)
    if (left < T) return tile_upto<D, T - 1>(left, job, v, n, row, ahead);
  tile<D, T, 4>(job, v, n, row, ahead);
}

template <int D>
void tiles_of(const MatmulJob& job, const MatmulPiece& piece) {
  constexpr size_t kRows = D == 2 ? 2 : 3, kHalf = kPanel / 2;         // 24 accumulators
  const WeightView v = view(*job.w);
  const size_t panel = static_cast<size_t>(piece.panel), first = static_cast<size_t>(piece.row), all = static_cast<size_t>(piece.rows);
  const size_t end = panel + static_cast<size_t>(piece.panels), wanted = static_cast<size_t>(piece.ahead);
  const size_t width = static_cast<size_t>(job.w->n);
  const size_t tiles = (all + kRows - 1) / kRows, passes = all == 1 ? 1 : 2 * tiles;
  for (size_t p = panel; p < end; p++)
    for (size_t pass = 0; pass < passes; pass++) {
      const Ahead ahead = ahead_of(v, p, wanted, pass, passes);
      const size_t n = p * kPanel + pass / tiles * kHalf, done = pass % tiles * kRows;
      if (all == 1) tile<D, 1, 8>(job, v, n, first, ahead);
      else if (n < width) tile_upto<D, kRows>(all - done, job, v, n, first + done, ahead);
    }
}

void tiles(const MatmulJob& job, const MatmulPiece& piece) {
  if (job.w->profile == Profile::w16a16) tiles_of<2>(job, piece);
  else tiles_of<1>(job, piece);
}

int64_t burn(int64_t rounds) {
  constexpr int kChains = 16;
  int32x4_t acc[kChains];
  const int8x16_t x = vdupq_n_s8(3), w = vdupq_n_s8(5);
  unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = vdupq_n_s32(i); });         // equal chains would be merged into one
  for (int64_t r = 0; r < rounds; r++)
    unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = vdotq_s32(acc[i], x, w); });
  unroll<kChains>([&](auto i) IBID_INLINE { keep(acc[i]); });
  return rounds * kChains * 16;
}

}  // namespace

const MatmulTable kMatmulNeon = {Isa::neon, WeightLayout::panels, store_row, tiles, burn};

}  // namespace ibid::kernels
