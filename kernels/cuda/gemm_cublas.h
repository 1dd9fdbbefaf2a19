// The product by the library, cublasLt: int8 x int8 -> int32, which is exact, so that any of its algorithms gives the same bits.
//
// Owns: the library's handle and plans, the scratch its products take. Must not know: which rows come this way (matmul.cu).
//
// 1. One product of the planes of digits stacked gives every product of digits (cuda_ops.h, 2); the epilogue is ours.
// 2. Where the library is absent, or offers nothing for a shape, or refuses what it offered, the fused kernels do the work:
//    the bits are the same.
#pragma once
#include <string>

#include "kernels/cuda/product.h"

namespace ibid::kernels::cuda {

// Null when the machine has no usable library. Sets the floating-point environment of the calling thread again, which a library
// that is loaded may have changed.
CublasLt* open_library();
void close_library(CublasLt* library);           // null: nothing
std::string library_name(const CublasLt* library);   // "cublasLt 130002"; "" for null

size_t library_scratch(const StepLimits& limits);

// False, with y as it was, when the library has no way to do it.
bool library_matmul(Context& c, const Product& p);

// False, with nothing enqueued, when the library has no way, or had one and refuses it; then it is not asked for these shapes again.
// Enqueues result (2 rows, D rows of w), int32, for `w_rows` rows of weights from `w_row` on and rows of a from `row` on.
bool library_product(Context& c, const WeightView& w, int w_row, int w_rows, const RowsView& a, int row, int rows, int32_t* result);

}  // namespace ibid::kernels::cuda
