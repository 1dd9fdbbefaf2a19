// Attention for many columns, as in prefill: a warp has sixteen, and eight warps share the keys and values of a block.
//
// Owns: the kernel many::attend. Must not know: the grid (attention.cu), tiles and runs (attention_call.h).
//
// 1. Columns are the m side of both products: rows g and g + 8 of a product are the lane's two columns, in all its registers. The n side is
//    positions for scores, dimensions for values. What a column needs of a block is in the four lanes of a quad: warps exchange nothing.
// 2. K and V of a block lie in shared memory as they lie in the page, but that odd rows have the halves of their 128 bytes exchanged, so
//    that eight lanes, which read four pieces of two neighbouring rows, meet no bank twice.
// 3. Column 2 t + e of tile j of 64 positions is position 16 t + 2 j + e. So a lane has 16 neighbouring positions of each 64: once they are
//    weights, their digits are the piece that it hands to the product with V.
// 4. Two barriers for each block, whichever warps it concerns. K is copied while weights and values are computed, V while scores are.
#pragma once
#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/attention_lane.h"
#include "kernels/cuda/mma.h"

namespace ibid::kernels::cuda::many {

constexpr int kWarps = 8, kThreads = 32 * kWarps, kColumns = kWarps * kTileRows;
constexpr int kSlices = kBlock / kSliceBytes;    // of the positions of a block
constexpr int kTiles = kSliceBytes / 8;          // of eight positions or dimensions, of a slice
constexpr int kMostDims = 128;

struct __align__(16) Shared {
  float k_scale[kBlock], v_scale[kBlock];        // of the block in work; 0 where no column sees the position
  Columns<kColumns> of;
  float a[kColumns];                             // sq * c. A lane reads its two columns' alone, and has written what it reads
  Task mine;                                     // here, as registers are for what is in work
};
// What the smallest GPUs have.
static_assert(sizeof(Shared) + (kMostDims / kSliceBytes) * sizeof(RowPair[2][kThreads]) + 4 * kBlock * kMostDims <= 99 << 10);
// Dynamic: of a block K, then V, and before them each thread's part of the queries.
template <int D>
struct Queries { RowPair digit[D][2][kThreads]; };            // [slice][H, L]
template <int D>
int shared_bytes(const KvView& kv) { return static_cast<int>(sizeof(Queries<D>) + 2 * kBlock * (kv.depth + kv.dims)); }

// --- a block in shared memory -----------------------------------------------------------------------------------------------

// Starts the copy of rows of P pieces each. A thread's rows are all even or all odd.
template <int P>
__device__ __forceinline__ void copy_rows(int8_t* to, const int8_t* from, int rows) {
  static_assert(kThreads % (2 * P) == 0 && P % 8 == 0);
  const int first = static_cast<int>(threadIdx.x);
  to += (first ^ first / P % 2 * 4) * kPieceBytes, from += first * kPieceBytes;
  for (int i = 0; i < rows * P - first; i += kThreads) copy_piece(to + i * kPieceBytes, from + i * kPieceBytes);
}
// The scales of the first `seen` positions, and zeros behind them.
__device__ __forceinline__ void copy_scales(float* to, const float* from, int seen) {
  const int first = static_cast<int>(threadIdx.x) * 4, left = seen - first;
  if (first < kBlock) copy_front(to + first, from + first, 4 * (left < 0 ? 0 : left < 4 ? left : 4));
}

// Where a lane finds its piece of a row: of the 64 bytes that are number i of the row, its piece t.
struct Rows {
  const int8_t* half[2];
  __device__ __forceinline__ Rows(const int8_t* row, int odd, int t)
      : half{row + odd * kSliceBytes + t * kPieceBytes, row + (odd ^ 1) * kSliceBytes + t * kPieceBytes} {}
  __device__ __forceinline__ Piece piece(int offset, int i) const { return load_piece(half[i % 2] + offset + i / 2 * 2 * kSliceBytes); }
};

// --- what a lane has --------------------------------------------------------------------------------------------------------

// Its two columns, g and g + 8 of the warp's. The other lanes of the quad have the same.
template <int D>
struct Lane {
  int live[2];                                   // the position where the column is one of the run in work, else -1
  State state[2];
  float out[D * kTiles][4];                      // [tile of dimensions][2 * column + e]: dimension 8 tile + 2 t + e
};
__device__ __forceinline__ int own_column(int r) {
  return static_cast<int>(threadIdx.x) / 32 * kTileRows + static_cast<int>(threadIdx.x) % 32 / 4 + 8 * r;
}
using Scores = float[kSlices][kTiles][4];        // [slice of positions][tile][2 * column + e], then weights

__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ __forceinline__ unsigned quad_sum(unsigned x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// Its part of the queries is in shared memory, where only it reads it: registers hold it only while it is multiplied. Behind the last
// column of the tile stands that one again.
template <int D>
__device__ __forceinline__ void load_queries(const Call& call, const Task& mine, Shared& s, Queries<D>& queries) {
  const int8_t* query[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int c = mine.first + (own_column(r) < mine.count ? own_column(r) : mine.count - 1);
    s.a[own_column(r)] = call.a(c, mine.kv_head);
    query[r] = call.query(c, mine.kv_head) + static_cast<int>(threadIdx.x) % 4 * kPieceBytes;
  }
#pragma unroll
  for (int i = 0; i < D; ++i)
#pragma unroll
    for (int d = 0; d < 2; ++d)
      queries.digit[i][d][threadIdx.x] = row_pair(load_piece(query[0] + (d * D + i) * kSliceBytes),
                                                  load_piece(query[1] + (d * D + i) * kSliceBytes));
}

// --- the parts of a block, in the order in which they run -------------------------------------------------------------------

// Scores of the positions, of which the warp sees the first `seen`. They are not limited yet.
template <int D>
__device__ __forceinline__ void multiply_keys(const Shared& s, const Queries<D>& queries, const int8_t* k, int seen, Scores& score) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  constexpr int kRow = 2 * D * kSliceBytes;
  RowPair query[D][2];
#pragma unroll
  for (int d = 0; d < D; ++d)
#pragma unroll
    for (int h = 0; h < 2; ++h) query[d][h] = queries.digit[d][h][threadIdx.x];
  const float a[2] = {s.a[own_column(0)], s.a[own_column(1)]};
  const Rows keys(k + (16 * (g / 2) + g % 2) * kRow, g % 2, t);
#pragma unroll
  for (int i = 0; i < kSlices; ++i) {
#pragma unroll
    for (int j = 0; j < kTiles; j += 2) {        // two: a product does not wait for the one before, and registers suffice
      if (i * kSliceBytes + 2 * j >= seen) {
#pragma unroll
        for (int p = 0; p < 2; ++p)
#pragma unroll
          for (int v = 0; v < 4; ++v) score[i][j + p][v] = kUnseen;
        continue;
      }
      int sum[2][3][4];
#pragma unroll
      for (int p = 0; p < 2; ++p) start_sums(sum[p]);
#pragma unroll
      for (int d = 0; d < D; ++d)
#pragma unroll
        for (int p = 0; p < 2; ++p) {
          const int row = (i * kSliceBytes + 2 * (j + p)) * kRow;
          multiply_digits(sum[p], query[d], keys.piece(row, d), keys.piece(row, D + d));
        }
#pragma unroll
      for (int p = 0; p < 2; ++p) {
        const float2 scale = *reinterpret_cast<const float2*>(s.k_scale + i * kSliceBytes + 16 * t + 2 * (j + p));
#pragma unroll
        for (int v = 0; v < 4; ++v) score[i][j + p][v] = round_sum(sum[p], v) * (a[v / 2] * (v % 2 ? scale.y : scale.x));
      }
    }
  }
}

// What a column does not see.
__device__ __forceinline__ void mask(const int (&live)[2], int block, Scores& score) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int visible = visible_positions(live[r], block) - 16 * t;
#pragma unroll
    for (int i = 0; i < kSlices; ++i)
#pragma unroll
      for (int j = 0; j < kTiles; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e)
          if (i * kSliceBytes + 2 * j + e >= visible) score[i][j][2 * r + e] = kUnseen;
  }
}

