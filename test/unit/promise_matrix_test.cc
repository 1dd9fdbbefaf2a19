// The promise: whole rows of logits and whole answers are equal by bits under all circumstances, and the gate that says so
// catches a float sum whose order depends on the batch, and an engine that is dead.
#include "test/unit/promise.h"

#include <algorithm>
#include <unordered_map>

#include "runtime/device_proxy.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::test;
using kernels::Isa;
using kernels::Profile;

namespace {

const runtime::RandomModel& tiny() {
  static const runtime::RandomModel model = runtime::make_random_model("tiny", 1);
  return model;
}

std::vector<runtime::Request> workload(int count) { return ragged_requests(count, tiny().files.config.vocab, 6); }

// The reference: every request alone in its own engine, its prompt in one piece, one thread.
const Run& reference(Profile profile) {
  static const Run runs[] = {run_alone(tiny().files, {.profile = Profile::w16a16}, workload(128)),
                             run_alone(tiny().files, {.profile = Profile::w8a16}, workload(128))};
  return runs[profile == Profile::w8a16];
}

Run first_of(const Run& run, int requests) {
  Run part;
  for (const auto& [where, bits] : run.rows) if (where.first < uint64_t(requests)) part.rows[where] = bits;
  for (const auto& [id, answer] : run.answers) if (id < uint64_t(requests)) part.answers[id] = answer;
  return part;
}

// A device that keeps float copies of weights and activations, and whose matrix products are float sums cut into as many
// runs as the batch has rows: what an ordinary engine does. Only for devices whose memory is host memory.
class FloatSums : public runtime::DeviceProxy {
 public:
  explicit FloatSums(std::unique_ptr<kernels::Device> device) : DeviceProxy(*device), owned_(std::move(device)) {}

  bool convert_weight(kernels::Weight& w, int to_row, const kernels::StoredMatrix& src, const int32_t* row_map) override {
    std::vector<float>& floats = weights_[w.data];
    floats.resize(size_t(w.n) * w.k);
    for (int64_t r = 0; r < src.rows; r++) kernels::dequantize_rows(src, r, 1, &floats[(to_row + (row_map ? row_map[r] : r)) * w.k]);
    return to_.convert_weight(w, to_row, src, row_map);
  }
  void quantize(const float* x, int rows, int k, const kernels::QuantRows& out, uint8_t* bad) override {
    rows_[out.data].assign(x, x + size_t(rows) * k);
    to_.quantize(x, rows, k, out, bad);
  }
  void norm_quantize(const float* x, const float* weight, float eps, int rows, int k, const kernels::QuantRows& out,
                     uint8_t* bad) override {
    std::vector<float>& y = rows_[out.data];
    y.resize(size_t(rows) * k);
    for (int t = 0; t < rows; t++) {
      float squares = 0;
      for (int i = 0; i < k; i++) squares += x[t * k + i] * x[t * k + i];
      for (int i = 0; i < k; i++) y[t * k + i] = x[t * k + i] / std::sqrt(squares / k + eps) * weight[i];
    }
    to_.norm_quantize(x, weight, eps, rows, k, out, bad);
  }
  void matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, float* y, const float* residual) override {
    for (int t = 0; t < rows; t++)
      for (int n = 0; n < w.n; n++) y[size_t(t) * w.n + n] = sum(w, a, rows, t, n) + (residual ? residual[size_t(t) * w.n + n] : 0);
  }
  void gated_matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, int f, float* y) override {
    for (int t = 0; t < rows; t++)
      for (int i = 0; i < f; i++) {
        const int row = kernels::gate_row(i);
        const float gate = sum(w, a, rows, t, row);
        y[size_t(t) * f + i] = gate / (1 + std::exp(-gate)) * sum(w, a, rows, t, row + kernels::kGate);
      }
  }

 private:
  float sum(const kernels::Weight& w, const kernels::QuantRows& a, int rows, int t, int n) {
    const int cuts = std::min(rows, 7);
    const float* x = &rows_[a.data][size_t(t) * w.k];
    const float* weight = &weights_[w.data][size_t(n) * w.k];
    float total = 0;
    for (int c = 0; c < cuts; c++) {
      float part = 0;
      for (int i = c; i < w.k; i += cuts) part += x[i] * weight[i];
      total += part;
    }
    return total + (w.bias ? w.bias[n] : 0);
  }

  std::unique_ptr<kernels::Device> owned_;
  std::unordered_map<const void*, std::vector<float>> weights_, rows_;
};

