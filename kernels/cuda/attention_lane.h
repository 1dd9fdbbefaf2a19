// What a lane knows of a tile of attention's scores: which columns are its own, their sums as floats, their maxima over a warp.
//
// Owns: the lane's view of the product's layout (mma.h). Must not know: blocks, pages, shared memory.
#pragma once
#include "kernels/cuda/launch.h"

namespace ibid::kernels::cuda {

// The lane's columns of a tile of C: 8 n + 2 t + c for n < C / 8, c < 2, in this order.
__device__ __forceinline__ int lane_column(int i) { return i / 2 * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2; }

// float(256 high + low), rounded once: the sum of two floats that are exact. REQUIRES: |256 high + low| < 2^38, each int32
__device__ __forceinline__ float round_sum(int high, int low) {
  const int units = high + (low >> 8), rest = low & 255;               // 256 units + rest
  const float large = static_cast<float>(units & ~63) * 256.0f;        // at most 24 bits stand above the lowest six
  return large + static_cast<float>((units & 63) << 8 | rest);
}
// Of the products of digits by weight: 65536 HH + 256 (HL + LH) + LL.
__device__ __forceinline__ float round_sum(const int (&sum)[3][4], int v) { return round_sum(sum[0][v] * 256 + sum[1][v], sum[2][v]); }

struct Max { __device__ int operator()(int a, int b) const { return a > b ? a : b; } };
struct Add { __device__ int operator()(int a, int b) const { return a + b; } };

// Combines each of the N values over the eight lanes of equal lane % 4; value i of the result belongs to lane_column(i). Halving:
// a lane hands on the half that it does not keep, so N = 8 takes 7 shuffles. Returns false where another lane has the same value.
template <int N, class Op>
__device__ __forceinline__ bool fold(const int (&value)[N], Op op, int& result, int& index) {
  int v[N];
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = value[i];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  bool mine = true;
  index = 0;
#pragma unroll
  for (int mask = 16, n = N; mask >= 4; mask /= 2, n = n > 1 ? n / 2 : 1) {
    const bool upper = lane & mask;
    if (n > 1) {
#pragma unroll
      for (int i = 0; i < N / 2; ++i) {
        if (i >= n / 2) break;
        const int send = upper ? v[i] : v[i + n / 2], stay = upper ? v[i + n / 2] : v[i];
        v[i] = op(stay, __shfl_xor_sync(0xffffffffu, send, mask));
      }
      index += upper ? n / 2 : 0;
    } else {
      v[0] = op(v[0], __shfl_xor_sync(0xffffffffu, v[0], mask));
      mine = mine && !upper;
    }
  }
  result = v[0];
  return mine;
}

}  // namespace ibid::kernels::cuda
