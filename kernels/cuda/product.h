// A matrix product as every way of computing it gets it, and what becomes of an exact sum.
//
// Owns: the written epilogue (NUMERICS 4.2, 8). Must not know: tiles, where the sums come from.
#pragma once
#include "kernels/cuda/cuda_ops.h"
#include "kernels/math.h"

namespace ibid::kernels::cuda {

struct Product {
  WeightView w;
  RowsView a;
  const float* bias;                             // (n) or null
  const float* residual;                         // (rows, width), y, or null
  float* y;                                      // (rows, width)
  int n, rows;                                   // n: rows of weights
  int width;                                     // n, or the pairs of a gated product
  bool gated;                                    // see Device::gated_matmul
};

// The product of row n of the weights with a token, given its exact sum.
__device__ __forceinline__ float output(const Product& p, int token, int n, int64_t sum) {
  const float y = (static_cast<float>(sum) * *p.a.scale(token)) * p.w.scale[n];
  return p.bias ? y + p.bias[n] : y;
}

__device__ __forceinline__ size_t index_of(const Product& p, int token, int column) {
  return static_cast<size_t>(token) * static_cast<size_t>(p.width) + static_cast<size_t>(column);
}

__device__ __forceinline__ void finish(const Product& p, int token, int n, int64_t sum) {
  const size_t at = index_of(p, token, n);
  const float y = output(p, token, n, sum);
  p.y[at] = p.residual ? y + p.residual[at] : y;
}

// The pair whose gate is row n of the weights.
__device__ __forceinline__ int pair_of(int n) { return n / (2 * kGate) * kGate + n % kGate; }

// The sums of a gate, row n of the weights, and of what it gates.
__device__ __forceinline__ void finish_pair(const Product& p, int token, int n, int64_t gate, int64_t up) {
  const int pair = pair_of(n);
  if (pair < p.width) p.y[index_of(p, token, pair)] = math::gated(output(p, token, n, gate), output(p, token, n + kGate, up));
}

}  // namespace ibid::kernels::cuda
