// attention.cu: every tile, split and grid gives the bits of the scalar CPU device, on any schedule.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cpu/attention.h"
#include "kernels/cuda/attention_lane.h"
#include "kernels/cuda/cuda_ops.h"
#include "test/catch.h"
#include "test/simt/array.h"
#include "test/unit/random.h"

using namespace ibid::kernels;
using ibid::test::Array;
using ibid::test::Random;
using ibid::test::same_bits;

namespace {

using Floats = std::vector<float>;
struct Shape { int heads, kv_heads, head_dim; };
// Of queries and keys; a dimension rotates with its partner. crossed: the keys of every third position have nothing but the second pair,
// which queries do not have, and the others are as small as queries are large. opposed: a single slow dimension, keys against queries.
enum class Pattern { plain, crossed, opposed };
struct Run { int sequence, first, count; };      // rows at positions [first, first + count)

constexpr int kMaxPages = 5, kLayers = 2, kLayer = 1;

int8_t high(int16_t q) { return static_cast<int8_t>((q + 128) >> 8); }
int8_t low(int16_t q) { return static_cast<int8_t>(q - 256 * high(q)); }

// Sequences cached in both layouts, from the same integers: the scalar CPU device's, and their copy as it lies on a GPU.
class Both {
 public:
  Both(Shape shape, const std::vector<int>& lengths, float spread, Pattern pattern = Pattern::plain)
      : shape_(shape), cpu_(make_cpu_device(Isa::scalar, 1)), sequences_(static_cast<int>(lengths.size())) {
    kv_.shape = {kLayers, shape.kv_heads, shape.head_dim};
    const size_t pages = static_cast<size_t>(sequences_ * kMaxPages + 2), bytes = cpu_->kv_page_bytes(kv_.shape);
    kv_.pages = cpu_->alloc(pages * bytes);
    for (int i = 0; i < sequences_ * kMaxPages; i++) table_.push_back((i * 7 + 3) % (sequences_ * kMaxPages) + 2);
    rope_.resize(static_cast<size_t>(kMaxPages * kBlock * shape.head_dim));
    rope_table(10000.0, shape.head_dim, nullptr, kMaxPages * kBlock, rope_.data());
    std::vector<Run> runs;
    for (int s = 0; s < sequences_; s++) runs.push_back({s, 0, lengths[static_cast<size_t>(s)]});
    store(runs, spread, pattern);
    gpu_pages_ = std::make_unique<Array<uint8_t>>(pages * cuda::view(kv_).page_bytes());
    gpu_kv_ = {kv_.shape, *gpu_pages_};
    for (const Run& r : runs) place(r);
  }

