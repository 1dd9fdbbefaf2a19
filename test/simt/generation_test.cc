// The promise with the CUDA device as one more column: whole rows of logits and whole answers equal the CPU's by bits, alone and in
// ragged batches, in chunks, from a cold and a warm prefix cache, with and without recorded steps; and the gate that says so
// catches a sum whose order is the schedule's, and an engine that is dead.
#include <set>

#include "kernels/cuda/launch.h"
#include "runtime/device_proxy.h"
#include "test/catch.h"
#include "test/simt/shim_device.h"
#include "test/unit/promise.h"

using namespace ibid;
using namespace ibid::test;
using kernels::Profile;

namespace {

constexpr int kRequests = 9;

const runtime::RandomModel& tiny() {
  static const runtime::RandomModel model = runtime::make_random_model("tiny", 1);
  return model;
}

std::vector<runtime::Request> workload() { return ragged_requests(kRequests, tiny().files.config.vocab, 5); }

// The CPU, every request alone.
const Run& reference(Profile profile) {
  static const Run runs[] = {run_alone(tiny().files, {.profile = Profile::w16a16}, workload()),
                             run_alone(tiny().files, {.profile = Profile::w8a16}, workload())};
  return runs[profile == Profile::w8a16];
}

Run run_cuda(const Circumstances& c, bool graphs = true) { return run_on(shim_device(graphs), tiny().files, c, workload()); }

// A CUDA device whose products are summed in float, by atomics, in whatever order the threads come.
__global__ void float_sums(const float* x, int k, float* y) {
  kernels::wait_for_previous();
  for (int i = static_cast<int>(threadIdx.x); i < k; i += static_cast<int>(blockDim.x))
    simt::atomic_add_float(y + blockIdx.x, x[i] / static_cast<float>(i + blockIdx.x + 1));
}
class FloatAtomics : public runtime::DeviceProxy {
 public:
  explicit FloatAtomics(std::unique_ptr<kernels::Device> device) : DeviceProxy(*device), owned_(std::move(device)) {}
  void matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, float* y, const float* residual) override {
    to_.matmul(w, a, rows, y, residual);
    if (w.n != tiny().files.config.vocab) return;
    for (int t = 0; t < rows; t++)
      kernels::launch(float_sums, dim3(8), dim3(64), 0, nullptr, y + size_t(t) * w.n + 8, 200, y + size_t(t) * w.n);
  }

 private:
  std::unique_ptr<kernels::Device> owned_;
};

class Dead : public runtime::DeviceProxy {
 public:
  explicit Dead(std::unique_ptr<kernels::Device> device) : DeviceProxy(*device), owned_(std::move(device)) {}
  void matmul(const kernels::Weight& w, const kernels::QuantRows&, int rows, float* y, const float*) override {
    cudaMemset(y, 0, size_t(rows) * w.n * sizeof(float));
  }

 private:
  std::unique_ptr<kernels::Device> owned_;
};

}  // namespace

TEST_CASE("both profiles, batches and chunks, prefix cache, with recorded steps and without") {
  struct Column { Profile profile; int batch, chunk; bool cache, graphs; };
  const Column columns[] = {{Profile::w16a16, 1, 4096, false, true}, {Profile::w16a16, 4, 300, true, true},
                            {Profile::w16a16, 9, 64, false, false},  {Profile::w16a16, 3, 7, true, true},
                            {Profile::w8a16, 1, 4096, false, false}, {Profile::w8a16, 5, 128, true, true},
                            {Profile::w8a16, 9, 1, false, true}};
  int turn = 0;
  for (const Column& c : columns) {
    simt::set_schedule(kSchedules[turn++ % 3]);
    INFO("batch " << c.batch << ", chunk " << c.chunk << ", prefix cache " << c.cache << ", graphs " << c.graphs);
    CHECK(gate(reference(c.profile), run_cuda({.profile = c.profile, .max_batch = c.batch, .chunk = c.chunk, .prefix_cache = c.cache,
                                               .repeats = c.cache ? 2 : 1}, c.graphs)) == "");
  }
}

TEST_CASE("recorded steps are used, and nobody relies on a wait that is not there") {
  simt::set_schedule({});
  simt::counters() = {};
  simt::set_lazy(true);
  const Run run = run_cuda({.max_batch = 3, .chunk = 512});
  simt::set_lazy(false);
  CHECK(gate(reference(Profile::w16a16), run) == "");
  CHECK(simt::counters().captures > 0);
  CHECK(simt::counters().graph_launches > simt::counters().captures);
}

TEST_CASE("steps that cannot be recorded give the same bits, in the order in which they wait for each other") {
  simt::set_schedule({});
  simt::counters() = {};
  simt::set_lazy(true);
  simt::machine().instantiate = cudaErrorMemoryAllocation;
  const Run run = run_cuda({.max_batch = 3, .chunk = 512});
  simt::machine().instantiate = cudaSuccess;
  simt::set_lazy(false);
  CHECK(gate(reference(Profile::w16a16), run) == "");
  CHECK(simt::counters().captures == 1);
  CHECK(simt::counters().graph_launches == 0);
}

TEST_CASE("negative controls: an order-dependent sum and a dead device are caught") {
  auto spoilt = [&](simt::Schedule s) {
    simt::set_schedule(s);
    auto requests = workload();
    requests.resize(3);
    return run_on(std::make_unique<FloatAtomics>(shim_device(false)), tiny().files, {.max_batch = 2}, requests);
  };
  const Run ascending = spoilt({simt::Schedule::ascending, 0});
  CHECK(gate(ascending, spoilt({simt::Schedule::ascending, 0})) == "");
  CHECK(gate(ascending, spoilt({simt::Schedule::descending, 0})).find("bits differ") != std::string::npos);
  simt::set_schedule({});
  auto dead = [&] { return run_on(std::make_unique<Dead>(shim_device(false)), tiny().files, {.max_batch = 4}, workload()); };
  CHECK(gate(dead(), dead()) != "");
}
