// A device that computes nothing and knows how long it would have taken, so that the real engine and scheduler run over it.
//
// Owns: the clock, and what each op costs on one GPU. Must not know: requests, shards, machines.
//
// 1. The costs are those of ROOFLINE.md, sections "Decode, batch 64" and "Prefill": counts of bytes and operations over assumed rates.
//    They are estimates, which an H200 has since missed by up to 1.4 times (RESULTS.md); scale_sim_test.cc holds the two together.
// 2. Memory is addresses only: alloc() reserves them, and pages that nobody writes to do not exist. So 8e9 weights cost nothing.
// 3. Which token comes next follows from its position alone: kWord, until position noise_key of the request, where kEnd stands. So the
//    caller draws the length of every answer.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "kernels/ops.h"

namespace ibid::test {

// Rates per second; infinity makes an op free. Defaults: an H200 as ROOFLINE.md assumes it.
struct SimMachine {
  double weight_bytes = 4.3e12;        // reading weights from HBM
  double kv_bytes = 3.5e12;            // reading K and V, which lie scattered
  double cache_bytes = 4e12;           // L2: raw sums of the library's products, rows between small kernels
  double product_macs = 740e12;        // int8, 75 % of 990 nominal
  double attention_macs = 247.5e12;    // a quarter of nominal
  double start = 1.5e-6;               // a kernel that follows another, before it does anything
  double small = 3e-6;                 // a kernel of few rows, beside its bytes
  double sample = 15e-6;               // one row of logits; 132 of them at once
  double host = 0.18e-3;               // a step: planning, copies, the wait for its tokens
  size_t memory = size_t{141} << 30;
};

class SimDevice : public kernels::Device {
 public:
  static constexpr int32_t kWord = 65, kEnd = 66;

  explicit SimDevice(const SimMachine& machine) : m_(machine) {}
  double clock() const { return clock_; }              // seconds since the device was made
  double last_step() const { return last_step_; }

  std::string describe() const override { return "a clock"; }
  void* alloc(size_t bytes) override {
    if (bytes == 0 || bytes > free_bytes()) return nullptr;
    void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    held_ += bytes;
    return p;
  }
  void release(void* p, size_t bytes) override {
    ::munmap(p, bytes);
    held_ -= bytes;
  }
  void upload(void* to, const void* from, size_t bytes) override {
    std::copy_n(static_cast<const char*>(from), bytes, static_cast<char*>(to));
  }
  void download(void* to, const void* from, size_t bytes) override {
    std::copy_n(static_cast<const char*>(from), bytes, static_cast<char*>(to));
  }
  void copy_page(const kernels::KvCache& kv, int, int) override {
    clock_ += m_.start + 2 * static_cast<double>(kv_page_bytes(kv.shape)) / m_.kv_bytes;
  }
  void sync() override {}
  size_t free_bytes() const override { return m_.memory - std::min(m_.memory, held_); }
  bool reserve(const kernels::StepLimits&) override { return true; }
  void step(const kernels::Batch&, int, const std::function<void()>& ops) override {
    double before = clock_;
    clock_ += m_.host;
    ops();
    last_step_ = clock_ - before;
  }

  int step_rows() const override { return 512; }
  size_t weight_bytes(int n, int k, kernels::Profile profile) const override {
    return static_cast<size_t>(n) * k * kernels::weight_digits(profile);
  }
  size_t quant_rows_bytes(int max_rows, int k) const override { return static_cast<size_t>(max_rows) * (2 * k + 4); }
  size_t quant_heads_bytes(int max_rows, int heads, int head_dim) const override {
    return static_cast<size_t>(max_rows) * heads * (2 * head_dim + 4);
  }
  size_t kv_page_bytes(const kernels::KvShape& s) const override {
    return static_cast<size_t>(s.layers) * s.kv_heads * kernels::kBlock * kv_vector_bytes(s.head_dim);
  }
  size_t table_bytes(const kernels::StoredMatrix& t) const override {
    return kernels::stored_row_bytes(t.dtype, t.cols) * static_cast<size_t>(t.rows);
  }
  kernels::StoredMatrix place_table(const kernels::StoredMatrix& t, void* to) override { return {to, t.dtype, t.rows, t.cols}; }
  bool convert_weight(kernels::Weight&, int, const kernels::StoredMatrix&, const int32_t*) override { return true; }

