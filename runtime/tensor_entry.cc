// See tensor_entry.h. Owns: which stored types kernels can read, and how their data must be aligned.
#include "runtime/tensor_entry.h"

#include "runtime/error.h"

namespace ibid::runtime {
namespace {

struct Readable { const char* name; kernels::DType dtype; size_t align; };   // align: bytes of the widest value inside
constexpr Readable kReadable[] = {{"F32", kernels::DType::f32, 4}, {"F16", kernels::DType::f16, 2}, {"BF16", kernels::DType::bf16, 2},
                                  {"Q8_0", kernels::DType::q8_0, 2}, {"Q4_0", kernels::DType::q4_0, 2}, {"Q4_1", kernels::DType::q4_1, 2}};

}  // namespace

Tensor bind_tensor(const TensorEntry& entry, std::string_view file, const std::string& where) {
  for (const Readable& r : kReadable) {
    if (entry.type != r.name) continue;
    if (entry.offset % r.align != 0)   // a mapping begins on a page, so this is the address's alignment too
      throw Error(ErrorKind::bad_data, where, "tensor " + entry.name + " is not aligned to its values",
                  "write the file again with a current safetensors or GGUF writer");
    return {entry.name, r.dtype, entry.shape, file.data() + entry.offset};
  }
  throw Error(ErrorKind::bad_data, where, "tensor " + entry.name + " is " + entry.type + "; ibid reads F32, F16, BF16, Q8_0, Q4_0, Q4_1",
              "convert the model to one of these types");
}

}  // namespace ibid::runtime
