// What one instruction set brings to every op except the matrix product: functions on a single row, block or array.
//
// Owns: the table of them. Must not know: threads, devices, who calls.
//
// 1. Every instruction set computes the same bits (NUMERICS.md); row_ops_scalar.cc and its neighbours read like the text.
// 2. Nothing here allocates; `bad` conditions are returned, never thrown.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention.h"
#include "kernels/ops.h"

namespace ibid::kernels {

// quantize and norm return false when the row holds a NaN or an infinity; q is then all zeros and scale 0.
struct RowOps {
  // q = RNE(x * (32639 / amax)), scale = amax / 32639.                                                     x, q (k)
  bool (*quantize)(const float* x, int k, int16_t* q, float* scale);
  // RMSNorm of x by its quantised mean square, then the quantiser.              x, weight, q (k); temp (k) scratch
  bool (*norm)(const float* x, const float* weight, float eps, int k, float* temp, int16_t* q, float* scale);
  // Rotation in halves: y1 = x1 cos - x2 sin, y2 = x2 cos + x1 sin.    x, y (head_dim); table: cos, then sin, each half
  void (*rotate)(const float* x, const float* table, int head_dim, float* y);
  // A stored row as float32.                                                            out (cols), whole blocks only
  void (*dequantize)(DType dtype, const void* row, int64_t cols, float* out);

  int queries;                             // of a tile of attention, at most; <= kTile
  // The partial result of one block for every query of a tile.
  void (*attend)(const AttentionTile& tile, int block, AttentionScratch& scratch, AttentionPartial* out);
  // state = state and next, in block order.
  void (*merge)(AttentionPartial& state, const AttentionPartial& next, int head_dim);

  // True when no value is a NaN or an infinity.                                                                  x (n)
  bool (*all_finite)(const float* x, int n);
  // Index of the largest value, the lowest such; -0 equals +0.                                       REQUIRES: n >= 1
  int (*argmax)(const float* x, int n);
  // p[i] = RNE(exp(x[i] - max) * 2^40); returns their sum. p may be null.                                         x, p (n)
  int64_t (*weigh)(const float* x, int n, float max, int64_t* p);
  // x[i] += the Gumbel noise of token id[i].                                                                x, id (n)
  void (*add_noise)(float* x, const int32_t* id, int n, uint64_t key, uint32_t position, uint32_t sample_index);
};

const RowOps& row_ops(Isa isa);            // REQUIRES: isa_available(isa)
extern const RowOps kRowOpsScalar, kRowOpsAvx2, kRowOpsAvx512, kRowOpsNeon;
namespace amx {
void attend(const AttentionTile& tile, int block, AttentionScratch& scratch, AttentionPartial* out);
}

}  // namespace ibid::kernels
