// A CUDA device in the shim, and the schedules under which tests run it.
#pragma once
#include <memory>

#include "kernels/ops.h"
#include "test/simt/simt.h"
#include "test/unit/on_device.h"

namespace ibid::test {

constexpr simt::Schedule kSchedules[] = {{simt::Schedule::ascending, 0}, {simt::Schedule::descending, 0}, {simt::Schedule::shuffled, 1}};
inline const char* name_of(const simt::Schedule& s) {
  return s.kind == simt::Schedule::ascending ? "ascending" : s.kind == simt::Schedule::descending ? "descending" : "shuffled";
}

inline std::unique_ptr<kernels::Device> shim_device(bool graphs = true) {
  kernels::CudaOptions options;
  options.graphs = graphs;
  return kernels::make_cuda_device(0, options);
}

}  // namespace ibid::test
