// The row ops compiled for AVX2, F16C.
#include <immintrin.h>

#include "kernels/cpu/row_ops.h"
#include "kernels/k_quants.h"
#include "kernels/math.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::avx2 {

using Vec = __m256i;           // int16 factors, in pairs
using Acc = Vec;               // their int32 sums
constexpr int kLanes = 8;      // int32 sums of an Acc
constexpr int kChunk = 3;      // queries whose accumulators (4 each) stay in registers

static inline Acc zero() { return _mm256_setzero_si256(); }
static inline Vec load(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
static inline void store(int32_t* p, Acc v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
static inline Vec pair(const int16_t* p) {                            // two neighbouring int16 in every lane
  int32_t both;
  __builtin_memcpy(&both, p, 4);
  return _mm256_set1_epi32(both);
}
// The sum is added to in place by an instruction of our own: gcc 12 moved every second one through another register.
static inline Acc dot(Acc acc, Vec a, Vec b) {
  asm("vpaddd %1, %0, %0" : "+x"(acc) : "x"(_mm256_madd_epi16(a, b)));
  return acc;
}
static inline void pin(Acc& v) { asm("" : "+v"(v)); }

#include "kernels/cpu/row_ops_impl.h"
#include "kernels/cpu/attention_weigh.h"
#include "kernels/cpu/attention_impl.h"

}  // namespace ibid::kernels::avx2

namespace ibid::kernels {

const RowOps kRowOpsAvx2 = {
    avx2::quantize, avx2::norm, avx2::rotate, avx2::dequantize, kVectorTile, avx2::attend,
    avx2::merge, avx2::all_finite, avx2::argmax, avx2::weigh, avx2::add_noise,
};

}  // namespace ibid::kernels
