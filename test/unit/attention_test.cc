// rope_store and attention: every instruction set equals the scalar one by bits; batches, threads and pages do not matter; the
// result agrees with an independent float64 attention.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops.h"
#include "test/catch.h"
#include "test/unit/random.h"

using namespace ibid::kernels;
using ibid::test::Random;
using ibid::test::same_bits;

namespace {

struct Shape { int heads, kv_heads, head_dim; };

// A sequence of a batch: rows at positions [first, first + count).
struct Run { int sequence, first, count; };

// One layer's queries, keys and values for whole sequences, made from a seed, so that any split of them sees the same inputs.
struct Inputs {
  Shape shape;
  int width;
  float spread;
  Inputs(Shape s, float spread_) : shape(s), width((s.heads + 2 * s.kv_heads) * s.head_dim), spread(spread_) {}
  std::vector<float> row(int sequence, int position) const {
    Random random(static_cast<uint64_t>(sequence) * 100003 + static_cast<uint64_t>(position));
    std::vector<float> x(static_cast<size_t>(width));
    for (float& v : x) v = random.normal() * spread;
    return x;
  }
};

constexpr int kMaxPages = 5, kLayers = 2, kLayer = 1;

// A device with a K/V cache of several sequences, fed by steps.
class Attender {
 public:
  Attender(Isa isa, int threads, const Inputs& in, int sequences, bool permute, int max_pages = kMaxPages)
      : in_(in), max_pages_(max_pages), device_(make_cpu_device(isa, threads)), pages_(static_cast<size_t>(sequences * max_pages)) {
    kv_.shape = {kLayers, in.shape.kv_heads, in.shape.head_dim};
    size_t pages = pages_.size() + 3;
    kv_.pages = device_->alloc(pages * device_->kv_page_bytes(kv_.shape));
    for (size_t i = 0; i < pages_.size(); ++i) pages_[i] = static_cast<int32_t>(permute ? (i * 7 + 3) % pages_.size() + 2 : i);
    if (permute) std::memset(kv_.pages, 0x11, pages * device_->kv_page_bytes(kv_.shape));   // what another owner left
    rope_.resize(static_cast<size_t>(max_pages * kBlock * in.shape.head_dim));
    rope_table(10000.0, in.shape.head_dim, nullptr, max_pages * kBlock, rope_.data());
  }

  // Runs one step; returns the outputs of `wanted` rows (all when empty), heads * head_dim each.
  std::vector<float> step(const std::vector<Run>& runs, std::vector<int32_t> wanted = {}) {
    std::vector<int32_t> position, sequence;
    std::vector<float> qkv;
    for (const Run& r : runs) {
      for (int i = 0; i < r.count; ++i) {
        position.push_back(r.first + i);
        sequence.push_back(r.sequence);
        std::vector<float> x = in_.row(r.sequence, r.first + i);
        qkv.insert(qkv.end(), x.begin(), x.end());
      }
    }
    if (!given.empty()) qkv = given;
    if (poison_row >= 0) qkv[static_cast<size_t>(poison_row * in_.width) + poison_column] = std::nanf("");
    int rows = static_cast<int>(position.size());
    Batch batch{rows, nullptr, position.data(), sequence.data(), pages_.data(), max_pages_, rows,
                *std::max_element(position.begin(), position.end())};
    std::vector<uint8_t> q_memory(device_->quant_heads_bytes(rows, in_.shape.heads, in_.shape.head_dim) + 64);
    QuantHeads q{q_memory.data()};
    bad.assign(static_cast<size_t>(rows), 0);
    device_->rope_store(qkv.data(), in_.shape.heads, batch, {rope_.data()}, kLayer, kv_, q, bad.data());
    int queries = wanted.empty() ? rows : static_cast<int>(wanted.size());
    std::vector<float> out(static_cast<size_t>(queries * in_.shape.heads * in_.shape.head_dim));
    device_->attention(q, in_.shape.heads, batch, wanted.empty() ? nullptr : wanted.data(), queries, kLayer, kv_, out.data());
    return out;
  }

  std::vector<uint8_t> bad;
  std::vector<float> given;          // rows of queries, keys and values in the place of the inputs'
  int poison_row = -1;               // that row's value in poison_column is a NaN
  size_t poison_column = 0;
  const std::vector<float>& rope() const { return rope_; }

