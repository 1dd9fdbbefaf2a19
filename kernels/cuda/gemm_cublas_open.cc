// Opens cublasLt when a GPU is used, so that one program starts on machines that have no CUDA.
//
// Owns: the names under which the library is looked for. Must not know: what its functions are for.
//
// Host code, compiled by the host's compiler; the tests without a GPU have a load_library of their own (test/simt).
#include "kernels/cuda/gemm_cublas_open.h"

#include <dlfcn.h>

namespace ibid::kernels::cuda {
namespace {

// Newest first; the plain name is what a toolkit's development files install.
constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, CublasLtFunctions& f) {
  return find(library, "cublasLtCreate", f.create) && find(library, "cublasLtDestroy", f.destroy) &&
         find(library, "cublasLtGetVersion", f.version) && find(library, "cublasLtMatmul", f.matmul) &&
         find(library, "cublasLtMatmulAlgoGetHeuristic", f.heuristic) && find(library, "cublasLtMatmulDescCreate", f.desc_create) &&
         find(library, "cublasLtMatmulDescDestroy", f.desc_destroy) && find(library, "cublasLtMatmulDescSetAttribute", f.desc_set) &&
         find(library, "cublasLtMatrixLayoutCreate", f.layout_create) && find(library, "cublasLtMatrixLayoutDestroy", f.layout_destroy) &&
         find(library, "cublasLtMatmulPreferenceCreate", f.preference_create) &&
         find(library, "cublasLtMatmulPreferenceDestroy", f.preference_destroy) &&
         find(library, "cublasLtMatmulPreferenceSetAttribute", f.preference_set);
}

}  // namespace

cublasLtHandle_t load_library(CublasLtFunctions& functions) {
  for (const char* name : kNames) {
    void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) continue;
    cublasLtHandle_t handle = nullptr;
    // one for a newer driver is refused here
    if (find_all(library, functions) && functions.create(&handle) == CUBLAS_STATUS_SUCCESS) return handle;
    dlclose(library);
  }
  return nullptr;
}

}  // namespace ibid::kernels::cuda
