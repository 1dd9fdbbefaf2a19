// The door to cublasLt (kernels/cuda/gemm_cublas_open.cc) with libraries of its names beside this program: 13 gives no handle, 12 does.
#include "kernels/cuda/gemm_cublas_open.h"

#include <cstdlib>

#include "test/catch.h"

using namespace ibid::kernels::cuda;

TEST_CASE("a library that gives no handle is passed over for the next") {
  CublasLtFunctions f;
  CHECK(load_library(f) != nullptr);
  REQUIRE(std::getenv("CUBLAS_REFUSED"));
  REQUIRE(f.version);
  CHECK(f.version() == 12);
}
