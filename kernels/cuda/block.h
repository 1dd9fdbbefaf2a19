// What the threads of a block do together: maxima and sums of integers.
//
// Owns: the barriers of a reduction. Must not know: what is reduced.
//
// 1. Everything combined here is an integer, so the order in which lanes and warps meet changes nothing (NUMERICS 1.1).
// 2. Every thread of the block takes part in every call and gets the result. The block is one-dimensional, whole warps.
#pragma once
#include "kernels/cuda/launch.h"

namespace ibid::kernels::cuda {

constexpr unsigned kWholeWarp = 0xffffffffu;

__device__ inline int lane_id() { return static_cast<int>(threadIdx.x % 32); }
__device__ inline int warp_id() { return static_cast<int>(threadIdx.x / 32); }

__device__ inline unsigned warp_max(unsigned v) { return __reduce_max_sync(kWholeWarp, v); }

template <class T>
__device__ T warp_sum(T v) {
  for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(kWholeWarp, v, d);
  return v;
}

// combine() over the values of all threads: within warps by combine_warp, then over the warps' results.    shared (32)
template <class T, class F>
__device__ T block_reduce(T v, T identity, T* shared, F combine_warp) {
  v = combine_warp(v);
  __syncthreads();                               // the reduction before may still be read from shared
  if (lane_id() == 0) shared[warp_id()] = v;
  __syncthreads();                               // every warp's value stands before anyone reads them
  v = lane_id() < static_cast<int>(blockDim.x / 32) ? shared[lane_id()] : identity;
  return combine_warp(v);
}

__device__ inline unsigned block_max(unsigned v, unsigned* shared) {
  return block_reduce(v, 0u, shared, [](unsigned x) { return warp_max(x); });
}
__device__ inline unsigned long long block_max(unsigned long long v, unsigned long long* shared) {
  return block_reduce(v, 0ull, shared, [](unsigned long long x) {
    for (int d = 16; d > 0; d /= 2) {
      unsigned long long other = __shfl_xor_sync(kWholeWarp, x, d);
      x = other > x ? other : x;
    }
    return x;
  });
}
__device__ inline long long block_sum(long long v, long long* shared) {
  return block_reduce(v, 0ll, shared, [](long long x) { return warp_sum(x); });
}

}  // namespace ibid::kernels::cuda
