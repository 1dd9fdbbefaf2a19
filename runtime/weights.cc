// Loading in the order of the forward pass, so that a model's first fault is the first named. See weights.h.
#include "runtime/weights.h"

#include <cmath>
#include <set>
#include <string>

#include "kernels/math.h"
#include "runtime/error.h"

namespace ibid::runtime {
namespace {

using kernels::StoredMatrix;
using kernels::Weight;

constexpr const char* kEmbedding = "model.embed_tokens.weight";

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

class Loader {
 public:
  Loader(kernels::Device& device, const ModelFiles& files, kernels::Profile profile, DeviceMemory& memory)
      : device_(device), files_(files), c_(files.config), profile_(profile), memory_(memory) {}

  LayerWeights layer(int index);
  const float* norm(const std::string& name, int n);
  StoredMatrix matrix(const std::string& name, int64_t rows, int64_t cols);            // in the file
  StoredMatrix place(const StoredMatrix& table);                                       // as the device reads it
  Weight output();
  const float* upload(const std::vector<float>& values, const char* what);
  void refuse_unknown() const;

 private:
  const Tensor* find(const std::string& name, const std::vector<int64_t>& shape);      // null when it is absent
  const Tensor& need(const std::string& name, const std::vector<int64_t>& shape);
  Weight empty_weight(int n, int k, const char* what);
  void convert(Weight& w, int to_row, const std::string& name, const StoredMatrix& src, const int32_t* row_map);
  void read_vector(const Tensor& t, const int32_t* row_map, float* out) const;
  std::vector<int32_t> rotary_rows(int heads) const;
  std::vector<int32_t> gate_rows() const;
  [[noreturn]] void refuse(const std::string& what, const std::string& hint = "") const {
    throw Error(ErrorKind::bad_data, files_.path, what, hint);
  }

  // row i becomes row at + (row_map.empty() ? i : row_map[i])
  struct Part { std::string name; int rows, at; std::vector<int32_t> row_map; };
  Weight fuse(const std::string& prefix, const std::vector<Part>& parts, int n, int k, const char* what);

