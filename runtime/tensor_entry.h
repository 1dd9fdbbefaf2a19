// What a container's table says of one tensor, already checked against the file; the same for safetensors and GGUF.
//
// 1. offset + bytes lies inside the file, and bytes is what type and shape need: a parser makes no entry before it knows.
// 2. type is the container's own name for it ("F32", "IQ4_XS"): parsers know more types than kernels do, so that a type that
//    ibid cannot read is refused by its name (bind_tensor), not as garbage.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model_files.h"

namespace ibid::runtime {

struct TensorEntry {
  std::string name, type;
  std::vector<int64_t> shape;   // slowest first
  uint64_t offset = 0;          // of the first byte, from the start of the file
  uint64_t bytes = 0;
};

// The entry as a tensor that points into the file's bytes. Errors: bad_data (a type that kernels cannot read, misaligned data).
Tensor bind_tensor(const TensorEntry& entry, std::string_view file, const std::string& where);

// Little-endian unsigned integer of sizeof(T) bytes; the caller has checked that they are there.
template <typename T>
T load_le(const char* p) {
  T v = 0;
  for (size_t i = 0; i < sizeof(T); ++i)
    v = static_cast<T>(v | static_cast<T>(static_cast<T>(static_cast<unsigned char>(p[i])) << (8 * i)));
  return v;
}

// a * b, or false when it does not fit (the result of a product of hostile sizes is never used before this is asked).
inline bool multiply(uint64_t a, uint64_t b, uint64_t* out) { return !__builtin_mul_overflow(a, b, out); }

}  // namespace ibid::runtime
