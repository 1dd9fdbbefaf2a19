// What the instruction sets' files share: the epilogue in words that compile everywhere, and their tables.
#pragma once
#include <utility>

#include "kernels/cpu/matmul.h"
#include "kernels/math.h"

namespace ibid::kernels {

// Local to each including file: the files' flags differ, and the linker must not mix their code.
namespace {
// f(0), ..., f(N - 1) with constant arguments: gcc keeps an array in registers only if no index is ever a variable.
#define IBID_INLINE __attribute__((always_inline))
template <int N, class F>
[[gnu::always_inline]] inline void unroll(F f) {
  [f]<int... I>(std::integer_sequence<int, I...>) IBID_INLINE { (f(std::integral_constant<int, I>{}), ...); }
  (std::make_integer_sequence<int, N>{});
}

// The written epilogue of output (t, n), given its exact sum.
inline float finish(const MatmulJob& job, const WeightView& v, size_t t, size_t n, int64_t sum) {
  float y = static_cast<float>(sum) * *quant_row_scale(*job.a, static_cast<int>(t));
  y = y * v.scale[n];
  if (job.w->bias) y = y + job.w->bias[n];
  if (job.residual) y = y + job.residual[t * static_cast<size_t>(job.width) + n];
  return y;
}

// Outputs that are finished together: a gated product makes kGate of them.
constexpr size_t kLine = 2 * kGate;

// Writes outputs n to n + kLine of row t, those that there are. sum(i): the exact sum of n + i.          REQUIRES: n a multiple of kLine
template <class F>
void finish_outputs(const MatmulJob& job, const WeightView& v, size_t t, size_t n, F sum) {
  float y[kLine] = {};
  for (size_t i = 0; i < kLine && n + i < static_cast<size_t>(job.w->n); i++) y[i] = finish(job, v, t, n + i, sum(i));
  const size_t width = static_cast<size_t>(job.width), first = job.gated ? n / 2 : n, most = job.gated ? kGate : kLine;
  float* to = job.y + t * width + first;
  for (size_t i = 0; i < most && first + i < width; i++) to[i] = job.gated ? math::gated(y[i], y[i + kGate]) : y[i];
}
}  // namespace

extern const MatmulTable kMatmulScalar;
#if defined(__x86_64__)
extern const MatmulTable kMatmulAvx2, kMatmulAvxVnni, kMatmulAvx512, kMatmulAmx;
#elif defined(__aarch64__)
extern const MatmulTable kMatmulNeon;
#endif

// Pretends to use a vector, so that what made it is not optimised away. (clang takes no captured variable inside an asm.)
#if defined(__aarch64__)
#define IBID_VECTOR_REGISTER "+w"
#else
#define IBID_VECTOR_REGISTER "+x"
#endif
template <class V>
static inline void keep(V& v) { asm volatile("" : IBID_VECTOR_REGISTER(v)); }

}  // namespace ibid::kernels