  kernels::Device& device_;
  const ModelFiles& files_;
  const ModelConfig& c_;
  kernels::Profile profile_;
  DeviceMemory& memory_;
  std::set<std::string> used_;
};

const Tensor* Loader::find(const std::string& name, const std::vector<int64_t>& shape) {
  auto it = files_.tensors.find(name);
  if (it == files_.tensors.end()) return nullptr;
  const Tensor& t = it->second;
  if (t.shape != shape) {
    refuse("tensor '" + name + "' is " + kernels::storage(t.dtype).name + " of shape " + shape_text(t.shape) +
               ", but the model's config asks for shape " + shape_text(shape),
           "config and weights belong to different models");
  }
  if (shape.back() % kernels::storage(t.dtype).block != 0) {
    refuse("tensor '" + name + "' is " + kernels::storage(t.dtype).name + ", but its rows of " + std::to_string(shape.back()) +
           " are no multiple of " + std::to_string(kernels::storage(t.dtype).block));
  }
  used_.insert(name);
  return &t;
}

const Tensor& Loader::need(const std::string& name, const std::vector<int64_t>& shape) {
  const Tensor* t = find(name, shape);
  if (!t) refuse("tensor '" + name + "' of shape " + shape_text(shape) + " is missing", "is the download complete?");
  return *t;
}

StoredMatrix Loader::matrix(const std::string& name, int64_t rows, int64_t cols) {
  const Tensor& t = need(name, {rows, cols});
  return {t.data, t.dtype, rows, cols};
}

const float* Loader::upload(const std::vector<float>& values, const char* what) {
  float* to = memory_.array<float>(values.size(), what);
  device_.upload(to, values.data(), values.size() * sizeof(float));
  device_.sync();                                                      // the values go when the caller returns
  return to;
}

// Entry i of a tensor of one dimension goes to out[row_map ? row_map[i] : i].
void Loader::read_vector(const Tensor& t, const int32_t* row_map, float* out) const {
  std::vector<float> values(t.shape[0]);
  kernels::dequantize_rows({t.data, t.dtype, 1, t.shape[0]}, 0, 1, values.data());
  for (size_t i = 0; i < values.size(); i++) {
    if (!std::isfinite(values[i])) refuse("tensor '" + t.name + "' holds a value that is not finite at index " + std::to_string(i));
    out[row_map ? row_map[i] : i] = values[i];
  }
}

const float* Loader::norm(const std::string& name, int n) {
  std::vector<float> values(n);
  read_vector(need(name, {n}), nullptr, values.data());
  return upload(values, "norm weights");
}

// Where each source row of q or k goes (weights.h, 4); empty: where it is.
std::vector<int32_t> Loader::rotary_rows(int heads) const {
  if (!files_.interleaved_rope) return {};
  const int d = c_.head_dim;
  std::vector<int32_t> map(static_cast<size_t>(heads) * d);
  for (int h = 0; h < heads; h++)
    for (int i = 0; i < d / 2; i++)
      for (int s = 0; s < 2; s++) map[h * d + 2 * i + s] = h * d + s * (d / 2) + i;
  return map;
}

std::vector<int32_t> Loader::gate_rows() const {
  std::vector<int32_t> map(c_.intermediate);
  for (int i = 0; i < c_.intermediate; i++) map[i] = kernels::gate_row(i);
  return map;
}

Weight Loader::empty_weight(int n, int k, const char* what) {
  Weight w;
  w.n = n;
  w.k = k;
  w.profile = profile_;
  w.data = memory_.bytes(device_.weight_bytes(n, k, profile_), what);
  return w;
}

void Loader::convert(Weight& w, int to_row, const std::string& name, const StoredMatrix& src, const int32_t* row_map) {
  if (!device_.convert_weight(w, to_row, src, row_map)) {
    refuse("tensor '" + name + "' holds a value that is not finite", "the file is damaged, or the model was trained to infinity");
  }
  const size_t bytes = kernels::stored_row_bytes(src.dtype, src.cols) * static_cast<size_t>(src.rows);
  for (const auto& map : files_.maps) map->forget(src.data, bytes);
}

// One weight of n rows from several tensors "PREFIX.NAME.weight", with their biases where the file has any.
Weight Loader::fuse(const std::string& prefix, const std::vector<Part>& parts, int n, int k, const char* what) {
  std::vector<StoredMatrix> stored;                                    // all are looked at before memory is taken for what the config says
  for (const Part& p : parts) stored.push_back(matrix(prefix + p.name + ".weight", p.rows, k));
  Weight w = empty_weight(n, k, what);
  std::vector<float> bias(n, 0.0f);
  bool any_bias = false;
  for (size_t i = 0; i < parts.size(); i++) {
    const Part& p = parts[i];
    const std::string name = prefix + p.name;
    const int32_t* row_map = p.row_map.empty() ? nullptr : p.row_map.data();
    convert(w, p.at, name + ".weight", stored[i], row_map);
    if (const Tensor* t = find(name + ".bias", {p.rows})) {
      read_vector(*t, row_map, bias.data() + p.at);
      any_bias = true;
    }
  }
  if (any_bias) w.bias = upload(bias, "biases");
  return w;
}

LayerWeights Loader::layer(int index) {
  const std::string at = "model.layers." + std::to_string(index) + ".";
  const int q = c_.heads * c_.head_dim, kv = c_.kv_heads * c_.head_dim, f = c_.intermediate;
  LayerWeights l;
  l.attention_norm = norm(at + "input_layernorm.weight", c_.hidden);
  l.qkv = fuse(at + "self_attn.",
               {{"q_proj", q, 0, rotary_rows(c_.heads)}, {"k_proj", kv, q, rotary_rows(c_.kv_heads)}, {"v_proj", kv, q + kv, {}}},
               q + 2 * kv, c_.hidden, "query, key and value weights");
  if (c_.head_norms) {
    l.q_norm = norm(at + "self_attn.q_norm.weight", c_.head_dim);
    l.k_norm = norm(at + "self_attn.k_norm.weight", c_.head_dim);
  }
  l.o = fuse(at + "self_attn.", {{"o_proj", c_.hidden, 0, {}}}, c_.hidden, q, "attention output weights");
  l.mlp_norm = norm(at + "post_attention_layernorm.weight", c_.hidden);
  l.gate_up = fuse(at + "mlp.", {{"gate_proj", f, 0, gate_rows()}, {"up_proj", f, kernels::kGate, gate_rows()}}, kernels::gated_rows(f),
                   c_.hidden, "gate and up weights");
  l.down = fuse(at + "mlp.", {{"down_proj", c_.hidden, 0, {}}}, c_.hidden, f, "down weights");
  return l;
}

StoredMatrix Loader::place(const StoredMatrix& table) {
  const size_t bytes = device_.table_bytes(table);
  return device_.place_table(table, bytes ? memory_.bytes(bytes, "the embedding table") : nullptr);
}

Weight Loader::output() {
  const std::string name = c_.tied ? kEmbedding : "lm_head.weight";
  const StoredMatrix src = matrix(name, c_.vocab, c_.hidden);
  Weight w = empty_weight(c_.vocab, c_.hidden, "output weights");
  convert(w, 0, name, src, nullptr);
  return w;
}

void Loader::refuse_unknown() const {
  std::string first;
  for (const auto& [name, tensor] : files_.tensors) {                  // unordered, so the least name is the one reported
    if (!used_.count(name) && (first.empty() || name < first)) first = name;
  }
  if (!first.empty()) refuse("tensor '" + first + "' is none that ibid knows for architecture '" + c_.architecture + "'",
                             "running the model without it would give other answers than the model's own");
}

}  // namespace

void check_sums(const ModelConfig& c, const std::string& where) {
  auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw Error(ErrorKind::bad_data, where, what);
  };
  auto within = [&](int64_t value, int64_t most, const std::string& what) {
    require(value >= 1 && value <= most,
            what + " is " + std::to_string(value) + ", but numerics v1 holds for 1 to " + std::to_string(most));
  };
  // The bounds of NUMERICS.md, section 13. The deepest product whose int32 sums of digit products cannot overflow: H L + L H, each below
  // 128 * 127 in magnitude. One weight digit would allow twice that;
  // one bound for every profile keeps a model's verdict the same under all.
  constexpr int64_t depth = 66051;
  static_assert(2 * 128 * 127 * depth < int64_t{1} << 31);
  // Then |S| <= depth * 32639^2 < 2^47, far below the 2^51 up to which it becomes a float32 in one rounding.
  static_assert(depth * kernels::kQuantMax * kernels::kQuantMax < int64_t{1} << 51);
  within(c.layers, 4096, "the number of layers");
  within(c.hidden, depth, "the hidden size");
  within(c.intermediate, depth, "the intermediate size");
  within(c.heads, 4096, "the number of heads");
  within(c.kv_heads, c.heads, "the number of key/value heads");
  within(c.head_dim, 256, "the head size");                            // sums of scores and of p * v
  within(int64_t{c.heads} * c.head_dim, depth, "heads times head size");
  within(c.vocab, 1 << 20, "the vocabulary");                          // sum of RNE(exp(.) 2^40) stays below 2^63
  within(c.max_positions, 1 << 27, "the number of positions");
  require(c.heads % c.kv_heads == 0,
          std::to_string(c.heads) + " heads cannot share " + std::to_string(c.kv_heads) + " key/value heads evenly");
  require(c.head_dim % 2 == 0, "the head size " + std::to_string(c.head_dim) + " is odd, so it has no rotary pairs");
  require(std::isfinite(c.norm_eps) && c.norm_eps > 0, "the norm's epsilon (rms_norm_eps) is not a positive number in float32");
  require(c.rope_theta >= 1 && c.rope_theta <= 1e300, "the rotary base (rope_theta) is not within 1 to 1e300");   // exp64 and log64, 9.3
}

