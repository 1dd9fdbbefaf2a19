// Small models made by hand, well-formed or not, for tests of everything that reads model files.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/tensor_entry.h"
#include "test/catch.h"

namespace ibid::test {

template <typename T>
std::string le(T v) { return std::string(reinterpret_cast<const char*>(&v), sizeof v); }   // tests run on little-endian machines

// "WHERE: WHAT" of the Error that f throws, "" when it throws none. Any other exception escapes and fails the test.
inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.where + ": " + e.what();
  }
  return "";
}

inline bool mentions(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// A folder that goes away with its owner.
class TempFolder {
 public:
  TempFolder() {
    static int count = 0;
    path_ = (std::filesystem::temp_directory_path() / ("ibid-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++))).string();
    std::filesystem::create_directories(path_);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& bytes) const { std::ofstream(file(name), std::ios::binary) << bytes; }
  void remove(const std::string& name) const { std::filesystem::remove(file(name)); }

 private:
  std::string path_;
};

struct FixtureTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;   // slowest first
  std::string data;
};

// size floats that differ from each other and from tensor to tensor.
inline std::string float_bytes(int64_t size, int salt) {
  std::string out;
  for (int64_t i = 0; i < size; ++i) out += le(static_cast<float>((i * 37 + salt * 101) % 255 - 127) / 64);
  return out;
}

inline FixtureTensor f32_tensor(const std::string& name, std::vector<int64_t> shape, int salt) {
  int64_t size = 1;
  for (int64_t n : shape) size *= n;
  return {name, "F32", std::move(shape), float_bytes(size, salt)};
}

inline std::string safetensors_file(const std::vector<FixtureTensor>& tensors) {
  Json header{Json::Object{}};
  std::string data;
  for (const FixtureTensor& t : tensors) {
    Json::Array shape;
    for (int64_t n : t.shape) shape.emplace_back(n);
    Json::Array offsets{Json(static_cast<int64_t>(data.size())), Json(static_cast<int64_t>(data.size() + t.data.size()))};
    header.set(t.name, Json(Json::Object{{"dtype", t.dtype}, {"shape", Json(shape)}, {"data_offsets", Json(offsets)}}));
    data += t.data;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return le(static_cast<uint64_t>(text.size())) + text + data;
}

// Writes GGUF fields one by one, so that a test can write wrong ones.
class GgufWriter {
 public:
  std::string pairs, infos, data;
  uint64_t pair_count = 0, tensor_count = 0;
  uint32_t version = 3, alignment = 32;

  static std::string text(const std::string& s) { return le(static_cast<uint64_t>(s.size())) + s; }
  GgufWriter& raw(const std::string& key, uint32_t type, const std::string& value) {
    pairs += text(key) + le(type) + value;
    ++pair_count;
    return *this;
  }
  GgufWriter& u32(const std::string& key, uint32_t v) { return raw(key, 4, le(v)); }
  GgufWriter& f32(const std::string& key, float v) { return raw(key, 6, le(v)); }
  GgufWriter& string(const std::string& key, const std::string& v) { return raw(key, 8, text(v)); }
  GgufWriter& info(const std::string& name, const std::vector<uint64_t>& dims_fastest_first, uint32_t type, uint64_t offset) {
    infos += text(name) + le(static_cast<uint32_t>(dims_fastest_first.size()));
    for (uint64_t n : dims_fastest_first) infos += le(n);
    infos += le(type) + le(offset);
    ++tensor_count;
    return *this;
  }
  GgufWriter& tensor(const std::string& name, const std::vector<int64_t>& shape, uint32_t type, const std::string& bytes) {
    info(name, {shape.rbegin(), shape.rend()}, type, data.size());
    data += bytes;
    data.resize((data.size() + alignment - 1) / alignment * alignment, '\0');
    return *this;
  }
  std::string file() const {
    std::string out = "GGUF" + le(version) + le(tensor_count) + le(pair_count) + pairs + infos;
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + data;
  }
};

// One layer, hidden 8, 2 heads of 4, 1 key/value head, intermediate 16, vocabulary 10, tied.
inline Json tiny_config() {
  return Json::parse(R"({"architectures":["LlamaForCausalLM"],"hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,
    "num_attention_heads":2,"num_key_value_heads":1,"vocab_size":10,"max_position_embeddings":64,"rms_norm_eps":1e-5,
    "tie_word_embeddings":true,"hidden_act":"silu","eos_token_id":2,"bos_token_id":1})", "tiny_config");
}

inline std::vector<FixtureTensor> tiny_tensors() {
  const std::string l = "model.layers.0.";
  int salt = 0;
  std::vector<FixtureTensor> out;
  auto add = [&](const std::string& name, std::vector<int64_t> shape) { out.push_back(f32_tensor(name, std::move(shape), salt++)); };
  add("model.embed_tokens.weight", {10, 8});
  add("model.norm.weight", {8});
  add(l + "input_layernorm.weight", {8});
  add(l + "post_attention_layernorm.weight", {8});
  add(l + "self_attn.q_proj.weight", {8, 8});
  add(l + "self_attn.k_proj.weight", {4, 8});
  add(l + "self_attn.v_proj.weight", {4, 8});
  add(l + "self_attn.o_proj.weight", {8, 8});
  add(l + "mlp.gate_proj.weight", {16, 8});
  add(l + "mlp.up_proj.weight", {16, 8});
  add(l + "mlp.down_proj.weight", {8, 16});
  return out;
}

// The same model as GGUF metadata, without tensors.
inline GgufWriter tiny_gguf_metadata(const std::string& architecture = "llama") {
  GgufWriter w;
  const std::string a = architecture + ".";
  w.string("general.architecture", architecture).u32(a + "block_count", 1).u32(a + "context_length", 64).u32(a + "embedding_length", 8);
  w.u32(a + "feed_forward_length", 16).u32(a + "attention.head_count", 2).u32(a + "attention.head_count_kv", 1);
  w.f32(a + "attention.layer_norm_rms_epsilon", 1e-5f).u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
  return w;
}

inline void add_tiny_gguf_tensors(GgufWriter& w) {
  const char* names[] = {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
                         "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight",
                         "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"};
  std::vector<FixtureTensor> tensors = tiny_tensors();
  for (size_t i = 0; i < tensors.size(); ++i) w.tensor(names[i], tensors[i].shape, 0, tensors[i].data);
}

inline std::string tiny_gguf() {
  GgufWriter w = tiny_gguf_metadata();
  add_tiny_gguf_tensors(w);
  return w.file();
}

inline void write_tiny_folder(const TempFolder& folder) {
  folder.write("config.json", tiny_config().dump());
  folder.write("tokenizer.json", "{\"version\":\"1.0\"}");
  folder.write("model.safetensors", safetensors_file(tiny_tensors()));
}

// The n-th of a fixed series of damages: overwritten bytes and words, cuts, repetitions.
inline std::string mutant(const std::string& valid, uint32_t n) {
  uint64_t state = n * 0x9E3779B97F4A7C15u + 1;
  auto random = [&state](size_t below) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return static_cast<size_t>(state % below);
  };
  static const uint64_t extremes[] = {0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000,
                                      ~uint64_t{0}};
  std::string out = valid;
  for (size_t i = 0, edits = 1 + random(3); i < edits && !out.empty(); ++i) {
    size_t at = random(out.size());
    switch (random(5)) {
      case 0: out[at] = static_cast<char>(random(256)); break;
      case 1: out[at] = static_cast<char>(out[at] ^ (1 << random(8))); break;
      case 2: {
        std::string v = le(extremes[random(10)]);
        size_t size = random(2) ? 4 : 8;
        out.replace(at, std::min(size, out.size() - at), v, 0, std::min(size, out.size() - at));
        break;
      }
      case 3: out.resize(at); break;
      default: out.insert(at, out.substr(random(out.size()), 1 + random(16)));
    }
  }
  return out;
}

}  // namespace ibid::test
