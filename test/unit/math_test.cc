// The elementary functions of numerics v1: largest errors (against the library's double), exactness of the roundings, fixed bits.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/math.h"
#include "test/catch.h"

using namespace ibid::kernels;

namespace {

// |got - want| in units of the last place of a float32 of want's size.
double error_ulp(float got, double want) {
  int exponent = 0;
  std::frexp(want, &exponent);
  return std::fabs(static_cast<double>(got) - want) / std::ldexp(1.0, exponent - 24);
}

// Largest error over the floats from `from` to `to` (same sign), every `step`-th of them.
template <class F, class G>
double largest_error(float from, float to, uint32_t step, F got, G want) {
  uint32_t a = math::bits(from), b = math::bits(to);
  if (a > b) std::swap(a, b);
  double largest = 0;
  for (uint64_t i = a; i <= b; i += step) {
    float x = math::from_bits(static_cast<uint32_t>(i));
    double e = error_ulp(got(x), want(static_cast<double>(x)));
    if (!(e <= largest)) largest = e;
  }
  return largest;
}

uint64_t digest(uint64_t h, uint32_t word) { return (h ^ word) * 0x100000001b3u; }

}  // namespace

TEST_CASE("exp32: largest error, clamps") {
  auto want = [](double x) { return std::exp(x); };
  double up = largest_error(0x1p-30f, 87.0f, 173, math::exp32, want);
  double down = largest_error(-0x1p-30f, -87.0f, 173, math::exp32, want);
  INFO(up << " " << down);
  CHECK(up <= 0.99);
  CHECK(down <= 0.99);
  CHECK(math::exp32(0.0f) == 1.0f);
  CHECK(math::exp32(-0.0f) == 1.0f);
  CHECK(math::exp32(-1e30f) == math::exp32(-87.0f));
  CHECK(math::exp32(1e30f) == math::exp32(87.0f));
  CHECK(math::exp32(-87.0f) >= std::numeric_limits<float>::min());
  CHECK(std::isfinite(math::exp32(87.0f)));
}

TEST_CASE("exp2_weight: largest error, at most one, zero below -64") {
  auto want = [](double t) { return std::exp2(t); };
  double e = largest_error(-0x1p-30f, -64.0f, 97, math::exp2_weight, want);
  INFO(e);
  CHECK(e <= 2.3);
  CHECK(math::exp2_weight(0.0f) == 1.0f);
  CHECK(math::exp2_weight(-0.0f) == 1.0f);
  CHECK(math::exp2_weight(-64.0f) == 0x1p-64f);
  CHECK(math::exp2_weight(std::nextafter(-64.0f, -65.0f)) == 0.0f);
  CHECK(math::exp2_weight(-0x1p22f) == 0.0f);
  float largest = 0;
  for (uint32_t b = math::bits(-0x1p-30f); b <= math::bits(-2.0f); b += 31) {
    float p = math::exp2_weight(math::from_bits(b));
    if (p > largest) largest = p;
  }
  CHECK(largest <= 1.0f);
  for (int n = 0; n <= 64; ++n) CHECK(math::exp2_weight(static_cast<float>(-n)) == std::ldexp(1.0f, -n));
}

TEST_CASE("log32 and log1p32: largest errors") {
  auto log = [](double x) { return std::log(x); };
  double wide = largest_error(std::numeric_limits<float>::min(), std::numeric_limits<float>::max(), 977, math::log32, log);
  double near_one = largest_error(0.5f, 2.0f, 17, math::log32, log);
  double log1p = largest_error(-0x1p-70f, -0x1.fffffep-1f, 397, math::log1p32, [](double x) { return std::log1p(x); });
  INFO(wide << " " << near_one << " " << log1p);
  CHECK(wide <= 0.92);
  CHECK(near_one <= 0.92);
  CHECK(log1p <= 1.44);
  CHECK(math::log32(1.0f) == 0.0f);
  CHECK(math::log1p32(0.0f) == 0.0f);
  CHECK(math::log1p32(-0x1p-40f) == -0x1p-40f);
}

