// The ops of the CUDA device, each one host function that enqueues kernels, and the layouts that they agree on.
//
// Owns: what lies inside Weight::data, QuantRows::data, QuantHeads::data and the pages of a KvCache on a GPU.
// Must not know: when an op is called, graphs, memory (device.cu).
//
// 1. The value of a sum is an integer (NUMERICS 1.1): tiles, splits, atomics on integers and the library's product are free.
// 2. Digits: q = 256 H + L as NUMERICS 2.2 has them, each digit in a plane of its own, so that one int8 product of the planes
//    stacked gives every product of digits.
// 3. Depths are padded to kDepthStep bytes and lie on 16-byte boundaries. Weights are zero in the padding, so what activations
//    hold there does not matter; K, V and q are zero in the padding of a head.
// 4. A lane reads 16 consecutive bytes of a row and takes them for two k-slices of an mma. Both operands do so alike, which
//    permutes the terms of a sum of integers: no shared memory, no transposition, and rows stay as the library wants them.
#pragma once
#include "kernels/cuda/launch.h"
#include "kernels/ops.h"

namespace ibid::kernels::cuda {

constexpr int kDepthStep = 64;                   // bytes of a row that the four lanes of a quad read at once

__host__ __device__ inline size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }
__host__ __device__ inline size_t padded_depth(int k) { return round_up(static_cast<size_t>(k), kDepthStep); }

// --- weights: int8 digits[n][D][K], then float scale[n]; D digits, H first; K = padded_depth(k). Rows are padded to kPanel with
// zeros, as rows never written are. As a matrix of D n rows with leading dimension K it is the library's left operand.
struct WeightView {
  int n, digits;                                 // n padded
  size_t depth;
  int8_t* digit;
  float* scale;
  __host__ __device__ int8_t* row(int i) const { return digit + static_cast<size_t>(i) * static_cast<size_t>(digits) * depth; }
};
inline WeightView view(const Weight& w) {
  const int n = static_cast<int>(round_up(static_cast<size_t>(w.n), kPanel)), digits = weight_digits(w.profile);
  const size_t depth = padded_depth(w.k);
  int8_t* digit = static_cast<int8_t*>(w.data);
  return {n, digits, depth, digit, reinterpret_cast<float*>(digit + static_cast<size_t>(n) * static_cast<size_t>(digits) * depth)};
}
inline size_t weight_bytes(int n, int k, Profile p) {
  return round_up(static_cast<size_t>(n), kPanel) * (static_cast<size_t>(weight_digits(p)) * padded_depth(k) + sizeof(float));
}

// --- activations: int8 digit[row][2][K + 64], H first. The first four bytes behind H's K are the row's scale, a float. As a
// matrix of 2 rows per row with leading dimension K + 64 it is the library's right operand.
constexpr size_t kRowTail = 64;
struct RowsView {
  int k;
  size_t plane;                                  // bytes from H to L; a row is two
  int8_t* digit;
  __host__ __device__ int8_t* high(int row) const { return digit + static_cast<size_t>(row) * 2 * plane; }
  __host__ __device__ int8_t* low(int row) const { return high(row) + plane; }
  __host__ __device__ float* scale(int row) const { return reinterpret_cast<float*>(high(row) + (plane - kRowTail)); }
};
inline RowsView view(const QuantRows& a) { return {a.k, padded_depth(a.k) + kRowTail, static_cast<int8_t*>(a.data)}; }
inline size_t quant_rows_bytes(int max_rows, int k) { return static_cast<size_t>(max_rows) * 2 * (padded_depth(k) + kRowTail); }

// --- queries: int8 digit[row][head][2][D], H first, then float scale[row][head] in the same row; D = padded_depth(head_dim).
struct HeadsView {
  int heads;
  size_t depth, stride;                          // bytes of a row
  int8_t* digit;
  __host__ __device__ int8_t* head(int row, int h) const {
    return digit + static_cast<size_t>(row) * stride + static_cast<size_t>(h) * 2 * depth;
  }
  __host__ __device__ float* scale(int row, int h) const { return reinterpret_cast<float*>(head(row, heads)) + h; }
};
inline size_t quant_heads_stride(int heads, int head_dim) {
  return round_up(static_cast<size_t>(heads) * (2 * padded_depth(head_dim) + sizeof(float)), 64);
}
inline HeadsView view(const QuantHeads& q, int heads, int head_dim) {
  return {heads, padded_depth(head_dim), quant_heads_stride(heads, head_dim), static_cast<int8_t*>(q.data)};
}

