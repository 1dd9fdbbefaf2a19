// The promise on a real GPU: ops and whole generations equal the CPU's by bits. Run by test/gpu/run.sh; without a GPU it says so.
//
// Built for CUDA alone, and knows the device by its face (kernels/ops.h), so that nothing here can see how it does its work.
#include <set>

#include "runtime/device_proxy.h"
#include "test/catch.h"
#include "test/unit/on_device.h"
#include "test/unit/promise.h"
#include "test/unit/random.h"

using namespace ibid;
using namespace ibid::test;
using kernels::Profile;

namespace {

constexpr int kAlgorithms = 32;                  // as many as gemm_cublas.cu asks for; behind the last one offered the last is taken again
constexpr Profile kProfiles[] = {Profile::w16a16, Profile::w8a16};
using Floats = std::vector<float>;

bool gpu() {
  static const kernels::GpuProbe probe = kernels::probe_cuda(0);
  const bool ready = probe.state == kernels::GpuState::ready;
  if (!ready) {
    data_missing = true;                         // never "passed" (main.cc)
    WARN("SKIPPED for want of a GPU: " << probe.why);
  }
  return ready;
}
std::unique_ptr<kernels::Device> cpu() { return kernels::make_cpu_device(kernels::best_isa(), kernels::default_threads()); }
std::unique_ptr<kernels::Device> cuda(const kernels::CudaOptions& options = {}) { return kernels::make_cuda_device(0, options); }

// Without the library each of its products would be another of ours.
void require_library() {
  const std::string device = cuda()->describe();
  INFO(device << ": libcublasLt must be where the loader finds it (LD_LIBRARY_PATH)");
  REQUIRE(device.find("no cublasLt") == std::string::npos);
}

Floats normals(uint64_t seed, size_t count) {
  Random random(seed);
  Floats v(count);
  for (float& x : v) x = random.normal();
  return v;
}

// quantize, then matmul with bias and residual in place; or a gated product.
struct Product { int n, k, rows; Profile profile; int pairs = 0; };
Floats product(kernels::Device& d, const Product& p) {
  const size_t n = static_cast<size_t>(p.n), k = static_cast<size_t>(p.k), rows = static_cast<size_t>(p.rows);
  const Floats weights = normals(1, n * k), x = normals(2, rows * k), bias = normals(3, n), residual = normals(4, rows * n);
  d.reserve({.rows = p.rows, .wanted = p.rows, .heads = 1, .kv_heads = 1, .head_dim = 64, .max_pages = 1, .widest = p.n, .vocab = p.n});
  const OnDevice<uint8_t> w_memory(d, d.weight_bytes(p.n, p.k, p.profile)), a_memory(d, d.quant_rows_bytes(p.rows, p.k)), bad(d, rows);
  const OnDevice<float> x_memory(d, x), bias_memory(d, bias), y(d, residual);
  kernels::Weight w{p.n, p.k, p.profile, w_memory, bias_memory};
  REQUIRE(d.convert_weight(w, 0, {weights.data(), kernels::DType::f32, p.n, p.k}, nullptr));
  const kernels::QuantRows a{p.k, a_memory};
  d.quantize(x_memory, p.rows, p.k, a, bad);
  if (p.pairs > 0) d.gated_matmul(w, a, p.rows, p.pairs, y);
  else d.matmul(w, a, p.rows, y, y);
  d.sync();
  return y.get();
}

void check(const Product& p, const kernels::CudaOptions& options) {
  INFO("n " << p.n << " k " << p.k << " rows " << p.rows << " digits " << kernels::weight_digits(p.profile) << " algorithm "
            << options.gemm_algorithm);
  const auto one = cpu(), other = cuda(options);
  CHECK(same_bits(product(*one, p), product(*other, p)));
}

const runtime::RandomModel& tiny() {
  static const runtime::RandomModel model = runtime::make_random_model("tiny", 1);
  return model;
}
std::vector<runtime::Request> workload(int count) { return ragged_requests(count, tiny().files.config.vocab, 6); }
const Run& reference(Profile profile) {
  static const Run runs[] = {run_on(cpu(), tiny().files, {.profile = Profile::w16a16}, workload(128)),
                             run_on(cpu(), tiny().files, {.profile = Profile::w8a16}, workload(128))};
  return runs[profile == Profile::w8a16];
}

std::vector<std::vector<int32_t>> answers(std::unique_ptr<kernels::Device> device, const runtime::RandomModel& model,
                                          const std::vector<runtime::Request>& requests) {
  const runtime::Tokenizer tokenizer = tokenizer_of(model.files);
  runtime::EngineOptions options;
  options.context = 1024;
  options.max_batch = 64;
  runtime::Engine engine(std::move(device), model.files, tokenizer, options);
  for (const runtime::Request& r : requests) engine.submit(r);
  std::vector<std::vector<int32_t>> all(requests.size());
  while (auto answer = engine.next())
    for (const runtime::AnswerToken& t : answer->tokens) all[answer->id].push_back(t.id);
  return all;
}

// Turns one bit of the last logits of every step.
class OneBit : public runtime::DeviceProxy {
 public:
  explicit OneBit(std::unique_ptr<kernels::Device> device) : DeviceProxy(*device), owned_(std::move(device)) {}
  void matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, float* y, const float* residual) override {
    to_.matmul(w, a, rows, y, residual);
    if (w.n != tiny().files.config.vocab) return;
    uint32_t last = 0;
    to_.sync();
    to_.download(&last, y + static_cast<size_t>(rows) * w.n - 1, sizeof last);
    last ^= 1;
    to_.upload(y + static_cast<size_t>(rows) * w.n - 1, &last, sizeof last);
    to_.sync();
  }

