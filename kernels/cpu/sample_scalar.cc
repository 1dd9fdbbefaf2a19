// The array functions of sampling, as the specification words them (NUMERICS 10 and 11).
#include "kernels/cpu/row_ops_scalar.h"
#include "kernels/math.h"

namespace ibid::kernels::scalar {

bool all_finite(const float* x, int n) {
  for (int i = 0; i < n; ++i) {
    if ((math::bits(x[i]) & 0x7fffffff) >= 0x7f800000) return false;
  }
  return true;
}

int argmax(const float* x, int n) {
  int best = 0;
  for (int i = 1; i < n; ++i) {
    if (x[i] > x[best]) best = i;
  }
  return best;
}

int64_t weigh(const float* x, int n, float max, int64_t* p) {
  int64_t sum = 0;
  for (int i = 0; i < n; ++i) {
    int64_t weight = math::round_int(static_cast<double>(math::exp32(x[i] - max)) * 0x1p40);
    if (p) p[i] = weight;
    sum += weight;
  }
  return sum;
}

void add_noise(float* x, const int32_t* id, int n, uint64_t key, uint32_t position, uint32_t sample_index) {
  for (int i = 0; i < n; ++i) x[i] = x[i] + math::gumbel(key, static_cast<uint32_t>(id[i]), position, sample_index);
}

}  // namespace ibid::kernels::scalar
