// 1. Every algorithm adds in an order of its own: ascending, descending, in two halves that meet in the workspace.
// 2. The heuristic also offers one that failed and one whose workspace is too large: whoever takes them is refused.
#include "test/simt/fake_cublas.h"

#include <cstring>
#include <new>

#include "kernels/cuda/gemm_cublas_open.h"

struct cublasLtContext { int nothing; };
struct cublasLtMatmulDescOpaque_t { cublasOperation_t a = CUBLAS_OP_N; };
struct cublasLtMatrixLayoutOpaque_t { cudaDataType type; uint64_t rows, columns; int64_t leading; };
struct cublasLtMatmulPreferenceOpaque_t { size_t workspace = 0; uint32_t align_a = 256, align_b = 256, align_c = 256, align_d = 256; };

namespace simt {
namespace {

bool offered = false;
constexpr uint64_t kFailed = 100, kGreedy = 101;     // algorithms that nobody may take
struct Chosen { uint64_t id, workspace, align_ab, align_d; };

template <class T, class... A>
cublasStatus_t create(T** out, A... arguments) {
  *out = new T{arguments...};
  cublas_counters().live++;
  return CUBLAS_STATUS_SUCCESS;
}
template <class T>
cublasStatus_t destroy(T* object) {
  delete object;
  cublas_counters().live--;
  return CUBLAS_STATUS_SUCCESS;
}

bool aligned(const void* p, uint64_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

// The shapes of an int8 product that the library supports: op(A) = A^T, dimensions and leading dimensions in fours.
bool fits(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t d) {
  return desc->a == CUBLAS_OP_T && a->type == CUDA_R_8I && b->type == CUDA_R_8I && d->type == CUDA_R_32I && a->rows == b->rows &&
         a->columns == d->rows && b->columns == d->columns && a->rows % 4 == 0 && a->columns % 4 == 0 && a->leading % 4 == 0 &&
         b->leading % 4 == 0 && d->leading % 4 == 0 && a->leading >= static_cast<int64_t>(a->rows) &&
         b->leading >= static_cast<int64_t>(b->rows) && d->leading >= static_cast<int64_t>(d->rows);
}

cublasStatus_t heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                         cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int requested,
                         cublasLtMatmulHeuristicResult_t results[], int* returned) {
  cublas_counters().heuristics++;
  *returned = 0;
  if (c != d || !fits(desc, a, b, d) || cublas_faults().heuristics-- == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  const uint64_t ids[] = {kFailed, 0, kGreedy, 1, 2};
  for (uint64_t id : ids) {
    if (*returned == requested) break;
    cublasLtMatmulHeuristicResult_t& r = results[(*returned)++];
    r = {};
    const Chosen chosen{id, id == 2 ? sizeof(int32_t) : 0,
                        preference->align_a < preference->align_b ? preference->align_a : preference->align_b, preference->align_d};
    static_assert(sizeof chosen <= sizeof r.algo);
    std::memcpy(&r.algo, &chosen, sizeof chosen);
    r.state = id == kFailed ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
    r.workspaceSize = id == kGreedy ? preference->workspace + 1 : chosen.workspace;
  }
  return CUBLAS_STATUS_SUCCESS;
}

int32_t dot(const int8_t* x, const int8_t* y, uint64_t k, uint64_t id, int32_t* workspace) {
  uint32_t sum = 0;
  if (id == 0) for (uint64_t i = 0; i < k; i++) sum += static_cast<uint32_t>(x[i] * y[i]);
  if (id == 1) for (uint64_t i = k; i-- > 0;) sum += static_cast<uint32_t>(x[i] * y[i]);
  if (id == 2) {
    *workspace = dot(x + k / 2, y + k / 2, k - k / 2, 1, nullptr);
    sum = static_cast<uint32_t>(dot(x, y, k / 2, 0, nullptr)) + static_cast<uint32_t>(*workspace);
  }
  return static_cast<int32_t>(sum);
}

void multiply() {}                               // stands for the kernel

cublasStatus_t matmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a, cublasLtMatrixLayout_t al,
                      const void* b, cublasLtMatrixLayout_t bl, const void* beta, const void*, cublasLtMatrixLayout_t, void* d,
                      cublasLtMatrixLayout_t dl, const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_bytes,
                      cudaStream_t stream) {
  Chosen chosen;
  std::memcpy(&chosen, algo, sizeof chosen);
  const bool plain = *static_cast<const int32_t*>(alpha) == 1 && *static_cast<const int32_t*>(beta) == 0;
  if (!plain || chosen.id >= kCublasAlgorithms || !fits(desc, al, bl, dl) || workspace_bytes < chosen.workspace ||
      !aligned(a, chosen.align_ab) || !aligned(b, chosen.align_ab) || !aligned(d, chosen.align_d) || !aligned(workspace, 16)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (cublas_faults().products-- == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  cublas_counters().products++;
  cublas_counters().algorithms |= uint64_t{1} << chosen.id;
  const auto body = [=, m = dl->rows, n = dl->columns, k = al->rows, lda = al->leading, ldb = bl->leading, ldd = dl->leading] {
    for (uint64_t j = 0; j < n; j++)
      for (uint64_t i = 0; i < m; i++)
        static_cast<int32_t*>(d)[j * static_cast<uint64_t>(ldd) + i] =
            dot(static_cast<const int8_t*>(a) + i * static_cast<uint64_t>(lda),
                static_cast<const int8_t*>(b) + j * static_cast<uint64_t>(ldb), k, chosen.id, static_cast<int32_t*>(workspace));
  };
  launch(reinterpret_cast<const void*>(multiply), body, dim3(1), dim3(1), 0, stream);
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
bool take(T& to, const void* value, size_t bytes) {
  if (bytes == sizeof to) std::memcpy(&to, value, bytes);
  return bytes == sizeof to;
}

cublasStatus_t set_preference(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t which, const void* value, size_t bytes) {
  bool ok = false;
  if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) ok = take(p->workspace, value, bytes);
  if (which == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES) ok = take(p->align_a, value, bytes);
  if (which == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES) ok = take(p->align_b, value, bytes);
  if (which == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES) ok = take(p->align_c, value, bytes);
  if (which == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES) ok = take(p->align_d, value, bytes);
  return ok ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

}  // namespace

void offer_cublas(bool o) { offered = o; }

CublasCounters& cublas_counters() {
  static CublasCounters counters;
  return counters;
}

CublasFaults& cublas_faults() {
  static CublasFaults faults;
  return faults;
}

}  // namespace simt

namespace ibid::kernels::cuda {

cublasLtHandle_t load_library(CublasLtFunctions& f) {
  if (simt::cublas_faults().loading) throw std::bad_alloc();
  if (!simt::offered) return nullptr;
  f.create = [](cublasLtHandle_t* h) { return simt::create(h); };
  f.destroy = simt::destroy;
  f.version = [] { return size_t{0}; };
  f.matmul = simt::matmul;
  f.heuristic = simt::heuristic;
  f.desc_create = [](cublasLtMatmulDesc_t* d, cublasComputeType_t compute, cudaDataType scale) {
    return compute == CUBLAS_COMPUTE_32I && scale == CUDA_R_32I ? simt::create(d) : CUBLAS_STATUS_NOT_SUPPORTED;
  };
  f.desc_destroy = simt::destroy;
  f.desc_set = [](cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t, const void* value, size_t bytes) {
    return simt::take(d->a, value, bytes) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  };
  f.layout_create = [](cublasLtMatrixLayout_t* l, cudaDataType type, uint64_t rows, uint64_t columns, int64_t leading) {
    return simt::create(l, type, rows, columns, leading);
  };
  f.layout_destroy = simt::destroy;
  f.preference_create = [](cublasLtMatmulPreference_t* p) { return simt::create(p); };
  f.preference_destroy = simt::destroy;
  f.preference_set = simt::set_preference;
  cublasLtHandle_t handle = nullptr;
  f.create(&handle);
  return handle;
}

}  // namespace ibid::kernels::cuda
