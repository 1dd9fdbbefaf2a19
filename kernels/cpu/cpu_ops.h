// The ops of the CPU device, each one function: how rows are shared out to threads.
//
// Owns: the split into tasks. Must not know: instruction sets (row_ops.h), memory (device.cc), matrix products (matmul.h).
//
// 1. A task's result does not depend on the split (NUMERICS 1.1), so the split may follow speed alone.
// 2. Small work runs on the caller: waking threads costs more than it saves.
#pragma once
#include <vector>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/row_ops.h"
#include "kernels/ops.h"

namespace ibid::kernels {

constexpr int kMaxVocab = 1 << 20;
constexpr int kMaxQueryTiles = 1 << 14;                 // of attention at once; a call that has more goes on with the rest
constexpr size_t kMaxSplitPartials = 16384;             // partial results of a split attention

// Working memory of one thread; address space until touched.
struct WorkerScratch {
  int16_t* q;                      // (kMaxDepth, padded)
  float* temp;                     // (kMaxDepth, padded)
  AttentionScratch* attention;     // kAttentionScratchBytes
  AttentionPartial* partials;      // (2 * kTile): the states of a tile, then one block's results
  float* score;                    // (kMaxVocab)
  int32_t* id;                     // (kMaxVocab)
  int64_t* weight;                 // (kMaxVocab)
  uint64_t* rank;                  // (kMaxVocab)
};

struct AttentionTask {
  int first_query, flat, count, kv_head;   // `count` queries from flat index `flat` of the run that starts at first_query
};

struct CpuContext {
  Pool& pool;
  const RowOps& rows;
  const MatmulTable& products;
  std::vector<WorkerScratch> scratch;      // (threads)
  AttentionTask* tasks;                    // (kMaxQueryTiles)
  AttentionPartial* split;                 // (kMaxSplitPartials)
};

// The arguments are those of the Device's ops of the same name.
void embed(CpuContext& c, const StoredMatrix& table, const Batch& batch, float* x);
void norm_quantize(CpuContext& c, const float* x, const float* weight, float eps, int rows, int k, const QuantRows& out, uint8_t* bad);
void quantize(CpuContext& c, const float* x, int rows, int k, const QuantRows& out, uint8_t* bad);
void gather_rows(CpuContext& c, const float* x, const int32_t* index, int rows, int k, float* out);
void rope_store(CpuContext& c, const float* qkv, int heads, const Batch& batch, const Rope& rope, int layer, const KvCache& kv,
                const QuantHeads& q_out, uint8_t* bad);
void attention(CpuContext& c, const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer,
               const KvCache& kv, float* out);
void sample(CpuContext& c, const float* logits, int rows, int vocab, int stride, const SampleSpec* specs, Sampled* out,
            TokenLogprob* top, int max_top);
bool convert_weight(CpuContext& c, const Weight& w, int to_row, const StoredMatrix& src, const int32_t* row_map);

}  // namespace ibid::kernels
