// Picks the table of an instruction set.
#include "kernels/cpu/row_ops.h"

namespace ibid::kernels {

#if defined(__x86_64__)
// All but attention is AVX-512's.
static RowOps with_tiles() {
  RowOps ops = kRowOpsAvx512;
  ops.queries = kTile;
  ops.attend = amx::attend;
  return ops;
}
#endif

const RowOps& row_ops(Isa isa) {
#if defined(__x86_64__)
  static const RowOps amx_ops = with_tiles();
  if (isa == Isa::amx) return amx_ops;
  if (isa == Isa::avx512) return kRowOpsAvx512;
  if (isa == Isa::avx2 || isa == Isa::avxvnni) return kRowOpsAvx2;
#elif defined(__aarch64__)
  if (isa == Isa::neon) return kRowOpsNeon;
#endif
  (void)isa;
  return kRowOpsScalar;
}

}  // namespace ibid::kernels
