#include "kernels/cuda/gemm_cublas.h"

#include <map>
#include <memory>
#include <stdexcept>
#include <tuple>

#include "kernels/cpu/fpenv.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/gemm_cublas_open.h"

namespace ibid::kernels::cuda {
namespace {

// Scratch of a product: what the library asks for, then the raw sums of a piece. A piece is half of what an L2 of a data centre's
// GPU holds, so that the epilogue finds it there, and large enough to give every multiprocessor two tiles of 128 x 256.
constexpr size_t kWorkspace = size_t{32} << 20, kPiece = kScratchPiece / 2;
constexpr int kMostRows = 4096;                  // activation rows of a piece
constexpr int kMostAlgorithms = 32;
constexpr size_t kMostPlans = 512;               // prefill has as many row counts as prompts have lengths: the cache starts over

// Everything that a shape needs, made once: asking the library for an algorithm takes some 50 us.
struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t weights = nullptr, rows = nullptr, sums = nullptr;
  cublasLtMatmulAlgo_t algorithm;
  bool usable = false;
};

// What a plan depends on: the library's m (digit planes of weights), n (digit planes of rows), k, and the choice of algorithm.
using Key = std::tuple<int, int, int, int>;

}  // namespace

struct CublasLt {
  CublasLtFunctions f;
  cublasLtHandle_t handle = nullptr;
  std::map<Key, Plan> plans;

  // The library's column-major view: sums(m, n) = weights(k, m)^T rows(k, n).
  bool describe(Plan& p, int m, int n, int k) {
    const cublasOperation_t transpose = CUBLAS_OP_T;
    const uint64_t wide = static_cast<uint64_t>(k), high = static_cast<uint64_t>(m);
    return f.desc_create(&p.product, CUBLAS_COMPUTE_32I, CUDA_R_32I) == CUBLAS_STATUS_SUCCESS &&
           f.desc_set(p.product, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose) == CUBLAS_STATUS_SUCCESS &&
           f.layout_create(&p.weights, CUDA_R_8I, wide, high, k) == CUBLAS_STATUS_SUCCESS &&
           f.layout_create(&p.rows, CUDA_R_8I, wide, static_cast<uint64_t>(n), k + static_cast<int>(kRowTail)) == CUBLAS_STATUS_SUCCESS &&
           f.layout_create(&p.sums, CUDA_R_32I, high, static_cast<uint64_t>(n), m) == CUBLAS_STATUS_SUCCESS;
  }

  // Takes algorithm number `wanted` of those offered, or the last.
  bool choose(Plan& p, int wanted) {
    cublasLtMatmulPreference_t preference = nullptr;
    if (f.preference_create(&preference) != CUBLAS_STATUS_SUCCESS) return false;
    const size_t workspace = kWorkspace;
    const uint32_t operand = 64, sums = 128;     // what alloc() and our offsets keep to, in bytes
    bool ok = f.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace) == CUBLAS_STATUS_SUCCESS;
    for (auto which : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES})
      ok = ok && f.preference_set(preference, which, &operand, sizeof operand) == CUBLAS_STATUS_SUCCESS;
    for (auto which : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      ok = ok && f.preference_set(preference, which, &sums, sizeof sums) == CUBLAS_STATUS_SUCCESS;
    cublasLtMatmulHeuristicResult_t offers[kMostAlgorithms];
    int count = 0;
    ok = ok &&
         f.heuristic(handle, p.product, p.weights, p.rows, p.sums, p.sums, preference, kMostAlgorithms, offers, &count) ==
             CUBLAS_STATUS_SUCCESS;
    f.preference_destroy(preference);
    int seen = 0;
    for (int i = 0; ok && i < count; i++) {
      if (offers[i].state != CUBLAS_STATUS_SUCCESS || offers[i].workspaceSize > kWorkspace) continue;
      p.algorithm = offers[i].algo;
      p.usable = true;
      if (seen++ == wanted) break;
    }
    return p.usable;
  }

  void drop(Plan& p) {
    if (p.product) f.desc_destroy(p.product);
    for (cublasLtMatrixLayout_t layout : {p.weights, p.rows, p.sums})
      if (layout) f.layout_destroy(layout);
  }
  void drop_plans() {
    for (auto& [key, p] : plans) drop(p);
    plans.clear();
  }

  // Null when the library has no way.
  Plan* plan(int m, int n, int k, int wanted) {
    const Key key{m, n, k, wanted};
    auto it = plans.find(key);
    if (it == plans.end()) {
      if (plans.size() >= kMostPlans) drop_plans();
      it = plans.emplace(key, Plan{}).first;
      if (describe(it->second, m, n, k)) choose(it->second, wanted);
    }
    return it->second.usable ? &it->second : nullptr;
  }
};

