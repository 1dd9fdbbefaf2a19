// Loading: what is refused, by name; tied and fused matrices, biases, rotary row order, Llama 3 divisors.
#include "runtime/weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <list>

#include "runtime/device_proxy.h"
#include "runtime/error.h"
#include "test/catch.h"
#include "test/unit/promise.h"

using namespace ibid;
using namespace ibid::runtime;
using namespace ibid::test;
using kernels::DType;
using kernels::Profile;

namespace {

// A tiny model whose tensors a test may change.
struct Edited {
  explicit Edited(const char* shape = "tiny") : model(make_random_model(shape, 3)), files(model.files) {}

  Tensor& tensor(const std::string& name) { return files.tensors.at(name); }

  // Gives the tensor bytes of its own, as float32.
  std::vector<float>& own(const std::string& name) {
    Tensor& t = tensor(name);
    int64_t count = 1;
    for (int64_t n : t.shape) count *= n;
    buffers.emplace_back(count);
    kernels::dequantize_rows({t.data, t.dtype, 1, count}, 0, 1, buffers.back().data());
    t.data = buffers.back().data();
    t.dtype = DType::f32;
    return buffers.back();
  }

  bool refused(const std::string& why) {
    return says([&] { load_weights(*kernels::make_cpu_device(kernels::Isa::scalar, 1), files, Profile::w16a16, 64); }, why);
  }

  RandomModel model;
  ModelFiles& files;
  std::list<std::vector<float>> buffers;
};

Run run_model(const ModelFiles& files) { return run_on(files, {.max_batch = 8}, ragged_requests(8, 380, 4)); }

// As GGUF converters store rotary heads: row s * d / 2 + i of a head goes to row 2 i + s.
void interleave(std::vector<float>& values, int heads, int head_dim, int cols) {
  std::vector<float> out(values.size());
  for (int h = 0; h < heads; h++)
    for (int s = 0; s < 2; s++)
      for (int i = 0; i < head_dim / 2; i++) {
        const int from = h * head_dim + s * (head_dim / 2) + i, to = h * head_dim + 2 * i + s;
        std::copy_n(values.begin() + size_t(from) * cols, cols, out.begin() + size_t(to) * cols);
      }
  values = out;
  REQUIRE(heads * head_dim * cols == int(out.size()));
}

}  // namespace

TEST_CASE("a whole model loads, and its output matrix is the embedding or its own") {
  auto device = kernels::make_cpu_device(kernels::best_isa(), 1);
  for (const char* shape : {"tiny", "tiny-llama"}) {
    Edited e(shape);
    const Weights w = load_weights(*device, e.files, Profile::w8a16, 64);
    const ModelConfig& c = e.files.config;
    CHECK(w.layers.size() == size_t(c.layers));
    CHECK(w.output.n == c.vocab);
    CHECK(w.layers[0].qkv.n == (c.heads + 2 * c.kv_heads) * c.head_dim);
    CHECK(w.layers[0].gate_up.n == kernels::gated_rows(c.intermediate));
    CHECK((w.layers[0].qkv.bias != nullptr) == (std::string(shape) == "tiny"));
    CHECK(w.layers[0].o.bias == nullptr);
    CHECK(w.memory->total() > 0);
  }
}

TEST_CASE("missing, misshapen, unknown and damaged tensors are refused by name, with both shapes") {
  {
    Edited e;
    e.files.tensors.erase("model.layers.1.mlp.up_proj.weight");
    CHECK(e.refused("tensor 'model.layers.1.mlp.up_proj.weight' of shape (160, 96) is missing"));
  }
  {
    Edited e;
    e.tensor("model.layers.2.self_attn.k_proj.weight").shape = {96, 32};
    CHECK(e.refused("tensor 'model.layers.2.self_attn.k_proj.weight' is BF16 of shape (96, 32), "
                    "but the model's config asks for shape (32, 96)"));
  }
  {
    Edited e;
    e.tensor("model.norm.weight").shape = {95};
    CHECK(e.refused("'model.norm.weight' is BF16 of shape (95)"));
  }
  {
    Edited e;
    e.files.tensors["model.layers.0.self_attn.q_norm.weight"] = e.tensor("model.norm.weight");
    e.files.tensors["zzz"] = e.tensor("model.norm.weight");
    CHECK(e.refused("tensor 'model.layers.0.self_attn.q_norm.weight' is none that ibid knows"));
  }
  for (float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    for (const char* name : {"model.layers.0.mlp.down_proj.weight", "model.layers.1.input_layernorm.weight",
                             "model.layers.1.self_attn.v_proj.bias", "model.embed_tokens.weight"}) {
      Edited e;
      e.own(name)[7] = value;
      CHECK(e.refused(std::string("tensor '") + name + "' holds a value that is not finite"));
    }
  }
}

