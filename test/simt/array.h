// Device memory for a test that calls kernels and no Device.
#pragma once
#include <vector>

#include "test/catch.h"
#include "test/simt/simt.h"

namespace ibid::test {

template <class T>
class Array {
 public:
  explicit Array(size_t count) : count_(count) { REQUIRE(cudaMalloc(&at_, count * sizeof(T)) == cudaSuccess); }
  explicit Array(const std::vector<T>& from) : Array(from.size()) {
    cudaMemcpy(at_, from.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  ~Array() { cudaFree(at_); }
  Array(const Array&) = delete;
  operator T*() const { return at_; }
  std::vector<T> get() const {
    std::vector<T> v(count_);
    cudaMemcpy(v.data(), at_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    return v;
  }

 private:
  size_t count_;
  T* at_ = nullptr;
};

}  // namespace ibid::test
