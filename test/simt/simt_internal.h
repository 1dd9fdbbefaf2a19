// Between the two halves of the shim: the runtime decides when a grid runs, the fibers run it.
#pragma once
#include <cstddef>
#include <functional>

#include "test/simt/include/cuda_runtime.h"

namespace simt {

void run_grid(const std::function<void()>& body, dim3 grid, dim3 block, size_t shared_bytes);

}  // namespace simt