 private:
  std::unique_ptr<kernels::Device> owned_;
};

}  // namespace

TEST_CASE("products of every path equal the CPU's") {
  if (!gpu()) return;
  require_library();
  for (Profile profile : kProfiles)
    for (int from : {1, 1 << 30}) {              // the library's, the fused
      for (int rows : {1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65, 130, 513}) check({1000, 1100, rows, profile}, {.gemm_rows = from});
      for (int rows : {1, 8, 9, 17, 64, 65, 513})
        for (int pairs : {503, 504}) check({kernels::gated_rows(pairs), 1100, rows, profile, pairs}, {.gemm_rows = from});
      for (int n : {1, 33, 4096}) check({n, 4096, 5, profile}, {.gemm_rows = from});
      check({64, 66'048, 70, profile}, {.gemm_rows = from});
    }
}

TEST_CASE("products by every algorithm that the library's heuristic offers") {
  if (!gpu()) return;
  require_library();
  for (Profile profile : kProfiles)
    for (int algorithm = 0; algorithm < kAlgorithms; algorithm++)
      for (int rows : {3, 64, 300}) check({2000, 1024, rows, profile}, {.gemm_algorithm = algorithm, .gemm_rows = 1});
}

TEST_CASE("generations: batches, chunks, prefix cache, recorded steps, paths of the product") {
  if (!gpu()) return;
  for (Profile profile : kProfiles)
    for (bool graphs : {true, false}) {
      for (int batch : {1, 2, 5, 16, 64, 128})
        for (int chunk : {1, 7, 64, 4096}) {
          INFO("batch " << batch << " chunk " << chunk << " graphs " << graphs);
          CHECK(gate(reference(profile),
                     run_on(cuda({.graphs = graphs}), tiny().files, {.profile = profile, .max_batch = batch, .chunk = chunk},
                            workload(128))) == "");
        }
      CHECK(gate(reference(profile),
                 run_on(cuda({.graphs = graphs}), tiny().files,
                        {.profile = profile, .max_batch = 16, .prefix_cache = true, .repeats = 2}, workload(128))) == "");
      for (int algorithm : {0, 1, 2, 3, 5, 8, 13})
        CHECK(gate(reference(profile),
                   run_on(cuda({.graphs = graphs, .gemm_algorithm = algorithm, .gemm_rows = 1}), tiny().files,
                          {.profile = profile, .max_batch = 32}, workload(128))) == "");
    }
}

TEST_CASE("generations of so many sequences that attention shares out no blocks of theirs") {
  if (!gpu()) return;
  constexpr int kMany = 640;                     // with the tiny model 1,280 CTAs; below four for each multiprocessor blocks are shared out
  for (Profile profile : kProfiles) {
    const Run together = run_on(cuda(), tiny().files, {.profile = profile, .max_batch = kMany, .chunk = 1 << 16}, workload(kMany));
    CHECK(together.stats.steps <= 8);            // all prompts in one step, so that all decode at once
    CHECK(gate(run_on(cpu(), tiny().files, {.profile = profile}, workload(kMany)), together) == "");
  }
}

TEST_CASE("1,000 requests, every second one the same prompt: one answer, and it is the CPU's") {
  if (!gpu()) return;
  constexpr int kRequests = 1000, kTokens = 500;
  const runtime::RandomModel model = runtime::make_random_model("tiny", 4);
  std::vector<runtime::Request> requests = ragged_requests(kRequests, model.files.config.vocab, kTokens);
  for (size_t i = 0; i < requests.size(); i += 2) {
    requests[i].prompt = {5, 42, 79, 116, 153, 190};
    for (int32_t& id : requests[i].prompt) id %= model.files.config.vocab;
    requests[i].decoding = {};
    requests[i].decoding.max_tokens = kTokens;
  }
  const auto together = answers(cuda(), model, requests);
  std::set<std::vector<int32_t>> distinct;
  for (size_t i = 0; i < together.size(); i += 2) distinct.insert(together[i]);
  REQUIRE(distinct.size() == 1);
  runtime::Request alone = requests[0];
  alone.decoding.max_tokens = 100;
  std::vector<int32_t> want = answers(cpu(), model, {alone})[0], got = *distinct.begin();
  REQUIRE(want.size() == 100);
  CHECK(got.size() == kTokens);
  got.resize(want.size());
  CHECK(got == want);
  CHECK(std::set<int32_t>(want.begin(), want.end()).size() > 5);   // an engine that says one thing for ever would pass all of the above
}

TEST_CASE("negative control: one turned bit is caught") {
  if (!gpu()) return;
  CHECK(gate(reference(Profile::w16a16), run_on(std::make_unique<OneBit>(cuda({.graphs = false})), tiny().files, {}, workload(128))) != "");
}
