// The matrix product: every instruction set, thread count, batch and packing gives the bits of a plain loop over integers.
#include "kernels/cpu/matmul.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "test/catch.h"
#include "test/unit/random.h"
#include "test/unit/rows.h"

using namespace ibid::kernels;
using ibid::test::Random;
using ibid::test::same_bits;

namespace {

// Zeroed, 64-byte aligned, with room for whole lines.
class Bytes {
 public:
  explicit Bytes(size_t size) : data_(static_cast<uint8_t*>(std::aligned_alloc(64, round_up(size, 64)))) {
    std::memset(data_.get(), 0, round_up(size, 64));
  }
  uint8_t* get() const { return data_.get(); }

 private:
  struct Free { void operator()(uint8_t* p) const { std::free(p); } };
  std::unique_ptr<uint8_t, Free> data_;
};

std::vector<float> reals(Random& random, size_t count) {
  std::vector<float> out(count);
  for (float& x : out) x = 2 * random.uniform() - 1;
  return out;
}

std::vector<Isa> isas() {
  std::vector<Isa> out;
  for (Isa isa : kIsas)
    if (isa_available(isa)) out.push_back(isa);
  return out;
}

// One product: floats for weights, integers for activations, and whatever else the epilogue takes.
struct Case {
  int n, k, rows;
  Profile profile;
  std::vector<float> weights;             // (n, k)
  std::vector<int16_t> q;                 // (rows, k)
  std::vector<float> scale;               // (rows)
  std::vector<float> bias, residual;      // (n), (rows, n); empty: none

  Case(int n_, int k_, int rows_, Profile profile_, bool extras, uint64_t seed) : n(n_), k(k_), rows(rows_), profile(profile_) {
    Random random(seed);
    const size_t area = static_cast<size_t>(rows) * static_cast<size_t>(k);
    weights = reals(random, static_cast<size_t>(n) * static_cast<size_t>(k));
    for (size_t i = 0; i < area; i++) q.push_back(static_cast<int16_t>(random.below(2 * kQuantMax + 1) - kQuantMax));
    for (int i = 0; i < rows; i++) scale.push_back(std::ldexp(0.75f + random.uniform() / 2, random.below(20) - 15));
    if (extras) {
      bias = reals(random, static_cast<size_t>(n));
      residual = reals(random, static_cast<size_t>(rows) * static_cast<size_t>(n));
    }
  }
  const float* weight_row(int i) const { return weights.data() + static_cast<size_t>(i) * static_cast<size_t>(k); }
};

struct Packed {
  Bytes bytes;
  Weight w;
  bool finite;
  Packed(const Case& c, Isa isa) : bytes(matmul_weight_bytes(c.n, c.k, c.profile)) {
    w = {c.n, c.k, c.profile, bytes.get(), c.bias.empty() ? nullptr : c.bias.data()};
    finite = pack_rows(matmul_table(isa), w, 0, nullptr, c.weights.data(), c.n);
  }
};

struct Stored {
  Bytes bytes;
  QuantRows a;
  Stored(const Case& c, const MatmulTable& table) : bytes(matmul_quant_rows_bytes(c.rows, c.k)) {
    // What an earlier, larger batch left behind must not matter.
    std::memset(bytes.get(), 0xA5, matmul_quant_rows_bytes(c.rows, c.k));
    a = {c.k, bytes.get()};
    for (int i = 0; i < c.rows; i++) table.store_row(a, i, c.q.data() + static_cast<size_t>(i) * static_cast<size_t>(c.k), c.scale[i]);
  }
};

std::vector<float> product(const Case& c, Isa isa, Pool& pool) {
  const Packed packed(c, isa);
  REQUIRE(packed.finite);
  const MatmulTable& table = matmul_table(isa);
  const Stored stored(c, table);
  std::vector<float> y(static_cast<size_t>(c.rows) * static_cast<size_t>(c.n), std::nanf(""));
  matmul(table, pool, packed.w, stored.a, c.rows, y.data(), c.residual.empty() ? nullptr : c.residual.data());
  return y;
}

// The same of a gated product with f pairs. REQUIRES: c.n == gated_rows(f)
std::vector<float> gated_product(const Case& c, int f, Isa isa, Pool& pool) {
  const Packed packed(c, isa);
  const Stored stored(c, matmul_table(isa));
  std::vector<float> y(static_cast<size_t>(c.rows) * static_cast<size_t>(f) + 1, 7.0f);      // one more: nothing is written behind the last
  gated_matmul(matmul_table(isa), pool, packed.w, stored.a, c.rows, f, y.data());
  REQUIRE(y.back() == 7.0f);
  y.pop_back();
  return y;
}

// The rule, written once more and differently: quantise in doubles, sum in int64.
struct PlainRow { std::vector<int64_t> q; float scale = 0; };

PlainRow plain_quantise(const float* x, int k, int q_max) {
  PlainRow out;
  float amax = 0;
  for (int i = 0; i < k; i++) amax = std::max(amax, std::fabs(x[i]));
  const bool zero = amax < std::ldexp(1.0f, -96);
  const float inv = zero ? 0 : static_cast<float>(q_max) / amax;
  for (int i = 0; i < k; i++) {
    const float product = x[i] * inv;
    out.q.push_back(static_cast<int64_t>(std::nearbyint(static_cast<double>(product))));
  }
  out.scale = zero ? 0 : amax / static_cast<float>(q_max);
  return out;
}

std::vector<float> plain_product(const Case& c) {
  std::vector<float> y;
  std::vector<PlainRow> w;
  for (int i = 0; i < c.n; i++) w.push_back(plain_quantise(c.weight_row(i), c.k, c.profile == Profile::w16a16 ? kQuantMax : kQuantMax8));
  for (int t = 0; t < c.rows; t++)
    for (int n = 0; n < c.n; n++) {
      int64_t sum = 0;
      for (int k = 0; k < c.k; k++) sum += w[n].q[k] * c.q[static_cast<size_t>(t) * c.k + k];
      volatile float value = static_cast<float>(sum);
      value = value * c.scale[t];
      value = value * w[n].scale;
      if (!c.bias.empty()) value = value + c.bias[n];
      if (!c.residual.empty()) value = value + c.residual[y.size()];
      y.push_back(float{value});
    }
  return y;
}

std::vector<float> plain_gated(const Case& c, int f) { return ibid::test::gated_outputs(plain_product(c), c.n, f); }

// Two threads cut rows and panels small; what takes many rows at once (256-bit vectors, which widen weights of 8 bits for 64 and more) is
// only reached by one.
void check_everywhere(const Case& c) {
  const std::vector<float> expected = plain_product(c);
  Pool one(1), two(2);
  for (Isa isa : isas())
    for (Pool* pool : {&one, &two}) {
      if (pool == &one && c.rows < 64) continue;
      INFO(isa_name(isa) << " n " << c.n << " k " << c.k << " rows " << c.rows << " digits " << weight_digits(c.profile) << " threads "
                         << pool->threads());
      REQUIRE(same_bits(product(c, isa, *pool), expected));
    }
}

const Profile kProfiles[] = {Profile::w16a16, Profile::w8a16};

}  // namespace

