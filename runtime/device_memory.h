// A set of device buffers that live and die together.
//
// Owns: every buffer it hands out; the destructor releases them. Must not know: what they hold.
//
// 1. A buffer is 64-byte aligned and zeroed (Device::alloc).
// 2. Memory that cannot be had is Error{temporary}, naming what it was for, its size and what was already held.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "runtime/error.h"

namespace ibid::runtime {

class DeviceMemory {
 public:
  explicit DeviceMemory(kernels::Device& device) : device_(&device) {}
  ~DeviceMemory() {
    for (const Buffer& b : buffers_) device_->release(b.data, b.bytes);
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  void* bytes(size_t size, const char* what) {
    void* data = device_->alloc(size);
    if (!data) {
      const size_t free_now = device_->free_bytes();
      throw Error(ErrorKind::temporary, what, "cannot allocate " + std::to_string(size) + " bytes: " +
                  std::to_string(total_) + " are held already" + (free_now ? ", " + std::to_string(free_now) + " are free" : ""),
                  "free memory, or ask for a smaller context or cache");
    }
    buffers_.push_back({data, size});
    total_ += size;
    return data;
  }

  template <class T>
  T* array(size_t count, const char* what) { return static_cast<T*>(bytes(count * sizeof(T), what)); }

  size_t total() const { return total_; }

 private:
  struct Buffer { void* data; size_t bytes; };
  kernels::Device* device_;
  std::vector<Buffer> buffers_;
  size_t total_ = 0;
};

}  // namespace ibid::runtime
