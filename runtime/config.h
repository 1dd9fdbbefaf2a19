// What a model says of its own arithmetic, from either container, or a refusal by name.
#pragma once
#include <string>

#include "runtime/json.h"
#include "runtime/model_files.h"

namespace ibid::runtime {

// Which linear maps have a bias, beyond the weights that every model has.
struct Biases { bool qkv = false, o = false, mlp = false; };

struct ParsedConfig {
  ModelConfig config;
  Biases biases;
};

// config.json and generation_config.json (null when absent). Errors: bad_data, naming the field and what ibid can run.
ParsedConfig config_from_huggingface(const Json& config, const Json& generation_config, const std::string& where);

// GGUF metadata. GGUF does not say which biases there are, so biases is what the architecture demands; vocab and tied come
// from the tensors: embedding_rows, has_output.
ParsedConfig config_from_gguf(const Json& metadata, int64_t embedding_rows, bool has_output, const std::string& where);

// The names of all tensors that a model of this config has, in layer order.
std::vector<std::string> tensor_names(const ModelConfig& config, const Biases& biases);

}  // namespace ibid::runtime
