// From a model's files to weights on a device: named, shaped, fused, proved.
//
// Owns: the converted weights, norm vectors, biases and the rope table of one model on one device.
// Must not know: batches, caches, tokens, file containers.
//
// 1. A tensor is asked for by name and full shape; what is missing, misshapen or not asked for is refused by name.
// 2. Weights convert straight from the mapping; no float copy of the model is ever made.
// 3. q, k and v are one matrix (their rows in this order), gate and up another (their rows by turns: kernels/ops.h, kGate).
//    Biases are used where the file has them; a missing one of q, k, v counts as zeros when another is there.
// 4. GGUF llama files store the rows of q and k for interleaved rotary pairs; the row map puts them (and their biases) back
//    in halves: source row 2 i + s of a head is row s * head_dim / 2 + i.
// 5. No sum of numerics v1 can overflow for a model that was accepted: check_sums() proves it from the shapes alone.
#pragma once
#include <memory>
#include <vector>

#include "kernels/ops.h"
#include "runtime/device_memory.h"
#include "runtime/model_files.h"

namespace ibid::runtime {

struct LayerWeights {
  const float* attention_norm = nullptr;   // (hidden)
  kernels::Weight qkv;                     // ((heads + 2 kv_heads) * head_dim, hidden)
  const float* q_norm = nullptr;           // (head_dim), or null: see kernels::Rope
  const float* k_norm = nullptr;           // (head_dim), or null
  kernels::Weight o;                       // (hidden, heads * head_dim)
  const float* mlp_norm = nullptr;         // (hidden)
  kernels::Weight gate_up;                 // (gated_rows(intermediate), hidden)
  kernels::Weight down;                    // (hidden, intermediate)
};

struct Weights {
  kernels::StoredMatrix embedding;         // (vocab, hidden), in the file's own format, where the device reads it
  std::vector<LayerWeights> layers;
  const float* final_norm = nullptr;       // (hidden)
  kernels::Weight output;                  // (vocab, hidden)
  const float* rope = nullptr;             // (context, head_dim)
  std::unique_ptr<DeviceMemory> memory;    // holds all of it
};

// Errors: bad_data naming the tensor or the sum, temporary (memory). REQUIRES: 1 <= context.
Weights load_weights(kernels::Device& device, const ModelFiles& files, kernels::Profile profile, int context);

// Refuses (bad_data) shapes for which a sum of numerics v1 could overflow or a layout would not fit, and senseless ones.
void check_sums(const ModelConfig& config, const std::string& where);

// Per-frequency divisors of Llama 3's rotary scaling, (head_dim / 2); empty when the model has none.
std::vector<double> rope_divisors(const ModelFiles& files);

}  // namespace ibid::runtime
