// Embedding and gathering of rows.
//
// Owns: which row goes where. Must not know: storage formats (stored.h).
//
// embed reads a stored row (0.56 to 4 bytes a value) and writes 4 bytes a value; gather_rows reads and writes 4. No arithmetic beyond
// the format's, no barrier. A few rows of some thousand values: the launch costs more than the work.
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/stored.h"

namespace ibid::kernels::cuda {

namespace {

constexpr unsigned kThreads = 256;
constexpr int kPerBlock = 1024;                  // values of a row that one block moves

// The columns of this thread: [first, end) in steps of kThreads, of the blockIdx.x-th piece of a row.
struct Columns { int first, end; };
__device__ Columns columns(int cols) {
  int start = static_cast<int>(blockIdx.x) * kPerBlock;
  return {start + static_cast<int>(threadIdx.x), min(start + kPerBlock, cols)};
}

__global__ void __launch_bounds__(kThreads)
embed_kernel(const uint8_t* table, DType dtype, size_t row_bytes, int cols, const int32_t* token, float* x) {
  wait_for_previous();
  size_t row = blockIdx.y;
  const uint8_t* stored = table + static_cast<size_t>(token[row]) * row_bytes;
  Columns c = columns(cols);
  for (int i = c.first; i < c.end; i += kThreads)
    x[row * static_cast<size_t>(cols) + static_cast<size_t>(i)] = stored_value(dtype, stored, i);
}

__global__ void __launch_bounds__(kThreads) gather_kernel(const float* x, const int32_t* index, int cols, float* out) {
  wait_for_previous();
  size_t row = blockIdx.y, from = static_cast<size_t>(index[row]);
  Columns c = columns(cols);
  for (int i = c.first; i < c.end; i += kThreads) {
    out[row * static_cast<size_t>(cols) + static_cast<size_t>(i)] = x[from * static_cast<size_t>(cols) + static_cast<size_t>(i)];
  }
}

unsigned pieces(int cols) { return static_cast<unsigned>((cols + kPerBlock - 1) / kPerBlock); }

}  // namespace

const void* any_kernel() { return reinterpret_cast<const void*>(gather_kernel); }

void embed(Context& c, const StoredMatrix& table, const Batch& batch, float* x) {
  int cols = static_cast<int>(table.cols);
  for (int row = 0; row < batch.rows; row += kMostGrid) {
    dim3 grid(pieces(cols), static_cast<unsigned>(min(batch.rows - row, kMostGrid)));
    launch(embed_kernel, grid, dim3(kThreads), 0, c.stream, static_cast<const uint8_t*>(table.data), table.dtype,
           stored_row_bytes(table.dtype, table.cols), cols, batch.token + row, x + static_cast<size_t>(row) * static_cast<size_t>(cols));
  }
}

void gather_rows(Context& c, const float* x, const int32_t* index, int rows, int k, float* out) {
  for (int row = 0; row < rows; row += kMostGrid) {
    dim3 grid(pieces(k), static_cast<unsigned>(min(rows - row, kMostGrid)));
    launch(gather_kernel, grid, dim3(kThreads), 0, c.stream, x, index + row, k, out + static_cast<size_t>(row) * static_cast<size_t>(k));
  }
}

}  // namespace ibid::kernels::cuda
