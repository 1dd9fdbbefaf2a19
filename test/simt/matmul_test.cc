// matmul.cu and gemm_cublas.cu: every tile, split and path gives the bits of the scalar CPU product, on any schedule.
#include <cmath>
#include <memory>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/gemm_cublas.h"
#include "test/catch.h"
#include "test/simt/array.h"
#include "test/simt/fake_cublas.h"
#include "test/unit/random.h"
#include "test/unit/rows.h"

using namespace ibid::kernels;
using ibid::test::Array;
using ibid::test::Random;
using ibid::test::same_bits;

namespace {

using Floats = std::vector<float>;

// One product in integers: the same q for both devices.
struct Case {
  int n, k, rows;
  Profile profile;
  std::vector<int16_t> w, a;                     // (n, k), (rows, k)
  Floats w_scale, a_scale, bias, residual;       // (n), (rows), (n) or empty, (rows, n) or empty

  Case(int n_, int k_, int rows_, Profile p, bool extras, uint64_t seed) : n(n_), k(k_), rows(rows_), profile(p) {
    Random random(seed);
    const int most = p == Profile::w16a16 ? kQuantMax : kQuantMax8;
    const auto fill = [&](std::vector<int16_t>& to, int count, int limit) {
      to.resize(static_cast<size_t>(count) * static_cast<size_t>(k));
      for (int16_t& q : to) q = static_cast<int16_t>(random.below(2 * limit + 1) - limit);
    };
    fill(w, n, most);
    fill(a, rows, kQuantMax);
    for (int i = 0; i < n; i++) w_scale.push_back(std::ldexp(1 + random.uniform(), -12));
    for (int i = 0; i < rows; i++) a_scale.push_back(std::ldexp(1 + random.uniform(), random.below(12) - 14));
    if (!extras) return;
    for (int i = 0; i < n; i++) bias.push_back(random.normal());
    for (int i = 0; i < rows * n; i++) residual.push_back(random.normal() * 64);
  }
};

// The rule, in int64 (NUMERICS 4.2); test/unit/matmul_test.cc holds the CPU's product to the same.
Floats plain(const Case& c) {
  Floats y;
  for (int t = 0; t < c.rows; t++)
    for (int n = 0; n < c.n; n++) {
      int64_t sum = 0;
      for (int i = 0; i < c.k; i++) sum += int64_t{c.w[static_cast<size_t>(n) * c.k + i]} * c.a[static_cast<size_t>(t) * c.k + i];
      float v = (static_cast<float>(sum) * c.a_scale[t]) * c.w_scale[n];
      if (!c.bias.empty()) v = v + c.bias[n];
      if (!c.residual.empty()) v = v + c.residual[y.size()];
      y.push_back(v);
    }
  return y;
}

// Of a gated product with f pairs. REQUIRES: c.n == gated_rows(f)
Floats plain_gated(const Case& c, int f) { return ibid::test::gated_outputs(plain(c), c.n, f); }

// The scalar CPU device's product of the same integers: a row whose largest magnitude is Q is quantised with scale 1, to itself.
Floats on_cpu(const Case& c) {
  const std::unique_ptr<Device> d = make_cpu_device(Isa::scalar, 1);
  const auto room = [&](size_t bytes) { return std::shared_ptr<void>(d->alloc(bytes), [&d, bytes](void* p) { d->release(p, bytes); }); };
  const std::shared_ptr<void> weights = room(d->weight_bytes(c.n, c.k, c.profile)), rows = room(d->quant_rows_bytes(c.rows, c.k));
  Weight w{c.n, c.k, c.profile, weights.get(), c.bias.empty() ? nullptr : c.bias.data()};
  const Floats w_floats(c.w.begin(), c.w.end()), a_floats(c.a.begin(), c.a.end());
  REQUIRE(d->convert_weight(w, 0, {w_floats.data(), DType::f32, c.n, c.k}, nullptr));
  std::vector<uint8_t> bad(static_cast<size_t>(c.rows));
  d->quantize(a_floats.data(), c.rows, c.k, {c.k, rows.get()}, bad.data());
  Floats y(static_cast<size_t>(c.rows) * c.n);
  d->matmul(w, {c.k, rows.get()}, c.rows, y.data(), c.residual.empty() ? nullptr : c.residual.data());
  return y;
}

int8_t digit(int16_t q, int digits, int which) {
  const int high = (q + 128) >> 8;
  return static_cast<int8_t>(digits == 1 ? q : which == 0 ? high : q - 256 * high);
}

// Weights and activations as they lie on a GPU, behind which nothing may be read or written.
struct Placed {
  int digits;
  Array<uint8_t> weights, rows;
  Array<float> bias;
  Weight w;
  QuantRows a;

