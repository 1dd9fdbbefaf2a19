// The CUDA device: its memory, its stream, scratch, recorded steps, and each op forwarded to its function.
//
// Owns: every byte on the GPU that is not a caller's buffer; errors of the runtime. Must not know: arithmetic.
//
// 1. Everything is enqueued on one stream, in the order of the calls. download() and sample() wait, the rest returns at once.
// 2. Scratch grows on demand and never shrinks; after reserve() it does not grow for steps within the limits. Graphs hold its
//    address, so they are forgotten when it moves, and whenever a caller takes or gives back memory.
// 3. In a step of decoding the number of attention blocks is rounded up to a power of two, so that one recorded step serves many;
//    Batch says why that changes no bit.
// 4. Where a call of the runtime fails, the device says which, and is not to be used again.
#include <cstdio>

#include "kernels/cpu/fpenv.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/gemm_cublas.h"
#include "kernels/cuda/graphs.h"
#include "kernels/cuda/probe.h"
#include "kernels/cuda/staging.h"

namespace ibid::kernels {

namespace cuda {
namespace {

constexpr int kMostTop = 20;                     // log-probabilities of a token that a step may ask for; more makes scratch grow

std::string cuda_version(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

// "580.65.06" where the kernel module says so, else which CUDA the driver is for.
std::string driver_name() {
  char text[64] = "";
  if (std::FILE* f = std::fopen("/sys/module/nvidia/version", "r")) {
    if (!std::fgets(text, sizeof text, f)) text[0] = 0;
    std::fclose(f);
  }
  std::string name(text);
  while (!name.empty() && (name.back() == '\n' || name.back() == ' ')) name.pop_back();
  if (!name.empty()) return "driver " + name;
  int version = 0;
  cudaDriverGetVersion(&version);
  return "driver for CUDA " + cuda_version(version);
}

// What the ops are given, and its end: also when a device is not made whole.
struct OwnedContext : Context {
  ~OwnedContext() {
    close_library(library);
    cudaFree(scratch.data);
    cudaFreeHost(pinned.data);
    if (stream) cudaStreamDestroy(stream);
  }
};

class CudaDevice final : public Device {
 public:
  CudaDevice(int ordinal, const CudaOptions& options) : ordinal_(ordinal) {
    check(cudaSetDevice(ordinal), "choosing the device");
    check(cudaGetDeviceProperties(&properties_, ordinal), "asking for the device's properties");
    check(cudaStreamCreateWithFlags(&c_.stream, cudaStreamNonBlocking), "making a stream");
    c_.multiprocessors = properties_.multiProcessorCount;
    c_.options = options;
    c_.library = open_library();
    set_fp_env();                                // the driver's and the library's initialisation are others' code
    graphs_ = std::make_unique<Graphs>(c_.stream);
  }
  ~CudaDevice() override { cudaStreamSynchronize(c_.stream); }       // before anything that it works with goes

  std::string describe() const override {
    int runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    std::string library = library_name(c_.library);
    return "cuda:" + std::to_string(ordinal_) + " " + properties_.name + ", sm_" +
           std::to_string(properties_.major * 10 + properties_.minor) + ", " + driver_name() + ", runtime " + cuda_version(runtime) + ", " +
           (library.empty() ? "no cublasLt" : library);
  }

  // --- memory
  void* alloc(size_t bytes) override {
    graphs_->forget();
    void* p = nullptr;
    if (cudaError_t e = cudaMalloc(&p, bytes ? bytes : 1); e != cudaSuccess) {
      if (e != cudaErrorMemoryAllocation) check(e, "taking memory");
      cudaGetLastError();
      return nullptr;
    }
    check(cudaMemsetAsync(p, 0, bytes, c_.stream), "clearing memory");
    return p;
  }
  void release(void* p, size_t) override {
    graphs_->forget();
    cudaFree(p);                                 // waits for the device; after an error there is nothing better to do
  }
  void upload(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c_.stream), "sending");
  }
  void download(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, c_.stream), "fetching");
    sync();
  }
  void copy_page(const KvCache& kv, int from, int to) override {
    KvView v = view(kv);
    check(cudaMemcpyAsync(v.block(to, 0, 0), v.block(from, 0, 0), v.page_bytes(), cudaMemcpyDeviceToDevice, c_.stream), "copying a page");
  }
  void sync() override { check(cudaStreamSynchronize(c_.stream), "waiting for the device"); }
  size_t free_bytes() const override {
    size_t free_now = 0, total = 0;
    check(cudaMemGetInfo(&free_now, &total), "asking for free memory");
    return free_now;
  }