TEST_CASE("nothing is taken for a matrix that the config announces and the file does not have") {
  struct Watched : DeviceProxy {
    using DeviceProxy::DeviceProxy;
    size_t most = 0;
    void* alloc(size_t bytes) override { most = std::max(most, bytes); return DeviceProxy::alloc(bytes); }
  };
  auto cpu = kernels::make_cpu_device(kernels::Isa::scalar, 1);
  for (int intermediate : {160, 66051}) {                              // the control: what the file has is taken
    Watched device(*cpu);
    Edited e;
    e.files.config.intermediate = intermediate;
    const bool refused = says([&] { load_weights(device, e.files, Profile::w16a16, 64); },
                              "'model.layers.0.mlp.gate_proj.weight' is BF16 of shape (160, 96)");
    CHECK(refused == (intermediate != 160));
    CHECK((device.most >= size_t{2 * 160} * 96 * 2) == (intermediate == 160));
  }
}

TEST_CASE("a tied model has one table, another two, and neither has a tensor that is not read") {
  const Run reference = run_model(Edited().files);
  Edited e;
  e.files.tensors["lm_head.weight"] = e.tensor("model.embed_tokens.weight");
  CHECK(e.refused("tensor 'lm_head.weight' is none that ibid knows"));
  e.files.config.tied = false;
  CHECK(gate(reference, run_model(e.files)) == "");
  e.files.tensors.erase("lm_head.weight");
  CHECK(e.refused("tensor 'lm_head.weight' of shape (517, 96) is missing"));
  e.files.tensors.erase("model.embed_tokens.weight");
  CHECK(e.refused("tensor 'model.embed_tokens.weight' of shape (517, 96) is missing"));
}

TEST_CASE("interleaved rotary rows are put back, biases too; values of the storage format do not matter, only their bits") {
  for (const char* shape : {"tiny", "tiny-llama"}) {
    const Run reference = run_model(Edited(shape).files);
    Edited e(shape);
    const ModelConfig& c = e.files.config;
    for (int i = 0; i < c.layers; i++) {
      const std::string at = "model.layers." + std::to_string(i) + ".self_attn.";
      interleave(e.own(at + "q_proj.weight"), c.heads, c.head_dim, c.hidden);
      interleave(e.own(at + "k_proj.weight"), c.kv_heads, c.head_dim, c.hidden);
      if (!e.files.tensors.count(at + "q_proj.bias")) continue;
      interleave(e.own(at + "q_proj.bias"), c.heads, c.head_dim, 1);
      interleave(e.own(at + "k_proj.bias"), c.kv_heads, c.head_dim, 1);
    }
    CHECK(gate(reference, run_model(e.files)) != "");                  // as the rows lie it is another model
    e.files.interleaved_rope = true;
    CHECK(gate(reference, run_model(e.files)) == "");
  }
}

