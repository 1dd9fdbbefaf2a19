// Matrix products on tensor cores, exact: which kernel, and the two of our own.
//
// Owns: the choice between the library (gemm_cublas.h) and the fused kernels, their tiles.
// Must not know: models, what the rows are for.
//
// 1. Weights are the m side of an mma (16 rows), activations the n side (8 tokens): the number of tokens is free. Each digit is an
//    operand of its own; products of digits of equal weight share a sum (HL and LH), which stays within int32 (NUMERICS 13).
// 2. A lane's operands are whole 16-byte pieces of rows (mma.h), from global memory where a row is read once, from shared memory
//    where it is read often. No layout is transposed anywhere.
// 3. However the depth is cut, the cuts meet as int64: an output is rounded once (product.h).
// 4. Rows of weights are padded with zero rows to kPanel, so those of a tile of 16 or 32 all exist; tokens are checked.
#include "kernels/cuda/gemm_cublas.h"
#include "kernels/cuda/mma.h"
#include "kernels/cuda/product.h"

namespace ibid::kernels::cuda {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kFewRows = 64;                     // up to here a product is bound by the reading of the weights
constexpr int kLibraryRows = 33;                 // from here the library's product wins, where there is one: see multiply()

// --- few tokens ---------------------------------------------------------------------------------------------------------
// D digits of weights, MT tiles of 16 rows and NT of 8 tokens for each warp.
//
// Bytes: each weight once from memory (n K D), the activations once for each CTA from L2 (2 K tokens), 4 n tokens out (gated: 2 n).
// Operations: 2 n K 2D 8NT, of which tokens / 8NT are of use. Bound by memory: at 8 tokens and D = 2 the tensor cores of an H200
// are busy a seventh of the time.
// In flight: a warp asks for the 4 KiB of its next step before it works on this one, so 32 KiB for each CTA; two CTAs on a
// multiprocessor where the sums are few. 4.8 TB/s at 700 ns want 25 KiB on each of 132.

// CTAs of a multiprocessor, as the registers allow: 12 bytes are spilled for one digit, tiles of 16 rows and more than 16 tokens (gated:
// more than 8 on sm_90), else none.
template <int D, int MT, int NT>
constexpr int few_at_once() { return MT * NT * (D + 1) <= 6 ? 2 : 1; }

template <int D, int MT>
struct Step {                                    // 4 KiB of weights: `slices` slices of 64 bytes of MT tiles of D digits
  static constexpr int slices = 4 / (D * MT);
  Piece piece[slices][MT][D][2];

  // Slices behind the last are zeros. at: this lane's piece of slice 0 of row g of the first tile.
  __device__ __forceinline__ void load(const int8_t* at, size_t depth, int slice, int end) {
#pragma unroll
    for (int u = 0; u < slices; ++u)
#pragma unroll
      for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half)
#pragma unroll
          for (int d = 0; d < D; ++d) {
            const size_t row = static_cast<size_t>((16 * m + 8 * half) * D + d);
            piece[u][m][d][half] = slice + u < end ? load_weights(at + row * depth + static_cast<size_t>(slice + u) * kSliceBytes)
                                                   : zero_piece();
          }
  }
};

template <int D, int MT, int NT>
struct Sums {
  int of[MT][NT][D + 1][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
      for (int n = 0; n < NT; ++n)
#pragma unroll
        for (int i = 0; i < D + 1; ++i)
#pragma unroll
          for (int v = 0; v < 4; ++v) of[m][n][i][v] = 0;
  }
  // Adds the products of a slice of tile column n with the digits of its tokens.
  __device__ __forceinline__ void add(int n, const Piece (&w)[MT][D][2], const Piece& high, const Piece& low) {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
      for (int d = 0; d < D; ++d) {
        mma_slice(of[m][n][d], w[m][d][0], w[m][d][1], high);
        mma_slice(of[m][n][d + 1], w[m][d][0], w[m][d][1], low);
      }
  }
};