CublasLt* open_library() {
  auto library = std::make_unique<CublasLt>();
  library->handle = load_library(library->f);
  set_fp_env();
  return library->handle ? library.release() : nullptr;
}

void close_library(CublasLt* library) {
  if (!library) return;
  library->drop_plans();
  library->f.destroy(library->handle);
  delete library;
}

std::string library_name(const CublasLt* library) { return library ? "cublasLt " + std::to_string(library->f.version()) : ""; }

size_t library_scratch(const StepLimits& limits) {
  const size_t rows = static_cast<size_t>(limits.rows > limits.wanted ? limits.rows : limits.wanted);
  const size_t whole = rows * 2 * round_up(static_cast<size_t>(limits.widest), kPanel) * 2 * sizeof(int32_t);
  return kWorkspace + (whole < kPiece ? whole : kPiece);
}

namespace {

// How a product is cut: into pieces of weight rows and of activation rows, as equal as panels allow, whose sums fit the scratch.
struct Cut { int w_rows, rows; };
Cut cut(int w_rows, int digits, int rows, size_t bytes) {
  const int row_pieces = (rows + kMostRows - 1) / kMostRows, per_piece = (rows + row_pieces - 1) / row_pieces;
  const size_t panel = size_t{kPanel} * static_cast<size_t>(digits) * 2 * static_cast<size_t>(per_piece) * sizeof(int32_t);
  const int panels = w_rows / kPanel, most = static_cast<int>(bytes / panel);
  if (most == 0) return {0, 0};
  const int pieces = (panels + most - 1) / most;
  return {(panels + pieces - 1) / pieces * kPanel, per_piece};
}

// The raw sums of a piece of a product.
struct RawSums {
  Product p;
  const int32_t* sums;                           // (2 rows, D w_rows)
  int w_row, w_rows, row;                        // first row of weights, their number, first token
};

constexpr int kAtOnce = 4;                       // outputs of a thread

// N neighbouring values from a 16-byte boundary.
template <int N>
__device__ void load_sums(const int32_t* from, int32_t (&to)[N]) {
#pragma unroll
  for (int i = 0; i < N; i += 4) {
    const int4 four = *reinterpret_cast<const int4*>(from + i);
    to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
  }
}

// The products of rows w_row + i .. of the weights with token `row` + t.
template <int D>
__device__ __forceinline__ void four_outputs(const RawSums& r, int t, int i, float (&y)[kAtOnce]) {
  const size_t plane = static_cast<size_t>(D) * static_cast<size_t>(r.w_rows);         // a multiple of kPanel
  const int32_t* from = r.sums + 2 * static_cast<size_t>(t) * plane + static_cast<size_t>(D) * static_cast<size_t>(i);
  int32_t high[kAtOnce * D], low[kAtOnce * D];   // products with H and with L of the token
  load_sums(from, high);
  load_sums(from + plane, low);
  const int n = r.w_row + i;
  const float4 scales = *reinterpret_cast<const float4*>(r.p.w.scale + n);
  const float row_scale = *r.p.a.scale(r.row + t), scale[kAtOnce] = {scales.x, scales.y, scales.z, scales.w};
#pragma unroll
  for (int j = 0; j < kAtOnce; ++j) {
    const int32_t *h = high + D * j, *l = low + D * j;
    const int64_t sum = D == 2 ? (int64_t{h[0]} * 256 + h[D - 1] + l[0]) * 256 + l[D - 1] : int64_t{h[0]} * 256 + l[0];
    y[j] = (static_cast<float>(sum) * row_scale) * scale[j];
    if (r.p.bias && n + j < r.p.n) y[j] = y[j] + r.p.bias[n + j];
  }
}

// Groups of outputs begin on 16-byte boundaries in every row, and are whole.
__device__ __forceinline__ bool whole_groups(const Product& p) { return p.width % kAtOnce == 0; }

__device__ __forceinline__ void store(const Product& p, int token, int column, const float (&y)[kAtOnce]) {
  float* to = p.y + index_of(p, token, column);
  if (whole_groups(p)) *reinterpret_cast<float4*>(to) = make_float4(y[0], y[1], y[2], y[3]);
  else for (int j = 0; j < kAtOnce && column + j < p.width; ++j) to[j] = y[j];
}

// Raw sums to outputs (NUMERICS 4.2). Block (x, y): outputs w_row + 1024 x .., token `row` + y.
// Bytes for each output: 8 D of sums, mostly from L2, 4 out, 4 of the residual. Operations: some 10. Bound by memory, and a thread of one
// output would have too little of it on its way: an H200 took twice the time of the bytes.
template <int D>
__global__ void __launch_bounds__(256) finish_sums(RawSums r) {
  wait_for_previous();
  const int i = kAtOnce * static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), n = r.w_row + i, t = static_cast<int>(blockIdx.y);
  if (i >= r.w_rows || n >= r.p.n) return;
  float y[kAtOnce], more[kAtOnce] = {};
  if (r.p.residual) {
    const float* from = r.p.residual + index_of(r.p, r.row + t, n);
    if (whole_groups(r.p)) {
      const float4 four = *reinterpret_cast<const float4*>(from);
      more[0] = four.x, more[1] = four.y, more[2] = four.z, more[3] = four.w;
    } else {
      for (int j = 0; j < kAtOnce && n + j < r.p.n; ++j) more[j] = from[j];
    }
  }
  four_outputs<D>(r, t, i, y);
#pragma unroll
  for (int j = 0; j < kAtOnce; ++j)
    if (r.p.residual) y[j] = y[j] + more[j];
  store(r.p, r.row + t, n, y);
}

