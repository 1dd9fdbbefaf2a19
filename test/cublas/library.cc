// A library by one of cublasLt's names: HANDLE says whether it gives one. Built twice.
#include <cstddef>
#include <cstdlib>

extern "C" {

int cublasLtCreate(void** handle) {
  static int something;
  if (!HANDLE) setenv("CUBLAS_REFUSED", "13", 1);  // that it was asked
  *handle = HANDLE ? &something : nullptr;
  return HANDLE ? 0 : 15;                        // CUBLAS_STATUS_NOT_SUPPORTED
}
size_t cublasLtGetVersion() { return VERSION; }

// Looked for by name, and not called.
#define UNUSED(name) void name() {}
UNUSED(cublasLtDestroy)
UNUSED(cublasLtMatmul)
UNUSED(cublasLtMatmulAlgoGetHeuristic)
UNUSED(cublasLtMatmulDescCreate)
UNUSED(cublasLtMatmulDescDestroy)
UNUSED(cublasLtMatmulDescSetAttribute)
UNUSED(cublasLtMatrixLayoutCreate)
UNUSED(cublasLtMatrixLayoutDestroy)
UNUSED(cublasLtMatmulPreferenceCreate)
UNUSED(cublasLtMatmulPreferenceDestroy)
UNUSED(cublasLtMatmulPreferenceSetAttribute)

}