  // The last rows of runs, as a batch. Results of the CPU's attention, and of ours.
  void batch(const std::vector<Run>& runs) {
    position_.clear(), sequence_.clear();
    longest = alone = 0;
    for (const Run& r : runs) {
      if (r.count == 1 && alone == static_cast<int>(position_.size())) alone++;
      for (int i = 0; i < r.count; i++) position_.push_back(r.first + i), sequence_.push_back(r.sequence);
      longest = std::max(longest, r.count);
    }
    last = *std::max_element(position_.begin(), position_.end());
  }
  Batch describe() const {
    return {static_cast<int>(position_.size()), nullptr, position_.data(), sequence_.data(), table_.data(), kMaxPages, longest, last,
            alone};
  }
  Floats on_cpu(const std::vector<int32_t>& wanted) {
    const Batch b = describe();
    std::vector<uint8_t> q(cpu_->quant_heads_bytes(b.rows, shape_.heads, shape_.head_dim) + 64, 0);
    for (int row = 0; row < b.rows; row++) {
      const std::vector<int16_t>& from = query_[static_cast<size_t>(sequence_[row])][static_cast<size_t>(position_[row])];
      std::memcpy(quant_head({q.data()}, shape_.heads, shape_.head_dim, row, 0), from.data(), from.size() * 2);
      std::memcpy(quant_head_scale({q.data()}, shape_.heads, shape_.head_dim, row, 0), scale_of(row).data(), scale_of(row).size() * 4);
    }
    Floats out(queries(wanted) * width());
    cpu_->attention({q.data()}, shape_.heads, b, wanted.empty() ? nullptr : wanted.data(), static_cast<int>(queries(wanted)), kLayer, kv_,
                    out.data());
    return out;
  }
  Floats on_gpu(cuda::Context& c, const std::vector<int32_t>& wanted) {
    const Array<int32_t> position(position_), sequence(sequence_), table(stretched());
    const Array<int32_t> rows(wanted.empty() ? std::vector<int32_t>{0} : wanted);
    Batch b = describe();
    b.position = position, b.sequence = sequence, b.page_table = table, b.max_pages = max_pages;
    const Array<uint8_t> q(cuda::quant_heads_stride(shape_.heads, shape_.head_dim) * position_.size());
    place_queries(q);
    Array<float> out(queries(wanted) * width());
    cuda::attention(c, {q}, shape_.heads, b, wanted.empty() ? nullptr : static_cast<const int32_t*>(rows),
                    static_cast<int>(queries(wanted)), kLayer, gpu_kv_, out);
    cudaStreamSynchronize(c.stream);
    return out.get();
  }
  cuda::KvView gpu() const { return cuda::view(gpu_kv_); }
  uint8_t* gpu_block(int sequence, int block, int kv_head) const {
    return gpu().block(table_[static_cast<size_t>(sequence * kMaxPages + block)], kLayer, kv_head);
  }

  int longest = 0, last = 0;                     // what the batch is said to hold: may be more than the truth,
  int alone = 0;                                 // and less
  int max_pages = kMaxPages;                     // more: of the GPU's table alone

 private:
  std::vector<int32_t> stretched() const {
    std::vector<int32_t> table(static_cast<size_t>(sequences_) * static_cast<size_t>(max_pages));
    for (int s = 0; s < sequences_; s++)
      std::copy_n(&table_[static_cast<size_t>(s * kMaxPages)], kMaxPages, &table[static_cast<size_t>(s) * static_cast<size_t>(max_pages)]);
    return table;
  }
  size_t width() const { return static_cast<size_t>(shape_.heads * shape_.head_dim); }
  size_t queries(const std::vector<int32_t>& wanted) const { return wanted.empty() ? position_.size() : wanted.size(); }
  const Floats& scale_of(int row) const { return query_scale_[static_cast<size_t>(sequence_[row])][static_cast<size_t>(position_[row])]; }

  // Quantises and caches whole sequences on the CPU, and keeps their queries.
  void store(const std::vector<Run>& runs, float spread, Pattern pattern) {
    batch(runs);
    const Batch b = describe();
    Random random(static_cast<uint64_t>(shape_.head_dim * 1000 + shape_.heads));
    Floats qkv(static_cast<size_t>(b.rows * (shape_.heads + 2 * shape_.kv_heads) * shape_.head_dim));
    for (float& x : qkv) x = random.normal() * spread;
    const int half = shape_.head_dim / 2, keys = shape_.heads * shape_.head_dim, values = keys + shape_.kv_heads * shape_.head_dim;
    for (int i = 0; pattern != Pattern::plain && i < static_cast<int>(qkv.size()); i++) {
      const int column = i % (values + shape_.kv_heads * shape_.head_dim), row = i / (values + shape_.kv_heads * shape_.head_dim);
      float& x = qkv[static_cast<size_t>(i)];
      if (column >= values) {
        x /= spread;
      } else if (pattern == Pattern::opposed) {
        x = column % shape_.head_dim != half - 1 ? 0 : column < keys ? spread : -spread;
      } else {
        const bool third = column >= keys && row % 3 == 0;
        if (column % half != (third ? 1 : 0)) x = 0;
        if (column >= keys && !third) x = x / spread / spread;
      }
    }
    std::vector<uint8_t> q(cpu_->quant_heads_bytes(b.rows, shape_.heads, shape_.head_dim) + 64), bad(static_cast<size_t>(b.rows));
    cpu_->rope_store(qkv.data(), shape_.heads, b, {rope_.data()}, kLayer, kv_, {q.data()}, bad.data());
    query_.resize(static_cast<size_t>(sequences_)), query_scale_.resize(static_cast<size_t>(sequences_));
    for (int row = 0; row < b.rows; row++) {
      const int16_t* head = quant_head({q.data()}, shape_.heads, shape_.head_dim, row, 0);
      const float* scale = quant_head_scale({q.data()}, shape_.heads, shape_.head_dim, row, 0);
      query_[static_cast<size_t>(sequence_[row])].emplace_back(head, head + width());
      query_scale_[static_cast<size_t>(sequence_[row])].emplace_back(scale, scale + shape_.heads);
    }
  }

