// The way of a weight from a mapped file onto the device: pinned pieces in turn, so that the file is read, the bus carries and the
// device converts at the same time.
//
// Owns: the pieces, on both sides. Must not know: what a row becomes (dequantize.cu).
//
// 1. A piece is filled again only when the device has done with what it held before (its event).
// 2. Memory is taken at the first use and given back by release(); loading comes before the first step.
#pragma once
#include <algorithm>
#include <cstring>

#include "kernels/cuda/check.h"
#include "kernels/cuda/cuda_ops.h"

namespace ibid::kernels::cuda {

class Staging {
 public:
  Staging() = default;
  ~Staging() { release(); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // convert_rows() for all rows of src. False when a value is not finite.
  bool convert(Context& c, Weight& w, int to_row, const StoredMatrix& src, const int32_t* row_map) {
    take();
    check(cudaMemsetAsync(bad_, 0, 1, c.stream), "converting weights");
    size_t row_bytes = stored_row_bytes(src.dtype, src.cols);
    int most = static_cast<int>(std::min(kBytes / std::max(row_bytes, size_t{1}), kRows));
    for (int first = 0, turn = 0; first < src.rows; first += most, turn = 1 - turn) {
      int count = static_cast<int>(std::min<int64_t>(most, src.rows - first));
      Piece& p = pieces_[turn];
      check(cudaEventSynchronize(p.done), "converting weights");
      std::memcpy(p.host, static_cast<const uint8_t*>(src.data) + static_cast<size_t>(first) * row_bytes,
                  static_cast<size_t>(count) * row_bytes);
      for (int i = 0; i < count; ++i) p.host_rows[i] = to_row + (row_map ? row_map[first + i] : first + i);
      send(p.device, p.host, static_cast<size_t>(count) * row_bytes, c.stream);
      send(p.device_rows, p.host_rows, static_cast<size_t>(count) * sizeof(int32_t), c.stream);
      convert_rows(c, w, p.device, src.dtype, count, p.device_rows, bad_);
      check(cudaGetLastError(), "converting weights");
      check(cudaEventRecord(p.done, c.stream), "converting weights");
    }
    uint8_t bad = 0;
    check(cudaMemcpyAsync(&bad, bad_, 1, cudaMemcpyDeviceToHost, c.stream), "converting weights");
    check(cudaStreamSynchronize(c.stream), "converting weights");
    return bad == 0;
  }

  void release() {
    for (Piece& p : pieces_) {
      cudaFreeHost(p.host);
      cudaFreeHost(p.host_rows);
      cudaFree(p.device);
      cudaFree(p.device_rows);
      if (p.done) cudaEventDestroy(p.done);
      p = Piece();
    }
    cudaFree(bad_);
    bad_ = nullptr;
  }

 private:
  static constexpr size_t kBytes = size_t{16} << 20, kRows = size_t{64} << 10;       // of a piece, at most
  struct Piece {
    uint8_t *host = nullptr, *device = nullptr;
    int32_t *host_rows = nullptr, *device_rows = nullptr;
    cudaEvent_t done = nullptr;
  };

  void take() {
    constexpr const char* kTaking = "taking memory to load weights";
    if (bad_) return;
    for (Piece& p : pieces_) {
      if (!p.host) check_pinned(cudaMallocHost(&p.host, kBytes), kTaking);
      if (!p.host_rows) check_pinned(cudaMallocHost(&p.host_rows, kRows * sizeof(int32_t)), kTaking);
      if (!p.device) take_memory(&p.device, kBytes, kTaking);
      if (!p.device_rows) take_memory(&p.device_rows, kRows * sizeof(int32_t), kTaking);
      if (!p.done) check(cudaEventCreateWithFlags(&p.done, cudaEventDisableTiming), kTaking);
    }
    take_memory(&bad_, 1, kTaking);
  }
  static void send(void* to, const void* from, size_t bytes, cudaStream_t stream) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream), "sending weights");
  }

  Piece pieces_[2];
  uint8_t* bad_ = nullptr;
};

}  // namespace ibid::kernels::cuda
