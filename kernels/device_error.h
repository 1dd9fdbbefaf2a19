// What ends an op although this program asked for nothing wrong, so that another try may succeed: a device without memory for it, a GPU or
// a driver that failed. What else ends one is a bug, or memory of the host (std::bad_alloc). The device is not to be used again.
#pragma once
#include <cstddef>
#include <new>
#include <stdexcept>

namespace ibid::kernels {

struct DeviceFull : std::bad_alloc {
  explicit DeviceFull(const char* what_was_done, size_t bytes_needed = 0, size_t bytes_free = 0)
      : doing(what_was_done), needed(bytes_needed), available(bytes_free) {}
  const char* what() const noexcept override { return "the device has no memory left"; }
  const char* doing;                             // a literal
  size_t needed, available;                      // bytes; both 0 where only the driver knows
};

struct DeviceFailed : std::runtime_error { using std::runtime_error::runtime_error; };

}  // namespace ibid::kernels
