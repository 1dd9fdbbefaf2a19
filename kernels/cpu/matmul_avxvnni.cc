// The matrix product by AVX-VNNI, which Intel's desktop processors have in place of AVX-512: matmul_x256.h with vpdpwssd.
#include "kernels/cpu/matmul_x256.h"

namespace ibid::kernels {
namespace {

// {vex}: not the encoding of AVX-512, which the assembler prefers.
void add_products(__m256i& sum, __m256i a, __m256i b) { asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b)); }
void add_products_from(__m256i& sum, __m256i a, const __m256i& b) { asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "m"(b)); }

}  // namespace

const MatmulTable kMatmulAvxVnni = {Isa::avxvnni, WeightLayout::strips, store_row, tiles, burn};

}  // namespace ibid::kernels