  explicit Placed(const Case& c)
      : digits(weight_digits(c.profile)), weights(pack(c)), rows(store(c)), bias(c.bias.empty() ? Floats{0} : c.bias),
        w{c.n, c.k, c.profile, weights, c.bias.empty() ? nullptr : static_cast<float*>(bias)}, a{c.k, rows} {}

  static std::vector<uint8_t> pack(const Case& c) {
    std::vector<uint8_t> bytes(cuda::weight_bytes(c.n, c.k, c.profile));
    const int digits = weight_digits(c.profile);
    const cuda::WeightView v = cuda::view(Weight{c.n, c.k, c.profile, bytes.data(), nullptr});
    for (int n = 0; n < c.n; n++) {
      for (int d = 0; d < digits; d++)
        for (int i = 0; i < c.k; i++)
          v.row(n)[static_cast<size_t>(d) * v.depth + i] = digit(c.w[static_cast<size_t>(n) * c.k + i], digits, d);
      v.scale[n] = c.w_scale[n];
    }
    return bytes;
  }
  // What an earlier, larger batch left in the padding must not matter.
  static std::vector<uint8_t> store(const Case& c) {
    std::vector<uint8_t> bytes(cuda::quant_rows_bytes(c.rows, c.k), 0xA5);
    const cuda::RowsView v = cuda::view(QuantRows{c.k, bytes.data()});
    for (int t = 0; t < c.rows; t++) {
      for (int i = 0; i < c.k; i++) {
        v.high(t)[i] = digit(c.a[static_cast<size_t>(t) * c.k + i], 2, 0);
        v.low(t)[i] = digit(c.a[static_cast<size_t>(t) * c.k + i], 2, 1);
      }
      *v.scale(t) = c.a_scale[t];
    }
    return bytes;
  }
};

// A context as the device makes it. multiprocessors decides how large tiles become.
struct Machine {
  cuda::Context c;
  Array<uint8_t> scratch;                        // the library's workspace, and room for some panels
  explicit Machine(bool library, int multiprocessors = 4, size_t sums = 200'000) : scratch((size_t{32} << 20) + sums) {
    simt::offer_cublas(library);
    c.library = cuda::open_library();
    simt::offer_cublas(false);
    REQUIRE((c.library != nullptr) == library);
    c.multiprocessors = multiprocessors;
    c.scratch = {scratch, (size_t{32} << 20) + sums};
    if (library) c.options.gemm_rows = 1;
  }
  ~Machine() { cuda::close_library(c.library); }
  Machine(const Machine&) = delete;

  Floats product(const Case& c_, bool in_place = false) {
    const Placed placed(c_);
    const Array<float> residual(c_.residual.empty() ? Floats{0} : c_.residual);
    const Array<float> y(in_place ? c_.residual : Floats(static_cast<size_t>(c_.rows) * c_.n, std::nanf("")));
    cuda::matmul(c, placed.w, placed.a, c_.rows, y, c_.residual.empty() ? nullptr : static_cast<float*>(in_place ? y : residual));
    cudaStreamSynchronize(c.stream);
    return y.get();
  }
  Floats gated_product(const Case& c_, int f) {
    const Placed placed(c_);
    const Array<float> y(Floats(static_cast<size_t>(c_.rows) * f, std::nanf("")));
    cuda::gated_matmul(c, placed.w, placed.a, c_.rows, f, y);
    cudaStreamSynchronize(c.stream);
    return y.get();
  }
};

void check(Machine& machine, const Case& c) {
  INFO("n " << c.n << " k " << c.k << " rows " << c.rows << " digits " << weight_digits(c.profile) << " library "
            << (machine.c.library != nullptr));
  CHECK(same_bits(machine.product(c), plain(c)));
}

constexpr Profile kProfiles[] = {Profile::w16a16, Profile::w8a16};

}  // namespace