// --- K/V: a page is blocks[layer][kv head]; a block, D = padded_depth(head_dim), E = head_dim rounded up to 16:
//   int8  k[kBlock][2][D]     H, then L of a position's key
//   int8  v[E][2][kBlock]     position-contiguous: H, then L of one dimension over the block's positions
//   float k_scale[kBlock], v_scale[kBlock]
// Rows of v behind head_dim are never written, and zero.
struct KvView {
  int layers, kv_heads;
  size_t depth, dims;
  uint8_t* pages;
  __host__ __device__ size_t block_bytes() const { return 2 * kBlock * (depth + dims) + 2 * kBlock * sizeof(float); }
  __host__ __device__ size_t page_bytes() const { return block_bytes() * static_cast<size_t>(layers) * static_cast<size_t>(kv_heads); }
  __host__ __device__ uint8_t* block(int page, int layer, int kv_head) const {
    return pages + static_cast<size_t>(page) * page_bytes() + (static_cast<size_t>(layer) * kv_heads + kv_head) * block_bytes();
  }
  __host__ __device__ int8_t* k(uint8_t* block, int position) const {
    return reinterpret_cast<int8_t*>(block) + static_cast<size_t>(position) * 2 * depth;
  }
  __host__ __device__ int8_t* v(uint8_t* block, int dim) const {
    return reinterpret_cast<int8_t*>(block) + 2 * kBlock * depth + static_cast<size_t>(dim) * 2 * kBlock;
  }
  __host__ __device__ float* k_scale(uint8_t* block) const { return reinterpret_cast<float*>(block + 2 * kBlock * (depth + dims)); }
  __host__ __device__ float* v_scale(uint8_t* block) const { return k_scale(block) + kBlock; }
};
inline KvView view(const KvCache& kv) {
  return {kv.shape.layers, kv.shape.kv_heads, padded_depth(kv.shape.head_dim), round_up(static_cast<size_t>(kv.shape.head_dim), 16),
          static_cast<uint8_t*>(kv.pages)};
}

// --- scratch: device memory that a device grows on demand, never while a graph is recorded (device.cu). -----------------
struct Scratch {
  void* data = nullptr;
  size_t bytes = 0;
};

// What every op gets: where to enqueue, the device's measures, and scratch that lasts until the next op on the same stream.
struct Context {
  cudaStream_t stream = nullptr;
  int multiprocessors = 0;
  CudaOptions options;
  Scratch scratch;
  Scratch pinned;                                // host memory, for what sample() sends and fetches
  struct CublasLt* library = nullptr;            // null: not on this machine; the fused kernels do everything
};

// The most scratch that each op takes for these limits; ops work in pieces where they would need more than kScratchPiece.
constexpr size_t kScratchPiece = size_t{64} << 20;
size_t matmul_scratch(const StepLimits& limits);
size_t attention_scratch(const StepLimits& limits);
size_t sample_scratch(int rows, int vocab, int max_top);
size_t sample_pinned(int rows, int vocab, int max_top);

// One of the kernels: all are compiled for the same GPUs.
const void* any_kernel();

// The arguments are those of the Device's ops of the same name; all pointers are device memory but for specs, out and top.
void embed(Context& c, const StoredMatrix& table, const Batch& batch, float* x);
void norm_quantize(Context& c, const float* x, const float* weight, float eps, int rows, int k, const QuantRows& out, uint8_t* bad);
void quantize(Context& c, const float* x, int rows, int k, const QuantRows& out, uint8_t* bad);
void gather_rows(Context& c, const float* x, const int32_t* index, int rows, int k, float* out);
void rope_store(Context& c, const float* qkv, int heads, const Batch& batch, const Rope& rope, int layer, const KvCache& kv,
                const QuantHeads& q_out, uint8_t* bad);
void attention(Context& c, const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer,
               const KvCache& kv, float* out);
void matmul(Context& c, const Weight& w, const QuantRows& a, int rows, float* y, const float* residual);
void gated_matmul(Context& c, const Weight& w, const QuantRows& a, int rows, int f, float* y);
void sample(Context& c, const float* logits, int rows, int vocab, int stride, const SampleSpec* specs, Sampled* out, TokenLogprob* top,
            int max_top);

// Quantises rows of a stored matrix that lie on the device into rows of w; sets *bad when one holds a NaN or an infinity.
// stored: `count` rows; to: (count) the row of w that each becomes, device memory.
void convert_rows(Context& c, const Weight& w, const void* stored, DType dtype, int count, const int32_t* to, uint8_t* bad);

}  // namespace ibid::kernels::cuda