// What the warps of a CTA have of a tile: [token][row], rows 18 apart so that the lanes of a half warp meet 16 different banks.
constexpr int kTileStride = 18, kTileSums = kTileColumns * kTileStride;

// Adds up the warps that share rows of weights, and writes. `across` warps lie side by side over the rows. again: not for the first time.
template <int D, int MT, int NT, bool is_gated>
__device__ __forceinline__ void meet_and_finish(const Product& p, const Sums<D, MT, NT>& sums, int row0, int token0, int across,
                                                bool again) {
  constexpr int kTiles = MT * NT, kAtOnce = kTiles < 4 ? kTiles : 4;
  __shared__ int64_t part[kWarps][kAtOnce][kTileSums];
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warp = threadIdx.x / 32;
#pragma unroll
  for (int first = 0; first < kTiles; first += kAtOnce) {
    if (first > 0 || again) __syncthreads();     // the sums of the tiles before have been read, and may be overwritten
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i)
#pragma unroll
      for (int v = 0; v < 4; ++v)
        part[warp][i][(2 * t + v % 2) * kTileStride + g + v / 2 * 8] = put_together(sums.of[(first + i) / NT][(first + i) % NT], v);
    __syncthreads();                             // every warp's sums of these tiles are written
    // of a tile, with an output each. Where it is 8, lanes of a half warp meet in banks, two by two
    constexpr int kRows = is_gated ? kGate : 16;
    for (int o = threadIdx.x; o < across * kAtOnce * 8 * kRows; o += kThreads) {
      const int row = o % kRows, column = o / kRows % 8, i = o / (8 * kRows) % kAtOnce, beside = o / (8 * kRows * kAtOnce);
      const int n = row0 + (beside * MT + (first + i) / NT) * 16 + row, token = token0 + (first + i) % NT * 8 + column;
      if (n >= p.n || token >= p.rows) continue;
      auto sum = [&](int of_row) {
        int64_t all = 0;
#pragma unroll
        for (int w = 0; w < kWarps; ++w)
          if (beside + w * across < kWarps) all += part[beside + w * across][i][column * kTileStride + of_row];
        return all;
      };
      if constexpr (is_gated) finish_pair(p, token, n, sum(row), sum(row + kGate));
      else finish(p, token, n, sum(row));
    }
  }
}