TEST_CASE("the fused product on ragged shapes: few tokens, every tile") {
  uint64_t seed = 1;
  for (int multiprocessors : {1, 200}) {         // as large tiles as there are, and the smallest
    Machine machine(false, multiprocessors);
    for (Profile profile : kProfiles) {
      for (int rows : {1, 3, 8, 9, 16, 17, 33, 64}) check(machine, Case(37, 100, rows, profile, rows % 2 == 1, seed++));
      for (int k : {2, 63, 64, 65, 576, 1100}) check(machine, Case(33, k, 2, profile, true, seed++));
      for (int n : {1, 16, 31, 150}) check(machine, Case(n, 72, 20, profile, true, seed++));
    }
  }
}

TEST_CASE("the fused product on ragged shapes: many tokens") {
  uint64_t seed = 50;
  Machine machine(false);
  for (Profile profile : kProfiles) {
    check(machine, Case(40, 200, 65, profile, true, seed++));
    check(machine, Case(140, 64, 130, profile, false, seed++));
    check(machine, Case(129, 330, 70, profile, true, seed++));
  }
  check(machine, Case(129, 30, 600, Profile::w16a16, true, seed++));   // more than one band of tiles
}

TEST_CASE("the library's product, in pieces, by every algorithm it offers") {
  uint64_t seed = 80;
  Machine machine(true);
  const uint64_t before = simt::cublas_counters().products;
  for (int algorithm : {0, 1, 2, 50}) {
    machine.c.options.gemm_algorithm = algorithm;
    for (Profile profile : kProfiles) {
      for (int rows : {1, 7, 40}) check(machine, Case(37, 100, rows, profile, rows != 7, seed++));
      check(machine, Case(300, 72, 129, profile, true, seed++));       // does not fit the scratch at once
    }
  }
  CHECK(simt::cublas_counters().algorithms == (uint64_t{1} << simt::kCublasAlgorithms) - 1);
  CHECK(simt::cublas_counters().products - before > 32);
}

TEST_CASE("gated products: every path and tile, pairs that are no multiple of any") {
  uint64_t seed = 150;
  for (int multiprocessors : {1, 200})
    for (bool library : {false, true}) {
      Machine machine(library, multiprocessors);
      for (Profile profile : kProfiles)
        for (auto [f, rows] : {std::pair(1, 1), {7, 9}, {16, 3}, {19, 17}, {20, 64}, {70, 65}, {75, 130}, {200, 40}}) {
          Case c(gated_rows(f), 72, rows, profile, rows % 2 == 1, seed++);
          c.residual.clear();
          INFO("f " << f << " rows " << rows << " digits " << weight_digits(profile) << " library " << library << " multiprocessors "
                    << multiprocessors);
          CHECK(same_bits(machine.gated_product(c, f), plain_gated(c, f)));
        }
    }
}

TEST_CASE("the library's product in pieces of tokens") {
  Machine machine(true, 4, 1'100'000);           // room for a panel of a piece
  const uint64_t before = simt::cublas_counters().products;
  for (Profile profile : kProfiles) {
    Case c(32, 2, 4100, profile, true, 190);     // more than a piece has
    check(machine, c);
    c.residual.clear();
    CHECK(same_bits(machine.gated_product(c, 16), plain_gated(c, 16)));
  }
  CHECK(simt::cublas_counters().products - before == 2 * 2 * 2);
}

