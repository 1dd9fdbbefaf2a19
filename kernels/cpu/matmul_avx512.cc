// The matrix product by AVX-512 VNNI: unsigned activation digits times signed weight digits, four along k per lane.
#include "kernels/cpu/matmul_x512.h"

namespace ibid::kernels {
namespace {

void tiles(const MatmulJob& job, int panel, int panels, int row, int rows) {
  if (job.w->profile == Profile::w16a16) vector_tiles<2>(job, panel, panels, row, rows);
  else vector_tiles<1>(job, panel, panels, row, rows);
}

int64_t burn(int64_t rounds) {
  constexpr int kChains = 16;
  __m512i acc[kChains];
  const __m512i x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(5);
  unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = _mm512_set1_epi32(i); });   // equal chains would be merged into one
  for (int64_t r = 0; r < rounds; r++)
    unroll<kChains>([&](auto i) IBID_INLINE { acc[i] = _mm512_dpbusd_epi32(acc[i], x, w); });
  unroll<kChains>([&](auto i) IBID_INLINE { keep(acc[i]); });
  return rounds * kChains * 64;
}

}  // namespace

const MatmulTable kMatmulAvx512 = {Isa::avx512, false, store_digits, tiles, burn};

}  // namespace ibid::kernels
