// The GGUF container, versions 2 and 3: metadata, a table of tensors, the data.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "runtime/json.h"
#include "runtime/tensor_entry.h"

namespace ibid::runtime {

struct GgufFile {
  Json metadata;                       // one object, in the file's order
  std::vector<TensorEntry> tensors;    // in the file's order, which is the order of the data
};

// Errors: bad_data.
GgufFile parse_gguf(std::string_view file, const std::string& where);

// The Hugging Face name of a tensor of the architectures that ibid runs ("blk.3.attn_q.weight" gives
// "model.layers.3.self_attn.q_proj.weight"); "" when there is none.
std::string huggingface_name(std::string_view gguf_name);

}  // namespace ibid::runtime