// Devices whose logits are dead: what every matrix product gives is replaced.
class Dead : public runtime::DeviceProxy {
 public:
  enum class How { zeros, nans, same_row };
  Dead(std::unique_ptr<kernels::Device> device, How how) : DeviceProxy(*device), owned_(std::move(device)), how_(how) {}
  void matmul(const kernels::Weight& w, const kernels::QuantRows&, int rows, float* y, const float*) override { fill(y, rows, w.n); }
  void gated_matmul(const kernels::Weight&, const kernels::QuantRows&, int rows, int f, float* y) override { fill(y, rows, f); }

 private:
  void fill(float* y, int rows, int width) {
    for (int t = 0; t < rows; t++)
      for (int n = 0; n < width; n++) y[size_t(t) * width + n] = how_ == How::zeros ? 0.0f : how_ == How::nans ? NAN : float(n % 7);
  }
  std::unique_ptr<kernels::Device> owned_;
  How how_;
};

std::unique_ptr<kernels::Device> best_device() { return kernels::make_cpu_device(kernels::best_isa(), 1); }

}  // namespace

TEST_CASE("repeated runs, cold and warm prefix cache") {
  const auto requests = workload(128);
  for (Profile profile : {Profile::w16a16, Profile::w8a16}) {
    CHECK(gate(reference(profile), run_alone(tiny().files, {.profile = profile}, requests)) == "");
    for (int repeats : {1, 2, 3}) {
      const Run run = run_on(tiny().files, {.profile = profile, .max_batch = 16, .chunk = 256, .prefix_cache = true, .repeats = repeats},
                             requests);
      CHECK(gate(reference(profile), run) == "");
      CHECK(run.stats.cached_rows > 0);
    }
  }
}

TEST_CASE("alone and in ragged batches, whatever the order of arrival") {
  for (int batch : {1, 2, 3, 5, 8, 16, 33, 64, 128}) {
    for (bool cache : {false, true}) {
      auto requests = workload(128);
      if (batch % 2) std::reverse(requests.begin(), requests.end());
      INFO("batch " << batch << ", prefix cache " << cache);
      CHECK(gate(reference(Profile::w16a16),
                 run_on(tiny().files, {.max_batch = batch, .chunk = 300, .prefix_cache = cache}, requests)) == "");
    }
  }
}

TEST_CASE("prompts in chunks of 1, 7, 64 and all") {
  for (int chunk : {1, 7, 64, 4096}) {
    for (int batch : {1, 9}) {
      INFO("chunk " << chunk << ", batch " << batch);
      CHECK(gate(reference(Profile::w16a16),
                 run_on(tiny().files, {.max_batch = batch, .chunk = chunk, .prefix_cache = batch > 1}, workload(128))) == "");
    }
  }
}

TEST_CASE("any instruction set with any number of threads, both profiles") {
  constexpr int kRequests = 12;
  for (Isa isa : available_isas()) {
    for (int threads : {1, 2, 7}) {
      for (Profile profile : {Profile::w16a16, Profile::w8a16}) {
        INFO(kernels::isa_name(isa) << ", " << threads << " threads");
        const Run run = run_on(tiny().files, {.isa = isa, .threads = threads, .profile = profile, .max_batch = 8, .chunk = 100,
                                              .prefix_cache = true}, workload(kRequests));
        CHECK(gate(first_of(reference(profile), kRequests), run) == "");
      }
    }
  }
}

TEST_CASE("profiles and seeds give other answers, so the gate compares something") {
  CHECK(gate(reference(Profile::w16a16), reference(Profile::w8a16)) != "");
  auto requests = workload(128);
  for (auto& r : requests) r.noise_key++;
  CHECK(gate(reference(Profile::w16a16), run_on(tiny().files, {.max_batch = 16}, requests)) != "");
}

TEST_CASE("negative control: float sums in an order that depends on the batch are caught") {
  const auto requests = workload(12);
  auto run = [&](int batch, int chunk) {
    return run_on(std::make_unique<FloatSums>(best_device()), tiny().files, {.max_batch = batch, .chunk = chunk}, requests);
  };
  const Run alone = run(1, 1);
  CHECK(signs_of_death(alone) == "");
  CHECK(gate(alone, run(1, 1)) == "");                               // repeatable, as ordinary engines are
  CHECK(gate(alone, run(8, 1)).find("bits differ") != std::string::npos);
  CHECK(gate(alone, run(1, 64)).find("bits differ") != std::string::npos);
}

TEST_CASE("a dead engine fails the gate though all its runs agree") {
  for (Dead::How how : {Dead::How::zeros, Dead::How::nans, Dead::How::same_row}) {
    auto run = [&] { return run_on(std::make_unique<Dead>(best_device(), how), tiny().files, {.max_batch = 4}, workload(8)); };
    CHECK(gate(run(), run()) != "");
  }
}