// The same of a gated product: 16 D bytes of sums for each output, 4 out; some 60 operations.
// Block (x, y): rows w_row + 2048 x .. of the weights.
template <int D>
__global__ void __launch_bounds__(256) finish_gated_sums(RawSums r) {
  wait_for_previous();
  const int group = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), per_turn = kGate / kAtOnce, t = static_cast<int>(blockIdx.y);
  const int i = group / per_turn * 2 * kGate + group % per_turn * kAtOnce, pair = pair_of(r.w_row + i);
  if (i >= r.w_rows || pair >= r.p.width) return;
  float gate[kAtOnce], up[kAtOnce], y[kAtOnce];
  four_outputs<D>(r, t, i, gate);
  four_outputs<D>(r, t, i + kGate, up);
#pragma unroll
  for (int j = 0; j < kAtOnce; ++j) y[j] = math::gated(gate[j], up[j]);
  store(r.p, r.row + t, pair, y);
}

void launch_finish(Context& c, const RawSums& r, int tokens) {
  const int groups = r.w_rows / kAtOnce / (r.p.gated ? 2 : 1);
  const dim3 grid(static_cast<unsigned>((groups + 255) / 256), static_cast<unsigned>(tokens));
  const bool two = r.p.w.digits == 2;
  launch(r.p.gated ? (two ? finish_gated_sums<2> : finish_gated_sums<1>) : (two ? finish_sums<2> : finish_sums<1>), grid, dim3(256), 0,
         c.stream, r);
}

bool all_planned(Context& c, const Cut& cut, int w_rows, int digits, int rows, int k) {
  for (int m : {cut.w_rows, w_rows % cut.w_rows})
    for (int n : {cut.rows, rows % cut.rows})
      if (m > 0 && n > 0 && !c.library->plan(digits * m, 2 * n, k, c.options.gemm_algorithm)) return false;
  return true;
}

}  // namespace

bool library_product(Context& c, const WeightView& w, int w_row, int w_rows, const RowsView& a, int row, int rows, int32_t* result) {
  Plan* plan = c.library->plan(w.digits * w_rows, 2 * rows, static_cast<int>(w.depth), c.options.gemm_algorithm);
  if (!plan) return false;
  const int32_t one = 1, zero = 0;
  plan->usable = c.library->f.matmul(c.library->handle, plan->product, &one, w.row(w_row), plan->weights, a.high(row), plan->rows, &zero,
                                     result, plan->sums, result, plan->sums, &plan->algorithm, c.scratch.data, kWorkspace,
                                     c.stream) == CUBLAS_STATUS_SUCCESS;
  return plan->usable;
}

bool library_matmul(Context& c, const Product& p) {
  if (c.scratch.bytes <= kWorkspace) return false;
  const Cut piece = cut(p.w.n, p.w.digits, p.rows, c.scratch.bytes - kWorkspace < kPiece ? c.scratch.bytes - kWorkspace : kPiece);
  if (piece.w_rows == 0 || !all_planned(c, piece, p.w.n, p.w.digits, p.rows, static_cast<int>(p.w.depth))) return false;
  int32_t* sums = reinterpret_cast<int32_t*>(static_cast<uint8_t*>(c.scratch.data) + kWorkspace);
  for (int row = 0; row < p.rows; row += piece.rows) {
    const int some = p.rows - row < piece.rows ? p.rows - row : piece.rows;
    for (int w_row = 0; w_row < p.w.n; w_row += piece.w_rows) {
      const int w_some = p.w.n - w_row < piece.w_rows ? p.w.n - w_row : piece.w_rows;
      if (!library_product(c, p.w, w_row, w_some, p.a, row, some, sums)) {
        if (row == 0 && w_row == 0) return false;
        // Nothing may take its place now: an output that another piece wrote may be a residual already used.
        // A GPU that failed says so here.
        check(cudaStreamSynchronize(c.stream), "a product by cublasLt");
        throw std::runtime_error("cublasLt refused a product that it had planned");
      }
      launch_finish(c, {p, sums, w_row, w_some, row}, some);
    }
  }
  return true;
}

}  // namespace ibid::kernels::cuda