TEST_CASE("the library's plans are made once, and everything is given back") {
  const int live = simt::cublas_counters().live;
  {
    Machine machine(true);
    const Case c(64, 64, 5, Profile::w16a16, false, 1);
    machine.product(c);
    const uint64_t heuristics = simt::cublas_counters().heuristics;
    machine.product(c);
    CHECK(simt::cublas_counters().heuristics == heuristics);
    const Case tiny(1, 2, 1, Profile::w8a16, false, 1);
    for (machine.c.options.gemm_algorithm = 0; machine.c.options.gemm_algorithm < 600; machine.c.options.gemm_algorithm++) {
      machine.product(tiny);                     // more plans than it keeps
    }
    CHECK(simt::cublas_counters().live < live + 600 * 4);
    check(machine, c);
  }
  CHECK(simt::cublas_counters().live == live);
}

TEST_CASE("a product that the library refuses is ours from then on; behind its first piece that is an error") {
  Machine machine(true);
  const Case small(64, 64, 5, Profile::w16a16, true, 3), large(300, 72, 129, Profile::w16a16, true, 4);      // the second in pieces
  const auto products = [&](const Case& c) {
    const uint64_t before = simt::cublas_counters().products;
    check(machine, c);
    return simt::cublas_counters().products - before;
  };
  simt::cublas_faults().products = 0;
  CHECK(products(small) == 0);
  CHECK(products(small) == 0);                   // though the library would take it now
  simt::cublas_faults().products = 1;
  try {
    machine.product(large);
    FAIL("half a product, and no error");
  } catch (const DeviceFailed&) {
    FAIL("the device did nothing wrong");
  } catch (const std::runtime_error&) {
  }
  const Case other(300, 72, 130, Profile::w16a16, true, 5);
  simt::cublas_faults().products = 1;
  simt::machine().wait = cudaErrorECCUncorrectable;
  CHECK_THROWS_AS(machine.product(other), DeviceFailed);
  simt::machine().wait = cudaSuccess;
  simt::cublas_faults() = {};
}

