// See tensor_entry.h. Owns: the refusal of tensors that kernels cannot read.
#include "runtime/tensor_entry.h"

#include <iterator>

#include "runtime/error.h"

namespace ibid::runtime {
namespace {

std::string readable_types() {
  std::string names;
  for (const kernels::Storage& s : kernels::kStorage) names += (names.empty() ? "" : ", ") + std::string(s.name);
  return names;
}

}  // namespace

Tensor bind_tensor(const TensorEntry& entry, std::string_view file, const std::string& where) {
  for (size_t i = 0; i < std::size(kernels::kStorage); i++) {
    const kernels::Storage& stored = kernels::kStorage[i];
    if (entry.type != stored.name) continue;
    if (entry.offset % static_cast<uint64_t>(stored.align) != 0)   // a mapping begins on a page, so this is the address's alignment too
      throw Error(ErrorKind::bad_data, where, "tensor " + entry.name + " is not aligned to its values",
                  "write the file again with a current safetensors or GGUF writer");
    return {entry.name, static_cast<kernels::DType>(i), entry.shape, file.data() + entry.offset};
  }
  throw Error(ErrorKind::bad_data, where, "tensor " + entry.name + " is " + entry.type + "; ibid reads " + readable_types(),
              "convert the model to one of these types");
}

}  // namespace ibid::runtime