TEST_CASE("float64 functions of the RoPE table") {
  double worst_exp = 0, worst_log = 0, worst_sin = 0;
  for (int i = -20000; i <= 20000; ++i) {
    double x = i * 0.00101;
    long double want = std::exp(static_cast<long double>(x));
    worst_exp = std::fmax(worst_exp, static_cast<double>(std::fabs((math::exp64(x) - want) / want)));
  }
  for (int i = 1; i <= 40000; ++i) {
    double x = i * 12.503 / 40;
    long double want = std::log(static_cast<long double>(x));
    worst_log = std::fmax(worst_log, static_cast<double>(std::fabs(math::log64(x) - want) / std::fmax(std::fabs(want), 1e-3L)));
  }
  for (int i = 0; i <= 100000; ++i) {
    double x = i * 1.3371 + i % 7 * 0.1;
    math::SinCos got = math::sincos64(x);
    long double s = std::sin(static_cast<long double>(x)), c = std::cos(static_cast<long double>(x));
    worst_sin = std::fmax(worst_sin, static_cast<double>(std::fmax(std::fabs(got.sin - s), std::fabs(got.cos - c))));
  }
  INFO(worst_exp << " " << worst_log << " " << worst_sin);
  CHECK(worst_exp < 0x1p-51);
  CHECK(worst_log < 0x1p-51);
  CHECK(worst_sin < 0x1p-52);
  CHECK(math::pow64(10000.0, 0.0) == 1.0);
  CHECK(std::fabs(math::pow64(10000.0, -0.5) - 0.01) < 1e-17);
}

TEST_CASE("roundings are to nearest, ties to even") {
  CHECK(math::round_int(0.5f) == 0);
  CHECK(math::round_int(1.5f) == 2);
  CHECK(math::round_int(-0.5f) == 0);
  CHECK(math::round_int(-2.5f) == -2);
  CHECK(math::round_int(32639.002f) == 32639);
  CHECK(math::round_int(0x1p40 + 0.5) == int64_t{1} << 40);
  CHECK(math::round_int(-1.5) == -2);
  CHECK(math::round_weight(0.5f) == 0);
  CHECK(math::round_weight(1.5f) == 2);
  CHECK(math::round_weight(0x1p23f) == 1 << 23);
  CHECK(math::round_weight(0x1p22f + 0.5f) == 1 << 22);
  CHECK(math::ceil_int(1.25f) == 2.0f);
  CHECK(math::ceil_int(-1.25f) == -1.0f);
  CHECK(math::ceil_int(3.0f) == 3.0f);
}

TEST_CASE("order keys sort like floats, and -0 is +0") {
  float inf = std::numeric_limits<float>::infinity();
  float sorted[] = {-inf, -3.5f, -1e-40f, 0.0f, 1e-40f, 1.0f, 2.0f, inf};
  for (int i = 1; i < 8; ++i) CHECK(math::order_key(sorted[i - 1]) < math::order_key(sorted[i]));
  CHECK(math::order_key(-0.0f) == math::order_key(0.0f));
}

TEST_CASE("Philox4x32-10: published known answers") {
  auto check = [](math::Philox got, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    CHECK(got.word[0] == a);
    CHECK(got.word[1] == b);
    CHECK(got.word[2] == c);
    CHECK(got.word[3] == d);
  };
  check(math::philox(0, 0, 0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  check(math::philox(~0u, ~0u, ~0u, ~0u, ~0u, ~0u), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
  check(math::philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0), 0xd16cfe09, 0x94fdcceb, 0x5001e420,
        0x24126ea1);
}

TEST_CASE("the functions' bits are what version 1 fixed") {
  uint64_t h = 0xcbf29ce484222325u;
  for (int i = 0; i < 100000; ++i) {
    float x = static_cast<float>(i) * 0.00061f;
    h = digest(h, math::bits(math::exp32(x - 30.0f)));
    h = digest(h, math::bits(math::exp2_weight(-x)));
    h = digest(h, math::bits(math::log32(x + 0.001f)));
    h = digest(h, math::bits(math::log1p32(-x * 0.016f)));
    h = digest(h, math::bits(math::silu32(x - 30.0f)));
    h = digest(h, math::bits(math::gumbel(42, static_cast<uint32_t>(i), 7, 0)));
    math::SinCos angle = math::sincos64(x * 1000.0);
    h = digest(h, math::bits(static_cast<float>(angle.sin)));
    h = digest(h, math::bits(static_cast<float>(math::pow64(500000.0, -x * 0.01))));
  }
  CHECK(h == 0x2459d91583ff6705u);
}
