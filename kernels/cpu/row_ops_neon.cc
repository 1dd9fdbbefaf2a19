// The row ops compiled for arm64.
#include <arm_neon.h>

#include "kernels/cpu/row_ops.h"
#include "kernels/k_quants.h"
#include "kernels/math.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::neon {

using Vec = int16x8_t;         // int16 factors, in pairs
// Their products, not yet added in pairs: that costs two instructions for eight instead of four, and twice the registers, of which
// there are twice as many. Every one of the partial sums is within the bound of the whole (attention_impl.h).
struct Acc { int32x4_t low, high; };
constexpr int kLanes = 4;      // int32 sums of an Acc
constexpr int kChunk = 3;      // queries whose accumulators (4 each) stay in registers

static inline Acc zero() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
static inline Vec load(const int16_t* p) { return vld1q_s16(p); }
static inline void store(int32_t* p, Acc v) { vst1q_s32(p, vpaddq_s32(v.low, v.high)); }
static inline Vec pair(const int16_t* p) {                            // two neighbouring int16 in every lane
  int32_t both;
  __builtin_memcpy(&both, p, 4);
  return vreinterpretq_s16_s32(vdupq_n_s32(both));
}
static inline Acc dot(Acc acc, Vec a, Vec b) {
  return {vmlal_s16(acc.low, vget_low_s16(a), vget_low_s16(b)), vmlal_high_s16(acc.high, a, b)};
}
static inline void pin(Acc& v) { asm("" : "+w"(v.low), "+w"(v.high)); }

#include "kernels/cpu/row_ops_impl.h"
#include "kernels/cpu/attention_weigh.h"
#include "kernels/cpu/attention_impl.h"

}  // namespace ibid::kernels::neon

namespace ibid::kernels {

const RowOps kRowOpsNeon = {
    neon::quantize, neon::norm, neon::rotate, neon::dequantize, kVectorTile, neon::attend,
    neon::merge, neon::all_finite, neon::argmax, neon::weigh, neon::add_noise,
};

}  // namespace ibid::kernels
