// The matrix product by AVX2: matmul_x256.h with vpmaddwd.
#include "kernels/cpu/matmul_x256.h"

namespace ibid::kernels {
namespace {

void add_products(__m256i& sum, __m256i a, __m256i b) { add_to(sum, _mm256_madd_epi16(a, b)); }

void add_products_from(__m256i& sum, __m256i a, const __m256i& b) {
  __m256i p;
  asm("vpmaddwd %2, %1, %0" : "=x"(p) : "x"(a), "m"(b));
  add_to(sum, p);
}

}  // namespace

const MatmulTable kMatmulAvx2 = {Isa::avx2, WeightLayout::strips, store_row, tiles, burn};

}  // namespace ibid::kernels