  void embed(const kernels::StoredMatrix& table, const kernels::Batch& batch, float*) override {
    small_kernel(batch.rows, 8.0 * static_cast<double>(table.cols));
  }
  void norm_quantize(const float*, const float*, float, int rows, int k, const kernels::QuantRows&, uint8_t*) override {
    small_kernel(rows, 6.0 * k);
  }
  void quantize(const float*, int rows, int k, const kernels::QuantRows&, uint8_t*) override { small_kernel(rows, 6.0 * k); }
  void gather_rows(const float*, const int32_t*, int rows, int k, float*) override { small_kernel(rows, 8.0 * k); }
  void rope_store(const float*, int heads, const kernels::Batch& batch, const kernels::Rope&, int, const kernels::KvCache& kv,
                  const kernels::QuantHeads&, uint8_t*) override {
    small_kernel(batch.rows, 6.0 * (heads + 2 * kv.shape.kv_heads) * kv.shape.head_dim);
  }
  // The library's product, then the kernel that finishes its raw sums.
  void matmul(const kernels::Weight& w, const kernels::QuantRows&, int rows, float*, const float*) override { product(w, rows, w.n); }
  void gated_matmul(const kernels::Weight& w, const kernels::QuantRows&, int rows, int f, float*) override { product(w, rows, f); }
  // Reads each sequence's K and V once; a product of two digits by two for q k and for p v. Then the kernel that merges blocks.
  void attention(const kernels::QuantHeads&, int heads, const kernels::Batch& batch, const int32_t* query_rows, int queries, int,
                 const kernels::KvCache& kv, float*) override {
    double pairs = 0, positions = 0;
    for (int i = 0; i < queries; i++) {
      const int row = query_rows ? query_rows[i] : i, next = i + 1 < queries ? (query_rows ? query_rows[i + 1] : i + 1) : -1;
      pairs += batch.position[row] + 1;
      if (next < 0 || batch.sequence[next] != batch.sequence[row]) positions += batch.position[row] + 1;
    }
    const double head = kv.shape.head_dim;
    clock_ += 2 * (m_.start + m_.small);
    clock_ += std::max(positions * kv.shape.kv_heads * static_cast<double>(kv_vector_bytes(kv.shape.head_dim)) / m_.kv_bytes,
                       pairs * heads * 2 * head * 4 / m_.attention_macs);
  }
  void sample(const float*, int rows, int, int, const kernels::SampleSpec* specs, kernels::Sampled* out, kernels::TokenLogprob*,
              int) override {
    clock_ += m_.start + m_.sample * ((rows + 131) / 132);
    for (int i = 0; i < rows; i++) {
      out[i] = {};
      out[i].token = specs[i].position < specs[i].noise_key ? kWord : kEnd;
    }
  }
  kernels::Roofline measure_roofline() override { return {{m_.weight_bytes, m_.weight_bytes}, {m_.product_macs, m_.product_macs}}; }

 private:
  static size_t kv_vector_bytes(int head_dim) { return 2 * (2 * static_cast<size_t>(head_dim) + 4); }   // K and V, 16 bits, a scale each
  void product(const kernels::Weight& w, int rows, int width) {
    const double digits = kernels::weight_digits(w.profile), values = static_cast<double>(w.n) * w.k;
    clock_ += 2 * m_.start + std::max(values * digits / m_.weight_bytes, 2 * digits * values * rows / m_.product_macs);
    clock_ += rows * (16.0 * digits * w.n + 4.0 * width) / m_.cache_bytes;
  }
  void small_kernel(int rows, double row_bytes) { clock_ += m_.start + m_.small + rows * row_bytes / m_.cache_bytes; }

  SimMachine m_;
  double clock_ = 0, last_step_ = 0;
  size_t held_ = 0;
};

}  // namespace ibid::test
