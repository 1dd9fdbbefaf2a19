// Attention over the threads: which queries walk which blocks together. The arithmetic: attention_scalar.cc, attention_impl.h.
#include "kernels/cpu/attention.h"

#include <algorithm>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/fpenv.h"

namespace ibid::kernels {

namespace {

constexpr int kSegment = 2;                     // blocks of one piece of a split attention
constexpr size_t kInlineBlocks = 4;             // of tiles; some microseconds of work: not worth waking threads

struct Call {
  CpuContext& c;
  const QuantHeads& q;
  int heads;
  const Batch& batch;
  const int32_t* query_rows;
  int layer;
  const KvCache& kv;
  float* out;

  int group() const { return heads / kv.shape.kv_heads; }
  int row(int query) const { return query_rows ? query_rows[query] : query; }
  int sequence(int query) const { return batch.sequence[row(query)]; }
};

// (query, head) pairs of a run, flat: index = (query - first_query) * group + head in the group.
struct Pair { int query, head; };
Pair pair(const Call& call, const AttentionTask& task, int i) {
  int flat = task.flat + i;
  return {task.first_query + flat / call.group(), task.kv_head * call.group() + flat % call.group()};
}

AttentionTile make_tile(const Call& call, const AttentionTask& task) {
  AttentionTile tile;
  int dim = call.kv.shape.head_dim;
  tile.kv = call.kv;
  tile.pages = call.batch.page_table + static_cast<size_t>(call.sequence(task.first_query)) * static_cast<size_t>(call.batch.max_pages);
  tile.layer = call.layer;
  tile.kv_head = task.kv_head;
  tile.head_dim = dim;
  tile.count = task.count;
  tile.scale = attention_scale(dim);
  for (int i = 0; i < task.count; ++i) {
    Pair p = pair(call, task, i);
    int row = call.row(p.query);
    tile.q[i] = quant_head(call.q, call.heads, dim, row, p.head);
    tile.q_scale[i] = *quant_head_scale(call.q, call.heads, dim, row, p.head);
    tile.position[i] = call.batch.position[row];
  }
  return tile;
}

int block_count(const AttentionTile& tile) {
  int last = 0;
  for (int i = 0; i < tile.count; ++i) last = tile.position[i] > last ? tile.position[i] : last;
  return last / kBlock + 1;
}

// out = o * (1 / l)                                                                                        (NUMERICS 7.7)
void finish(const Call& call, const AttentionTask& task, const AttentionPartial* state) {
  int dim = call.kv.shape.head_dim;
  for (int i = 0; i < task.count; ++i) {
    Pair p = pair(call, task, i);
    size_t head = static_cast<size_t>(p.query) * static_cast<size_t>(call.heads) + static_cast<size_t>(p.head);
    float* to = call.out + head * static_cast<size_t>(dim);
    float inverse = 1.0f / state[i].sum;
    for (int d = 0; d < dim; ++d) to[d] = state[i].out[d] * inverse;
  }
}

void run_task(const Call& call, const AttentionTask& task, WorkerScratch& scratch) {
  AttentionTile tile = make_tile(call, task);
  AttentionPartial* state = scratch.partials;
  AttentionPartial* next = scratch.partials + kTile;
  for (int i = 0; i < task.count; ++i) state[i].live = false;
  int blocks = block_count(tile);
  for (int b = 0; b < blocks; ++b) {
    call.c.rows.attend(tile, b, *scratch.attention, next);
    for (int i = 0; i < task.count; ++i) call.c.rows.merge(state[i], next[i], tile.head_dim);
  }
  finish(call, task, state);
}

// Where the tiles of a call go on: query, kv head, flat index.
struct Cursor { int first = 0, head = 0, flat = 0; };

// Queries of a tile: where the large tiles of AMX would be fewer than two for each thread, they are cut.
int queries_of_tile(const Call& call, int queries) {
  int most = call.c.rows.queries;
  while (most > 32 && static_cast<int64_t>(queries) * call.heads < int64_t{2} * call.c.pool.threads() * most) most /= 2;
  return most;
}

// Runs of queries of one sequence, cut into tiles, for each kv head: as many from the cursor on as the table holds. Returns their number.
int make_tasks(const Call& call, int queries, Cursor& at) {
  int count = 0;
  const int most = queries_of_tile(call, queries);
  while (at.first < queries) {
    int end = at.first + 1;
    while (end < queries && call.sequence(end) == call.sequence(at.first)) ++end;
    int pairs = (end - at.first) * call.group();
    for (; at.head < call.kv.shape.kv_heads; ++at.head, at.flat = 0) {
      for (; at.flat < pairs; at.flat += most) {
        if (count == kMaxQueryTiles) return count;
        call.c.tasks[count++] = {at.first, at.flat, std::min(pairs - at.flat, most), at.head};
      }
    }
    at = {end, 0, 0};
  }
  return count;
}

// Few tasks, long contexts: the blocks are shared out too, their partial results parked in c.split, `largest` for each tile,
// then merged in order.
void run_split(const Call& call, int tasks, int blocks, size_t largest) {
  int segments = (blocks + kSegment - 1) / kSegment;
  auto parked = [&](int task, int block) {
    return call.c.split + (static_cast<size_t>(task) * static_cast<size_t>(blocks) + static_cast<size_t>(block)) * largest;
  };
  call.c.pool.run(tasks * segments, [&](int index, int worker) {
    int task = index / segments, first = index % segments * kSegment;
    AttentionTile tile = make_tile(call, call.c.tasks[task]);
    int end = std::min(first + kSegment, block_count(tile));
    AttentionScratch& scratch = *call.c.scratch[static_cast<size_t>(worker)].attention;
    for (int b = first; b < end; ++b) call.c.rows.attend(tile, b, scratch, parked(task, b));
  });
  call.c.pool.run(tasks, [&](int task, int) {
    AttentionTile tile = make_tile(call, call.c.tasks[task]);
    AttentionPartial* state = parked(task, 0);
    for (int b = 1; b < block_count(tile); ++b) {
      for (int i = 0; i < tile.count; ++i) call.c.rows.merge(state[i], parked(task, b)[i], tile.head_dim);
    }
    finish(call, call.c.tasks[task], state);
  });
}

// Blocks that the longest context of the queries has.
int most_blocks(const Call& call, int queries) {
  int last = 0;
  for (int i = 0; i < queries; ++i) last = std::max(last, call.batch.position[call.row(i)]);
  return last / kBlock + 1;
}

// The tasks of the table; `blocks` as most_blocks says.
void run_tasks(const Call& call, int tasks, int blocks) {
  CpuContext& c = call.c;
  int threads = c.pool.threads();
  size_t work = static_cast<size_t>(tasks) * static_cast<size_t>(blocks), largest = 0;
  for (int i = 0; i < tasks; ++i) largest = std::max(largest, static_cast<size_t>(c.tasks[i].count));
  if (threads > 1 && tasks < 2 * threads && blocks > kSegment && work * largest <= kMaxSplitPartials) {
    run_split(call, tasks, blocks, largest);
  } else if (threads > 1 && work > kInlineBlocks) {
    c.pool.run(tasks, [&](int index, int worker) { run_task(call, c.tasks[index], c.scratch[static_cast<size_t>(worker)]); });
  } else {
    set_fp_env();
    for (int i = 0; i < tasks; ++i) run_task(call, c.tasks[i], c.scratch[0]);
  }
}

}  // namespace

void attention(CpuContext& c, const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer,
               const KvCache& kv, float* out) {
  Call call{c, q, heads, batch, query_rows, layer, kv, out};
  int blocks = most_blocks(call, queries);
  for (Cursor at; at.first < queries;) {
    int tasks = make_tasks(call, queries, at);
    run_tasks(call, tasks, blocks);
  }
}

}  // namespace ibid::kernels
