// The CPU device: memory, worker scratch, and each op forwarded to its function.
//
// Owns: every byte that the CPU ops work in. Must not know: arithmetic.
//
// 1. All scratch is reserved when the device is made, for the largest shapes that the ops accept (kMaxDepth, kMaxVocab, ...), as
//    address space that the system fills on first touch; an op allocates nothing and costs only the memory that it uses.
// 2. Ops are done when they return, so sync() has nothing to do.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "kernels/cpu/cpu_ops.h"

namespace ibid::kernels {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Anonymous memory: zeroed, page-aligned, filled on first touch. Null when there is none.
void* map_memory(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

void unmap(void* p, size_t bytes) {
  if (p && bytes) munmap(p, bytes);
}

// The same, aligned so that large pages fit; as it comes where there is no address space for that.
// REQUIRES: bytes a multiple of the page size
uint8_t* map_large(size_t bytes) {
  auto* start = static_cast<uint8_t*>(map_memory(bytes + kHugePage));
  if (!start) return static_cast<uint8_t*>(map_memory(bytes));
  const size_t before = round_up(reinterpret_cast<uintptr_t>(start), kHugePage) - reinterpret_cast<uintptr_t>(start);
  uint8_t* p = start + before;
  unmap(start, before);
  unmap(p + bytes, kHugePage - before);
  madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

// Hands out buffers side by side, since most weights of a small model are no larger than a large page: in mappings of their own less
// than half of its memory was in such pages. What is released goes back to the system, and its place stays empty.
class Buffers {
 public:
  Buffers() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {}
  ~Buffers() { unmap(next_, left_); }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  // Zeroed. Null when there is no memory.
  void* take(size_t bytes) {
    if (bytes > SIZE_MAX / 2) return nullptr;
    const size_t size = round_up(bytes, page_);
    if (size > kChunk / 4) return map_large(size);
    if (size > left_ && !renew()) return map_memory(size);
    uint8_t* p = next_;
    next_ += size;
    left_ -= size;
    return p;
  }
  void give_back(void* p, size_t bytes) { unmap(p, round_up(bytes, page_)); }

 private:
  static constexpr size_t kChunk = size_t{64} << 20;

  bool renew() {
    uint8_t* chunk = map_large(kChunk);
    if (!chunk) return false;
    unmap(next_, left_);
    next_ = chunk;
    left_ = kChunk;
    return true;
  }

  size_t page_, left_ = 0;
  uint8_t* next_ = nullptr;
};

// Address space that is handed out in pieces and lives as long as the device.
class Arena {
 public:
  explicit Arena(size_t bytes) : bytes_(bytes), base_(static_cast<uint8_t*>(map_memory(bytes))) {
    if (!base_) throw std::bad_alloc();
  }
  ~Arena() { unmap(base_, bytes_); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  template <class T>
  T* take(size_t count) {
    T* p = reinterpret_cast<T*>(base_ + used_);
    used_ += round_up(count * sizeof(T), 4096);
    if (used_ > bytes_) throw std::bad_alloc();
    return p;
  }

 private:
  size_t bytes_, used_ = 0;
  uint8_t* base_;
};

constexpr size_t kWorkerBytes = size_t{64} << 20;
constexpr size_t kSharedBytes = size_t{64} << 20;

WorkerScratch make_scratch(Arena& arena) {
  WorkerScratch s;
  s.q = arena.take<int16_t>(kMaxDepth + 64);
  s.temp = arena.take<float>(kMaxDepth + 64);
  s.attention = reinterpret_cast<AttentionScratch*>(arena.take<uint8_t>(kAttentionScratchBytes));
  s.partials = arena.take<AttentionPartial>(2 * kTile);
  s.score = arena.take<float>(kMaxVocab);
  s.id = arena.take<int32_t>(kMaxVocab);
  s.weight = arena.take<int64_t>(kMaxVocab);
  s.rank = arena.take<uint64_t>(kMaxVocab);
  return s;
}

class CpuDevice final : public Device {
 public:
  CpuDevice(Isa isa, int threads)
      : isa_(isa),
        pool_(threads),
        arena_(kSharedBytes + static_cast<size_t>(threads) * kWorkerBytes),
        c_{pool_, row_ops(isa), matmul_table(isa), {}, arena_.take<AttentionTask>(kMaxQueryTiles),
           arena_.take<AttentionPartial>(kMaxSplitPartials)} {
    for (int i = 0; i < threads; ++i) c_.scratch.push_back(make_scratch(arena_));
  }

  std::string describe() const override {
    std::string threads = std::to_string(pool_.threads());
    return std::string("cpu ") + isa_name(isa_) + " " + threads + (pool_.threads() == 1 ? " thread" : " threads");
  }

  void* alloc(size_t bytes) override { return buffers_.take(bytes ? bytes : 1); }
  void release(void* p, size_t bytes) override { buffers_.give_back(p, bytes ? bytes : 1); }
  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy_page(const KvCache& kv, int from, int to) override {
    size_t bytes = cpu_kv_page_bytes(kv.shape);
    uint8_t* pages = static_cast<uint8_t*>(kv.pages);
    std::memcpy(pages + static_cast<size_t>(to) * bytes, pages + static_cast<size_t>(from) * bytes, bytes);
  }
  void sync() override {}
  size_t free_bytes() const override { return 0; }                     // the system may give more than it has
  bool reserve(const StepLimits&) override { return true; }            // see 1
  void step(const Batch&, int, const std::function<void()>& ops) override { ops(); }

  int step_rows() const override { return 512; }

  size_t weight_bytes(int n, int k, Profile profile) const override { return matmul_weight_bytes(n, k, profile); }
  size_t quant_rows_bytes(int max_rows, int k) const override { return matmul_quant_rows_bytes(max_rows, k); }
  size_t quant_heads_bytes(int max_rows, int heads, int head_dim) const override {
    return static_cast<size_t>(max_rows) * quant_heads_stride(heads, head_dim);
  }
  size_t kv_page_bytes(const KvShape& shape) const override { return cpu_kv_page_bytes(shape); }
  size_t table_bytes(const StoredMatrix&) const override { return 0; }
  StoredMatrix place_table(const StoredMatrix& table, void*) override { return table; }

  bool convert_weight(Weight& w, int to_row, const StoredMatrix& src, const int32_t* row_map) override {
    return kernels::convert_weight(c_, w, to_row, src, row_map);
  }

  void embed(const StoredMatrix& table, const Batch& batch, float* x) override { kernels::embed(c_, table, batch, x); }
  void norm_quantize(const float* x, const float* weight, float eps, int rows, int k, const QuantRows& out, uint8_t* bad) override {
    kernels::norm_quantize(c_, x, weight, eps, rows, k, out, bad);
  }
  void quantize(const float* x, int rows, int k, const QuantRows& out, uint8_t* bad) override {
    kernels::quantize(c_, x, rows, k, out, bad);
  }
  void matmul(const Weight& w, const QuantRows& a, int rows, float* y, const float* residual) override {
    kernels::matmul(c_.products, pool_, w, a, rows, y, residual);
  }
  void gated_matmul(const Weight& w, const QuantRows& a, int rows, int f, float* y) override {
    kernels::gated_matmul(c_.products, pool_, w, a, rows, f, y);
  }
  void rope_store(const float* qkv, int heads, const Batch& batch, const Rope& rope, int layer, const KvCache& kv, const QuantHeads& q_out,
                  uint8_t* bad) override {
    kernels::rope_store(c_, qkv, heads, batch, rope, layer, kv, q_out, bad);
  }
  void attention(const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer, const KvCache& kv,
                 float* out) override {
    kernels::attention(c_, q, heads, batch, query_rows, queries, layer, kv, out);
  }
  void gather_rows(const float* x, const int32_t* index, int rows, int k, float* out) override {
    kernels::gather_rows(c_, x, index, rows, k, out);
  }
  void sample(const float* logits, int rows, int vocab, int stride, const SampleSpec* specs, Sampled* out, TokenLogprob* top,
              int max_top) override {
    kernels::sample(c_, logits, rows, vocab, stride, specs, out, top, max_top);
  }

  Roofline measure_roofline() override { return {measure_read_bandwidth(pool_), measure_int8_rate(pool_, c_.products)}; }

 private:
  Isa isa_;
  Pool pool_;
  Arena arena_;
  Buffers buffers_;
  CpuContext c_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(Isa isa, int threads) { return std::make_unique<CpuDevice>(isa, threads); }

}  // namespace ibid::kernels
