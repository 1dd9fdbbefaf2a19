// In place of kernels/cuda/*.cu where no CUDA compiler was found: there is no GPU for this program.
#include <cstdlib>

#include "kernels/ops.h"

namespace ibid::kernels {

GpuProbe probe_cuda(int) { return {GpuState::not_built, "this ibid is built without CUDA"}; }
std::unique_ptr<Device> make_cuda_device(int, const CudaOptions&) { std::abort(); }     // what it requires cannot be

}  // namespace ibid::kernels
