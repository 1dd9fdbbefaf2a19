// The seam between the kernels and what runs them: CUDA, or the SIMT shim of the tests (test/simt), which compiles the same
// sources as plain C++ and executes every thread of them.
//
// Owns: how a kernel is launched, how dynamic shared memory is named. Must not know: what a kernel does.
//
// 1. A kernel is a __global__ function that returns void; its arguments are passed by value.
// 2. Nothing outside this header, mma.h and kernels/math.h may look at whether nvcc compiles it.
#pragma once
#include <cuda_runtime.h>               // the toolkit's, or test/simt/include's

namespace ibid::kernels {

#ifdef __CUDACC__
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A... arguments) {
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<P>(arguments)...);
}
#define IBID_DYNAMIC_SHARED(type, name) extern __shared__ __align__(16) unsigned char ibid_shared_bytes[]; type* name = reinterpret_cast<type*>(ibid_shared_bytes)
#else
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A... arguments) {
  simt::launch(reinterpret_cast<const void*>(kernel), [=] { kernel(static_cast<P>(arguments)...); }, grid, block, shared_bytes, stream);
}
#define IBID_DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(simt::dynamic_shared())
#endif

}  // namespace ibid::kernels