__device__ __forceinline__ void find_top(const Scores& score, float (&top)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    top[r] = kUnseen;
#pragma unroll
    for (int i = 0; i < kSlices; ++i)
#pragma unroll
      for (int j = 0; j < kTiles; ++j) top[r] = fmaxf(top[r], fmaxf(score[i][j][2 * r], score[i][j][2 * r + 1]));
    top[r] = quad_max(top[r]);
  }
}

// Whether the limits of NUMERICS 7.3 may matter to a column whose largest score without them is `top`. A score beyond kScoreMax makes the
// top so; one below -kScoreMax has weight 0 either way where M is 64 above that; and with a smaller `a` no unit is infinite, since a scale
// is below 2^114.
__device__ __forceinline__ bool limits_matter(float top, float a) { return !(top <= kScoreMax && top > 64 - kScoreMax && a < 0x1p14f); }

// The limits, put on afterwards: a sum of 0 times an infinite unit is 0, any other is beyond the limit of scores either way.
__device__ __forceinline__ void limit(Scores& score) {
#pragma unroll
  for (int i = 0; i < kSlices; ++i)
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int v = 0; v < 4; ++v) {
        const float x = score[i][j][v];
        score[i][j][v] = x == x ? fminf(fmaxf(x, -kScoreMax), kScoreMax) : 0.0f;
      }
}

