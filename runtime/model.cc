// The diagram of the model. See model.h.
#include "runtime/model.h"

namespace ibid::runtime {

Work::Work(kernels::Device& device, const ModelConfig& c, int max_rows, int max_wanted) : memory(device) {
  const size_t rows = max_rows, mixed_size = static_cast<size_t>(c.heads) * c.head_dim;
  auto floats = [&](size_t count) { return memory.array<float>(count, "the work buffers of a step"); };
  auto quant = [&](int k) { return kernels::QuantRows{k, memory.bytes(device.quant_rows_bytes(max_rows, k), "quantised activations")}; };
  x = floats(rows * c.hidden);
  wanted_x = floats(static_cast<size_t>(max_wanted) * c.hidden);
  qkv = floats(rows * (mixed_size + 2 * static_cast<size_t>(c.kv_heads) * c.head_dim));
  mixed = floats(rows * mixed_size);
  gated = floats(rows * c.intermediate);
  logits = floats(static_cast<size_t>(max_wanted) * c.vocab);
  normed = quant(c.hidden);
  mixed_q = quant(static_cast<int>(mixed_size));
  gated_q = quant(c.intermediate);
  q.data = memory.bytes(device.quant_heads_bytes(max_rows, c.heads, c.head_dim), "quantised queries");
  bad = memory.array<uint8_t>(rows + max_wanted, "error flags");
}

void forward(kernels::Device& device, const ModelConfig& c, const Weights& weights, const kernels::Batch& batch, const int32_t* wanted,
             int wanted_rows, const kernels::KvCache& kv, Work& w, uint8_t* bad_rows, uint8_t* bad_wanted) {
  float* x = w.x;
  int rows = batch.rows;
  uint8_t* bad = bad_rows;
  const int32_t* queries = nullptr;                                    // null: every row of the batch
  device.embed(weights.embedding, batch, x);
  for (int i = 0; i < c.layers; i++) {
    const LayerWeights& layer = weights.layers[i];
    device.norm_quantize(x, layer.attention_norm, c.norm_eps, rows, c.hidden, w.normed, bad);
    device.matmul(layer.qkv, w.normed, rows, w.qkv, nullptr);
    device.rope_store(w.qkv, c.heads, batch, {weights.rope, layer.q_norm, layer.k_norm, c.norm_eps}, i, kv, w.q, bad);
    if (i == c.layers - 1) {                                           // from here only the wanted rows matter (model.h, 1)
      if (wanted_rows == 0) return;
      device.gather_rows(x, wanted, wanted_rows, c.hidden, w.wanted_x);
      x = w.wanted_x, rows = wanted_rows, bad = bad_wanted, queries = wanted;
    }
    device.attention(w.q, c.heads, batch, queries, rows, i, kv, w.mixed);
    device.quantize(w.mixed, rows, c.heads * c.head_dim, w.mixed_q, bad);
    device.matmul(layer.o, w.mixed_q, rows, x, x);
    device.norm_quantize(x, layer.mlp_norm, c.norm_eps, rows, c.hidden, w.normed, bad);
    device.gated_matmul(layer.gate_up, w.normed, rows, c.intermediate, w.gated);
    device.quantize(w.gated, rows, c.intermediate, w.gated_q, bad);
    device.matmul(layer.down, w.gated_q, rows, x, x);
  }
  device.norm_quantize(x, weights.final_norm, c.norm_eps, rows, c.hidden, w.normed, bad);
  device.matmul(weights.output, w.normed, rows, w.logits, nullptr);
}

}  // namespace ibid::runtime