  void place_queries(uint8_t* to) const {
    std::memset(to, 0, cuda::quant_heads_stride(shape_.heads, shape_.head_dim) * position_.size());
    const cuda::HeadsView v = cuda::view(QuantHeads{to}, shape_.heads, shape_.head_dim);
    for (int row = 0; row < static_cast<int>(position_.size()); row++)
      for (int h = 0; h < shape_.heads; h++) {
        const std::vector<int16_t>& q = query_[static_cast<size_t>(sequence_[row])][static_cast<size_t>(position_[row])];
        for (int d = 0; d < shape_.head_dim; d++) {
          v.head(row, h)[d] = high(q[static_cast<size_t>(h * shape_.head_dim + d)]);
          v.head(row, h)[v.depth + static_cast<size_t>(d)] = low(q[static_cast<size_t>(h * shape_.head_dim + d)]);
        }
        *v.scale(row, h) = scale_of(row)[static_cast<size_t>(h)];
      }
  }

  // A sequence's pages. Positions that it never had hold what must not matter: other digits, and scales that are no numbers.
  void place(const Run& r) {
    const cuda::KvView v = gpu();
    const int dims = static_cast<int>(padded_dims(shape_.head_dim));
    for (int p = 0; p < kMaxPages * kBlock; p++)
      for (int h = 0; h < shape_.kv_heads; h++) {
        const bool there = p < r.count;
        const int page = table_[static_cast<size_t>(r.sequence * kMaxPages + p / kBlock)], j = p % kBlock;
        const KvBlock from = kv_block(kv_, page, kLayer, h);
        uint8_t* block = v.block(page, kLayer, h);
        for (int d = 0; d < static_cast<int>(v.depth); d++) {
          const int16_t k = !there ? 0x1122 : d < shape_.head_dim ? from.k[(d / 2 * kBlock + j) * 2 + d % 2] : 0;
          v.k(block, j)[d] = high(k), v.k(block, j)[v.depth + static_cast<size_t>(d)] = low(k);
        }
        for (int e = 0; e < static_cast<int>(v.dims); e++) {
          const int16_t x = !there ? 0x2211 : e < shape_.head_dim ? from.v[(j / 2 * dims + e) * 2 + j % 2] : 0;
          v.v(block, e)[j] = high(x), v.v(block, e)[kBlock + j] = low(x);
        }
        v.k_scale(block)[j] = there ? from.k_scale[j] : std::nanf("");
        v.v_scale(block)[j] = there ? from.v_scale[j] : std::nanf("");
      }
  }