TEST_CASE("biases are used where the file has them") {
  const Run reference = run_model(Edited().files);
  Edited without;
  for (int i = 0; i < without.files.config.layers; i++) {
    for (const char* part : {"q", "k", "v"})
      without.files.tensors.erase("model.layers." + std::to_string(i) + ".self_attn." + part + "_proj.bias");
  }
  CHECK(gate(reference, run_model(without.files)) != "");
  Edited zeros;                                                        // a zero bias is no bias
  for (int i = 0; i < zeros.files.config.layers; i++) {
    for (const char* part : {"q", "k", "v"}) {
      auto& bias = zeros.own("model.layers." + std::to_string(i) + ".self_attn." + part + "_proj.bias");
      std::fill(bias.begin(), bias.end(), 0.0f);
    }
  }
  CHECK(gate(run_model(without.files), run_model(zeros.files)) == "");
  for (const char* name : {"self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    Edited with;
    const std::string tensor = std::string("model.layers.1.") + name;
    const int64_t n = with.tensor(tensor + ".weight").shape[0];
    with.files.tensors[tensor + ".bias"] = {tensor + ".bias", DType::bf16, {n}, with.tensor("model.embed_tokens.weight").data};
    CHECK(gate(reference, run_model(with.files)) != "");
  }
}

TEST_CASE("shapes whose sums could overflow are refused, and the bound is sharp") {
  auto config = [] { return make_random_model("tiny", 3).files.config; };
  auto refused = [](const ModelConfig& c, const std::string& why) { return says([&] { check_sums(c, "model"); }, why); };
  ModelConfig c = config();
  c.intermediate = 66051;
  CHECK_NOTHROW(check_sums(c, "model"));
  c.intermediate = 66052;
  CHECK(refused(c, "the intermediate size is 66052, but numerics v1 holds for 1 to 66051"));
  c = config();
  c.hidden = 70000;
  CHECK(refused(c, "the hidden size"));
  c = config();
  c.heads = 512, c.kv_heads = 512, c.head_dim = 144;
  CHECK(refused(c, "heads times head size is 73728"));
  c = config();
  c.hidden = 66052;
  CHECK(refused(c, "the hidden size is 66052"));
  c = config();
  c.heads = 4096, c.kv_heads = 1, c.head_dim = 16;                     // 65,536
  CHECK_NOTHROW(check_sums(c, "model"));
  c.heads = 337, c.kv_heads = 1, c.head_dim = 196;
  CHECK(refused(c, "heads times head size is 66052"));
  c = config();
  c.layers = 4096, c.max_positions = 1 << 27;
  CHECK_NOTHROW(check_sums(c, "model"));
  c.layers = 4097;
  CHECK(refused(c, "the number of layers is 4097"));
  c = config();
  c.max_positions = (1 << 27) + 1;
  CHECK(refused(c, "the number of positions is 134217729"));
  for (float eps : {0.0f, -1e-5f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    c = config();
    c.norm_eps = eps;
    CHECK(refused(c, "epsilon"));
  }
  c = config();
  c.vocab = (1 << 20) + 1;
  CHECK(refused(c, "the vocabulary"));
  c = config();
  c.kv_heads = 4;
  CHECK(refused(c, "6 heads cannot share 4 key/value heads evenly"));
  c = config();
  c.head_dim = 258;
  CHECK(refused(c, "the head size is 258"));
  c = config();
  c.head_dim = 15;
  CHECK(refused(c, "odd"));
  c = config();
  c.layers = 0;
  CHECK(refused(c, "the number of layers is 0"));
  c = config();
  for (double theta : {1.0, 1e300}) CHECK_NOTHROW((c.rope_theta = theta, check_sums(c, "model")));
  for (double theta : {0.999, 1e-300, 1.1e300})
    CHECK((c.rope_theta = theta, refused(c, "the rotary base (rope_theta) is not within 1 to 1e300")));
}

TEST_CASE("divisors and contexts that take angles out of the range of sincos64 are refused") {
  Edited model;
  CHECK(says([&] { load_weights(*kernels::make_cpu_device(kernels::Isa::scalar, 1), model.files, Profile::w8a16, (1 << 20) + 1); },
             "rotary frequency 0 makes angles of 2^20 and more within a context of 1048577"));
  model.files.rope_divisors.assign(model.files.config.head_dim / 2, 1.0f);
  CHECK(!model.refused("rotary"));
  model.files.rope_divisors.pop_back();
  CHECK(model.refused("rotary divisors for a head size of"));
  model.files.rope_divisors.push_back(1.0f);
  model.files.rope_divisors[0] = 1e-38f;
  CHECK(model.refused("rotary frequency 0 makes angles of 2^20 and more within a context of 64"));
}

TEST_CASE("Llama 3 divisors: 1 for high frequencies, the factor for low ones, a ramp between") {
  ModelFiles files;
  files.config.head_dim = 64;
  files.config.rope_theta = 500000;
  CHECK(rope_divisors(files).empty());
  files.config.rope_scaling = {true, 32, 1, 4, 8192};
  const std::vector<double> d = rope_divisors(files);
  REQUIRE(d.size() == 32);
  CHECK(d[0] == 1);
  CHECK(d[14] == 1);
  CHECK(d[15] > 1);
  CHECK(d[17] < 32);
  CHECK(d[18] == 32);
  CHECK(d[31] == 32);
  CHECK(std::is_sorted(d.begin(), d.end()));
  // The formula of the reference implementation, for the ramp, in the C library's pow: equal but for rounding.
  for (int i = 15; i < 18; i++) {
    const double wavelength = 2 * 3.141592653589793 * std::pow(500000.0, 2.0 * i / 64), smooth = (8192 / wavelength - 1) / 3;
    CHECK(std::abs(d[i] * ((1 - smooth) / 32 + smooth) - 1) < 1e-12);
  }
  files.rope_divisors = {1, 2, 3};
  CHECK(rope_divisors(files) == std::vector<double>{1, 2, 3});         // what a file says itself comes first
}