 private:
  Inputs in_;
  int max_pages_;
  std::unique_ptr<Device> device_;
  std::vector<int32_t> pages_;
  KvCache kv_;
  std::vector<float> rope_;
};

const Shape kShapes[] = {{2, 2, 16}, {7, 1, 64}, {6, 2, 80}, {3, 1, 128}, {4, 4, 6}, {1, 1, 256}};

// Attention of one row in float64, straight from the definition; no quantisation, no blocks.
std::vector<double> exact_row(const Inputs& in, const std::vector<float>& rope, int sequence, int position) {
  int dim = in.shape.head_dim, half = dim / 2, group = in.shape.heads / in.shape.kv_heads;
  auto rotated = [&](const std::vector<float>& x, int head, int at) {
    std::vector<double> y(static_cast<size_t>(dim));
    for (int i = 0; i < half; ++i) {
      double c = rope[static_cast<size_t>(at * dim + i)], s = rope[static_cast<size_t>(at * dim + half + i)];
      double a = x[static_cast<size_t>(head * dim + i)], b = x[static_cast<size_t>(head * dim + half + i)];
      y[static_cast<size_t>(i)] = a * c - b * s;
      y[static_cast<size_t>(half + i)] = b * c + a * s;
    }
    return y;
  };
  std::vector<double> out(static_cast<size_t>(in.shape.heads * dim));
  std::vector<float> mine = in.row(sequence, position);
  for (int h = 0; h < in.shape.heads; ++h) {
    std::vector<double> q = rotated(mine, h, position), weight;
    double max = -1e300, sum = 0;
    for (int j = 0; j <= position; ++j) {
      std::vector<double> k = rotated(in.row(sequence, j), in.shape.heads + h / group, j);
      double s = 0;
      for (int d = 0; d < dim; ++d) s += q[static_cast<size_t>(d)] * k[static_cast<size_t>(d)];
      weight.push_back(s / std::sqrt(static_cast<double>(dim)));
      max = std::fmax(max, weight.back());
    }
    for (double& w : weight) sum += w = std::exp(w - max);
    for (int j = 0; j <= position; ++j) {
      std::vector<float> x = in.row(sequence, j);
      int v = (in.shape.heads + in.shape.kv_heads + h / group) * dim;
      for (int d = 0; d < dim; ++d)
        out[static_cast<size_t>(h * dim + d)] += weight[static_cast<size_t>(j)] / sum * x[static_cast<size_t>(v + d)];
    }
  }
  return out;
}

}  // namespace

TEST_CASE("attention: every instruction set and thread count gives the scalar bits") {
  for (const Shape& shape : kShapes) {
    Inputs in(shape, 1.5f);
    std::vector<Run> runs = {{0, 0, 3}, {1, 0, 130}, {2, 0, 1}, {3, 0, 259}};
    std::vector<float> want = Attender(Isa::scalar, 1, in, 4, false).step(runs);
    double energy = 0;
    for (float v : want) energy += std::fabs(static_cast<double>(v));
    REQUIRE(energy > 0.01 * static_cast<double>(want.size()));   // a dead engine would agree with itself
    for (Isa isa : kIsas) {
      if (!isa_available(isa)) continue;
      for (int threads : {1, 2, 7}) {
        if (isa == Isa::scalar && threads == 1) continue;
        INFO(isa_name(isa) << " threads " << threads << " head_dim " << shape.head_dim);
        CHECK(same_bits(Attender(isa, threads, in, 4, threads == 2).step(runs), want));
      }
    }
  }
}

