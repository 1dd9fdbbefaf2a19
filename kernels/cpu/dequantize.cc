// Stored matrices as float32, for whoever reads a model outside a device.
#include "kernels/cpu/fpenv.h"
#include "kernels/cpu/row_ops.h"
#include "kernels/ops.h"

namespace ibid::kernels {

size_t stored_row_bytes(DType dtype, int64_t cols) {
  return static_cast<size_t>(cols / storage(dtype).block * storage(dtype).bytes);
}

void dequantize_rows(const StoredMatrix& m, int64_t row, int64_t count, float* out) {
  set_fp_env();
  const RowOps& ops = row_ops(best_isa());
  size_t row_bytes = stored_row_bytes(m.dtype, m.cols);
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* stored = static_cast<const uint8_t*>(m.data) + static_cast<size_t>(row + i) * row_bytes;
    ops.dequantize(m.dtype, stored, m.cols, out + i * m.cols);
  }
}

}  // namespace ibid::kernels
