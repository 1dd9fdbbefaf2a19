// The row ops compiled for AVX-512 with VNNI; also those of the amx device, but for attention of many queries (attention_amx.cc).
#include <immintrin.h>

#include "kernels/cpu/row_ops.h"
#include "kernels/k_quants.h"
#include "kernels/math.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::avx512 {

using Vec = __m512i;           // int16 factors, in pairs
using Acc = Vec;               // their int32 sums
constexpr int kLanes = 16;     // int32 sums of an Acc
constexpr int kChunk = 6;      // queries whose accumulators (4 each) stay in registers

static inline Acc zero() { return _mm512_setzero_si512(); }
static inline Vec load(const int16_t* p) { return _mm512_loadu_si512(p); }
static inline void store(int32_t* p, Acc v) { _mm512_storeu_si512(p, v); }
static inline Vec pair(const int16_t* p) {                            // two neighbouring int16 in every lane
  int32_t both;
  __builtin_memcpy(&both, p, 4);
  return _mm512_set1_epi32(both);
}
static inline Acc dot(Acc acc, Vec a, Vec b) { return _mm512_dpwssd_epi32(acc, a, b); }
static inline void pin(Acc& v) { asm("" : "+v"(v)); }

#include "kernels/cpu/row_ops_impl.h"
#include "kernels/cpu/attention_weigh.h"
#include "kernels/cpu/attention_impl.h"

}  // namespace ibid::kernels::avx512

namespace ibid::kernels {

const RowOps kRowOpsAvx512 = {
    avx512::quantize, avx512::norm, avx512::rotate, avx512::dequantize, kVectorTile, avx512::attend,
    avx512::merge, avx512::all_finite, avx512::argmax, avx512::weigh, avx512::add_noise,
};

}  // namespace ibid::kernels
