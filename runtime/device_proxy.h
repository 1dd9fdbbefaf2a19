// A device that hands every call to another one: to lend a device to an Engine, and to watch or spoil single ops in tests.
//
// Owns: nothing; the device behind it outlives it. Must not know: what the ops mean.
#pragma once
#include "kernels/ops.h"

namespace ibid::runtime {

class DeviceProxy : public kernels::Device {
 public:
  explicit DeviceProxy(kernels::Device& to) : to_(to) {}

  std::string describe() const override { return to_.describe(); }
  void* alloc(size_t bytes) override { return to_.alloc(bytes); }
  void release(void* p, size_t bytes) override { to_.release(p, bytes); }
  void upload(void* to, const void* from, size_t bytes) override { to_.upload(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { to_.download(to, from, bytes); }
  void copy_page(const kernels::KvCache& kv, int from, int to) override { to_.copy_page(kv, from, to); }
  void sync() override { to_.sync(); }
  size_t free_bytes() const override { return to_.free_bytes(); }
  bool reserve(const kernels::StepLimits& limits) override { return to_.reserve(limits); }
  void step(const kernels::Batch& batch, int wanted_rows, const std::function<void()>& ops) override { to_.step(batch, wanted_rows, ops); }

  int step_rows() const override { return to_.step_rows(); }
  size_t weight_bytes(int n, int k, kernels::Profile profile) const override { return to_.weight_bytes(n, k, profile); }
  size_t quant_rows_bytes(int max_rows, int k) const override { return to_.quant_rows_bytes(max_rows, k); }
  size_t quant_heads_bytes(int max_rows, int heads, int head_dim) const override {
    return to_.quant_heads_bytes(max_rows, heads, head_dim);
  }
  size_t kv_page_bytes(const kernels::KvShape& shape) const override { return to_.kv_page_bytes(shape); }
  size_t table_bytes(const kernels::StoredMatrix& table) const override { return to_.table_bytes(table); }
  kernels::StoredMatrix place_table(const kernels::StoredMatrix& table, void* to) override { return to_.place_table(table, to); }

  bool convert_weight(kernels::Weight& w, int to_row, const kernels::StoredMatrix& src, const int32_t* row_map) override {
    return to_.convert_weight(w, to_row, src, row_map);
  }
  void embed(const kernels::StoredMatrix& table, const kernels::Batch& batch, float* x) override { to_.embed(table, batch, x); }
  void norm_quantize(const float* x, const float* weight, float eps, int rows, int k, const kernels::QuantRows& out,
                     uint8_t* bad) override {
    to_.norm_quantize(x, weight, eps, rows, k, out, bad);
  }
  void quantize(const float* x, int rows, int k, const kernels::QuantRows& out, uint8_t* bad) override {
    to_.quantize(x, rows, k, out, bad);
  }
  void matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, float* y, const float* residual) override {
    to_.matmul(w, a, rows, y, residual);
  }
  void gated_matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, int f, float* y) override {
    to_.gated_matmul(w, a, rows, f, y);
  }
  void rope_store(const float* qkv, int heads, const kernels::Batch& batch, const kernels::Rope& rope, int layer,
                  const kernels::KvCache& kv, const kernels::QuantHeads& q_out, uint8_t* bad) override {
    to_.rope_store(qkv, heads, batch, rope, layer, kv, q_out, bad);
  }
  void attention(const kernels::QuantHeads& q, int heads, const kernels::Batch& batch, const int32_t* query_rows, int queries, int layer,
                 const kernels::KvCache& kv, float* out) override {
    to_.attention(q, heads, batch, query_rows, queries, layer, kv, out);
  }
  void gather_rows(const float* x, const int32_t* index, int rows, int k, float* out) override { to_.gather_rows(x, index, rows, k, out); }
  void sample(const float* logits, int rows, int vocab, int stride, const kernels::SampleSpec* specs, kernels::Sampled* out,
              kernels::TokenLogprob* top, int max_top) override {
    to_.sample(logits, rows, vocab, stride, specs, out, top, max_top);
  }
  kernels::Roofline measure_roofline() override { return to_.measure_roofline(); }

 protected:
  kernels::Device& to_;
};

}  // namespace ibid::runtime