  Shape shape_;
  std::unique_ptr<Device> cpu_;
  int sequences_;
  std::vector<int32_t> table_, position_, sequence_;
  KvCache kv_, gpu_kv_;
  Floats rope_;
  std::unique_ptr<Array<uint8_t>> gpu_pages_;
  std::vector<std::vector<std::vector<int16_t>>> query_;         // [sequence][position]
  std::vector<std::vector<Floats>> query_scale_;
};

// A context whose number of multiprocessors decides whether blocks are shared out.
struct Machine {
  Array<uint8_t> scratch{size_t{16} << 20};
  cuda::Context c;
  explicit Machine(bool share) {
    c.multiprocessors = share ? 100'000 : 0;
    c.scratch = {scratch, size_t{16} << 20};
  }
};

bool alive(const Floats& x) {
  double energy = 0;
  for (float v : x) energy += std::fabs(static_cast<double>(v));
  return energy > 1e-3 * static_cast<double>(x.size());
}

void check(Both& both, Machine& machine, const std::vector<Run>& runs, const std::vector<int32_t>& wanted = {}) {
  both.batch(runs);
  const Floats want = both.on_cpu(wanted);
  CHECK(same_bits(both.on_gpu(machine.c, wanted), want));
}

const Shape kShapes[] = {{2, 2, 32}, {3, 1, 64}, {4, 1, 80}, {7, 1, 96}, {8, 1, 128}, {5, 1, 112}, {6, 1, 48}, {3, 3, 128},
                         {2, 1, 256}, {4, 4, 6}, {12, 1, 64}, {40, 1, 16}};

}  // namespace

TEST_CASE("prefill: ragged runs, several sequences in a tile, across borders of blocks") {
  for (const Shape& shape : kShapes) {
    INFO("heads " << shape.heads << " head_dim " << shape.head_dim);
    Both both(shape, {3, 130, 1, 140}, 1.5f);
    Machine walk(false), share(true);
    both.batch({{0, 0, 3}, {1, 0, 4}});
    REQUIRE(alive(both.on_cpu({})));
    check(both, walk, {{0, 0, 3}, {1, 126, 4}, {2, 0, 1}, {3, 120, 20}});
    check(both, share, {{0, 0, 3}, {1, 126, 4}, {2, 0, 1}, {3, 120, 20}});
  }
}

TEST_CASE("prefill from the start, in one piece") {
  for (const Shape& shape : {Shape{4, 2, 64}, Shape{3, 1, 128}}) {
    Both both(shape, {150, 9}, 1.5f);
    Machine walk(false), share(true);
    check(both, walk, {{0, 0, 150}, {1, 0, 9}});
    check(both, share, {{0, 0, 150}, {1, 0, 9}});
  }
}

TEST_CASE("prefill behind a long context; few columns and many of a run") {
  for (const Shape& shape : {Shape{4, 1, 128}, Shape{7, 1, 64}, Shape{1, 1, 80}}) {
    INFO("heads " << shape.heads << " head_dim " << shape.head_dim);
    Both both(shape, {530, 300}, 1.5f);
    for (bool shared : {false, true}) {
      Machine machine(shared);
      check(both, machine, {{0, 460, 60}, {1, 290, 3}});
      for (int rows : {1, 2, 3, 4, 5, 16, 17, 33}) check(both, machine, {{0, 530 - rows, rows}});
    }
  }
}

TEST_CASE("decoding: blocks walked or shared out") {
  for (const Shape& shape : kShapes) {
    INFO("heads " << shape.heads << " head_dim " << shape.head_dim);
    Both both(shape, {1, 128, 129, 385}, 2.0f);
    Machine walk(false), share(true);
    check(both, walk, {{3, 384, 1}});
    check(both, share, {{3, 384, 1}});
    check(both, walk, {{0, 0, 1}, {1, 127, 1}, {2, 128, 1}, {3, 383, 1}});
    check(both, share, {{0, 0, 1}, {1, 127, 1}, {2, 128, 1}, {3, 383, 1}});
  }
}

TEST_CASE("more sequences in a tile than CTAs that share them") {
  Both both({4, 1, 64}, {20, 9, 130, 1, 30, 2, 140, 7, 8, 50, 3, 60}, 1.5f);
  std::vector<Run> runs = {{0, 0, 20}, {1, 8, 1}, {2, 129, 1}, {3, 0, 1}, {4, 29, 1}, {5, 1, 1}, {6, 127, 2}, {7, 6, 1}, {8, 7, 1},
                           {9, 49, 1}, {10, 2, 1}, {11, 59, 1}};
  for (bool shared : {false, true}) {
    Machine machine(shared);
    check(both, machine, runs);
  }
}

