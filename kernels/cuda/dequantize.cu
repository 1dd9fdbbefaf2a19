// Stored weights into the digits that products read: one block per row (NUMERICS 3, 4.1, 4.4, 4.6).
//
// Owns: the conversion of rows that lie on the device. Must not know: files, how rows get there (staging.h).
//
// Per row of k values: reads the stored bytes twice (the second time from cache), writes 1 or 2 bytes a value and a scale. Some ten
// operations a value, some fifty in blocks of 256 (a run's scale is made anew for each of its values); bound by the bus that brings
// the stored bytes.
//
// 1. Threads meet in one maximum of integers; the barriers are those of block_reduce.
#include "kernels/cuda/block.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/stored.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
convert_kernel(WeightView w, int k, const uint8_t* stored, size_t row_bytes, DType dtype, const int32_t* to, uint8_t* bad) {
  __shared__ unsigned shared[32];
  wait_for_previous();
  const uint8_t* row = stored + blockIdx.x * row_bytes;
  int n = to[blockIdx.x];
  unsigned largest = 0;
  for (int i = static_cast<int>(threadIdx.x); i < k; i += kThreads) largest = max(largest, magnitude(stored_value(dtype, row, i)));
  RowScale s = row_scale(block_max(largest, shared), w.digits == 2 ? kQuantMax : kQuantMax8);
  int8_t* high = w.row(n);
  for (int i = static_cast<int>(threadIdx.x); i < k; i += kThreads) {
    int q = quantized(stored_value(dtype, row, i), s);
    high[i] = static_cast<int8_t>(w.digits == 2 ? high_digit(q) : q);
    if (w.digits == 2) high[w.depth + static_cast<size_t>(i)] = static_cast<int8_t>(low_digit(q));
  }
  if (threadIdx.x != 0) return;
  w.scale[n] = s.scale;
  if (s.bad) *bad = 1;                           // several blocks may say so at once, all the same
}

}  // namespace

void convert_rows(Context& c, const Weight& w, const void* stored, DType dtype, int count, const int32_t* to, uint8_t* bad) {
  if (count <= 0) return;
  launch(convert_kernel, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, c.stream, view(w), w.k, static_cast<const uint8_t*>(stored),
         stored_row_bytes(dtype, w.k), dtype, to, bad);
}

}  // namespace ibid::kernels::cuda