TEST_CASE("attention: one batch, position by position, in chunks, some rows only") {
  Inputs in({7, 1, 64}, 2.0f);
  const size_t width = 7 * 64;
  Isa isa = best_isa();
  std::vector<float> whole = Attender(isa, 2, in, 2, false).step({{1, 0, 300}});
  Attender single(isa, 2, in, 2, true), chunks(isa, 2, in, 2, true);
  std::vector<float> by_one, by_chunk;
  for (int p = 0; p < 300; ++p) {
    std::vector<float> row = single.step({{1, p, 1}});
    by_one.insert(by_one.end(), row.begin(), row.end());
  }
  for (int p = 0; p < 300; p += 37) {
    std::vector<float> part = chunks.step({{0, p, 5}, {1, p, std::min(37, 300 - p)}});
    by_chunk.insert(by_chunk.end(), part.begin() + 5 * static_cast<long>(width), part.end());
  }
  CHECK(same_bits(by_one, whole));
  CHECK(same_bits(by_chunk, whole));
  std::vector<float> some = Attender(isa, 2, in, 2, false).step({{1, 0, 300}}, {0, 127, 128, 299});
  for (size_t i = 0; i < 4; ++i) {
    size_t row = std::vector<size_t>{0, 127, 128, 299}[i];
    CHECK(std::memcmp(&some[i * width], &whole[row * width], width * sizeof(float)) == 0);
  }
}

TEST_CASE("attention: any number of queries that walk together, across the border of a block") {
  Inputs in({1, 1, 80}, 1.5f);
  for (int count : {1, 11, 12, 15, 16, 17, 23, 24, 25, 31, 32, 33, 48, 63, 64, 65, 130}) {
    auto last = [&](Isa isa) {
      Attender attender(isa, 1, in, 1, true);
      attender.step({{0, 0, 250 - count / 2}}, {0});
      return attender.step({{0, 250 - count / 2, count}});
    };
    const std::vector<float> want = last(Isa::scalar);
    for (Isa isa : kIsas) {
      INFO(isa_name(isa) << ", " << count << " queries");
      if (isa_available(isa)) CHECK(same_bits(last(isa), want));
    }
  }
}

TEST_CASE("attention: more tiles than the device has room for at once") {
  Inputs in({8200, 8200, 2}, 1.5f);              // two tiles and more for each head: at least 16,400 beside a table of 16,384
  Attender whole(best_isa(), 2, in, 1, false), parts(best_isa(), 2, in, 1, false);
  std::vector<float> want;
  for (int first = 0; first < 72; first += 24) {
    std::vector<float> part = parts.step({{0, first, 24}});
    want.insert(want.end(), part.begin(), part.end());
  }
  CHECK(same_bits(whole.step({{0, 0, 72}}), want));
}

// The bound: q, k, v and the block's weights are each rounded to 16 bits of their largest value, so a score errs by at most
// about 2^-15 |q|_max |k|_max sqrt(dim) and an output by that times the values plus 2^-15 of their largest; below, spread 1.
TEST_CASE("attention agrees with float64") {
  for (const Shape& shape : kShapes) {
    Inputs in(shape, 1.0f);
    Attender attender(best_isa(), 2, in, 1, false);
    std::vector<float> got = attender.step({{0, 0, 200}});
    double worst = 0;
    for (int p : {0, 1, 2, 127, 128, 199}) {
      std::vector<double> want = exact_row(in, attender.rope(), 0, p);
      for (size_t i = 0; i < want.size(); ++i) worst = std::fmax(worst, std::fabs(got[static_cast<size_t>(p) * want.size() + i] - want[i]));
    }
    INFO("head_dim " << shape.head_dim);
    CHECK(worst < 4e-4);
    CHECK(worst > 0);
  }
}

TEST_CASE("attention: one long context over several threads equals one thread") {
  Inputs in({6, 2, 64}, 2.0f);
  auto decode = [&](Isa isa, int threads) {
    Attender attender(isa, threads, in, 2, true);
    attender.step({{0, 0, 620}, {1, 0, 3}}, {0});
    std::vector<float> out = attender.step({{0, 620, 1}}), both = attender.step({{1, 3, 1}, {0, 621, 2}});
    std::vector<float> more = attender.step({{0, 623, 16}});
    out.insert(out.end(), both.begin(), both.end());
    out.insert(out.end(), more.begin(), more.end());
    return out;
  };
  std::vector<float> want = decode(Isa::scalar, 1);
  for (int threads : {1, 2, 7, 16}) CHECK(same_bits(decode(best_isa(), threads), want));
}

