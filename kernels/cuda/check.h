// Errors of the CUDA runtime as exceptions.
//
// Memory that is not there is std::bad_alloc (it may be there later); anything else a std::runtime_error that names what was being done.
#pragma once
#include <new>
#include <stdexcept>
#include <string>

#include "kernels/cuda/launch.h"

namespace ibid::kernels::cuda {

inline void check(cudaError_t e, const char* doing) {
  if (e == cudaSuccess) return;
  cudaGetLastError();                            // or the next call would report it again
  if (e == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw std::runtime_error(std::string("CUDA, ") + doing + ": " + cudaGetErrorName(e) + " (" + cudaGetErrorString(e) + ")");
}

}  // namespace ibid::kernels::cuda