// The weights of a block for the lane's columns: digits as pieces of the product with V, their scales,
// and what the block does to the state.
struct Weights {
  RowPair digit[kSlices][2];                     // [slice][H, L]
  float scale[2];
  Merge merge[2];
  bool counts[2];                                // whether the column sees any of the block
};

// The digits of four weights, the first lowest: H, L. 128 is added before rounding: byte 1 is then H, and byte 0 is L + 128.
struct Words { unsigned digit[2]; };
__device__ __forceinline__ Words digits_of(float w0, float w1, float w2, float w3, float inverse) {
  constexpr float kShift = math::kRound32 + 128;
  const unsigned first = __byte_perm(math::bits(w0 * inverse + kShift), math::bits(w1 * inverse + kShift), 0x5140);
  const unsigned second = __byte_perm(math::bits(w2 * inverse + kShift), math::bits(w3 * inverse + kShift), 0x5140);
  return {{__byte_perm(first, second, 0x7632), __byte_perm(first, second, 0x5410) ^ 0x80808080u}};
}

__device__ __forceinline__ void quantise(const Scores& weight, const float (&inverse)[2], RowPair (&w)[kSlices][2]) {
#pragma unroll
  for (int i = 0; i < kSlices; ++i) {
    Words upper[4], lower[4];                    // four positions each
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float (&a)[4] = weight[i][2 * j], (&b)[4] = weight[i][2 * j + 1];
      upper[j] = digits_of(a[0], a[1], b[0], b[1], inverse[0]);
      lower[j] = digits_of(a[2], a[3], b[2], b[3], inverse[1]);
    }
#pragma unroll
    for (int d = 0; d < 2; ++d)
      w[i][d] = {make_uint4(upper[0].digit[d], lower[0].digit[d], upper[1].digit[d], lower[1].digit[d]),
                 make_uint4(upper[2].digit[d], lower[2].digit[d], upper[3].digit[d], lower[3].digit[d])};
  }
}

// Scores become weights, and the block enters the state of the columns that see any of it.
template <int D>
__device__ __forceinline__ void weigh(const Shared& s, int block, Scores& score, Lane<D>& own, Weights& weights) {
  const int t = static_cast<int>(threadIdx.x) % 4;
  float top[2];
  find_top(score, top);
  bool limits = false;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    weights.counts[r] = visible_positions(own.live[r], block) > 0;
    limits = limits || (weights.counts[r] && limits_matter(top[r], s.a[own_column(r)]));
  }
  if (__any_sync(0xffffffffu, limits)) {
    limit(score);
    mask(own.live, block, score);
    find_top(score, top);
  }
  const float m[2] = {block_max(top[0]), block_max(top[1])};
  unsigned sum[2] = {};                          // of bits of p + 1: those of 1, and RNE(p * 0x1p23)
  float largest[2] = {}, inverse[2];
