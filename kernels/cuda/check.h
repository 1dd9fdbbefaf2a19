// Errors of the CUDA runtime as exceptions.
//
// Device memory that is not there is DeviceFull, a GPU or a driver that failed is DeviceFailed (kernels/device_error.h): either may pass.
// What this program did wrong is a std::runtime_error, memory of the host std::bad_alloc. All but the last name what was being done.
#pragma once
#include <new>
#include <stdexcept>
#include <string>

#include "kernels/cuda/launch.h"
#include "kernels/device_error.h"

namespace ibid::kernels::cuda {

// Errors that say what a program asked for, not how the machine is. A GPU whose memory fails may raise some of them too; nobody can tell.
inline bool is_a_bug(cudaError_t e) {
  switch (e) {
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidPitchValue:
    case cudaErrorInvalidSymbol:
    case cudaErrorInvalidDevicePointer:
    case cudaErrorInvalidMemcpyDirection:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorIllegalState:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchOutOfResources:
    case cudaErrorIllegalInstruction:
    case cudaErrorAssert:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated: return true;
    default: return false;
  }
}

inline void check(cudaError_t e, const char* doing) {
  if (e == cudaSuccess) return;
  cudaGetLastError();                            // or the next call would report it again
  if (e == cudaErrorMemoryAllocation) throw DeviceFull(doing);
  const std::string text = std::string("CUDA, ") + doing + ": " + cudaGetErrorName(e) + " (" + cudaGetErrorString(e) + ")";
  if (is_a_bug(e)) throw std::runtime_error(text);
  throw DeviceFailed(text);
}

// The same of taking pinned memory, which is the host's.
inline void check_pinned(cudaError_t e, const char* doing) {
  if (e == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw std::bad_alloc();
  }
  check(e, doing);
}

// Device memory. Where there is too little: DeviceFull with both sizes.
template <class T>
void take_memory(T** data, size_t bytes, const char* doing) {
  const cudaError_t e = cudaMalloc(data, bytes);
  if (e != cudaErrorMemoryAllocation) return check(e, doing);
  cudaGetLastError();
  size_t free_now = 0, total = 0;
  if (cudaMemGetInfo(&free_now, &total) != cudaSuccess) throw DeviceFull(doing);
  throw DeviceFull(doing, bytes, free_now);
}

}  // namespace ibid::kernels::cuda
