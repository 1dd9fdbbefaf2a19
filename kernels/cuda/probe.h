// What the GPU can reach, measured now. For `ibid bench` only; no result depends on it.
#pragma once
#include "kernels/cuda/cuda_ops.h"

namespace ibid::kernels::cuda {

// Reading of device memory by our own loop; int8 multiply-adds by the library where there is one, else by the fused kernel.
// Takes memory of its own for the time; what cannot be had is reported as 0.
Roofline measure_roofline(Context& c);

}  // namespace ibid::kernels::cuda
