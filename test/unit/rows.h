// Rows that the tests of row ops and products share on every device.
#pragma once
#include <cmath>
#include <vector>

#include "kernels/math.h"
#include "kernels/ops.h"
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

// What a gated product with f pairs makes of the n outputs of each row.
inline std::vector<float> gated_outputs(const std::vector<float>& outputs, int n, int f) {
  std::vector<float> y;
  for (size_t row = 0; row < outputs.size(); row += static_cast<size_t>(n))
    for (int i = 0; i < f; ++i) {
      const float* gate = &outputs[row + static_cast<size_t>(kernels::gate_row(i))];
      y.push_back(kernels::math::silu32(gate[0]) * gate[kernels::kGate]);
    }
  return y;
}

}  // namespace ibid::test
