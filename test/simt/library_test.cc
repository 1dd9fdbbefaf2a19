// Whole generations through the library's products: every algorithm that it offers, with recorded steps and without, gives the CPU's bits.
#include "test/catch.h"
#include "test/simt/fake_cublas.h"
#include "test/simt/shim_device.h"
#include "test/unit/promise.h"

using namespace ibid;
using namespace ibid::test;
using kernels::Profile;

TEST_CASE("generations by the library's products") {
  const runtime::RandomModel model = runtime::make_random_model("tiny", 1);
  const std::vector<runtime::Request> requests = ragged_requests(5, model.files.config.vocab, 4);
  const int live = simt::cublas_counters().live;
  for (Profile profile : {Profile::w16a16, Profile::w8a16}) {
    const Run want = run_alone(model.files, {.profile = profile}, requests);
    for (int algorithm = 0; algorithm < simt::kCublasAlgorithms; algorithm++) {
      INFO("algorithm " << algorithm);
      simt::cublas_counters().algorithms = simt::cublas_counters().products = 0;
      simt::offer_cublas(true);
      auto device =
          kernels::make_cuda_device(0, {.graphs = algorithm != 1, .gemm_algorithm = algorithm, .gemm_rows = algorithm == 2 ? 3 : 1});
      simt::offer_cublas(false);
      CHECK(device->describe().find("cublasLt 0") != std::string::npos);
      CHECK(gate(want, run_on(std::move(device), model.files, {.profile = profile, .max_batch = 4, .chunk = 50}, requests)) == "");
      CHECK(simt::cublas_counters().algorithms == uint64_t{1} << algorithm);
      CHECK(simt::cublas_counters().products > 20);
    }
  }
  CHECK(simt::cublas_counters().live == live);
}

TEST_CASE("a product that the library refuses midway, in a plain step or one that is recorded, changes no bit") {
  const runtime::RandomModel model = runtime::make_random_model("tiny", 1);
  const std::vector<runtime::Request> requests = ragged_requests(3, model.files.config.vocab, 4);
  const Run want = run_alone(model.files, {.profile = Profile::w8a16}, requests);
  for (int taken : {0, 9, 60}) {
    INFO("refused after " << taken);
    simt::offer_cublas(true);
    auto device = kernels::make_cuda_device(0, {.gemm_rows = 1});
    simt::offer_cublas(false);
    simt::cublas_faults().products = taken;
    CHECK(gate(want, run_on(std::move(device), model.files, {.profile = Profile::w8a16, .max_batch = 2, .chunk = 50}, requests)) == "");
    CHECK(simt::cublas_faults().products < 0);       // one was
    simt::cublas_faults() = {};
  }
}
