// The seam between the kernels and what runs them: CUDA, or the SIMT shim of the tests (test/simt), which compiles the same
// sources as plain C++ and executes every thread of them.
//
// Owns: how a kernel is launched, how dynamic shared memory is named. Must not know: what a kernel does.
//
// 1. A kernel is a __global__ function that returns void; its arguments are passed by value.
//    It may start while the kernel before it still runs (programmatic dependent launch, from sm_90 on), so that its start costs nothing:
//    every thread calls wait_for_previous(), once, and before it touches anything but weights, which no kernel writes that the host has not
//    waited for. Behind it everything that earlier kernels wrote is there. The shim refuses a kernel that does not.
// 2. Nothing outside this header, mma.h and kernels/math.h may look at whether nvcc compiles it.
#pragma once
#include <cuda_runtime.h>               // the toolkit's, or test/simt/include's

namespace ibid::kernels {

constexpr int kMostGrid = 65'535;                // blocks that a grid has at most in y and in z

#ifdef __CUDACC__
// Code for an older GPU, translated for this one by the driver, has no instruction to wait with.
inline bool can_wait(const void* kernel) {
  cudaFuncAttributes attributes{};
  return cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.ptxVersion >= 90;
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A... arguments) {
  static const bool early = can_wait(reinterpret_cast<const void*>(kernel));     // all kernels are compiled for the same GPUs
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = shared_bytes, config.stream = stream;
  config.attrs = &attribute, config.numAttrs = early ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

__device__ __forceinline__ void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;" ::: "memory");
#endif
}
#define IBID_DYNAMIC_SHARED(type, name)                              \
  extern __shared__ __align__(16) unsigned char ibid_shared_bytes[]; \
  type* name = reinterpret_cast<type*>(ibid_shared_bytes)
#else
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A... arguments) {
  simt::launch(reinterpret_cast<const void*>(kernel), [=] { kernel(static_cast<P>(arguments)...); }, grid, block, shared_bytes,
               stream, true);
}
inline void wait_for_previous() { simt::note_wait(); }
#define IBID_DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(simt::dynamic_shared())
#endif

}  // namespace ibid::kernels
