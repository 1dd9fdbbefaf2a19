// The CUDA device around its ops: what it says of machines without a usable GPU, memory that is not there, recorded steps.
#include "kernels/ops.h"

#include "kernels/device_error.h"
#include "runtime/device_proxy.h"
#include "test/catch.h"
#include "test/simt/fake_cublas.h"
#include "test/simt/shim_device.h"
#include "test/unit/promise.h"
#include "test/unit/random.h"

using namespace ibid;
using namespace ibid::test;
using kernels::GpuState;

namespace {

// Puts the pretended machine back as it was.
struct Pretend {
  simt::Machine before = simt::machine();
  ~Pretend() { simt::machine() = before; }
};

bool probe_is(int ordinal, GpuState state, const std::string& part) {
  kernels::GpuProbe p = kernels::probe_cuda(ordinal);
  INFO(p.why);
  return p.state == state && p.why.find(part) != std::string::npos && p.why.find('\n') == std::string::npos;
}

// What a call fails with, "" where it does not.
template <class F>
std::string said(F call) {
  try {
    call();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("no driver, no device, no such device, a busy one and a full one are told apart") {
  Pretend pretend;
  CHECK(kernels::probe_cuda(0).state == GpuState::ready);
  CHECK(probe_is(1, GpuState::absent, "no GPU number 1"));
  CHECK(probe_is(-1, GpuState::absent, "no GPU number -1"));
  simt::machine().driver = cudaErrorInsufficientDriver;
  CHECK(probe_is(0, GpuState::absent, "no NVIDIA driver"));
  simt::machine().driver = cudaErrorSystemDriverMismatch;
  CHECK(probe_is(0, GpuState::absent, "does not work"));
  simt::machine().driver = cudaSuccess;
  simt::machine().devices = 0;
  CHECK(probe_is(0, GpuState::absent, "no GPU that this process may use"));
  simt::machine().devices = 1;
  simt::machine().context = cudaErrorDevicesUnavailable;
  CHECK(probe_is(0, GpuState::busy, "taken by another process"));
  simt::machine().context = cudaErrorMemoryAllocation;
  CHECK(probe_is(0, GpuState::busy, "no memory left"));
  simt::machine().context = cudaSuccess;
  CHECK(kernels::probe_cuda(0).state == GpuState::ready);
}

TEST_CASE("a GPU that this program has no code for is absent, and one that cannot say is busy; no error is left") {
  Pretend pretend;
  for (cudaError_t e : {cudaErrorNoKernelImageForDevice, cudaErrorInvalidDeviceFunction, cudaErrorInvalidPtx,
                        cudaErrorUnsupportedPtxVersion}) {
    simt::machine().code = e;
    CHECK(probe_is(0, GpuState::absent, "this ibid holds no code for sm_90"));
    CHECK(cudaPeekAtLastError() == cudaSuccess);
  }
  for (cudaError_t e : {cudaErrorMemoryAllocation, cudaErrorECCUncorrectable}) {
    simt::machine().code = e;
    CHECK(probe_is(0, GpuState::busy, "cannot be had"));
    CHECK(cudaPeekAtLastError() == cudaSuccess);
  }
}

TEST_CASE("a device that is not made whole leaves nothing behind") {
  const int before = simt::live_objects();
  simt::cublas_faults().loading = true;
  CHECK_THROWS_AS(shim_device(), std::bad_alloc);
  simt::cublas_faults().loading = false;
  CHECK(simt::live_objects() == before);
  shim_device();
  CHECK(simt::live_objects() == before);
}

TEST_CASE("a roofline that cannot be measured is 0, and leaves neither events nor an error") {
  Pretend pretend;
  auto device = shim_device();
  const int before = simt::live_objects();
  simt::machine().memory = size_t{600} << 20;                // enough for the product's buffers alone
  const auto unknown = [&] {
    const kernels::Roofline r = device->measure_roofline();
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    CHECK(simt::live_objects() == before);
    return r.read_bytes.median == 0 && r.int8_macs.median == 0 && r.int8_macs.best == 0;
  };
  simt::machine().launch = cudaErrorLaunchOutOfResources;
  CHECK(unknown());
  for (int events : {0, 1}) {
    simt::machine().events = events;
    CHECK(unknown());
  }
}

TEST_CASE("describe names device, architecture, driver and runtime") {
  const std::string text = shim_device()->describe();
  for (const char* part : {"cuda:0 SIMT shim", "sm_90", "driver", "runtime 13.0", "cublasLt"}) {
    INFO(text << " should name " << part);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("memory: zeroed, aligned, null when it cannot be had; pages are copied whole") {
  auto device = shim_device();
  uint8_t* p = static_cast<uint8_t*>(device->alloc(1000));
  std::vector<uint8_t> got(1000, 1);
  device->download(got.data(), p, 1000);
  CHECK(got == std::vector<uint8_t>(1000, 0));
  CHECK(reinterpret_cast<uintptr_t>(p) % 64 == 0);
  device->release(p, 1000);
  CHECK(device->alloc(simt::machine().memory + 1) == nullptr);
  CHECK(device->free_bytes() > 0);

  kernels::KvShape shape{2, 3, 40};
  size_t bytes = device->kv_page_bytes(shape);
  std::vector<uint8_t> pages(3 * bytes);
  Random random(1);
  for (uint8_t& b : pages) b = static_cast<uint8_t>(random.below(256));
  OnDevice<uint8_t> on_device(*device, pages);
  device->copy_page({shape, static_cast<uint8_t*>(on_device)}, 2, 0);
  std::copy(pages.begin() + static_cast<ptrdiff_t>(2 * bytes), pages.end(), pages.begin());
  CHECK(on_device.get() == pages);
}

TEST_CASE("an engine that does not fit is refused as temporary, with what is needed and what is free; all memory comes back") {
  Pretend pretend;
  const runtime::RandomModel model = runtime::make_random_model("tiny", 1);
  const runtime::Tokenizer tokenizer = tokenizer_of(model.files);
  auto open = [&](size_t memory, size_t kv_bytes) {
    simt::machine().memory = memory;
    runtime::EngineOptions options;
    options.context = 512;
    options.kv_bytes = kv_bytes;
    options.max_batch = 4;
    runtime::Engine engine(shim_device(), model.files, tokenizer, options);
    return engine.stats().kv_bytes;
  };
  CHECK(open(size_t{1} << 30, 0) > 0);                       // what is free
  for (size_t mib : {1, 8, 40, 80, 100}) {
    try {
      open(mib << 20, size_t{900} << 20);
    } catch (const Error& e) {
      CHECK(e.kind == ErrorKind::temporary);
      CHECK(std::string(e.what()).find("free") != std::string::npos);
    } catch (const std::bad_alloc&) {                        // staging or scratch: exit 75 as well
    }
  }
  size_t free_bytes = 0, total = 0;
  cudaMemGetInfo(&free_bytes, &total);
  CHECK(free_bytes == total);
}

TEST_CASE("nothing is allocated after an engine has opened, on either side of the bus") {
  const runtime::RandomModel model = runtime::make_random_model("tiny", 1);
  const runtime::Tokenizer tokenizer = tokenizer_of(model.files);
  runtime::EngineOptions options;
  options.context = 512;
  options.kv_bytes = size_t{16} << 20;
  options.max_batch = 3;
  options.chunk = 100;
  runtime::Engine engine(shim_device(), model.files, tokenizer, options);
  simt::counters() = {};
  for (const runtime::Request& r : ragged_requests(4, model.files.config.vocab, 4)) engine.submit(r);
  int answers = 0;
  while (engine.next()) ++answers;
  CHECK(answers == 4);
  CHECK(simt::counters().launches > 100);
  CHECK(simt::counters().allocations == 0);
}

TEST_CASE("steps are recorded at their second run, forgotten when memory moves, and few at a time") {
  auto device = shim_device();
  const int before = simt::live_objects();
  std::vector<float> x(64, 2.0f);
  OnDevice<float> in(*device, x), out(*device, 64);
  OnDevice<int32_t> index(*device, std::vector<int32_t>{0});
  kernels::Batch batch;
  batch.longest_run = 1;
  batch.max_pages = 1 << 20;
  auto step = [&](int rows, int last_position) {
    batch.rows = rows;
    batch.last_position = last_position;
    device->step(batch, 1, [&] { device->gather_rows(in, index, 1, 64, out); });
    CHECK(out.get() == x);
  };
  simt::counters() = {};
  step(1, 5);
  CHECK(simt::counters().captures == 0);
  step(1, 9);
  step(1, 100);
  CHECK(simt::counters().captures == 1);
  CHECK(simt::counters().graph_launches == 2);
  step(1, 128);                                              // two blocks: another step
  step(1, 255);
  CHECK(simt::counters().captures == 2);
  device->release(device->alloc(8), 8);
  step(1, 255);
  CHECK(simt::counters().captures == 2);                     // plain again
  for (int rows = 1; rows < 300; ++rows) step(rows, 0);
  CHECK(simt::counters().captures == 2);
  for (int rows = 1; rows < 100; ++rows) step(rows, 0), step(rows, 0);
  CHECK(simt::live_objects() == before + 64);
  simt::counters() = {};
  for (int rows = 36; rows < 100; ++rows) step(rows, 0);     // those used last
  CHECK(simt::counters().graph_launches == 64);
  batch.longest_run = 2;                                     // a prompt
  step(1, 255), step(1, 255), step(1, 255);
  CHECK(simt::counters().captures == 0);
}

TEST_CASE("a step whose plain run takes more scratch drops what was recorded, and is itself recorded next") {
  auto device = shim_device();
  std::vector<float> x(64, 2.0f);
  OnDevice<float> in(*device, x), out(*device, 64);
  OnDevice<int32_t> index(*device, std::vector<int32_t>{0});
  kernels::Batch batch;
  batch.rows = batch.longest_run = 1;
  auto plain = [&] { device->gather_rows(in, index, 1, 64, out); };
  const int vocab = 4096;
  OnDevice<float> logits(*device, std::vector<float>(2 * vocab, 1.0f));
  std::vector<kernels::SampleSpec> specs(2);
  std::vector<kernels::Sampled> sampled(2);
  device->step(batch, 1, plain), device->step(batch, 1, plain);
  simt::counters() = {};
  batch.rows = 2;
  int runs = 0;
  auto grows = [&] {
    plain();
    if (runs++ == 0) device->sample(logits, 2, vocab, vocab, specs.data(), sampled.data(), nullptr, 0);   // nothing was reserved for it
  };
  for (int i = 0; i < 3; ++i) device->step(batch, 1, grows);
  CHECK(simt::counters().allocations > 0);
  CHECK(runs == 2);
  CHECK(simt::counters().captures == 1);
  batch.rows = 1;
  device->step(batch, 1, plain);
  CHECK(simt::counters().captures == 1);
  CHECK(simt::counters().graph_launches == 2);               // forgotten: plain again
  CHECK(out.get() == x);
}

TEST_CASE("a step that cannot be recorded is run plainly, as every step is from then on, and leaves nothing behind") {
  using Stage = cudaError_t simt::Machine::*;
  const std::vector<float> x(64, 2.0f);
  for (Stage stage : {&simt::Machine::record, &simt::Machine::instantiate, &simt::Machine::replay, Stage{}}) {
    const simt::Machine whole = simt::machine();
    const int before = simt::live_objects();
    {
      auto device = shim_device();
      OnDevice<float> in(*device, x), out(*device, 64);
      OnDevice<int32_t> index(*device, std::vector<int32_t>{0});
      kernels::Batch batch;
      batch.longest_run = 1;
      int runs = 0;
      bool waits = false;                                    // as a library might, which ends a recording
      const auto step = [&](int rows) {
        batch.rows = rows;
        device->step(batch, 1, [&] {
          ++runs;
          device->gather_rows(in, index, 1, 64, out);
          if (waits) cudaDeviceSynchronize(), cudaGetLastError();
        });
        CHECK(out.get() == x);
        CHECK(cudaPeekAtLastError() == cudaSuccess);
      };
      step(1), step(1), step(2);
      CHECK(simt::live_objects() == before + 2);             // the stream and a graph
      if (stage) simt::machine().*stage = cudaErrorMemoryAllocation;
      else waits = true;
      step(2);
      CHECK(simt::live_objects() == before + 1);             // memory may be what was wanting
      simt::machine() = whole;
      waits = false;
      runs = 0;
      simt::counters() = {};
      for (int i = 0; i < 4; ++i) step(1), step(2);
      CHECK(runs == 8);
      CHECK(simt::counters().captures == 0);
    }
    CHECK(simt::live_objects() == before);
  }
}

TEST_CASE("a replay that fails otherwise is an error: something of the step may be on its way") {
  Pretend pretend;
  auto device = shim_device();
  OnDevice<float> x(*device, 4);
  OnDevice<int32_t> index(*device, 1);
  kernels::Batch batch;
  batch.rows = batch.longest_run = 1;
  const auto step = [&] { device->step(batch, 1, [&] { device->gather_rows(x, index, 1, 4, x); }); };
  step(), step();
  simt::machine().replay = cudaErrorLaunchFailure;
  CHECK_THROWS_AS(step(), kernels::DeviceFailed);
}

TEST_CASE("an error inside a recorded step ends the recording") {
  auto device = shim_device();
  kernels::Batch batch;
  batch.rows = batch.longest_run = 1;
  OnDevice<float> x(*device, 4);
  OnDevice<int32_t> index(*device, 1);
  auto good = [&] { device->gather_rows(x, index, 1, 4, x); };
  device->step(batch, 1, good);
  CHECK_THROWS(device->step(batch, 1, [&] { good(), throw std::runtime_error("stop"); }));
  CHECK_NOTHROW(device->step(batch, 1, good));
  CHECK_NOTHROW(device->sync());
}

TEST_CASE("a launch that fails is an error of the call it was for: no token is chosen of what lay there, no weight taken as converted") {
  Pretend pretend;
  auto device = shim_device();
  const int vocab = 64;
  OnDevice<float> logits(*device, std::vector<float>(vocab, 1.0f));
  kernels::SampleSpec spec;
  kernels::Sampled sampled;
  auto sample = [&] { device->sample(logits, 1, vocab, vocab, &spec, &sampled, nullptr, 0); };
  const std::vector<float> values(2 * 64, 1.0f);
  OnDevice<uint8_t> data(*device, device->weight_bytes(2, 64, kernels::Profile::w8a16));
  kernels::Weight w{2, 64, kernels::Profile::w8a16, static_cast<uint8_t*>(data), nullptr};
  auto convert = [&] { device->convert_weight(w, 0, {values.data(), kernels::DType::f32, 2, 64}, nullptr); };
  simt::machine().launch = cudaErrorLaunchFailure;
  CHECK(said(sample).find("sampling") != std::string::npos);
  CHECK(said(convert).find("converting weights") != std::string::npos);
  simt::machine().launch = cudaErrorMemoryAllocation;        // a kernel is loaded when it is first launched
  CHECK_THROWS_AS(sample(), kernels::DeviceFull);
  CHECK_THROWS_AS(convert(), kernels::DeviceFull);
  simt::machine().launch = cudaSuccess;
  CHECK_NOTHROW(sample());
  CHECK(sampled.token == 0);
  CHECK_NOTHROW(convert());
}

TEST_CASE("whose an error is: the machine's, the device's memory, the host's, or ours") {
  Pretend pretend;
  auto device = shim_device();
  OnDevice<float> x(*device, 4);
  OnDevice<int32_t> index(*device, 1);
  const auto fails_with = [&](cudaError_t e) {
    simt::machine().launch = e;
    try {
      device->gather_rows(x, index, 1, 4, x);
    } catch (const kernels::DeviceFailed& failed) {
      return std::string("failed, ") + failed.what();
    } catch (const kernels::DeviceFull& full) {
      return std::string("full, ") + full.doing;
    } catch (const std::runtime_error&) {
      return std::string("ours");
    }
    return std::string();
  };
  for (cudaError_t e : {cudaErrorECCUncorrectable, cudaErrorDevicesUnavailable, cudaErrorLaunchTimeout, cudaErrorMpsServerNotReady,
                        cudaErrorLaunchFailure, cudaErrorUnknown})
    CHECK(fails_with(e) == std::string("failed, CUDA, gather_rows: ") + cudaGetErrorName(e) + " (" + cudaGetErrorString(e) + ")");
  for (cudaError_t e : {cudaErrorInvalidValue, cudaErrorInvalidConfiguration, cudaErrorInvalidDeviceFunction,
                        cudaErrorInvalidResourceHandle, cudaErrorIllegalAddress, cudaErrorLaunchOutOfResources, cudaErrorMisalignedAddress,
                        cudaErrorIllegalInstruction, cudaErrorInvalidPc})
    CHECK(fails_with(e) == "ours");
  CHECK(fails_with(cudaErrorMemoryAllocation) == "full, gather_rows");
  simt::machine().wait = cudaErrorECCUncorrectable;
  CHECK_THROWS_AS(device->sync(), kernels::DeviceFailed);
  simt::machine().wait = cudaSuccess;
  simt::machine().launch = cudaSuccess;
  simt::machine().pinned = cudaErrorMemoryAllocation;
  const float value = 1;
  OnDevice<uint8_t> data(*device, device->weight_bytes(1, 1, kernels::Profile::w8a16));
  kernels::Weight w{1, 1, kernels::Profile::w8a16, static_cast<uint8_t*>(data), nullptr};
  try {
    device->convert_weight(w, 0, {&value, kernels::DType::f32, 1, 1}, nullptr);
    FAIL("no pinned memory, and no error");
  } catch (const kernels::DeviceFull&) {
    FAIL("pinned memory is the host's");
  } catch (const std::bad_alloc&) {
  }
}