TEST_CASE("chosen rows only") {
  Both both({6, 2, 64}, {20, 300}, 2.0f);
  for (bool shared : {false, true}) {
    Machine machine(shared);
    check(both, machine, {{0, 10, 10}, {1, 250, 50}}, {9, 10, 59});
    check(both, machine, {{0, 10, 10}, {1, 250, 50}}, {59});
  }
}

TEST_CASE("decoding and prefill in one batch; what the host only bounds may be too large") {
  Both both({4, 2, 64}, {200, 140, 6, 300, 40}, 2.0f);
  const std::vector<Run> runs = {{0, 199, 1}, {1, 139, 1}, {2, 5, 1}, {3, 299, 1}, {4, 0, 40}};
  for (bool shared : {false, true}) {
    Machine machine(shared);
    check(both, machine, runs);
    both.batch(runs);
    const Floats want = both.on_cpu({});
    for (int longest : {40, 41, 44, 100}) {
      both.longest = longest;
      for (int last : {299, 511, 639}) {
        both.last = last;
        for (int alone : {0, 1, 4}) {
          both.alone = alone;
          CHECK(same_bits(both.on_gpu(machine.c, {}), want));
        }
      }
    }
  }
  // Who decodes has the kernel for few columns, whoever else is there.
  Machine machine(false);
  both.batch(runs);
  for (int alone : {4, 0}) {
    both.alone = alone;
    simt::counters() = {};
    both.on_gpu(machine.c, {});
    CHECK(simt::counters().launches == (alone > 0 ? 2 : 1));
  }
  // Partials that find no place: the blocks are walked.
  Machine small(true);
  small.c.scratch.bytes = 1000;
  simt::counters() = {};
  check(both, small, runs);
  CHECK(simt::counters().launches == 2);
}

TEST_CASE("a context of more blocks than a grid is deep: they are walked") {
  Both both({1, 1, 6}, {130}, 1.5f);
  Machine machine(true);
  both.batch({{0, 129, 1}});
  const Floats want = both.on_cpu({});
  both.max_pages = 1 << 16;
  both.last = (1 << 16) * kBlock - 1;
  simt::counters() = {};
  CHECK(same_bits(both.on_gpu(machine.c, {}), want));
  CHECK(simt::counters().launches == 1);
}

TEST_CASE("giant, tiny and no scores") {
  for (Pattern pattern : {Pattern::plain, Pattern::crossed, Pattern::opposed})
    for (float spread : {1e36f, 1e25f, 1e18f, 1e9f, 5000.0f, 3410.3f, 700.0f, 1e-20f, 1e-33f, 0.0f}) {
      if (pattern != Pattern::plain && spread < 1) continue;
      INFO("spread " << spread << " pattern " << static_cast<int>(pattern));
      Both both({3, 1, 64}, {150}, spread, pattern);
      for (bool shared : {false, true}) {
        Machine machine(shared);
        check(both, machine, {{0, 0, 30}});
        check(both, machine, {{0, 100, 20}});
        check(both, machine, {{0, 125, 6}});
        check(both, machine, {{0, 149, 1}});
      }
    }
}

TEST_CASE("no schedule changes a bit, and a wait is not forgotten") {
  for (const Shape& shape : {Shape{4, 2, 80}, Shape{3, 1, 64}}) {
    Both both(shape, {140, 300}, 1.5f);
    simt::set_lazy(true);
    for (simt::Schedule schedule : {simt::Schedule{simt::Schedule::ascending, 0}, simt::Schedule{simt::Schedule::descending, 0},
                                    simt::Schedule{simt::Schedule::shuffled, 1}, simt::Schedule{simt::Schedule::shuffled, 2}}) {
      INFO("head_dim " << shape.head_dim << " schedule " << schedule.kind << " " << schedule.seed);
      simt::set_schedule(schedule);
      for (bool shared : {false, true}) {
        Machine machine(shared);
        check(both, machine, {{0, 120, 20}, {1, 250, 9}});
        check(both, machine, {{0, 100, 40}, {1, 130, 50}});
        check(both, machine, {{0, 139, 1}, {1, 299, 1}});
      }
    }
    simt::set_schedule({});
    simt::set_lazy(false);
  }
}

