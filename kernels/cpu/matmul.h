// Matrix products of the CPU device: the layouts of weights and activations, packing, and the product itself.
//
// Owns: what lies inside Weight::data and QuantRows::data. Must not know: models, other ops, how floats were stored.
//
// 1. The layouts belong to the instruction set: weights are packed for a table, activations written with its store_row, and
//    nobody but the same table's tiles reads them. Sizes are the same for all.
// 2. An output is the exact integer S = sum(qa * qw), turned to float32 by one rounding; then the epilogue of NUMERICS.md.
//    So no tile shape, thread, batch or instruction set can change a bit.
// 3. Digit products are summed in 32 bits modulo 2^32; what comes out is exact because k <= kMaxDepth (the loader refuses
//    more): two cross products of 128 * 127 per element stay within int32. Sums of words: matmul_fold.h, matmul_avx2.cc.
// 4. Padding is zero weights: rows n.. and columns k.. of a blob are zero, so what the activations hold there does not matter,
//    nor what stands in activation rows after the last.
// 5. Files with the flags of an instruction set include this: its functions have internal linkage or are always inlined.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/pool.h"
#include "kernels/ops.h"

namespace ibid::kernels {

constexpr int kMaxDepth = 66'051;   // largest k: 2 * 128 * 127 * 66051 < 2^31
constexpr int kDepthStep = 64;      // k is padded to it: the depth of one AMX tile
constexpr int kRowGroup = 16;       // activation rows are allocated in groups of an AMX tile's height
constexpr size_t kBlockBytes = size_t{kPanel} * kDepthStep;   // one digit of a panel, 64 deep
constexpr size_t kQuadBytes = kPanel * 4;                     // the same, 4 deep: what an int8 dot product takes at once
constexpr size_t kStrip = 8, kStripBytes = kStrip * 4;        // rows of a strip, and what one vector instruction takes of it

static inline size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }
static inline size_t padded_k(int k) { return round_up(static_cast<size_t>(k), kDepthStep); }
static inline size_t padded_n(int n) { return round_up(static_cast<size_t>(n), kPanel); }

struct MatmulTable;
enum class WeightLayout : uint8_t { panels, strips, pairs };

// --- weights ---------------------------------------------------------------------------------------------------------
// D digits per weight (q = 256 H + L, or q itself), N = padded_n(n), K = padded_k(k), in this order without gaps:
//   panels: int8 digits[N / 32][K / 64][D][16][32][4]   a panel of 32 rows is one sequential stream of blocks 64 deep; digit 0 is H
//   strips: int16 words[N / 8][K / 2][8][2], of one digit int8 [N / 8][K / 4][8][4]: strips of 8 rows
//   pairs:  int16 words[N / 32][K / 4][2][32][2]  of four along k the first and the third, then the second and the fourth;
//                                                 one digit: as panels
//   float  scale[N]
//   int32  correction[D][N]                       -128 * sum of the row's digits: undoes activations stored as digit + 128 (panels)
struct WeightView {
  size_t n, k;                      // padded
  int digits;
  int8_t* digit;
  float* scale;
  int32_t* correction;
  [[gnu::always_inline]] size_t panel_bytes() const { return kPanel * k * static_cast<size_t>(digits); }
  [[gnu::always_inline]] int8_t* strip(size_t row) const {
    return digit + row / kStrip * (kStrip * k * static_cast<size_t>(digits)) + row % kStrip * 4;
  }
};
WeightView view(const Weight& w);
size_t matmul_weight_bytes(int n, int k, Profile profile);

// Quantises `count` rows of k floats and writes row i as row to_row + (row_map ? row_map[i] : i) of w, whose memory started
// zeroed. Threads may pack different rows of one weight at once; groups of 32 rows that make up a panel are fastest.
// Returns false when a value is NaN or infinite: w is then not to be used.                               rows (count, w.k)
bool pack_rows(const MatmulTable& table, const Weight& w, int to_row, const int32_t* row_map, const float* rows, int count);

// --- activations -----------------------------------------------------------------------------------------------------
// Each row is quant_row_stride(k) bytes: room for 4 K bytes of values, then a line whose first float is the scale (an odd number
// of lines keeps rows out of each other's cache sets). The values are one of
//   scalar, avx2:   int16 q[K]
//   avxvnni:        the same, behind them int8 H[K / 4][4], of four the first, the third, the second, the fourth, and behind these
//                   int32 128 * (sum of H) for each 128 of K, and for what is left
//   amx:            uint8  digit[K / 64][2][64]   q = 256 H + L, H first, each stored as digit + 128
//   avx512:         the same, behind them int16 q[K / 4][4], of four as avxvnni has H
//   neon:           int8   digit[K / 64][2][64]   the digits as they are
constexpr size_t kValueRoom = 4;
static inline size_t quant_row_stride(int k) { return kValueRoom * padded_k(k) + 64; }
static inline size_t matmul_quant_rows_bytes(int max_rows, int k) {
  return round_up(static_cast<size_t>(max_rows), kRowGroup) * quant_row_stride(k);
}
static inline uint8_t* quant_row(const QuantRows& a, int row) {
  return static_cast<uint8_t*>(a.data) + static_cast<size_t>(row) * quant_row_stride(a.k);
}
static inline float* quant_row_scale(const QuantRows& a, int row) {
  return reinterpret_cast<float*>(quant_row(a, row) + kValueRoom * padded_k(a.k));
}

// --- products --------------------------------------------------------------------------------------------------------
struct MatmulJob {
  const Weight* w;
  const QuantRows* a;
  float* y;                         // (rows, width)
  const float* residual;            // (rows, width), y itself, or null; null when gated
  int width;                        // outputs of a row: w->n, or the pairs of a gated product
  bool gated;
};

// Outputs of panels [panel, panel + panels) for rows [row, row + rows). Panels up to `ahead` will most likely be wanted next.
struct MatmulPiece { int panel, panels, row, rows, ahead; };

// What an instruction set brings.
struct MatmulTable {
  Isa isa;
  WeightLayout layout;
  // Writes a row of quantised values. q: a.k values within +-kQuantMax, any alignment.
  void (*store_row)(const QuantRows& a, int row, const int16_t* q, float scale);
  void (*tiles)(const MatmulJob& job, const MatmulPiece& piece);
  // For measure_int8_rate: runs the int8 instruction in registers and returns the multiply-adds done.
  int64_t (*burn)(int64_t rounds);
};
const MatmulTable& matmul_table(Isa isa);          // REQUIRES: isa_available(isa)

// y(t, n) = (float(S) * sa(t)) * sw(n), then + bias(n), then + residual(t, n).         REQUIRES: w.k == a.k <= kMaxDepth
void matmul(const MatmulTable& table, Pool& pool, const Weight& w, const QuantRows& a, int rows, float* y,
            const float* residual);

// y(t, i) = silu(gate) * up, as Device::gated_matmul words it.                                  y (rows, f)
void gated_matmul(const MatmulTable& table, Pool& pool, const Weight& w, const QuantRows& a, int rows, int f, float* y);

// --- probes (seconds of work) ----------------------------------------------------------------------------------------
Rate measure_read_bandwidth(Pool& pool);                                // bytes per second, all threads
Rate measure_int8_rate(Pool& pool, const MatmulTable& table);           // multiply-adds of int8 per second, all threads

}  // namespace ibid::kernels
