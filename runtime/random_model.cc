// See random_model.h.
#include "runtime/random_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include "runtime/error.h"
#include "runtime/random.h"
#include "runtime/tokenizer_vocab.h"

namespace ibid::runtime {
namespace {

struct Shape {
  const char* name;
  int hidden, layers, heads, kv_heads, head_dim, intermediate, vocab;
  std::string_view architecture;
  bool tied;
  double theta;
  bool llama3;
  int max_positions;
};

constexpr Shape kShapes[] = {
    {"tiny", 96, 3, 6, 2, 16, 160, 517, "qwen2", true, 1e4, false, 1024},
    {"tiny-llama", 64, 2, 4, 4, 32, 176, 389, "llama", false, 5e5, true, 1024},
    {"tiny-qwen3", 64, 2, 4, 2, 24, 160, 401, "qwen3", true, 1e6, false, 1024},
    {"qwen2-0.5b", 896, 24, 14, 2, 64, 4864, 151936, "qwen2", true, 1e6, false, 32768},
    {"llama-1b", 2048, 16, 32, 8, 64, 8192, 128256, "llama", true, 5e5, true, 131072},
    {"llama-8b", 4096, 32, 32, 8, 128, 14336, 128256, "llama", false, 5e5, true, 131072},
};

// bf16 of value * 2^-exponent: exact, because an int8 has no more bits than bf16's significand.
uint16_t bf16_scaled(int value, int exponent) {
  const float f = std::ldexp(static_cast<float>(value), -exponent);
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}

// Uniform int8 values scaled so that a row of `hidden` weights has about unit length. (An int8's deviation is 73.9.)
void fill(std::vector<uint16_t>& block, int hidden, uint64_t seed) {
  Random random(seed);
  int exponent = 6;
  while ((int64_t{1} << (2 * exponent)) < int64_t{74} * 74 * hidden) exponent++;
  uint16_t table[256];
  for (int i = 0; i < 256; i++) table[i] = bf16_scaled(i - 128, exponent);
  for (size_t i = 0; i + 8 <= block.size(); i += 8) {
    uint64_t r = random.next();
    for (int j = 0; j < 8; j++, r >>= 8) block[i + j] = table[r & 255];
  }
}

// Hands out windows of the block, at places that differ from tensor to tensor.
class Builder {
 public:
  Builder(RandomModel& model, size_t norm_at, uint64_t seed) : model_(model), norm_at_(norm_at), random_(seed) {}
  void add(const std::string& name, std::vector<int64_t> shape) {
    size_t count = 1;
    for (int64_t n : shape) count *= static_cast<size_t>(n);
    const size_t places = (norm_at_ - count) / kAlign + 1;
    put(name, std::move(shape), random_.next() % places * kAlign);
  }
  void add_norm(const std::string& name, int size) { put(name, {size}, norm_at_); }

 private:
  static constexpr size_t kAlign = 32;                               // elements: 64 bytes
  void put(const std::string& name, std::vector<int64_t> shape, size_t at) {
    model_.files.tensors[name] = {name, kernels::DType::bf16, std::move(shape), model_.block.data() + at};
  }
  RandomModel& model_;
  size_t norm_at_;
  Random random_;
};

void add_tensors(Builder& b, const Shape& s) {
  const int q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  b.add("model.embed_tokens.weight", {s.vocab, s.hidden});
  for (int i = 0; i < s.layers; i++) {
    const std::string at = "model.layers." + std::to_string(i) + ".";
    b.add_norm(at + "input_layernorm.weight", s.hidden);
    b.add(at + "self_attn.q_proj.weight", {q, s.hidden});
    b.add(at + "self_attn.k_proj.weight", {kv, s.hidden});
    b.add(at + "self_attn.v_proj.weight", {kv, s.hidden});
    if (s.architecture == "qwen2") {
      b.add(at + "self_attn.q_proj.bias", {q});
      b.add(at + "self_attn.k_proj.bias", {kv});
      b.add(at + "self_attn.v_proj.bias", {kv});
    }
    if (s.architecture == "qwen3") {
      b.add_norm(at + "self_attn.q_norm.weight", s.head_dim);
      b.add_norm(at + "self_attn.k_norm.weight", s.head_dim);
    }
    b.add(at + "self_attn.o_proj.weight", {s.hidden, q});
    b.add_norm(at + "post_attention_layernorm.weight", s.hidden);
    b.add(at + "mlp.gate_proj.weight", {s.intermediate, s.hidden});
    b.add(at + "mlp.up_proj.weight", {s.intermediate, s.hidden});
    b.add(at + "mlp.down_proj.weight", {s.hidden, s.intermediate});
  }
  b.add_norm("model.norm.weight", s.hidden);
  if (!s.tied) b.add("lm_head.weight", {s.vocab, s.hidden});
}

ModelConfig config_of(const Shape& s) {
  ModelConfig c;
  c.architecture = s.architecture;
  c.head_norms = s.architecture == "qwen3";
  c.layers = s.layers, c.hidden = s.hidden, c.intermediate = s.intermediate;
  c.heads = s.heads, c.kv_heads = s.kv_heads, c.head_dim = s.head_dim;
  c.vocab = s.vocab, c.max_positions = s.max_positions, c.rope_theta = s.theta, c.tied = s.tied;
  if (s.llama3) c.rope_scaling = {true, 32, 1, 4, 8192};
  return c;
}

Json tokenizer_of(int vocab) {
  Json::Object ids;
  for (int id = 0; id < vocab; id++)
    ids.emplace_back(id < 256 ? tokenize::byte_level_symbol(static_cast<uint8_t>(id)) : std::to_string(id) + ".", Json(id));
  const Json byte_level = Json::parse(R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})",
                                      "random model");
  Json model = Json::parse(R"({"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,
                               "fuse_unk":false,"byte_fallback":false,"merges":[]})", "random model");
  model.set("vocab", Json(std::move(ids)));
  Json t = Json::parse(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"post_processor":null})",
                       "random model");
  t.set("pre_tokenizer", byte_level);
  t.set("decoder", byte_level);
  t.set("model", std::move(model));
  return t;
}

}  // namespace

RandomModel make_random_model(std::string_view name, uint64_t seed) {
  const Shape* s = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& shape) { return shape.name == name; });
  if (s == std::end(kShapes)) {
    std::string names;
    for (const Shape& shape : kShapes) names += (names.empty() ? "" : ", ") + std::string(shape.name);
    throw Error(ErrorKind::usage, "random model", "there is no shape '" + std::string(name) + "'", "shapes: " + names);
  }
  RandomModel model;
  model.files.path = "random:" + std::string(name);
  model.files.config = config_of(*s);
  model.files.tokenizer = tokenizer_of(s->vocab);
  const size_t largest = static_cast<size_t>(std::max(s->vocab, s->intermediate)) * s->hidden;
  constexpr size_t kSlack = 1 << 16;                                 // so that the largest tensors have different places too
  model.block.resize((largest + kSlack) / 8 * 8 + s->hidden);
  const size_t norm_at = model.block.size() - s->hidden;             // norm weights lie behind the random part: 1 to 1.25
  fill(model.block, s->hidden, seed);
  for (int i = 0; i < s->hidden; i++) model.block[norm_at + i] = bf16_scaled(128 + i % 32, 7);
  Builder builder(model, norm_at, seed ^ 0x1bd11bdaa9fc1a22u);
  add_tensors(builder, *s);
  return model;
}

}  // namespace ibid::runtime