TEST_CASE("the pool runs each task once, in any number of threads") {
  for (int threads : {1, 2, 7}) {
    Pool pool(threads);
    REQUIRE(pool.threads() == threads);
    for (int tasks : {0, 1, 2, 5, 100}) {
      for (int repeat = 0; repeat < 200; repeat++) {
        std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
        std::atomic<int> bad_worker{0};
        pool.run(tasks, [&](int task, int worker) {
          runs[static_cast<size_t>(task)]++;
          if (worker < 0 || worker >= threads) bad_worker++;
        });
        int wrong = bad_worker;
        for (auto& count : runs) wrong += count != 1;
        REQUIRE(wrong == 0);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));   // the workers fall asleep, and wake again
    std::atomic<int> done{0};
    pool.run(50, [&](int, int) { done++; });
    REQUIRE(done == 50);
  }
}

TEST_CASE("each worker of the pool has a share of neighbouring tasks, in order, and another's last when it has none left") {
  for (int threads : {1, 2, 3, 7}) {
    Pool pool(threads);
    for (int tasks : {1, 2, 5, 100}) {
      int ends = 0;
      for (int task = 0, end = 0; task < tasks; task++) {
        if (task == end) end = pool.end_of_share(tasks, task), ends++;
        REQUIRE((task < end && end <= tasks && pool.end_of_share(tasks, task) == end));
        REQUIRE(end - task <= (tasks + threads - 1) / threads);
      }
      REQUIRE(ends == std::min(tasks, threads));
    }
  }
  // The second of two workers is held by its first task: the other does its own share from the front, then the rest from the back.
  Pool pool(2);
  std::atomic<int> held{0}, at{0};
  std::vector<int> order(20, -1);
  pool.run(20, [&](int task, int worker) {
    if (worker == 1 && held.exchange(1) == 0) {
      order[19] = task;
      while (at < 19) std::this_thread::yield();
    } else if (worker == 0) {
      while (held == 0) std::this_thread::yield();
      order[static_cast<size_t>(at++)] = task;
    }
  });
  for (int i = 0; i < 10; i++) REQUIRE(order[static_cast<size_t>(i)] == i);
  for (int i = 10; i < 19; i++) REQUIRE(order[static_cast<size_t>(i)] == 29 - i);
  REQUIRE(order[19] == 10);
}

