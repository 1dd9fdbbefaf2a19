// The forward pass of a Llama-shaped model, written once over kernels::Device.
//
// Owns: the work buffers and the order of the ops. Must not know: requests, sampling, prefix sharing, what a page table means
// beyond passing it on.
//
// 1. Every row of a step gets its K and V in every layer; only the rows whose logits are wanted go on after the K and V of
//    the last layer are stored.
// 2. Numeric errors have two places. bad_rows[i] speaks of batch row i up to and including the last layer's rope_store: it
//    says that the K/V of that position (or what they were computed from) are not to be trusted, and with them every answer
//    that has this position in its sequence. bad_wanted[j] speaks of what comes after, for wanted row j alone: nothing but
//    the logits of that row depends on it. So an answer is numerically sound exactly when no position of its sequence is in
//    bad_rows and none of its wanted rows in bad_wanted (or has a logit that is not finite, which sample reports): a
//    function of the tokens alone, whatever the chunk, the batch or the cache.
// 3. A row flagged bad is computed on as zeros; other rows never see it, but for later positions of its own sequence.
#pragma once
#include "kernels/ops.h"
#include "runtime/device_memory.h"
#include "runtime/model_files.h"
#include "runtime/weights.h"

namespace ibid::runtime {

// Device buffers of one step of at most max_rows rows, of which at most max_wanted want logits.
struct Work {
  Work(kernels::Device& device, const ModelConfig& config, int max_rows, int max_wanted);

  DeviceMemory memory;
  float* x;                          // (max_rows, hidden) the residual stream
  float* wanted_x;                   // (max_wanted, hidden) the same, of the wanted rows in the last layer
  float* qkv;                        // (max_rows, (heads + 2 kv_heads) * head_dim)
  float* mixed;                      // (max_rows, heads * head_dim) what attention read
  float* gated;                      // (max_rows, intermediate)
  float* logits;                     // (max_wanted, vocab)
  kernels::QuantRows normed;         // (max_rows, hidden)
  kernels::QuantRows mixed_q;        // (max_rows, heads * head_dim)
  kernels::QuantRows gated_q;        // (max_rows, intermediate)
  kernels::QuantHeads q;             // (max_rows, heads, head_dim)
  uint8_t* bad;                      // (max_rows + max_wanted): bad_rows, then bad_wanted
};

// Runs one step. wanted: (wanted_rows) batch rows whose logits are computed, on the device. bad flags are set, never cleared.
void forward(kernels::Device& device, const ModelConfig& config, const Weights& weights, const kernels::Batch& batch,
             const int32_t* wanted, int wanted_rows, const kernels::KvCache& kv, Work& work, uint8_t* bad_rows, uint8_t* bad_wanted);

}  // namespace ibid::runtime
