// Rows that the tests of row ops share on every device.
#pragma once
#include <cmath>
#include <vector>

#include "test/unit/random.h"

namespace ibid::test {

// Rows of several characters: plain, one giant value, tiny, all zero, with signed zeros, huge.
inline std::vector<float> make_row(int k, int kind, uint64_t seed) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(k));
  for (float& v : x) v = random.normal();
  if (kind == 1) x[static_cast<size_t>(random.below(k))] = 1000.0f;
  if (kind == 2) for (float& v : x) v *= 0x1p-90f;
  if (kind == 3) for (float& v : x) v = 0;
  if (kind == 4) for (float& v : x) v = std::floor(v) * -0.0f + (random.below(2) ? v : -0.0f);
  if (kind == 5) for (float& v : x) v *= 0x1p100f;
  if (kind == 6) for (float& v : x) v *= 0x1p-120f;
  return x;
}
constexpr int kKinds = 7;

}  // namespace ibid::test