#pragma unroll
  for (int i = 0; i < kSlices; ++i)
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      const float2 scale = *reinterpret_cast<const float2*>(s.v_scale + i * kSliceBytes + 16 * t + 2 * j);
#pragma unroll
      for (int v = 0; v < 4; ++v) {
        const int r = v / 2;
        const float p = power(score[i][j][v] - m[r]);
        sum[r] += math::bits(p + 1.0f);
        score[i][j][v] = p * (v % 2 ? scale.y : scale.x);
        largest[r] = fmaxf(largest[r], score[i][j][v]);
      }
    }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const unsigned total = quad_sum(sum[r] - kSlices * kTiles * 2 * math::bits(1.0f));
    const RowScale quantiser = row_scale(math::bits(quad_max(largest[r])), kQuantMax);
    inverse[r] = quantiser.inverse, weights.scale[r] = quantiser.scale;
    if (weights.counts[r]) weights.merge[r] = own.state[r].add(m[r], static_cast<float>(static_cast<int>(total)) * 0x1p-23f);
  }
  quantise(score, inverse, weights.digit);
}

// o of the block, and its merge into the state.
template <int D>
__device__ __forceinline__ void multiply_values(const int8_t* v, const Weights& weights, int seen, int dims, Lane<D>& own) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  constexpr int kRow = 2 * kBlock;
  const Rows rows(v + g * kRow, g % 2, t);
#pragma unroll
  for (int n = 0; n < D * kTiles; n += 2) {      // two at a time: a product does not wait for the one before
    if (8 * n >= dims) break;
    int sum[2][3][4];
#pragma unroll
    for (int p = 0; p < 2; ++p) start_sums(sum[p]);
#pragma unroll
    for (int i = 0; i < kSlices; ++i) {
      if (i > 0 && i * kSliceBytes >= seen) continue;
#pragma unroll
      for (int p = 0; p < 2; ++p)
        multiply_digits(sum[p], weights.digit[i], rows.piece(8 * (n + p) * kRow, i), rows.piece(8 * (n + p) * kRow, kSlices + i));
    }
#pragma unroll
    for (int p = 0; p < 2; ++p)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int r = e / 2;
        const float o = round_sum(sum[p], e) * weights.scale[r];
        if (weights.counts[r]) own.out[n + p][e] = own.out[n + p][e] * weights.merge[r].keep + o * weights.merge[r].take;
      }
  }
}

struct Span { int first, last; };                // of the positions of a warp's columns in the run; last is -1 where it has none

// Writes what the lane's columns of a run have: the result, or the record of the one block.
template <int D>
__device__ __forceinline__ void write(const Call& call, const Task& mine, int block, const Lane<D>& own) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (own.live[r] < 0 || (call.partial && visible_positions(own.live[r], block) == 0)) continue;
    float* to = call.target(mine.first + own_column(r), mine.kv_head, block);
    if (call.partial && t == 0) to[0] = own.state[r].max, to[1] = own.state[r].total;
    to += call.partial ? 2 : 0;
    const float factor = call.partial ? 1.0f : 1.0f / own.state[r].total;
#pragma unroll
    for (int n = 0; n < D * kTiles; ++n) {
      const int e = 8 * n + 2 * t;               // head_dim is even
      if (e < call.head_dim) *reinterpret_cast<float2*>(to + e) = make_float2(own.out[n][2 * r] * factor, own.out[n][2 * r + 1] * factor);
    }
  }
}

