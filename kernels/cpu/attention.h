// The K/V pages and queries of the CPU device, and the unit of work of its attention.
//
// Owns: what lies inside KvCache::pages and QuantHeads::data. Must not know: threads, instruction sets.
//
// 1. K: int16 [head_dim / 2][kBlock][2], so that one load holds pairs of dimensions of neighbouring positions.
//    V: int16 [kBlock / 2][padded dims][2], so that one load holds pairs of positions of neighbouring dimensions.
//    Either way a multiply-add of pairs, summed over pairs, is the product wanted.
// 2. Positions after a query's own are never read as values: scores are computed for them and thrown away, their weight is 0.
// 3. Partials depend on their block and query alone, and are merged in block order.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/attention_rules.h"
#include "kernels/ops.h"

namespace ibid::kernels {

constexpr int kMaxHeadDim = 256;   // head_dim is even and at most this: sums of digit * value fit int32, 128 * 32639 * 256 < 2^31
constexpr int kTile = 64;          // queries (row, head) of one kv head that walk its blocks together, at most
constexpr int kVectorTile = 24;    // the same where they are worked on by vectors

static inline size_t padded_dims(int head_dim) { return (static_cast<size_t>(head_dim) + 31) / 32 * 32; }

// One kv head of one layer in one page.
struct KvBlock {
  int16_t* k;
  int16_t* v;
  float* k_scale;                  // (kBlock)
  float* v_scale;                  // (kBlock)
};
static inline size_t kv_block_bytes(int head_dim) {
  return 2 * kBlock * static_cast<size_t>(head_dim) + 2 * kBlock * padded_dims(head_dim) + 2 * kBlock * sizeof(float);
}
static inline size_t cpu_kv_page_bytes(const KvShape& s) {
  return static_cast<size_t>(s.layers) * static_cast<size_t>(s.kv_heads) * kv_block_bytes(s.head_dim);
}
static inline KvBlock kv_block(const KvCache& kv, int page, int layer, int kv_head) {
  const KvShape& s = kv.shape;
  size_t index = static_cast<size_t>(layer) * static_cast<size_t>(s.kv_heads) + static_cast<size_t>(kv_head);
  uint8_t* at = static_cast<uint8_t*>(kv.pages) + static_cast<size_t>(page) * cpu_kv_page_bytes(s) + index * kv_block_bytes(s.head_dim);
  KvBlock b;
  b.k = reinterpret_cast<int16_t*>(at);
  b.v = b.k + kBlock * static_cast<size_t>(s.head_dim);
  b.k_scale = reinterpret_cast<float*>(b.v + kBlock * padded_dims(s.head_dim));
  b.v_scale = b.k_scale + kBlock;
  return b;
}

// Queries: per row int16 [heads][head_dim], then a float scale per head; rows start on cache lines.
static inline size_t quant_heads_stride(int heads, int head_dim) {
  size_t bytes = static_cast<size_t>(heads) * (2 * static_cast<size_t>(head_dim) + sizeof(float));
  return (bytes + 63) / 64 * 64;
}
static inline int16_t* quant_head(const QuantHeads& q, int heads, int head_dim, int row, int head) {
  uint8_t* at = static_cast<uint8_t*>(q.data) + static_cast<size_t>(row) * quant_heads_stride(heads, head_dim);
  return reinterpret_cast<int16_t*>(at) + static_cast<size_t>(head) * static_cast<size_t>(head_dim);
}
static inline float* quant_head_scale(const QuantHeads& q, int heads, int head_dim, int row, int head) {
  return reinterpret_cast<float*>(quant_head(q, heads, head_dim, row, heads)) + head;
}

// Queries of one sequence that read the same kv head.
struct AttentionTile {
  KvCache kv;
  const int32_t* pages = nullptr;  // the sequence's row of the page table
  int layer = 0, kv_head = 0, head_dim = 0;
  int count = 0;                   // queries
  float scale = 0;                 // float32(log2(e) / sqrt(head_dim))
  const int16_t* q[kTile];         // (head_dim) each
  float q_scale[kTile];
  int position[kTile];
};

// What one query knows after some blocks: the maximum is an integer power of two, so rescaling is exact.
struct AttentionPartial {
  float max = 0;                   // integer valued
  float sum = 0;                   // of 2^(t - max)
  bool live = false;               // false: no position of the block is visible
  float out[kMaxHeadDim];          // (head_dim)
};

struct AttentionScratch;           // an instruction set's own; kAttentionScratchBytes
constexpr size_t kAttentionScratchBytes = size_t{256} << 10;

}  // namespace ibid::kernels
