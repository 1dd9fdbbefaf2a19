// Attention on tensor cores, exact within blocks of 128 absolute positions and merged in their order (NUMERICS 7).
//
// Owns: how queries are cut into tiles, when the blocks of a context are shared out, which kernel,
// the merge of blocks that were shared out.
// Must not know: models, graphs.
//
// 1. A column is a query and a head of the group that reads one kv head. All operands are 16-byte pieces as they lie in memory (mma.h).
// 2. What a column gets of a block depends on the column and the block alone: (max, sum, out) of NUMERICS 7.4 and 7.5. Blocks meet
//    in ascending order by 7.6, within a CTA that walks them, or in `merge` when each block had a CTA of its own.
// 3. A tile of columns may hold queries of several sequences. A run is the columns of one; it walks its own pages, and the other
//    columns see nothing of them.
// 4. The grid follows from what the host knows of the batch (Batch::longest_run, last_position, alone: bounds). What it holds is read
//    on the device: a CTA without work leaves, so a recorded launch serves every batch that the bounds cover.
// 5. What invisible positions hold does not matter: their weight is 0, in digits and as a float.
#include "kernels/cuda/attention_few.h"
#include "kernels/cuda/attention_many.h"

namespace ibid::kernels::cuda {
namespace {

constexpr int kMostShares = 8;                   // CTAs for the runs of a tile: more would mostly find none
// Columns of a run up to which `few` serves it. They would be work for one warp of eight in `many`, which would wait for each copy and each
// product in turn; `few` reads K and V from L2 again for the second eight. From 17 to 64 columns two to four warps of `many` have work, and
// a block takes nearly as long as for 128: that many queries leave multiprocessors idle, so blocks are shared out.
// (Estimated, not measured.)
constexpr int kFewColumns = 16;

// Partials to results, in order. Block x: one (query, head); a thread for each dimension.
// Bytes: 4 (E + 2) for each block. Operations: 3 E for each block. Bound by memory, mostly L2.
__global__ void __launch_bounds__(256) merge(Call call) {
  wait_for_previous();
  const int place = static_cast<int>(blockIdx.x), query = place / call.heads, e = static_cast<int>(threadIdx.x);
  const int row = call.query_rows ? call.query_rows[query] : query, end = call.position[row] / kBlock + 1;
  const size_t record = static_cast<size_t>(call.record());
  const float* from = call.partial + static_cast<size_t>(place) * static_cast<size_t>(call.blocks) * record;
  State state = no_block();
  float out = 0;
#pragma unroll 4
  for (int b = 0; b < end; ++b) {
    const float* block = from + static_cast<size_t>(b) * record;
    const Merge m = state.add(block[0], block[1]);
    out = out * m.keep + block[2 + e] * m.take;
  }
  if (e < call.head_dim)
    call.out[static_cast<size_t>(place) * static_cast<size_t>(call.head_dim) + static_cast<size_t>(e)] = out * (1.0f / state.total);
}

// --- the grid -------------------------------------------------------------------------------------------------------------

int power_of_two(int n) {
  int p = 1;
  while (p < n) p *= 2;
  return p;
}

size_t partial_bytes(int queries, int heads, int blocks, int head_dim) {
  return static_cast<size_t>(queries) * static_cast<size_t>(heads) * static_cast<size_t>(blocks) *
         (round_up(static_cast<size_t>(head_dim), 16) + 2) * sizeof(float);
}

// What the host may know of the blocks: a power of two, so that one recording serves a range of lengths.
int grid_blocks(const Batch& batch) {
  const int blocks = power_of_two(batch.last_position / kBlock + 1);
  return blocks < batch.max_pages ? blocks : batch.max_pages;
}

// A kernel, and how it is launched. at_once: blocks are shared out where fewer CTAs than this for each multiprocessor would walk them all.
// For `few` that is what a multiprocessor holds, and more; `many` has one,
// and its records cost as much as what half of the multiprocessors would add.
struct Kernel {
  void (*entry)(Call);
  int columns, threads, shared_bytes;            // of a tile; of a CTA
  double at_once;
};

// No sequence has more than `longest` of the queries.
void run(Context& c, const Kernel& kernel, Call call, int queries, int longest) {
  const int wide = call.group < kernel.columns ? kernel.columns / call.group : 1, of_tile = wide < longest ? wide : longest;
  call.span = call.group < kernel.columns ? of_tile * call.group : kernel.columns;
  const int tiles = (call.columns + call.span - 1) / call.span, others = queries - longest + 1;
  call.runs = of_tile == 1 ? 1 : others < of_tile ? others : of_tile;
  if (call.runs > kMostShares) call.runs = kMostShares;
  const bool idle = tiles * call.kv.kv_heads < kernel.at_once * c.multiprocessors;
  const bool fits = partial_bytes(queries, call.heads, call.blocks, call.head_dim) <= c.scratch.bytes &&
                    call.runs * call.blocks <= kMostGrid;
  const bool split = idle && fits && call.blocks > 1;
  call.partial = split ? static_cast<float*>(c.scratch.data) : nullptr;
  const dim3 grid(static_cast<unsigned>(tiles) * static_cast<unsigned>(call.kv.kv_heads), 1,
                  static_cast<unsigned>(call.runs * (split ? call.blocks : 1)));
  if (kernel.shared_bytes > 0) cudaFuncSetAttribute(kernel.entry, cudaFuncAttributeMaxDynamicSharedMemorySize, kernel.shared_bytes);
  launch(kernel.entry, grid, dim3(static_cast<unsigned>(kernel.threads)), static_cast<size_t>(kernel.shared_bytes), c.stream, call);
  if (split) launch(merge, dim3(static_cast<unsigned>(queries * call.heads)), dim3(static_cast<unsigned>(call.kv.dims)), 0, c.stream, call);
}

void run_few(Context& c, const Call& call, int queries, int longest) {
  run(c, {call.head_dim <= 128 ? few::attend<1> : few::attend<2>, few::kColumns, few::kThreads, 0, 4}, call, queries, longest);
}

void run_many(Context& c, const Call& call, int queries, int longest) {
  const bool small = call.head_dim <= kSliceBytes;
  const int bytes = small ? many::shared_bytes<1>(call.kv) : many::shared_bytes<2>(call.kv);
  run(c, {small ? many::attend<1> : many::attend<2>, many::kColumns, many::kThreads, bytes, 0.5}, call, queries, longest);
}

}  // namespace

size_t attention_scratch(const StepLimits& limits) {
  const int queries = limits.rows > limits.wanted ? limits.rows : limits.wanted;
  const size_t whole = partial_bytes(queries, limits.heads, limits.max_pages, limits.head_dim);
  return whole < kScratchPiece ? whole : kScratchPiece;
}

void attention(Context& c, const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer,
               const KvCache& kv, float* out) {
  if (queries <= 0) return;
  const int dim = kv.shape.head_dim, group = heads / kv.shape.kv_heads;
  const Call call{view(q, heads, dim), view(kv), batch.position, batch.sequence, batch.page_table, query_rows, out, nullptr,
                  batch.max_pages, layer, dim, heads, group, queries * group, 0, 1, grid_blocks(batch), attention_scale(dim)};
  // Decoding stays with `few` whatever the group: K and V come from memory once, for further tiles of columns from L2. So do heads of more
  // than 128 dimensions, for whose state `many` has no registers, and chosen rows,
  // which are mostly the last of their sequences and share no keys.
  const int longest = query_rows ? 1 : batch.longest_run < queries ? batch.longest_run : queries;
  if (longest <= 1 || longest * group <= kFewColumns || dim > many::kMostDims) return run_few(c, call, queries, longest);
  // Sequences that decode beside a prompt: `many` would give each, in turn, a CTA of which one warp has work.
  const int alone = batch.alone < queries - longest ? batch.alone : queries - longest;
  if (alone > 0) run_few(c, call.rows(0, alone), alone, 1);
  run_many(c, call.rows(alone, queries - alone), queries - alone, longest);
}

}  // namespace ibid::kernels::cuda