TEST_CASE("a product is the library's whole or not at all: each of its pieces is planned before the first") {
  for (bool of_tokens : {false, true}) {
    Machine machine(true, 4, of_tokens ? 1'100'000 : 200'000);
    // the last piece is smaller
    const Case c = of_tokens ? Case(32, 2, 4101, Profile::w16a16, true, 6) : Case(300, 72, 129, Profile::w16a16, true, 7);
    const uint64_t before = simt::cublas_counters().products;
    simt::cublas_faults().heuristics = 1;
    check(machine, c);
    simt::cublas_faults() = {};
    CHECK(simt::cublas_counters().products == before);
  }
}

TEST_CASE("which path is taken: gemm_rows, and no scratch") {
  Machine machine(true);
  const Case c(64, 64, 5, Profile::w16a16, true, 2);
  const auto products = [&] {
    const uint64_t before = simt::cublas_counters().products;
    check(machine, c);
    return simt::cublas_counters().products - before;
  };
  CHECK(products() == 1);
  machine.c.options.gemm_rows = 6;
  CHECK(products() == 0);
  machine.c.options.gemm_rows = 0;
  CHECK(products() == 0);
  machine.c.options.gemm_rows = 5;
  machine.c.scratch.bytes = 100;
  CHECK(products() == 0);
}

TEST_CASE("a scalar CPU product of the same integers agrees") {
  for (Profile profile : kProfiles) {
    Case c(35, 130, 11, profile, true, 3);
    for (int n = 0; n < c.n; n++)
      c.w[static_cast<size_t>(n) * c.k] = static_cast<int16_t>(profile == Profile::w16a16 ? kQuantMax : kQuantMax8);
    for (int t = 0; t < c.rows; t++) c.a[static_cast<size_t>(t) * c.k + 7] = -kQuantMax;
    c.w_scale.assign(static_cast<size_t>(c.n), 1);
    c.a_scale.assign(static_cast<size_t>(c.rows), 1);
    const Floats want = on_cpu(c);
    CHECK(same_bits(plain(c), want));
    Machine fused(false), library(true);
    CHECK(same_bits(fused.product(c), want));
    CHECK(same_bits(library.product(c), want));
  }
}

TEST_CASE("the residual may be the output itself") {
  for (bool with_library : {false, true})
    for (int rows : {3, 70}) {
      Machine machine(with_library);
      const Case c(45, 80, rows, Profile::w16a16, true, 8), in_pieces(300, 72, 2 * rows, Profile::w16a16, true, 9);
      CHECK(same_bits(machine.product(c, true), plain(c)));
      CHECK(same_bits(machine.product(in_pieces, true), plain(in_pieces)));
    }
}

TEST_CASE("the largest magnitudes, and zeros") {
  for (bool with_library : {false, true}) {
    Machine machine(with_library);
    for (Profile profile : kProfiles)
      for (int value : {kQuantMax, -kQuantMax, 128, -128, 0})
        for (int rows : {2, 66}) {
          Case c(33, 500, rows, profile, false, 9);
          for (int16_t& q : c.a) q = static_cast<int16_t>(value);
          for (int16_t& q : c.w)
            q = static_cast<int16_t>(profile == Profile::w16a16 ? (rows == 2 ? -value : value)
                                     : value > 127 ? 127 : value < -127 ? -127 : value);
          check(machine, c);
        }
  }
}

TEST_CASE("sums stay exact up to the greatest depth") {
  for (bool with_library : {false, true})
    for (Profile profile : kProfiles)
      for (int value : {kQuantMax, -32384, -128}) {
        Machine machine(with_library);
        Case c(2, 66'048, 3, profile, false, 10);
        for (int16_t& q : c.a) q = static_cast<int16_t>(value);
        for (int16_t& q : c.w) q = static_cast<int16_t>(profile == Profile::w16a16 ? value : value > 127 ? 127 : -127);
        check(machine, c);
      }
}

TEST_CASE("no schedule changes a bit, and a wait is not forgotten") {
  const Case few(70, 700, 19, Profile::w16a16, true, 20), many(130, 200, 70, Profile::w8a16, true, 21);
  const Floats want_few = plain(few), want_many = plain(many);
  simt::set_lazy(true);
  for (bool with_library : {false, true})
    for (simt::Schedule schedule : {simt::Schedule{simt::Schedule::ascending, 0}, simt::Schedule{simt::Schedule::descending, 0},
                                    simt::Schedule{simt::Schedule::shuffled, 1}, simt::Schedule{simt::Schedule::shuffled, 2}}) {
      simt::set_schedule(schedule);
      Machine machine(with_library);
      CHECK(same_bits(machine.product(few), want_few));
      CHECK(same_bits(machine.product(many), want_many));
    }
  simt::set_schedule({});
  simt::set_lazy(false);
}

TEST_CASE("negative control: exchanged digits, another scale, one wrong digit are seen") {
  const Case c(40, 96, 9, Profile::w16a16, false, 30);
  const Floats want = plain(c);
  Machine machine(false);
  REQUIRE(same_bits(machine.product(c), want));
  const auto spoilt = [&](auto spoil) {
    const Placed placed(c);
    spoil(placed);
    const Array<float> y(Floats(want.size(), 0));
    cuda::matmul(machine.c, placed.w, placed.a, c.rows, y, nullptr);
    return !same_bits(y.get(), want);
  };
  CHECK(spoilt([&](const Placed& p) {
    const cuda::RowsView v = cuda::view(p.a);
    for (int i = 0; i < c.k; i++) std::swap(v.high(4)[i], v.low(4)[i]);
  }));
  CHECK(spoilt([&](const Placed& p) { cuda::view(p.w).row(39)[95] ^= 1; }));
  CHECK(spoilt([&](const Placed& p) { cuda::view(p.w).scale[0] *= 1.0000002f; }));
  CHECK_FALSE(spoilt([](const Placed&) {}));
}