TEST_CASE("what a task throws comes out of the pool, once all have ended, and the pool goes on") {
  for (int threads : {1, 2, 7}) {
    Pool pool(threads);
    std::atomic<int> ended{0};
    for (int repeat = 0; repeat < 50; repeat++) {
      ended = 0;
      CHECK_THROWS_AS(pool.run(20, [&](int task, int) {
        if (task == 19) throw std::bad_alloc();
        ended++;
      }), std::bad_alloc);
      REQUIRE(ended == 19);
      pool.run(20, [&](int, int) { ended++; });
      REQUIRE(ended == 39);
    }
  }
}

TEST_CASE("every thread of the pool rounds to nearest, however the thread rounded that made it and calls it") {
  for (int threads : {1, 2}) {
    std::fesetround(FE_UPWARD);
    Pool pool(threads);
    std::atomic<int> begun{0}, wrong{0};
    pool.run(threads, [&](int, int) {
      begun++;
      while (begun < threads) std::this_thread::yield();               // so each has a thread of its own
      volatile float one = 1, little = 0x1p-30f;
      if (one + little != 1) wrong++;
    });
    std::fesetround(FE_TONEAREST);
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("instruction sets are ordered and the machine's best one is available") {
  REQUIRE(isa_available(Isa::scalar));
  REQUIRE(isa_available(best_isa()));
  REQUIRE(default_threads() >= 1);
  REQUIRE(std::string(isa_name(Isa::avx512)) == "avx512");
  for (Isa isa : isas()) REQUIRE(matmul_table(isa).isa == isa);
}

TEST_CASE("every instruction set gives the bits of a plain int64 loop on ragged shapes") {
  uint64_t seed = 1;
  for (Profile profile : kProfiles) {
    for (int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 23, 31, 33, 48, 70})
      check_everywhere(Case(33 + rows, 72, rows, profile, rows % 2 == 0, seed++));
    for (int k : {8, 9, 16, 31, 33, 60, 64, 65, 100, 127, 128, 576, 1030, 4100}) {
      check_everywhere(Case(37, k, 1, profile, true, seed++));
      check_everywhere(Case(20, k, 19, profile, false, seed++));
      check_everywhere(Case(20, k, 67, profile, false, seed++));
    }
    for (int n : {1, 15, 16, 17, 31, 32, 33, 47, 64, 97, 300}) check_everywhere(Case(n, 24, 10, profile, true, seed++));
  }
}

TEST_CASE("threads and the split do not matter") {
  for (Profile profile : kProfiles) {
    const Case c(1000, 200, 150, profile, true, 5);
    Pool one(1);
    const std::vector<float> expected = plain_product(c);
    for (int threads : {1, 2, 7}) {
      Pool pool(threads);
      for (Isa isa : isas()) REQUIRE(same_bits(product(c, isa, pool), expected));
    }
  }
}

TEST_CASE("a gated product gives silu(gate) * up of the plain loop's outputs, whatever tile and thread has them") {
  uint64_t seed = 60;
  for (Profile profile : kProfiles)
    for (int f : {1, 7, 8, 9, 16, 20, 45, 500})
      for (int rows : {1, 2, 3, 6, 8, 16, 17, 33, 70}) {
        if (f == 500 && rows % 2 == 1) continue;
        Case c(gated_rows(f), rows % 3 == 0 ? 200 : 70, rows, profile, rows % 4 != 0, seed++);
        c.residual.clear();
        for (float& b : c.bias) b *= 100;                               // gates from -100 to 100
        const std::vector<float> expected = plain_gated(c, f);
        for (int threads : {1, 3}) {
          Pool pool(threads);
          for (Isa isa : isas()) {
            INFO(isa_name(isa) << " f " << f << " rows " << rows << " digits " << weight_digits(profile) << " threads " << threads);
            REQUIRE(same_bits(gated_product(c, f, isa, pool), expected));
          }
        }
      }
}

TEST_CASE("a gated product of the ends of float32: every pair of them, one payload of a NaN as good as another") {
  const float huge = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  const float least = std::numeric_limits<float>::min();
  const std::vector<float> ends = {0.0f, tiny, -tiny, least, -least, 1.0f, -1.0f, 87.0f, -87.0f, 88.8f, -88.8f, -103.0f, 1e30f, -1e30f,
                                   huge, -huge, INFINITY, -INFINITY, std::nanf("")};
  const int f = static_cast<int>(ends.size() * ends.size());
  for (Profile profile : kProfiles)
    for (int rows : {1, 9, 70}) {
      Case c(gated_rows(f), 66, rows, profile, true, 80);
      c.residual.clear();
      std::fill(c.q.begin(), c.q.end(), int16_t{0});                    // an output is its bias (never -0: 0 + -0 is 0)
      for (int i = 0; i < f; i++) {
        c.bias[static_cast<size_t>(gate_row(i))] = ends[static_cast<size_t>(i) / ends.size()];
        c.bias[static_cast<size_t>(gate_row(i) + kGate)] = ends[static_cast<size_t>(i) % ends.size()];
      }
      Pool pool(2);
      const auto bits = [](const std::vector<float>& y) {
        std::vector<uint32_t> out;
        for (float v : y) out.push_back(std::isnan(v) ? 0x7fc00000 : std::bit_cast<uint32_t>(v));
        return out;
      };
      const std::vector<uint32_t> expected = bits(plain_gated(c, f));
      for (Isa isa : isas()) {
        INFO(isa_name(isa) << " rows " << rows);
        REQUIRE(bits(gated_product(c, f, isa, pool)) == expected);
      }
    }
}

TEST_CASE("a row alone equals that row in a batch") {
  for (Profile profile : kProfiles) {
    const Case c(75, 136, 40, profile, true, 6);
    Pool pool(2);
    for (Isa isa : isas()) {
      const std::vector<float> whole = product(c, isa, pool);
      for (int row = 0; row < c.rows; row++) {
        Case alone = c;
        alone.rows = 1;
        alone.q.assign(c.q.begin() + row * c.k, c.q.begin() + (row + 1) * c.k);
        alone.scale = {c.scale[static_cast<size_t>(row)]};
        alone.residual.assign(c.residual.begin() + row * c.n, c.residual.begin() + (row + 1) * c.n);
        const std::vector<float> y = product(alone, isa, pool);
        REQUIRE(std::memcmp(y.data(), whole.data() + row * c.n, y.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("rows in the hundreds go through all the cuts") {
  for (Profile profile : kProfiles) {
    const Case c(130, 320, 333, profile, true, 7);
    const std::vector<float> expected = plain_product(c);
    for (int threads : {1, 3}) {
      Pool pool(threads);
      for (Isa isa : isas())
        if (isa != Isa::scalar) REQUIRE(same_bits(product(c, isa, pool), expected));
    }
  }
}

TEST_CASE("the residual may be the output itself") {
  const Case c(45, 80, 20, Profile::w16a16, true, 8);
  Pool pool(2);
  for (Isa isa : isas()) {
    const Packed packed(c, isa);
    const Stored stored(c, matmul_table(isa));
    std::vector<float> y = c.residual;
    matmul(matmul_table(isa), pool, packed.w, stored.a, c.rows, y.data(), y.data());
    REQUIRE(same_bits(y, plain_product(c)));
  }
}

TEST_CASE("the largest magnitudes do not overflow") {
  const int16_t kValues[] = {kQuantMax, -kQuantMax, 128, -128, 127, static_cast<int16_t>(-32640 + 128), 32384, 0};   // ends of both digits
  // 256-bit vectors widen the weights of many
  for (auto [profile, rows] : {std::pair(Profile::w16a16, 9), {Profile::w8a16, 9}, {Profile::w8a16, 65}})
    for (int16_t value : kValues)
      for (float sign : {1.0f, -1.0f}) {
        Case c(34, 2000, rows, profile, false, 9);
        for (int16_t& q : c.q) q = value;
        for (float& w : c.weights) w = sign * 3.0f;
        check_everywhere(c);
        // Weights whose low digit is -128 throughout, beside one that fixes the scale.
        for (size_t i = 0; i < c.weights.size(); i++) c.weights[i] = i % 2000 == 0 ? 32639.0f : sign * 128.0f;
        check_everywhere(c);
      }
}

TEST_CASE("sums stay exact up to the greatest depth") {
  for (Profile profile : kProfiles)
    for (int16_t value : {int16_t{kQuantMax}, int16_t{-32512 + 128}, int16_t{128}, int16_t{-128}}) {
      Case c(2, kMaxDepth, 8, profile, false, 10);
      for (int16_t& q : c.q) q = value;
      for (float& w : c.weights) w = static_cast<float>(value);
      for (int n = 0; n < 2; n++) c.weights[static_cast<size_t>(n) * kMaxDepth] = 32639.0f;
      check_everywhere(c);
    }
}

TEST_CASE("what the upper bytes of words leave to their lower ones is largest, at any depth") {
  for (int k : {192, 2000, kMaxDepth})                                  // 192: a fold and half of one
    for (int16_t value : {int16_t{32384}, int16_t{-32385}}) {           // -32513 is 255 above a multiple of 256
      Case c(34, k, 8, Profile::w16a16, false, 10);
      for (int16_t& q : c.q) q = value;
      for (size_t i = 0; i < c.weights.size(); i++) c.weights[i] = i % static_cast<size_t>(k) == 0 ? 32639.0f : -32513.0f;
      check_everywhere(c);
    }
}

TEST_CASE("zero, tiny and denormal rows follow the row rule") {
  for (Profile profile : kProfiles) {
    Case c(40, 72, 9, profile, true, 11);
    const float kScales[] = {0.0f, 1e-45f, 1e-40f, std::ldexp(1.0f, -97), std::ldexp(1.0f, -96), 1e-20f, 1e30f, 3e38f};
    for (int n = 0; n < c.n; n++)
      for (int k = 0; k < c.k; k++) c.weights[static_cast<size_t>(n * c.k + k)] *= kScales[n % 8];
    c.scale[3] = 0;
    c.scale[4] = 1e-42f;
    check_everywhere(c);
    const Packed packed(c, best_isa());
    REQUIRE(view(packed.w).scale[0] == 0);
    REQUIRE(view(packed.w).scale[5] > 0);
  }
}

TEST_CASE("a NaN or an infinity among the weights is refused") {
  for (Profile profile : kProfiles)
    for (float bad : {std::nanf(""), -std::nanf(""), INFINITY, -INFINITY})
      for (int place : {0, 71, 72, 39 * 72 + 71}) {
        Case c(40, 72, 1, profile, false, 12);
        REQUIRE(Packed(c, best_isa()).finite);
        c.weights[static_cast<size_t>(place)] = bad;
        REQUIRE_FALSE(Packed(c, best_isa()).finite);
      }
}

TEST_CASE("packing in pieces, in any order and through a map equals packing at once") {
  for (Isa isa : isas()) for (Profile profile : kProfiles) {
    const MatmulTable& table = matmul_table(isa);
    const Case c(101, 77, 1, profile, false, 13);
    const Packed whole(c, isa);
    const size_t bytes = matmul_weight_bytes(c.n, c.k, profile);
    Bytes pieces(bytes), mapped(bytes);
    Weight w = whole.w;
    w.data = pieces.get();
    for (int from : {64, 7, 0, 96, 33, 63})
      REQUIRE(pack_rows(table, w, from, nullptr, c.weight_row(from),
                        (from == 64 ? 96 : from == 7 ? 33 : from == 0 ? 7 : from == 96 ? 101 : from == 33 ? 63 : 64) - from));
    REQUIRE(std::memcmp(pieces.get(), whole.bytes.get(), bytes) == 0);
    w.data = mapped.get();
    std::vector<int32_t> map;
    std::vector<float> shuffled;
    for (int i = 0; i < c.n - 1; i++) {
      map.push_back(i * 37 % (c.n - 1));
      shuffled.insert(shuffled.end(), c.weight_row(1 + map.back()), c.weight_row(1 + map.back()) + c.k);
    }
    REQUIRE(pack_rows(table, w, 0, nullptr, c.weight_row(0), 1));
    REQUIRE(pack_rows(table, w, 1, map.data(), shuffled.data(), c.n - 1));
    REQUIRE(std::memcmp(mapped.get(), whole.bytes.get(), bytes) == 0);
  }
}

TEST_CASE("negative control: a float sum in another order does differ on such data") {
  const Case c(64, 576, 4, Profile::w16a16, false, 14);
  int differ = 0;
  for (int t = 0; t < c.rows; t++)
    for (int n = 0; n < c.n; n++) {
      float forward = 0, backward = 0;
      for (int k = 0; k < c.k; k++) forward += c.weight_row(n)[k] * c.q[static_cast<size_t>(t * c.k + k)];
      for (int k = c.k; k-- > 0;) backward += c.weight_row(n)[k] * c.q[static_cast<size_t>(t * c.k + k)];
      differ += forward != backward;
    }
  REQUIRE(differ > c.rows * c.n / 2);
  // And the comparison itself sees a single flipped bit.
  Pool pool(1);
  std::vector<float> y = product(c, best_isa(), pool);
  REQUIRE(same_bits(y, plain_product(c)));
  y[7] = std::bit_cast<float>(std::bit_cast<uint32_t>(y[7]) ^ 1u);
  REQUIRE_FALSE(same_bits(y, plain_product(c)));
}