TEST_CASE("attention: few tiles and many blocks, whose partial results the device has no room for, equal one thread") {
  const int threads = 16, heads = 2 * threads - 1, queries = 24, blocks = 24;
  static_assert(heads < 2 * threads && size_t{heads} * blocks * queries > kMaxSplitPartials);
  Inputs in({heads, heads, 2}, 1.5f);
  auto last = [&](int with) {
    Attender attender(best_isa(), with, in, 1, true, blocks);
    attender.step({{0, 0, blocks * kBlock - queries}}, {0});
    return attender.step({{0, blocks * kBlock - queries, queries}});
  };
  CHECK(same_bits(last(threads), last(1)));
}

TEST_CASE("attention: the row that is wanted has more blocks than the rows before it") {
  Inputs in({6, 2, 64}, 2.0f);
  auto last = [&](Isa isa, int threads) {
    Attender attender(isa, threads, in, 1, true);
    attender.step({{0, 0, 400}}, {0});
    return attender.step({{0, 400, 200}}, {199});
  };
  const std::vector<float> want = last(Isa::scalar, 1);
  for (int threads : {1, 2, 7}) CHECK(same_bits(last(best_isa(), threads), want));
}

TEST_CASE("attention: giant scores saturate, all zero rows and tiny values stay finite, all instruction sets agree") {
  for (float spread : {1e9f, 1e18f, 1e-20f, 1e-33f, 0.0f}) {
    Inputs in({3, 1, 64}, spread);
    std::vector<float> want = Attender(Isa::scalar, 1, in, 1, false).step({{0, 0, 150}});
    for (float v : want) CHECK_FALSE(!std::isfinite(v));
    for (Isa isa : kIsas) {
      if (isa_available(isa)) CHECK(same_bits(Attender(isa, 2, in, 1, true).step({{0, 0, 150}}), want));
    }
  }
}

// 0 times an infinity is no number: the unit of a sum has its own limit. The second query, turned by a radian, lies along the first axis.
TEST_CASE("attention: a sum of 0 in a unit beyond float32 is a score of 0 on every instruction set") {
  Inputs in({1, 1, 2}, 1.0f);
  auto last = [&](Isa isa) {
    const float giant = 1e30f;
    Attender attender(isa, 1, in, 1, false);
    attender.given = {0, 0, 0, giant, 1, 0,   giant * std::cos(1.0f), -giant * std::sin(1.0f), 0, 0, 0, 1};
    return attender.step({{0, 0, 2}}, {1});
  };
  const std::vector<float> want = last(Isa::scalar);
  for (float v : want) CHECK(std::fabs(v - 0.5f) < 1e-4f);                 // both values weigh the same
  for (Isa isa : kIsas) {
    INFO(isa_name(isa));
    if (isa_available(isa)) CHECK(same_bits(last(isa), want));
  }
}

TEST_CASE("rope_store: a bad row is named, its neighbours keep their bits") {
  Inputs in({2, 1, 64}, 1.0f);
  Attender clean(best_isa(), 1, in, 1, false), dirty(best_isa(), 1, in, 1, false);
  std::vector<float> want = clean.step({{0, 0, 4}});
  CHECK(clean.bad == std::vector<uint8_t>(4, 0));
  for (size_t column : {size_t{0}, size_t{130}, size_t{255}}) {              // in q, in k, in v
    dirty.poison_row = 3;
    dirty.poison_column = column;
    std::vector<float> got = dirty.step({{0, 0, 4}});
    CHECK(dirty.bad == std::vector<uint8_t>{0, 0, 0, 1});
    CHECK(std::memcmp(got.data(), want.data(), 3 * 128 * sizeof(float)) == 0);
    for (float v : got) CHECK_FALSE(!std::isfinite(v));
  }
}

TEST_CASE("copy_page: a sequence goes on from another's pages") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  KvCache kv{{2, 2, 16}, nullptr};
  size_t page = d->kv_page_bytes(kv.shape);
  kv.pages = d->alloc(3 * page);
  uint8_t* bytes = static_cast<uint8_t*>(kv.pages);
  CHECK(static_cast<size_t>(std::count(bytes, bytes + 3 * page, 0)) == 3 * page);
  for (size_t i = 0; i < page; ++i) bytes[i] = static_cast<uint8_t>(i * 31);
  d->copy_page(kv, 0, 2);
  CHECK(std::memcmp(bytes, bytes + 2 * page, page) == 0);
  CHECK(bytes[page + 5] == 0);
  d->release(kv.pages, 3 * page);
}