// Block (x, y): tokens 8 NT x; tiles y, y + gridDim.y, ... of 16 MT across rows of weights. Blocks of equal y follow each other and share
// the weights in L2. The next tile's first step is asked for before this tile's sums meet, and the first tile's before the activations are
// there, so that memory does not idle.
template <int D, int MT, int NT, bool is_gated>
__global__ void __launch_bounds__(kThreads, few_at_once<D, MT, NT>()) matmul_few(Product p, int across, int tiles) {
  constexpr int kSlices = Step<D, MT>::slices;
  if constexpr (MT == 1) across = 1;             // as it is launched, but known here: fewer registers
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warp = threadIdx.x / 32, token0 = static_cast<int>(blockIdx.x) * 8 * NT;
  const int slices = static_cast<int>(p.w.depth / kSliceBytes), stride = kWarps / across * kSlices, first = warp / across * kSlices;
  Step<D, MT> now, next;
  // Of a tile that is not there, or has no rows for this warp, the step is zeros.
  auto load = [&](int tile, int slice) {
    const int row = tile * 16 * MT * across + warp % across * 16 * MT;
    next.load(p.w.row(row + g) + t * kPieceBytes, p.w.depth, slice, tile < tiles && row < p.w.n ? slices : 0);
  };
  auto read_token = [&](Piece (&digits)[2], int n, int slice) {          // H, L of the lane's token of a column
    const int token = token0 + 8 * n + g;
    const int8_t* from = p.a.high(token) + static_cast<size_t>(slice) * kSliceBytes + t * kPieceBytes;
#pragma unroll
    for (int d = 0; d < 2; ++d) digits[d] = token < p.rows && slice < slices ? load_piece(from + d * p.a.plane) : zero_piece();
  };
  // The last that a tile asks of memory are the scales of its rows, and their biases: the output waits for them. A thread for each line.
  auto fetch_scales = [&](int tile) {
    const int line = 32 * static_cast<int>(threadIdx.x), row = tile * 16 * MT * across + line;
    if (NT > 1 || line >= 16 * MT * across || row >= p.n) return;        // more columns have no registers for it
    fetch_ahead(p.w.scale + row);
    if (p.bias) fetch_ahead(p.bias + row);
  };
  int tile = static_cast<int>(blockIdx.y), slice = first;
  bool again = false;
  Sums<D, MT, NT> sums;
  sums.clear();
  load(tile, first);
  fetch_scales(tile);
  wait_for_previous();
  // One loop over the steps of all tiles. Its turns end by moving `next` to where the next turn has it, so by waiting for it: in a loop for
  // each tile that came before the sums met, and no memory was asked for while they did (seen in the machine code).
  while (tile < tiles) {
    now = next;
    // A single column of tokens is asked for before the weights of the next step: what is asked for later may arrive later, and this step
    // should not wait for those. More columns have no registers for it.
    Piece digits[kSlices][2];
    if constexpr (NT == 1)
      for (int u = 0; u < kSlices; ++u) read_token(digits[u], 0, slice + u);
    const int of = tile, at = slice;
    const bool last = slice + stride >= slices;
    slice = last ? first : slice + stride;
    if (last) tile += static_cast<int>(gridDim.y);
    load(tile, slice);
#pragma unroll
    for (int n = 0; n < NT; ++n)
#pragma unroll
      for (int u = 0; u < kSlices; ++u) {
        if constexpr (NT > 1) read_token(digits[u], n, at + u);
        sums.add(n, now.piece[u], digits[u][0], digits[u][1]);
      }
    if (!last) continue;
    fetch_scales(tile);
    meet_and_finish<D, MT, NT, is_gated>(p, sums, of * 16 * MT * across, token0, across, again);
    sums.clear();
    again = true;
  }
}

// Rows of weights of a CTA. Large tiles read the activations less often, small ones make more CTAs: as large as keeps the
// activations' bytes below a quarter of the weights', while there is a CTA for nearly every multiprocessor.
int tile_rows(const Context& c, const Product& p, int digits, int columns) {
  const int tokens = p.rows < 32 ? p.rows : 32;
  int tile = 16;
  while (tile < 128 && tile * digits < 8 * tokens && 4 * columns * (p.w.n / (2 * tile)) >= 3 * c.multiprocessors) tile *= 2;
  return tile;
}

// As many CTAs as run at one time.
template <int D, int MT, int NT>
void launch_tiles(Context& c, const Product& p, int columns, int tile) {
  const int tiles = (p.w.n + tile - 1) / tile, most = (few_at_once<D, MT, NT>() * c.multiprocessors + columns - 1) / columns;
  const dim3 grid(static_cast<unsigned>(columns), static_cast<unsigned>(tiles < most ? tiles : most));
  launch(p.gated ? matmul_few<D, MT, NT, true> : matmul_few<D, MT, NT, false>, grid, dim3(kThreads), 0, c.stream, p, tile / (16 * MT),
         tiles);
}

template <int D, int NT>
void launch_few(Context& c, const Product& p) {
  const int columns = (p.rows + 8 * NT - 1) / (8 * NT), tile = tile_rows(c, p, D, columns);
  tile == 16 ? launch_tiles<D, 1, NT>(c, p, columns, tile) : launch_tiles<D, 2, NT>(c, p, columns, tile);
}

// --- many tokens --------------------------------------------------------------------------------------------------------
// A CTA has 128 rows of weights and 128 tokens (D = 1) or 64 (D = 2), a warp 16 MT rows and 32 tokens.
//
// Bytes: 24 KiB into shared memory for each slice of 64, from L2; 4 n tokens out. Operations for these: 2 * 2^21.
// A slice is 512 cycles of reading shared memory beside 1024 of mma (A100; 800 on an H200). Two slices are on their way while one
// is worked on: 48 KiB in flight.