  bool reserve(const StepLimits& limits) override {
    staging_.release();
    try {
      need(std::max({matmul_scratch(limits), attention_scratch(limits), sample_scratch(limits.wanted, limits.vocab, kMostTop)}));
      need_pinned(sample_pinned(limits.wanted, limits.vocab, kMostTop));
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  void step(const Batch& batch, int wanted_rows, const std::function<void()>& ops) override {
    bool decodes = batch.longest_run <= 1;
    blocks_ = decodes ? rounded_blocks(batch) : 0;
    if (decodes && c_.options.graphs) graphs_->run({batch.rows, wanted_rows, blocks_, batch.token, batch.page_table}, ops);
    else ops();
    blocks_ = 0;
    check(cudaGetLastError(), "a step");
  }

  int step_rows() const override { return 2048; }      // an H200 prefills 7 to 13 % faster than with 512 (test/bench/RESULTS.md)

  size_t weight_bytes(int n, int k, Profile profile) const override { return cuda::weight_bytes(n, k, profile); }
  size_t quant_rows_bytes(int max_rows, int k) const override { return cuda::quant_rows_bytes(max_rows, k); }
  size_t quant_heads_bytes(int max_rows, int heads, int head_dim) const override {
    return static_cast<size_t>(max_rows) * quant_heads_stride(heads, head_dim);
  }
  size_t kv_page_bytes(const KvShape& shape) const override { return view(KvCache{shape, nullptr}).page_bytes(); }

  // --- weights
  size_t table_bytes(const StoredMatrix& table) const override {
    return static_cast<size_t>(table.rows) * stored_row_bytes(table.dtype, table.cols);
  }
  StoredMatrix place_table(const StoredMatrix& table, void* to) override {
    upload(to, table.data, table_bytes(table));
    return {to, table.dtype, table.rows, table.cols};
  }
  bool convert_weight(Weight& w, int to_row, const StoredMatrix& src, const int32_t* row_map) override {
    return staging_.convert(c_, w, to_row, src, row_map);
  }

  // --- ops
  void embed(const StoredMatrix& table, const Batch& batch, float* x) override {
    cuda::embed(c_, table, batch, x);
    launched("embed");
  }
  void norm_quantize(const float* x, const float* weight, float eps, int rows, int k, const QuantRows& out, uint8_t* bad) override {
    cuda::norm_quantize(c_, x, weight, eps, rows, k, out, bad);
    launched("norm_quantize");
  }
  void quantize(const float* x, int rows, int k, const QuantRows& out, uint8_t* bad) override {
    cuda::quantize(c_, x, rows, k, out, bad);
    launched("quantize");
  }
  void matmul(const Weight& w, const QuantRows& a, int rows, float* y, const float* residual) override {
    need_for_product(w, rows);
    cuda::matmul(c_, w, a, rows, y, residual);
    launched("matmul");
  }
  void gated_matmul(const Weight& w, const QuantRows& a, int rows, int f, float* y) override {
    need_for_product(w, rows);
    cuda::gated_matmul(c_, w, a, rows, f, y);
    launched("gated_matmul");
  }
  void rope_store(const float* qkv, int heads, const Batch& batch, const Rope& rope, int layer, const KvCache& kv, const QuantHeads& q_out,
                  uint8_t* bad) override {
    cuda::rope_store(c_, qkv, heads, batch, rope, layer, kv, q_out, bad);
    launched("rope_store");
  }
  void attention(const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer, const KvCache& kv,
                 float* out) override {
    Batch seen = batch;
    if (blocks_ > 0) seen.last_position = blocks_ * kBlock - 1;                     // see 3
    need(attention_scratch({std::max(batch.rows, queries), queries, heads, kv.shape.kv_heads, kv.shape.head_dim, batch.max_pages, 0, 0}));
    cuda::attention(c_, q, heads, seen, query_rows, queries, layer, kv, out);
    launched("attention");
  }
  void gather_rows(const float* x, const int32_t* index, int rows, int k, float* out) override {
    cuda::gather_rows(c_, x, index, rows, k, out);
    launched("gather_rows");
  }
  void sample(const float* logits, int rows, int vocab, int stride, const SampleSpec* specs, Sampled* out, TokenLogprob* top,
              int max_top) override {
    need(sample_scratch(rows, vocab, max_top));
    need_pinned(sample_pinned(rows, vocab, max_top));
    cuda::sample(c_, logits, rows, vocab, stride, specs, out, top, max_top);
  }

  Roofline measure_roofline() override { return cuda::measure_roofline(c_); }

 private:
  static int rounded_blocks(const Batch& batch) {
    int blocks = batch.last_position / kBlock + 1, rounded = 1;
    while (rounded < blocks) rounded *= 2;
    return std::max(std::min(rounded, batch.max_pages), blocks);
  }
  void launched(const char* op) const { check(cudaGetLastError(), op); }

  void need(size_t bytes) {
    if (bytes <= c_.scratch.bytes) return;
    if (graphs_->recording()) throw std::runtime_error("CUDA: a recorded step needs more scratch than its plain run did");
    graphs_->forget();
    sync();
    cudaFree(c_.scratch.data);
    c_.scratch = {};
    take_memory(&c_.scratch.data, bytes, "taking scratch memory");
    c_.scratch.bytes = bytes;
  }
  void need_for_product(const Weight& w, int rows) {
    StepLimits limits;
    limits.rows = limits.wanted = rows;
    limits.widest = w.n;
    need(matmul_scratch(limits));
  }
  void need_pinned(size_t bytes) {
    if (bytes <= c_.pinned.bytes) return;
    sync();
    cudaFreeHost(c_.pinned.data);
    c_.pinned = {};
    check_pinned(cudaMallocHost(&c_.pinned.data, bytes), "taking pinned memory");
    c_.pinned.bytes = bytes;
  }

  int ordinal_;
  cudaDeviceProp properties_{};
  OwnedContext c_;
  Staging staging_;
  std::unique_ptr<Graphs> graphs_;
  int blocks_ = 0;                               // of the step of decoding that runs; 0: none does
};

GpuProbe without(GpuState state, const std::string& why) {
  cudaGetLastError();
  return {state, why};
}

// No machine code for this GPU, and no PTX that its driver takes.
bool says_no_code(cudaError_t e) {
  for (cudaError_t none : {cudaErrorNoKernelImageForDevice, cudaErrorInvalidDeviceFunction, cudaErrorInvalidPtx,
                           cudaErrorUnsupportedPtxVersion, cudaErrorJitCompilerNotFound, cudaErrorJitCompilationDisabled})
    if (e == none) return true;
  return false;
}

std::string said(cudaError_t e) { return std::string(cudaGetErrorString(e)) + " (" + cudaGetErrorName(e) + ")"; }

}  // namespace
}  // namespace cuda

