// The safetensors container: 8 bytes of header length, a JSON header, the data. One file; shards are model_files.cc's business.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tensor_entry.h"

namespace ibid::runtime {

// The tensors of a file in the order of their data. Errors: bad_data.
std::vector<TensorEntry> parse_safetensors(std::string_view file, const std::string& where);

}  // namespace ibid::runtime
