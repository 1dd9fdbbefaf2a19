// Norm and rotation of queries and keys, and where keys and values go: one warp per head vector (NUMERICS 5, 6).
//
// Owns: the split of a row of qkv into head vectors. Must not know: the layout of a page beyond cuda_ops.h.
//
// Per head vector of d values: reads 4 d bytes (and 4 d of angles and of norm weights each, from cache), writes 2 d digits and a
// scale; six operations a value for q and k, sixteen where they are normalised, three for v. Bound by memory. The digits of v go to d
// different rows of a block, one byte each: rows of one sequence are neighbours there, so that prefill fills its sectors in L2; in
// decode the whole is a few hundred bytes.
//
// 1. A warp's lanes meet in maxima and sums of integers; no shared memory, no barrier.
// 2. Lane i holds the pairs (i + 32 n, i + 32 n + d/2), n < kPairs, of its vector.
#include "kernels/cuda/block.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::cuda {

namespace {

constexpr int kPairs = 4;                        // d <= 256
constexpr int kWarps = 4;                        // vectors of a block

struct Vector {
  float first[kPairs], second[kPairs];
};

__device__ Vector load(const float* x, int half) {
  Vector v;
  for (int n = 0; n < kPairs; ++n) {
    int i = lane_id() + 32 * n;
    v.first[n] = i < half ? x[i] : 0;
    v.second[n] = i < half ? x[half + i] : 0;
  }
  return v;
}

// angles: cosines, then sines.
__device__ void rotate(Vector& v, const Vector& angles, int half) {
  for (int n = 0; n < kPairs; ++n) {
    if (lane_id() + 32 * n >= half) return;
    float c = angles.first[n], s = angles.second[n], a = v.first[n], b = v.second[n];
    v.first[n] = a * c - b * s;
    v.second[n] = b * c + a * s;
  }
}

__device__ RowScale scale_of(const Vector& v) {
  unsigned largest = 0;
  for (int n = 0; n < kPairs; ++n) largest = max(largest, max(magnitude(v.first[n]), magnitude(v.second[n])));
  return row_scale(warp_max(largest), kQuantMax);
}

// A vector that is not finite stays so, and is found when it is quantised. The lanes of a warp agree.
__device__ void normalise(Vector& v, const Vector& w, float eps, int dim) {
  RowScale s = scale_of(v);
  if (s.bad) return;
  long long squares = 0;
  for (int n = 0; n < kPairs; ++n) squares += square(quantized(v.first[n], s)) + square(quantized(v.second[n], s));
  float r = inverse_rms(warp_sum(squares), s.scale, dim, eps);
  for (int n = 0; n < kPairs; ++n) {
    v.first[n] = (v.first[n] * r) * w.first[n];
    v.second[n] = (v.second[n] * r) * w.second[n];
  }
}

// Puts the digits of dimension i to high[i * step] and low[i * step].
__device__ void store(const Vector& v, const RowScale& s, int half, int8_t* high, int8_t* low, size_t step) {
  for (int n = 0; n < kPairs; ++n) {
    int i = lane_id() + 32 * n;
    if (i >= half) return;
    int a = quantized(v.first[n], s), b = quantized(v.second[n], s);
    size_t at_a = static_cast<size_t>(i) * step, at_b = static_cast<size_t>(half + i) * step;
    high[at_a] = static_cast<int8_t>(high_digit(a));
    low[at_a] = static_cast<int8_t>(low_digit(a));
    high[at_b] = static_cast<int8_t>(high_digit(b));
    low[at_b] = static_cast<int8_t>(low_digit(b));
  }
}

struct Rows {                                    // of Batch, what the kernel reads
  const int32_t *position, *sequence, *page_table;
  int max_pages;
};

// Where the digits of one key or value go.
struct Slot { int8_t *high, *low; float* scale; size_t step; };
__device__ Slot slot(const KvView& kv, int page, int position, int layer, int kv_head, bool value) {
  int at = position % kBlock;
  uint8_t* block = kv.block(page, layer, kv_head);
  if (value) return {kv.v(block, 0) + at, kv.v(block, 0) + kBlock + at, kv.v_scale(block) + at, 2 * kBlock};
  return {kv.k(block, at), kv.k(block, at) + kv.depth, kv.k_scale(block) + at, 1};
}

__global__ void __launch_bounds__(32 * kWarps)
rope_kernel(const float* qkv, int vectors, int dim, Rows rows, Rope rope, int layer, KvView kv, HeadsView q, uint8_t* bad) {
  int row = static_cast<int>(blockIdx.y), index = static_cast<int>(blockIdx.x) * kWarps + warp_id(), half = dim / 2;
  bool there = index < vectors, value = index >= q.heads + kv.kv_heads, normed = there && !value && rope.q_norm;
  Vector v, weight, angles;
  if (normed) weight = load(index < q.heads ? rope.q_norm : rope.k_norm, half);
  wait_for_previous();
  if (!there) return;                            // whole warps
  // All is asked for before any of it is needed. Two turns to memory: what the addresses depend on, then the rest.
  int position = rows.position[row], sequence = rows.sequence[row], page = 0;
  v = load(qkv + (static_cast<size_t>(row) * static_cast<size_t>(vectors) + static_cast<size_t>(index)) * static_cast<size_t>(dim), half);
  if (!value) angles = load(rope.table + static_cast<size_t>(position) * static_cast<size_t>(dim), half);
  if (index >= q.heads)
    page = rows.page_table[static_cast<size_t>(sequence) * static_cast<size_t>(rows.max_pages) + static_cast<size_t>(position / kBlock)];
  if (normed) normalise(v, weight, rope.eps, dim);
  if (!value) rotate(v, angles, half);
  RowScale s = scale_of(v);
  Slot to;
  if (index < q.heads) to = {q.head(row, index), q.head(row, index) + q.depth, q.scale(row, index), 1};
  else to = slot(kv, page, position, layer, index - q.heads - (value ? kv.kv_heads : 0), value);
  store(v, s, half, to.high, to.low, to.step);
  if (lane_id() != 0) return;
  *to.scale = s.scale;
  if (s.bad) bad[row] = 1;                       // several warps may say so at once, all the same
}

}  // namespace

void rope_store(Context& c, const float* qkv, int heads, const Batch& batch, const Rope& rope, int layer, const KvCache& kv,
                const QuantHeads& q_out, uint8_t* bad) {
  int dim = kv.shape.head_dim, vectors = heads + 2 * kv.shape.kv_heads;
  for (int row = 0; row < batch.rows; row += kMostGrid) {
    dim3 grid(static_cast<unsigned>((vectors + kWarps - 1) / kWarps), static_cast<unsigned>(min(batch.rows - row, kMostGrid)));
    Rows rows{batch.position + row, batch.sequence + row, batch.page_table, batch.max_pages};
    HeadsView q = view(q_out, heads, dim);
    q.digit = q.head(row, 0);
    launch(rope_kernel, grid, dim3(32 * kWarps), 0, c.stream,
           qkv + static_cast<size_t>(row) * static_cast<size_t>(vectors) * static_cast<size_t>(dim), vectors, dim, rows, rope, layer,
           view(kv), q, bad + row);
  }
}

}  // namespace ibid::kernels::cuda