GpuProbe probe_cuda(int ordinal) {
  using cuda::said, cuda::without;
  int count = 0, runtime = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaError_t e = cudaGetDeviceCount(&count);
  if (e == cudaErrorInsufficientDriver)
    return without(GpuState::absent, "no NVIDIA driver here that is new enough for CUDA " + cuda::cuda_version(runtime));
  if (e == cudaErrorNoDevice || (e == cudaSuccess && count == 0))
    return without(GpuState::absent, "an NVIDIA driver but no GPU that this process may use");
  if (e != cudaSuccess) return without(GpuState::absent, "the NVIDIA driver does not work: " + said(e));
  if (ordinal < 0 || ordinal >= count) {
    return without(GpuState::absent,
                   "no GPU number " + std::to_string(ordinal) + ": the GPUs here are numbered from 0 to " + std::to_string(count - 1));
  }
  cudaDeviceProp properties;
  e = cudaGetDeviceProperties(&properties, ordinal);
  if (e == cudaSuccess && properties.major < 8) {
    return without(GpuState::absent, std::string(properties.name) + " has compute capability " + std::to_string(properties.major) + "." +
                                         std::to_string(properties.minor) + ", ibid needs 8.0");
  }
  if (e == cudaSuccess) e = cudaSetDevice(ordinal);
  if (e == cudaSuccess) e = cudaFree(nullptr);   // the first call that needs the device itself
  if (e == cudaErrorMemoryAllocation) return without(GpuState::busy, "the GPU has no memory left even to begin");
  if (e == cudaErrorDevicesUnavailable) return without(GpuState::busy, "the GPU is taken by another process");
  if (e != cudaSuccess) return without(GpuState::busy, "the GPU cannot be had: " + said(e));
  // The driver loads a kernel when it is first asked for: a program for other GPUs shows here, not at its first launch.
  cudaFuncAttributes attributes;
  e = cudaFuncGetAttributes(&attributes, cuda::any_kernel());
  if (cuda::says_no_code(e)) {
    return without(GpuState::absent,
                   "this ibid holds no code for sm_" + std::to_string(properties.major * 10 + properties.minor) + ": " + said(e));
  }
  if (e != cudaSuccess) return without(GpuState::busy, "the GPU cannot be had: " + said(e));
  set_fp_env();                                  // the driver is others' code
  return {GpuState::ready, ""};
}

std::unique_ptr<Device> make_cuda_device(int ordinal, const CudaOptions& options) {
  return std::make_unique<cuda::CudaDevice>(ordinal, options);
}

}  // namespace ibid::kernels