TEST_CASE("sums of digit products become floats with one rounding, ties and signs included") {
  Random random(77);
  int wrong = 0, seen = 0;
  for (int i = 0; i < 2'000'000; i++) {
    const int bits = 1 + random.below(38);
    int64_t sum = static_cast<int64_t>(random.next() >> (64 - bits));
    if (bits > 26 && i % 3 == 0) sum = (sum >> (bits - 25) | 1) << (bits - 25);              // half way between two floats
    if (bits > 26 && i % 9 == 0) sum += random.below(3) - 1;                                 // and just beside
    sum = i % 2 ? -sum : sum;
    if (sum <= -272'717'905'000 || sum >= 272'717'905'000) continue;
    // Every way to share it out among the products of digits: the middle and the lowest are anything, the highest takes the rest.
    const int low = static_cast<int>(((sum % 256) + 256) % 256 + 256 * (random.below(30'000) - 15'000));
    const int middle = static_cast<int>((((sum - low) / 256 % 256) + 256) % 256 + 256 * (random.below(60'000) - 30'000));
    const int64_t high = (sum - low - 256 * static_cast<int64_t>(middle)) / 65536;
    REQUIRE(65536 * high + 256 * static_cast<int64_t>(middle) + low == sum);
    wrong += cuda::round_sum(cuda::kSumStart + static_cast<int>(high), middle, low) != static_cast<float>(sum), seen++;
  }
  CHECK(seen > 1'500'000);
  CHECK(wrong == 0);
}

TEST_CASE("the power of a score is that of the rule") {
  const auto same = [](float x) { return math::bits(cuda::power(x)) == math::bits(math::exp2_weight(x)); };
  int wrong = 0;
  for (uint32_t b = math::bits(-0.0f); b <= math::bits(-0x1p24f); b += 101) wrong += !same(math::from_bits(b));
  for (int i = 0; i < 400; i++) {                // about halves and integers, where rounding turns, and the limit
    const float x = -0.5f * static_cast<float>(i);
    wrong += !same(x) + !same(std::nextafter(x, -1e9f)) + (x < 0 && !same(std::nextafter(x, 0.0f)));
  }
  CHECK(wrong == 0);
  CHECK(cuda::power(-0x1p120f) == 0.0f);
  CHECK(cuda::power(-INFINITY) == 0.0f);
}

TEST_CASE("negative control: a wrong digit, a wrong scale, a position too many are seen") {
  Both both({2, 1, 64}, {130}, 1.5f);
  Machine machine(false);
  both.batch({{0, 128, 2}});
  const Floats want = both.on_cpu({});
  REQUIRE(same_bits(both.on_gpu(machine.c, {}), want));
  const cuda::KvView v = both.gpu();
  uint8_t* block = both.gpu_block(0, 0, 0);
  const auto seen = [&](auto& place, auto value) {
    const auto old = place;
    place = value;
    const bool differs = !same_bits(both.on_gpu(machine.c, {}), want);
    place = old;
    return differs;
  };
  CHECK(seen(v.k(block, 127)[63], static_cast<int8_t>(v.k(block, 127)[63] ^ 0x40)));
  CHECK(seen(v.v(block, 5)[kBlock], static_cast<int8_t>(v.v(block, 5)[kBlock] ^ 0x7f)));
  CHECK(seen(v.v_scale(block)[64], v.v_scale(block)[64] * 1.5f));
  CHECK(seen(v.k_scale(both.gpu_block(0, 1, 0))[0], 1.0f));
  CHECK(same_bits(both.on_gpu(machine.c, {}), want));
}
