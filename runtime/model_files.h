// A model on disk, mapped and checked, whatever its container: what it says of itself and where each tensor lies.
//
// 1. Every length, offset and count in the file is hostile: checked against the bytes that are there before it is believed.
// 2. Each file of a model is opened once: what is parsed, mapped and hashed (step/model_store.h) is the same file, whatever takes its
//    name meanwhile. (What is embedded in a bundle is read again, and compared with the digest there.)
// 3. Both containers (safetensors folder, GGUF file) give this one type; nothing above knows which it was, but for the names
//    of tensors and the order of rotary rows (interleaved_rope).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/ops.h"
#include "runtime/json.h"
#include "runtime/mapped_file.h"

namespace ibid::runtime {

struct Tensor {
  std::string name;
  kernels::DType dtype = kernels::DType::f32;
  std::vector<int64_t> shape;          // slowest first, as in safetensors; GGUF's order is reversed on reading
  const void* data = nullptr;          // into a mapping owned by ModelFiles
};

// Rotary scaling: plain, or Llama 3's (factor, low, high, original context).
struct RopeScaling {
  bool llama3 = false;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_context = 8192;
};

struct ModelConfig {
  std::string architecture;            // "llama", "qwen2" or "qwen3", normalised
  int layers = 0, hidden = 0, intermediate = 0;
  int heads = 0, kv_heads = 0, head_dim = 0;
  int vocab = 0;                       // rows of the embedding
  int max_positions = 0;               // as trained; a step's context may not exceed it
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  float norm_eps = 1e-5f;
  bool head_norms = false;             // each head of q and k has an RMSNorm before the rotation
  bool tied = false;                   // the embedding is the output matrix too
  std::vector<int32_t> eos_ids;        // every id that ends an answer, ascending
  int32_t bos_id = -1;                 // -1: none
};

// The files that make up a model, each opened and mapped, in the order of model_file_list.
struct ModelSource {
  std::string path;
  bool folder = false;                 // in Hugging Face layout; else one GGUF file
  std::vector<std::shared_ptr<MappedFile>> files;
};
ModelSource map_model(const std::string& path);        // errors: not_found, io

struct ModelFiles {
  std::string path;
  std::vector<std::shared_ptr<MappedFile>> maps;     // those of tensors
  std::unordered_map<std::string, Tensor> tensors;   // exactly tensor_names() (config.h), by Hugging Face's names: GGUF's are translated
  ModelConfig config;
  bool interleaved_rope = false;       // rows of q and k are stored for interleaved rotary pairs (GGUF llama): see weights.h, 4
  std::vector<float> rope_divisors;    // GGUF rope_freqs.weight (head_dim / 2), else empty
  bool gguf = false;
  Json tokenizer;                      // tokenizer.json, or the GGUF metadata object
  Json tokenizer_config;               // tokenizer_config.json, or null
  std::string chat_template;           // "" when the model has none
};

// A GGUF file or a folder in Hugging Face layout. What ibid cannot run is refused by name: architecture, tensor type, rope type,
// split files. Errors: not_found, bad_data (with file and what is wrong), io.
ModelFiles open_model(const ModelSource& source);
inline ModelFiles open_model(const std::string& path) { return open_model(map_model(path)); }

// The files of a folder that make up the model, sorted by path: config, weights and their index, tokenizer, templates.
// For a GGUF file: itself.
std::vector<std::string> model_file_list(const std::string& path);

}  // namespace ibid::runtime
