// A CUDA device in the shim, and the schedules under which tests run it.
#pragma once
#include <memory>
#include <vector>

#include "kernels/ops.h"
#include "test/simt/simt.h"

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

// Device memory that holds a copy of host values.
template <class T>
class OnDevice {
 public:
  OnDevice(kernels::Device& device, const std::vector<T>& values) : device_(device), count_(values.size()) {
    at_ = static_cast<T*>(device.alloc(count_ * sizeof(T)));
    device.upload(at_, values.data(), count_ * sizeof(T));
  }
  OnDevice(kernels::Device& device, size_t count) : OnDevice(device, std::vector<T>(count)) {}
  ~OnDevice() { device_.release(at_, count_ * sizeof(T)); }
  OnDevice(const OnDevice&) = delete;
  operator T*() const { return at_; }
  std::vector<T> get() const {
    std::vector<T> v(count_);
    device_.download(v.data(), at_, count_ * sizeof(T));
    return v;
  }

 private:
  kernels::Device& device_;
  size_t count_;
  T* at_;
};

}  // namespace ibid::test
