#include "kernels/cuda/gemm_cublas.h"

#include <map>
#include <stdexcept>
#include <tuple>

#include "kernels/cpu/fpenv.h"
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
    ok = ok && f.heuristic(handle, p.product, p.weights, p.rows, p.sums, p.sums, preference, kMostAlgorithms, offers, &count) == CUBLAS_STATUS_SUCCESS;
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
  const Plan* plan(int m, int n, int k, int wanted) {
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
  CublasLt* library = new CublasLt;
  const bool there = load_functions(library->f) && library->f.create(&library->handle) == CUBLAS_STATUS_SUCCESS;
  set_fp_env();
  if (there) return library;
  delete library;
  return nullptr;
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

struct Epilogue {
  WeightView w;
  RowsView a;
  const float* bias;
  const float* residual;
  float* y;
  const int32_t* sums;                           // (2 rows, D w_rows) of this piece
  int n, w_row, w_rows, row;
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

// Raw sums to outputs (NUMERICS 4.2). Block (x, y): outputs w_row + 1024 x .., row `row` + y.
// Bytes for each output: 8 D of sums, mostly from L2, 4 out, 4 of the residual. Operations: some 10. Bound by memory, and a thread of one
// output would have too little of it on its way: an H200 took twice the time of the bytes.
template <int D>
__global__ void __launch_bounds__(256) finish_sums(Epilogue e) {
  wait_for_previous();
  const int i = kAtOnce * static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), n = e.w_row + i, t = static_cast<int>(blockIdx.y);
  if (i >= e.w_rows || n >= e.n) return;
  const size_t plane = static_cast<size_t>(D) * static_cast<size_t>(e.w_rows);         // a multiple of kPanel
  const int32_t* from = e.sums + 2 * static_cast<size_t>(t) * plane + static_cast<size_t>(D) * static_cast<size_t>(i);
  int32_t high[kAtOnce * D], low[kAtOnce * D];   // products with H and with L of the row
  load_sums(from, high);
  load_sums(from + plane, low);
  const float4 scales = *reinterpret_cast<const float4*>(e.w.scale + n);
  const float row_scale = *e.a.scale(e.row + t), scale[kAtOnce] = {scales.x, scales.y, scales.z, scales.w};
  const size_t at = static_cast<size_t>(e.row + t) * static_cast<size_t>(e.n) + static_cast<size_t>(n);
  const bool aligned = e.n % kAtOnce == 0;       // every row of outputs, which is then whole groups
  const int count = e.n - n < kAtOnce ? e.n - n : kAtOnce;
  float4 residual = make_float4(0, 0, 0, 0);
  if (e.residual && aligned) residual = *reinterpret_cast<const float4*>(e.residual + at);
  float y[kAtOnce], more[kAtOnce] = {residual.x, residual.y, residual.z, residual.w};
#pragma unroll
  for (int j = 0; j < kAtOnce; ++j) {
    const int32_t *h = high + D * j, *l = low + D * j;
    const int64_t sum = D == 2 ? (int64_t{h[0]} * 256 + h[D - 1] + l[0]) * 256 + l[D - 1] : int64_t{h[0]} * 256 + l[0];
    y[j] = (static_cast<float>(sum) * row_scale) * scale[j];
    if (e.bias && j < count) y[j] = y[j] + e.bias[n + j];
    if (e.residual && !aligned && j < count) more[j] = e.residual[at + static_cast<size_t>(j)];
    if (e.residual) y[j] = y[j] + more[j];
    if (!aligned && j < count) e.y[at + static_cast<size_t>(j)] = y[j];
  }
  if (aligned) *reinterpret_cast<float4*>(e.y + at) = make_float4(y[0], y[1], y[2], y[3]);
}

bool all_planned(Context& c, const Cut& cut, int w_rows, int digits, int rows, int k) {
  for (int m : {cut.w_rows, w_rows % cut.w_rows})
    for (int n : {cut.rows, rows % cut.rows})
      if (m > 0 && n > 0 && !c.library->plan(digits * m, 2 * n, k, c.options.gemm_algorithm)) return false;
  return true;
}

}  // namespace

bool library_product(Context& c, const Weight& w, int w_row, int w_rows, const QuantRows& a, int row, int rows, int32_t* result) {
  const WeightView weights = view(w);
  const RowsView activations = view(a);
  const Plan* plan = c.library->plan(weights.digits * w_rows, 2 * rows, static_cast<int>(weights.depth), c.options.gemm_algorithm);
  if (!plan) return false;
  const int32_t one = 1, zero = 0;
  return c.library->f.matmul(c.library->handle, plan->product, &one, weights.row(w_row), plan->weights, activations.high(row), plan->rows, &zero,
                             result, plan->sums, result, plan->sums, &plan->algorithm, c.scratch.data, kWorkspace, c.stream) == CUBLAS_STATUS_SUCCESS;
}

bool library_matmul(Context& c, const Weight& w, const QuantRows& a, int rows, float* y, const float* residual) {
  const WeightView weights = view(w);
  if (c.scratch.bytes <= kWorkspace) return false;
  const Cut piece = cut(weights.n, weights.digits, rows, c.scratch.bytes - kWorkspace < kPiece ? c.scratch.bytes - kWorkspace : kPiece);
  if (piece.w_rows == 0 || !all_planned(c, piece, weights.n, weights.digits, rows, static_cast<int>(weights.depth))) return false;
  int32_t* sums = reinterpret_cast<int32_t*>(static_cast<uint8_t*>(c.scratch.data) + kWorkspace);
  for (int row = 0; row < rows; row += piece.rows) {
    const int some = rows - row < piece.rows ? rows - row : piece.rows;
    for (int w_row = 0; w_row < weights.n; w_row += piece.w_rows) {
      const int w_some = weights.n - w_row < piece.w_rows ? weights.n - w_row : piece.w_rows;
      // Nothing may take its place now: an output that another piece wrote may be a residual already used.
      if (!library_product(c, w, w_row, w_some, a, row, some, sums)) throw std::runtime_error("cublasLt refused a product that it had planned");
      const Epilogue e{weights, view(a), w.bias, residual, y, sums, w.n, w_row, w_some, row};
      const dim3 grid(static_cast<unsigned>((w_some + 256 * kAtOnce - 1) / (256 * kAtOnce)), static_cast<unsigned>(some));
      launch(weights.digits == 2 ? finish_sums<2> : finish_sums<1>, grid, dim3(256), 0, c.stream, e);
    }
  }
  return true;
}

}  // namespace ibid::kernels::cuda