std::vector<double> rope_divisors(const ModelFiles& files) {
  if (!files.rope_divisors.empty()) return {files.rope_divisors.begin(), files.rope_divisors.end()};
  const RopeScaling& s = files.config.rope_scaling;
  if (!s.llama3) return {};
  constexpr double kTwoPi = 6.283185307179586;
  const double original = static_cast<double>(s.original_context);
  const int half = files.config.head_dim / 2;
  std::vector<double> divisors(half);
  for (int i = 0; i < half; i++) {
    const double frequency = kernels::math::pow64(files.config.rope_theta, -2.0 * i / files.config.head_dim);
    const double wavelength = kTwoPi / frequency;
    if (wavelength < original / s.high_freq_factor) {
      divisors[i] = 1;
    } else if (wavelength > original / s.low_freq_factor) {
      divisors[i] = s.factor;
    } else {
      const double smooth = (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
      divisors[i] = 1 / ((1 - smooth) / s.factor + smooth);
    }
  }
  return divisors;
}

namespace {

// cos and sin of every position below context, (context, head_dim).
std::vector<float> rope_angles(const ModelFiles& files, int context) {
  const ModelConfig& c = files.config;
  const std::vector<double> divisors = rope_divisors(files);
  if (!divisors.empty() && divisors.size() != static_cast<size_t>(c.head_dim) / 2) {
    throw Error(ErrorKind::bad_data, files.path,
                "there are " + std::to_string(divisors.size()) + " rotary divisors for a head size of " + std::to_string(c.head_dim));
  }
  // sincos64 is defined below 2^20 (NUMERICS 9.3); far beyond, processors would differ in what they make of the quadrant.
  for (size_t i = 0; i < static_cast<size_t>(c.head_dim) / 2; i++) {
    const double divisor = divisors.empty() ? 1 : divisors[i];
    const double frequency = kernels::math::pow64(c.rope_theta, -2.0 * static_cast<double>(i) / c.head_dim) / divisor;
    if (!(frequency * (context - 1) < 0x1p20))
      throw Error(ErrorKind::bad_data, files.path,
                  "rotary frequency " + std::to_string(i) + " makes angles of 2^20 and more within a context of " +
                      std::to_string(context));
  }
  std::vector<float> table(static_cast<size_t>(context) * c.head_dim);
  kernels::rope_table(c.rope_theta, c.head_dim, divisors.empty() ? nullptr : divisors.data(), context, table.data());
  return table;
}

}  // namespace

Weights load_weights(kernels::Device& device, const ModelFiles& files, kernels::Profile profile, int context) {
  const ModelConfig& c = files.config;
  check_sums(c, files.path);
  Weights w;
  w.memory = std::make_unique<DeviceMemory>(device);
  Loader loader(device, files, profile, *w.memory);
  w.embedding = loader.place(loader.matrix(kEmbedding, c.vocab, c.hidden));
  for (int i = 0; i < c.layers; i++) w.layers.push_back(loader.layer(i));
  w.final_norm = loader.norm("model.norm.weight", c.hidden);
  w.output = loader.output();
  loader.refuse_unknown();
  w.rope = loader.upload(rope_angles(files, context), "the rope table");
  return w;
}

}  // namespace ibid::runtime