template <int D>
struct Many {
  static constexpr int rows = 128, tokens = D == 1 ? 128 : 64, down = D == 1 ? 2 : 4, stages = 3;
  static constexpr int MT = rows / down / 16, NT = tokens / (kWarps / down) / 8;
  static constexpr int lines = D * rows + 2 * tokens;      // of a stage, kSliceBytes each: [digit][row], then [digit][token]
  static constexpr int copies = lines * 4 / kThreads;      // pieces that a thread copies
  static constexpr int shared_bytes = stages * lines * kSliceBytes;
};

// The place in global memory of slice 0 of a line of a stage. Rows and tokens behind the last stand for it: nobody writes theirs.
template <int D>
__device__ __forceinline__ const int8_t* line_source(const Product& p, int line, int row0, int token0) {
  using S = Many<D>;
  if (line < D * S::rows) {
    const int row = row0 + line % S::rows;
    return p.w.row(row < p.w.n ? row : p.w.n - 1) + static_cast<size_t>(line / S::rows) * p.w.depth;
  }
  const int token = token0 + (line - D * S::rows) % S::tokens;
  return p.a.high(token < p.rows ? token : p.rows - 1) + static_cast<size_t>((line - D * S::rows) / S::tokens) * p.a.plane;
}

// The products of one stage. A quad reads 64 consecutive bytes and quads read consecutive lines: no two lanes meet in a bank.
template <int D>
__device__ __forceinline__ void multiply_stage(const int8_t* stage, Sums<D, Many<D>::MT, Many<D>::NT>& sums) {
  using S = Many<D>;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int8_t* mine = stage + lane / 4 * kSliceBytes + lane % 4 * kPieceBytes;
  const int row = warp % S::down * 16 * S::MT, token = warp / S::down * 8 * S::NT;
  Piece w[S::MT][D][2];
#pragma unroll
  for (int m = 0; m < S::MT; ++m)
#pragma unroll
    for (int d = 0; d < D; ++d)
#pragma unroll
      for (int half = 0; half < 2; ++half) w[m][d][half] = load_piece(mine + (d * S::rows + row + 16 * m + 8 * half) * kSliceBytes);
#pragma unroll
  for (int n = 0; n < S::NT; ++n) {
    const int8_t* digits = mine + (D * S::rows + token + 8 * n) * kSliceBytes;
    sums.add(n, w, load_piece(digits), load_piece(digits + S::tokens * kSliceBytes));
  }
}

// Which tile a block has: bands of 8 columns of tokens, and within a band the columns run fastest, so that the blocks that run
// at one time share both operands in L2.
struct Place { int row, token; };
__device__ __forceinline__ Place place(int row_tiles, int token_tiles) {
  constexpr int kBand = 8;
  const int block = static_cast<int>(blockIdx.x), band = block / (kBand * row_tiles), within = block % (kBand * row_tiles);
  const int left = token_tiles - band * kBand, width = left < kBand ? left : kBand;
  return {within / width, band * kBand + within % width};
}

