#include "kernels/cuda/probe.h"

#include "kernels/cuda/gemm_cublas.h"
#include "kernels/cuda/mma.h"
#include "kernels/windows.h"

namespace ibid::kernels::cuda {
namespace {

constexpr size_t kReadBytes = size_t{1} << 30;   // many times any L2
constexpr int kDepth = 8192, kOutputs = 8192, kRows = 4096;      // of the product: large enough that no tile is wasted

// Sums all of `data`, 16 bytes at a time, and keeps the sums from being optimised away.
// Bytes: all of them, once. Operations: one for each 4 bytes. In flight: 8 pieces for each of 1024 threads of a multiprocessor, 128 KiB.
__global__ void __launch_bounds__(1024) read_all(const int8_t* data, size_t pieces, unsigned* sink) {
  constexpr int kAtOnce = 8;
  wait_for_previous();
  const size_t threads = static_cast<size_t>(gridDim.x) * blockDim.x;
  unsigned sum = 0;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < pieces; i += threads * kAtOnce) {
    Piece v[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const size_t at = i + static_cast<size_t>(j) * threads;
      v[j] = at < pieces ? load_once(data + at * kPieceBytes) : zero_piece();
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) sum += v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 1) atomicAdd(sink, 1u);             // about never
}

// Device memory for the time of a measurement.
class Memory {
 public:
  Memory(size_t bytes, cudaStream_t stream) {
    if (cudaMalloc(&at_, bytes) != cudaSuccess) {
      cudaGetLastError();                        // said by the null pointer
      at_ = nullptr;
    } else {
      cudaMemsetAsync(at_, 1, bytes, stream);
    }
  }
  ~Memory() {
    if (at_) cudaFree(at_);
  }
  Memory(const Memory&) = delete;
  int8_t* get() const { return at_; }

 private:
  int8_t* at_ = nullptr;
};

class Event {
 public:
  Event() {
    if (cudaEventCreate(&event_) != cudaSuccess) event_ = nullptr;
  }
  ~Event() {
    if (event_) cudaEventDestroy(event_);
  }
  Event(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// `amount` per second of some runs of `work`, each timed by the device; 0 when that cannot be had.
template <class F>
Rate measure(cudaStream_t stream, double amount, F work) {
  constexpr int kRuns = 10;
  const Event from, to;
  std::vector<double> windows;
  for (int i = 0; i < kRuns && from.get() && to.get(); ++i) {
    float ms = 0;
    cudaEventRecord(from.get(), stream);
    work();
    cudaEventRecord(to.get(), stream);
    cudaEventSynchronize(to.get());
    if (cudaEventElapsedTime(&ms, from.get(), to.get()) == cudaSuccess && ms > 0) windows.push_back(amount / (ms * 1e-3));
  }
  if (cudaGetLastError() != cudaSuccess) return {};   // whatever failed, its time says nothing; said by the 0, and to nobody after us
  return rate_of(windows);
}

Rate read_rate(Context& c) {
  const Memory data(kReadBytes, c.stream), sink(sizeof(unsigned), c.stream);
  if (!data.get() || !sink.get()) return {};
  return measure(c.stream, static_cast<double>(kReadBytes), [&] {
    launch(read_all, dim3(static_cast<unsigned>(2 * c.multiprocessors)), dim3(1024), 0, c.stream, data.get(), kReadBytes / kPieceBytes,
           reinterpret_cast<unsigned*>(sink.get()));
  });
}

// Multiply-adds of int8 in a second: of the library's bare product, else of the fused kernel with its epilogue.
Rate product_rate(Context& c) {
  const Profile profile = Profile::w8a16;
  const Memory weights(weight_bytes(kOutputs, kDepth, profile), c.stream), rows(quant_rows_bytes(kRows, kDepth), c.stream),
      sums(size_t{2} * kRows * kOutputs * sizeof(int32_t), c.stream);
  if (!weights.get() || !rows.get() || !sums.get()) return {};
  const Weight w{kOutputs, kDepth, profile, weights.get(), nullptr};
  const QuantRows a{kDepth, rows.get()};
  Context fused = c;
  fused.library = nullptr;
  const bool library = c.library && library_product(c, view(w), 0, kOutputs, view(a), 0, kRows, reinterpret_cast<int32_t*>(sums.get()));
  return measure(c.stream, 2.0 * kRows * kOutputs * kDepth, [&] {
    if (library) {
      library_product(c, view(w), 0, kOutputs, view(a), 0, kRows, reinterpret_cast<int32_t*>(sums.get()));
    } else {
      matmul(fused, w, a, kRows, reinterpret_cast<float*>(sums.get()), nullptr);
    }
  });
}

}  // namespace

Roofline measure_roofline(Context& c) { return {read_rate(c), product_rate(c)}; }

}  // namespace ibid::kernels::cuda
