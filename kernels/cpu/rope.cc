// The table of RoPE angles (NUMERICS 6), made once per model on the host for every device.
#include "kernels/cpu/fpenv.h"
#include "kernels/math.h"
#include "kernels/ops.h"

namespace ibid::kernels {

void rope_table(double theta, int head_dim, const double* divisor, int positions, float* out) {
  set_fp_env();
  int half = head_dim / 2;
  for (int i = 0; i < half; ++i) {
    double frequency = math::pow64(theta, -(static_cast<double>(2 * i) / static_cast<double>(head_dim)));
    if (divisor) frequency = frequency / divisor[i];
    for (int p = 0; p < positions; ++p) {
      math::SinCos angle = math::sincos64(static_cast<double>(p) * frequency);
      float* row = out + static_cast<size_t>(p) * static_cast<size_t>(head_dim);
      row[i] = static_cast<float>(angle.cos);
      row[half + i] = static_cast<float>(angle.sin);
    }
  }
}

}  // namespace ibid::kernels
