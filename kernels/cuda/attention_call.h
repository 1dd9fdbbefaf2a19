// What attention is asked on a GPU, and which of its columns a CTA has.
//
// Owns: columns, tiles, runs, where results go. Must not know: how a block is computed (attention_few.h, attention_many.h).
#pragma once
#include "kernels/attention_rules.h"
#include "kernels/cuda/cuda_ops.h"

namespace ibid::kernels::cuda {

struct Call {
  HeadsView q;
  KvView kv;
  const int32_t* position;                       // (rows)
  const int32_t* sequence;                       // (rows)
  const int32_t* page_table;                     // (sequences, max_pages)
  const int32_t* query_rows;                     // (queries) or null
  float* out;                                    // (queries, heads, head_dim)
  float* partial;                                // (queries, heads, blocks, record): null where a CTA walks all blocks
  int max_pages, layer, head_dim, heads, group;
  int columns, span;                             // in all, for each kv head; of a tile
  int runs, blocks;                              // CTAs that share the runs of a tile, and blocks, in the grid
  float scale;                                   // float(log2 e / sqrt(head_dim))

  // The same of `count` rows from `from`; every row is a query.
  Call rows(int from, int count) const {
    Call part = *this;
    part.q.digit += static_cast<size_t>(from) * q.stride;
    part.position += from, part.sequence += from, part.columns = count * group;
    part.out += static_cast<size_t>(from) * static_cast<size_t>(heads) * static_cast<size_t>(head_dim);
    return part;
  }
  __host__ __device__ int record() const { return static_cast<int>(kv.dims) + 2; }      // max, sum, out[dims]
  __device__ int row(int column) const {
    const int query = column / group;
    return query_rows ? query_rows[query] : query;
  }
  __device__ int head(int column, int kv_head) const { return kv_head * group + column % group; }
  __device__ float a(int column, int kv_head) const { return *q.scale(row(column), head(column, kv_head)) * scale; }      // sq * c
  // Digits of the column's query: depth bytes of H, then of L.
  __device__ const int8_t* query(int column, int kv_head) const { return q.head(row(column), head(column, kv_head)); }
  // Where the column's record of a block, or its result, goes.
  __device__ float* target(int column, int kv_head, int block) const {
    const size_t place = static_cast<size_t>(column / group) * static_cast<size_t>(heads) + static_cast<size_t>(head(column, kv_head));
    return partial ? partial + (place * static_cast<size_t>(blocks) + static_cast<size_t>(block)) * static_cast<size_t>(record())
                   : out + place * static_cast<size_t>(head_dim);
  }
  __device__ const int32_t* pages(int of_sequence) const {
    return page_table + static_cast<size_t>(of_sequence) * static_cast<size_t>(max_pages);
  }
};

// What a CTA of the grid has. x: tile and kv head, late tiles first, because they walk furthest, and the kv heads of a tile side by side,
// so that the long walks of all heads start first. z: runs * block + share of the runs, the block being 0 where each CTA walks them all.
struct Task {
  int kv_head, first, count;                     // columns [first, first + count)
  int share, only;                               // only: the one block, -1 for all
};
__device__ __forceinline__ Task task(const Call& call) {
  const int kv_heads = call.kv.kv_heads, x = static_cast<int>(blockIdx.x), z = static_cast<int>(blockIdx.z);
  const int first = (static_cast<int>(gridDim.x) / kv_heads - 1 - x / kv_heads) * call.span, left = call.columns - first;
  return {x % kv_heads, first, left < call.span ? left : call.span, z % call.runs, call.partial ? z / call.runs : -1};
}

// Positions and sequences of a tile's columns, in shared memory.
template <int C>
struct Columns {
  int position[C], sequence[C];

  // Returns false where no column sees the block of this task. Every thread of the CTA calls it; a barrier.
  __device__ __forceinline__ bool load(const Call& call, const Task& mine) {
    const int c = static_cast<int>(threadIdx.x);
    const bool there = c < mine.count;
    if (there) {
      const int row = call.row(mine.first + c);
      position[c] = call.position[row];
      sequence[c] = call.sequence[row];
    }
    return __syncthreads_or(there && position[c] / kBlock >= mine.only) != 0;
  }
};

// Columns [from, to) of a tile: one sequence. last: the furthest position of theirs.
struct Run { int from, to, last; };

// The run that starts at column `from`. Every lane of a warp calls it, and all have the answer.
template <int C>
__device__ __forceinline__ Run run_from(const Columns<C>& columns, int from, int count) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int to = count, last = 0;
  for (int c = from + lane; c < count; c += 32)
    if (columns.sequence[c] != columns.sequence[from] && c < to) to = c;
  to = __reduce_min_sync(0xffffffffu, to);
  for (int c = from + lane; c < to; c += 32)
    if (columns.position[c] > last) last = columns.position[c];
  return {from, to, __reduce_max_sync(0xffffffffu, last)};
}

// Calls walk(run) for each run of this CTA's share.
template <int C, class Walk>
__device__ __forceinline__ void walk_runs(const Call& call, const Columns<C>& columns, const Task& mine, const Walk& walk) {
  for (int index = 0, from = 0; from < mine.count; ++index) {
    const Run run = run_from(columns, from, mine.count);
    if (index % call.runs == mine.share && mine.only <= run.last / kBlock) walk(run);
    from = run.to;
  }
}

// The block that a run is at.
struct At {
  int block, seen;                               // positions of the block that any column sees
  uint8_t* data;                                 // the block of this layer and kv head
};
__device__ __forceinline__ At block_at(const Call& call, const int32_t* pages, int kv_head, int block, int last) {
  return {block, visible_positions(last, block), call.kv.block(pages[block], call.layer, kv_head)};
}

}  // namespace ibid::kernels::cuda