template <int D>
__global__ void __launch_bounds__(kThreads, 1) matmul_many(Product p, int row_tiles, int token_tiles) {
  using S = Many<D>;
  IBID_DYNAMIC_SHARED(int8_t, shared);
  wait_for_previous();
  const Place at = place(row_tiles, token_tiles);
  const int row0 = at.row * S::rows, token0 = at.token * S::tokens;
  const int8_t* from[S::copies];
#pragma unroll
  for (int i = 0; i < S::copies; ++i) {
    const int piece = static_cast<int>(threadIdx.x) + i * kThreads;
    from[i] = line_source<D>(p, piece / 4, row0, token0) + piece % 4 * kPieceBytes;
  }
  const int slices = static_cast<int>(p.w.depth / kSliceBytes);
  auto fill = [&](int slice) {
    int8_t* to = shared + slice % S::stages * S::lines * kSliceBytes + threadIdx.x * kPieceBytes;
    if (slice < slices) {
#pragma unroll
      for (int i = 0; i < S::copies; ++i) copy_piece(to + i * kThreads * kPieceBytes, from[i] + static_cast<size_t>(slice) * kSliceBytes);
    }
    end_copies();
  };
  Sums<D, S::MT, S::NT> sums;
  sums.clear();
  for (int slice = 0; slice < S::stages - 1; ++slice) fill(slice);
  for (int slice = 0; slice < slices; ++slice) {
    wait_copies<S::stages - 2>();
    __syncthreads();        // every thread's copies of this stage are there, and nobody still reads the stage that is filled next
    fill(slice + S::stages - 1);
    multiply_stage<D>(shared + slice % S::stages * S::lines * kSliceBytes, sums);
  }
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int row = row0 + warp % S::down * 16 * S::MT + lane / 4, token = token0 + warp / S::down * 8 * S::NT + lane % 4 * 2;
#pragma unroll
  for (int m = 0; m < S::MT; ++m)
#pragma unroll
    for (int n = 0; n < S::NT; ++n)
#pragma unroll
      for (int v = 0; v < 2; ++v) {
        const int to_row = row + 16 * m, to_token = token + 8 * n + v;
        if (to_token >= p.rows) continue;
        const int64_t first = put_together(sums.of[m][n], v), second = put_together(sums.of[m][n], v + 2);
        static_assert(kGate == 8);               // as far apart as the two rows of a lane
        if (p.gated) {
          finish_pair(p, to_token, to_row, first, second);
        } else {
          if (to_row < p.n) finish(p, to_token, to_row, first);
          if (to_row + 8 < p.n) finish(p, to_token, to_row + 8, second);
        }
      }
}

template <int D>
void launch_many(Context& c, const Product& p) {
  using S = Many<D>;
  const int row_tiles = (p.n + S::rows - 1) / S::rows, token_tiles = (p.rows + S::tokens - 1) / S::tokens;
  cudaFuncSetAttribute(matmul_many<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, S::shared_bytes);
  launch(matmul_many<D>, dim3(static_cast<unsigned>(row_tiles) * static_cast<unsigned>(token_tiles)), dim3(kThreads), S::shared_bytes,
         c.stream, p, row_tiles, token_tiles);
}

// --------------------------------------------------------------------------------------------------------------------------

template <int D>
void launch_fused(Context& c, const Product& p) {
  if (p.rows > kFewRows) return launch_many<D>(c, p);
  if (p.rows > 16) return launch_few<D, 4>(c, p);
  if (p.rows > 8) return launch_few<D, 2>(c, p);
  launch_few<D, 1>(c, p);
}

// The library writes 8 D bytes of raw sums for each output, which our epilogue reads again, and reads no operand more often than
// it must. Up to 32 tokens that is no gain: the fused kernel reads the weights once too. Beyond, the activations that each tile
// of the fused kernel reads anew cost more. (An estimate, not a measurement: test/bench/ROOFLINE.md; CudaOptions::gemm_rows moves it.)
void multiply(Context& c, const Product& p) {
  if (p.rows <= 0 || p.n <= 0) return;
  const int from = c.options.gemm_rows > 0 ? c.options.gemm_rows : kLibraryRows;
  if (c.library && p.rows >= from && library_matmul(c, p)) return;
  p.w.digits == 2 ? launch_fused<2>(c, p) : launch_fused<1>(c, p);
}

}  // namespace

size_t matmul_scratch(const StepLimits& limits) { return library_scratch(limits); }

void matmul(Context& c, const Weight& w, const QuantRows& a, int rows, float* y, const float* residual) {
  multiply(c, {view(w), view(a), w.bias, residual, y, w.n, rows, w.n, false});
}

void gated_matmul(Context& c, const Weight& w, const QuantRows& a, int rows, int f, float* y) {
  multiply(c, {view(w), view(a), w.bias, nullptr, y, w.n, rows, f, true});
}

}  // namespace ibid::kernels::cuda