// Walks the blocks of a run, or the one block of the task, and writes what its columns have.
template <int D>
__device__ __forceinline__ void walk(const Call& call, Shared& s, Queries<D>& queries, const Task& mine, const Run& run) {
  int8_t *k = reinterpret_cast<int8_t*>(&queries + 1), *v = k + 2 * kBlock * D * kSliceBytes;
  Lane<D> own;
  Span warp{0x7fffffff, -1};
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int c = own_column(r), live = c >= run.from && c < run.to ? s.of.position[c] : -1;
    own.live[r] = live;
    own.state[r] = no_block();
    if (live > warp.last) warp.last = live;
    if (live >= 0 && live < warp.first) warp.first = live;
  }
  warp = {__reduce_min_sync(0xffffffffu, warp.first), __reduce_max_sync(0xffffffffu, warp.last)};
#pragma unroll
  for (int n = 0; n < D * kTiles; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) own.out[n][e] = 0;

  const int32_t* pages = call.pages(s.of.sequence[run.from]);
  const int begin = mine.only < 0 ? 0 : mine.only, end = mine.only < 0 ? run.last / kBlock + 1 : mine.only + 1;
  auto copy_keys = [&](int block) {
    const At at = block_at(call, pages, mine.kv_head, block, run.last);
    copy_rows<8 * D>(k, call.kv.k(at.data, 0), at.seen);
    copy_scales(s.k_scale, call.kv.k_scale(at.data), at.seen);
    end_copies();
  };
  auto copy_values = [&](int block) {
    const At at = block_at(call, pages, mine.kv_head, block, run.last);
    copy_rows<2 * kBlock / kPieceBytes>(v, call.kv.v(at.data, 0), static_cast<int>(call.kv.dims));
    copy_scales(s.v_scale, call.kv.v_scale(at.data), at.seen);
    end_copies();
  };
  copy_keys(begin);
  for (int block = begin; block < end; ++block) {
    wait_copies<0>();
    __syncthreads();                             // keys are there; nobody still reads the values of the block before
    copy_values(block);
    const int seen = visible_positions(warp.last, block);
    Scores score;
    if (seen > 0) {
      multiply_keys(s, queries, k, seen, score);
      if (visible_positions(warp.first, block) < kBlock) mask(own.live, block, score);
    }
    wait_copies<0>();
    __syncthreads();                             // values are there; nobody still reads the keys
    if (block + 1 < end) copy_keys(block + 1);
    if (seen > 0) {
      Weights weights;
      weigh(s, block, score, own, weights);
      multiply_values(v, weights, seen, static_cast<int>(call.kv.dims), own);
    }
  }
  write(call, mine, end - 1, own);
}

// D: slices of 64 dimensions.
//
// For each tile of 128 columns and block of 128 positions, E = dims, at D = 2 and E = 128:
// Bytes: 256 (64 D + E) + 1024 of K and V, 65 KiB, from L2 into shared memory. They are read there by every warp: 4,400 cycles.
// Operations: 2 * 4 * 128 * 128 (64 D + E) of int8, 4,096 mma for the CTA (4,100 cycles of an H200 at the full rate, 6,800 at what mma.sync
// reaches); 16,384 powers. A warp issues some 4,000 instructions, of which 512 are mma: 13 for each score but its mma, 20 for its weight, 4
// for its digits, 13 for each value of o. Four schedulers have two warps each: 8,000 cycles. So it is bound by the issue of instructions,
// mma close behind; a warp's weights run beside another's products, since nothing makes them wait for each other between two barriers.
template <int D>
__global__ void __launch_bounds__(kThreads, 1) attend(Call call) {
  __shared__ Shared s;
  IBID_DYNAMIC_SHARED(Queries<D>, queries);
  wait_for_previous();
  const Task mine = task(call);
  if (threadIdx.x == 0) s.mine = mine;
  if (!s.of.load(call, mine)) return;
  load_queries(call, mine, s, *queries);
  walk_runs(call, s.of, s.mine, [&](const Run& run) { walk(call, s, *queries, s.mine, run); });
}

}  // namespace ibid::kernels::cuda::many
