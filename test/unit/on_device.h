// Device memory that holds a copy of host values, for the time of a test.
#pragma once
#include <vector>

#include "kernels/ops.h"
#include "test/catch.h"

namespace ibid::test {

template <class T>
class OnDevice {
 public:
  OnDevice(kernels::Device& device, const std::vector<T>& values) : device_(device), count_(values.size()) {
    at_ = static_cast<T*>(device.alloc(count_ * sizeof(T)));
    REQUIRE(at_);
    device.upload(at_, values.data(), count_ * sizeof(T));
    device.sync();
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
