// Embedding, norm, quantiser and rotation over the rows of a batch, and the conversion of weights.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/fpenv.h"

namespace ibid::kernels {

namespace {

constexpr int64_t kTaskElements = 16384;   // some microseconds of elementwise work: the least that is worth a task

// Calls fn(row, scratch) for every row of `cost` elements.
template <class F>
void each_row(CpuContext& c, int rows, int64_t cost, F fn) {
  int per_task = static_cast<int>(kTaskElements / (cost < 1 ? 1 : cost)) + 1;
  int tasks = (rows + per_task - 1) / per_task;
  auto task = [&](int index, int worker) {
    int end = (index + 1) * per_task < rows ? (index + 1) * per_task : rows;
    for (int row = index * per_task; row < end; ++row) fn(row, c.scratch[static_cast<size_t>(worker)]);
  };
  if (tasks > 1) {
    c.pool.run(tasks, task);
  } else if (tasks == 1) {
    set_fp_env();
    task(0, 0);
  }
}

size_t offset(int row, int64_t cols) { return static_cast<size_t>(row) * static_cast<size_t>(cols); }

}  // namespace

void embed(CpuContext& c, const StoredMatrix& table, const Batch& batch, float* x) {
  size_t row_bytes = stored_row_bytes(table.dtype, table.cols);
  each_row(c, batch.rows, table.cols, [&](int row, WorkerScratch&) {
    const uint8_t* stored = static_cast<const uint8_t*>(table.data) + static_cast<size_t>(batch.token[row]) * row_bytes;
    c.rows.dequantize(table.dtype, stored, table.cols, x + offset(row, table.cols));
  });
}

void norm_quantize(CpuContext& c, const float* x, const float* weight, float eps, int rows, int k, const QuantRows& out, uint8_t* bad) {
  each_row(c, rows, k, [&](int row, WorkerScratch& s) {
    float scale = 0;
    if (!c.rows.norm(x + offset(row, k), weight, eps, k, s.temp, s.q, &scale)) bad[row] = 1;
    c.products.store_row(out, row, s.q, scale);
  });
}

void quantize(CpuContext& c, const float* x, int rows, int k, const QuantRows& out, uint8_t* bad) {
  each_row(c, rows, k, [&](int row, WorkerScratch& s) {
    float scale = 0;
    if (!c.rows.quantize(x + offset(row, k), k, s.q, &scale)) bad[row] = 1;
    c.products.store_row(out, row, s.q, scale);
  });
}

void gather_rows(CpuContext& c, const float* x, const int32_t* index, int rows, int k, float* out) {
  each_row(c, rows, k, [&](int row, WorkerScratch&) {
    std::memcpy(out + offset(row, k), x + offset(index[row], k), static_cast<size_t>(k) * sizeof(float));
  });
}

namespace {

// The place of one row's position in the cache.
struct KvSlot { int page, at; };

KvSlot slot(const Batch& batch, int row) {
  int position = batch.position[row];
  size_t entry = offset(batch.sequence[row], batch.max_pages) + static_cast<size_t>(position / kBlock);
  return {batch.page_table[entry], position % kBlock};
}

void store_k(const KvBlock& block, int at, int head_dim, const int16_t* q, float scale) {
  for (int d = 0; d < head_dim; ++d) block.k[(d / 2 * kBlock + at) * 2 + d % 2] = q[d];
  block.k_scale[at] = scale;
}

void store_v(const KvBlock& block, int at, int head_dim, const int16_t* q, float scale) {
  int16_t* to = block.v + static_cast<size_t>(at / 2) * padded_dims(head_dim) * 2 + at % 2;
  for (int d = 0; d < head_dim; ++d) to[2 * d] = q[d];
  block.v_scale[at] = scale;
}

// A head of q or k, normalised if there are weights, then rotated; in s.temp. A head that cannot be normalised counts as zeros.
// norm() quantises what it normalised: wasted here, and cheap beside a product.
const float* turned_head(const CpuContext& c, const float* x, const float* weight, float eps, const float* angles, int dim,
                         WorkerScratch& s, uint8_t* bad) {
  float *rotated = s.temp, *normed = s.temp + dim, scale = 0;
  if (weight && !c.rows.norm(x, weight, eps, dim, normed, s.q, &scale)) {
    *bad = 1;
    std::memset(normed, 0, static_cast<size_t>(dim) * sizeof(float));
  }
  c.rows.rotate(weight ? normed : x, angles, dim, rotated);
  return rotated;
}

}  // namespace

void rope_store(CpuContext& c, const float* qkv, int heads, const Batch& batch, const Rope& rope, int layer, const KvCache& kv,
                const QuantHeads& q_out, uint8_t* bad) {
  int dim = kv.shape.head_dim, kv_heads = kv.shape.kv_heads, width = (heads + 2 * kv_heads) * dim;
  each_row(c, batch.rows, 2 * int64_t{width}, [&](int row, WorkerScratch& s) {
    const float* x = qkv + offset(row, width);
    const float* angles = rope.table + offset(batch.position[row], dim);
    KvSlot to = slot(batch, row);
    for (int h = 0; h < heads; ++h) {
      const float* q = turned_head(c, x + h * dim, rope.q_norm, rope.eps, angles, dim, s, &bad[row]);
      if (!c.rows.quantize(q, dim, quant_head(q_out, heads, dim, row, h), quant_head_scale(q_out, heads, dim, row, h))) bad[row] = 1;
    }
    for (int h = 0; h < kv_heads; ++h) {
      KvBlock block = kv_block(kv, to.page, layer, h);
      float scale = 0;
      const float* k = turned_head(c, x + (heads + h) * dim, rope.k_norm, rope.eps, angles, dim, s, &bad[row]);
      if (!c.rows.quantize(k, dim, s.q, &scale)) bad[row] = 1;
      store_k(block, to.at, dim, s.q, scale);
      if (!c.rows.quantize(x + (heads + kv_heads + h) * dim, dim, s.q, &scale)) bad[row] = 1;
      store_v(block, to.at, dim, s.q, scale);
    }
  });
}

// A task takes as many rows as a panel has, or fewer where the scratch does not hold them.
// Where a row_map leaves rows out, a later call fills them in.
bool convert_weight(CpuContext& c, const Weight& w, int to_row, const StoredMatrix& src, const int32_t* row_map) {
  std::atomic<bool> finite{true};
  size_t row_bytes = stored_row_bytes(src.dtype, src.cols);
  int rows = static_cast<int>(src.rows), step = std::clamp(kMaxDepth / static_cast<int>(src.cols), 1, kPanel);
  c.pool.run((rows + step - 1) / step, [&](int index, int worker) {
    int first = index * step, count = std::min(step, rows - first);
    float* values = c.scratch[static_cast<size_t>(worker)].temp;
    for (int i = 0; i < count; ++i) {
      const uint8_t* stored = static_cast<const uint8_t*>(src.data) + static_cast<size_t>(first + i) * row_bytes;
      c.rows.dequantize(src.dtype, stored, src.cols, values + static_cast<int64_t>(i) * src.cols);
    }
    bool ok = row_map ? pack_rows(c.products, w, to_row, row_map + first, values, count)
                      : pack_rows(c.products, w, to_row + first, nullptr, values, count);
    if (!ok) finite = false;
  });
  return finite;
}

}  // namespace ibid::kernels
