// Picks the table of an instruction set.
#include "kernels/cpu/row_ops.h"

namespace ibid::kernels {

const RowOps& row_ops(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512 || isa == Isa::amx) return kRowOpsAvx512;
  if (isa == Isa::avx2) return kRowOpsAvx2;
#elif defined(__aarch64__)
  if (isa == Isa::neon) return kRowOpsNeon;
#endif
  (void)isa;
  return kRowOpsScalar;
}

}  // namespace ibid::kernels
