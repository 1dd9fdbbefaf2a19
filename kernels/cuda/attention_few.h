// Attention for few columns, as in decoding: a CTA has a tile of eight, and its warps share the positions of a block.
//
// Owns: the kernel few::attend. Must not know: the grid (attention.cu), tiles and runs (attention_call.h).
//
// Columns are the n side of both products. The m side is positions for scores, dimensions for values. K and V go from memory into
// registers: each is read once. The warps meet in shared memory, by atomics on integers.
#pragma once
#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/attention_lane.h"
#include "kernels/cuda/mma.h"

namespace ibid::kernels::cuda::few {

constexpr int kColumns = kTileColumns, kWarps = kBlock / kTileRows, kThreads = 32 * kWarps;  // a warp for each 16 positions of a block
constexpr int kMostSlices = 4, kBlockSlices = kBlock / kSliceBytes;                              // head_dim <= 256
constexpr int kNoKey = -0x7fffffff - 1;         // below every order_key

// Of the lane's two columns: 2 t + c.
__device__ __forceinline__ int column(int c) { return static_cast<int>(threadIdx.x) % 4 * 2 + c; }

// What a CTA shares. Pieces of w are exchanged within their 64 bytes, by column, so that writing them meets no bank twice.
struct __align__(16) Shared {
  int8_t q[kMostSlices][2][kColumns][kSliceBytes]; // digits of the queries, H first
  int8_t w[kBlockSlices][2][kColumns][kSliceBytes]; // digits of the weights of the block in work
  Task mine;                                     // here, to spare registers
  Columns<kColumns> of;
  int live[kColumns];                            // the position of a column of the run in work, -1 of any other
  float a[kColumns];                             // sq * c
  // Of the block: order_key of the largest score, denominator, bits of the largest weight.
  int top[kColumns], sum[kColumns], largest[kColumns];
  State state[kColumns];
  Merge merge[kColumns];                         // of the block
  float scale[kColumns];                         // of its weights
};

struct Max { __device__ int operator()(int a, int b) const { return a > b ? a : b; } };
struct Add { __device__ int operator()(int a, int b) const { return a + b; } };

// Combines the values of the lane's two columns over the eight lanes that have the same. A lane hands on the one that it does not keep: one
// shuffle fewer. Returns false where another lane has the same result.
template <class Op>
__device__ __forceinline__ bool fold(const int (&value)[2], Op op, int& result, int& index) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  index = lane / 16;
  const int send = index ? value[0] : value[1];
  result = index ? value[1] : value[0];
  result = op(result, __shfl_xor_sync(0xffffffffu, send, 16));
  result = op(result, __shfl_xor_sync(0xffffffffu, result, 8));
  result = op(result, __shfl_xor_sync(0xffffffffu, result, 4));
  return lane % 16 < 4;
}

// --- the parts of a block, in the order in which they run -------------------------------------------------------------

__device__ __forceinline__ void load_queries(const Call& call, Shared& s, const Task& mine) {
  for (int c = threadIdx.x; c < kColumns; c += kThreads) {
    s.a[c] = c < mine.count ? call.a(mine.first + c, mine.kv_head) : 0;
    s.top[c] = kNoKey;
    s.sum[c] = s.largest[c] = 0;
  }
  const int of_digit = static_cast<int>(call.q.depth) / kPieceBytes;
  for (int i = threadIdx.x; i < kColumns * 2 * of_digit; i += kThreads) {
    const int c = i / (2 * of_digit), d = i / of_digit % 2, piece = i % of_digit;
    const Piece v = c < mine.count ? load_piece(call.query(mine.first + c, mine.kv_head) + (d * of_digit + piece) * kPieceBytes)
                                   : zero_piece();
    *reinterpret_cast<Piece*>(s.q[piece / 4][d][c] + piece % 4 * kPieceBytes) = v;
  }
}

// How many positions of the block column c sees.
__device__ __forceinline__ int visible(const Shared& s, const At& at, int c) { return visible_positions(s.live[c], at.block); }

// Scores of the warp's 16 positions. Rows g and g + 8 of the product are positions 2 g and 2 g + 1, so that a lane has neighbours.
__device__ __forceinline__ void scores(const Call& call, const Shared& s, const At& at, float (&score)[4]) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, first = static_cast<int>(threadIdx.x) / 32 * kTileRows + 2 * g;
  int sum[3][4];
  start_sums(sum);
  if (first - 2 * g < at.seen) {
    const int8_t* k = call.kv.k(at.data, first) + t * kPieceBytes;
    const int of_head = static_cast<int>(call.kv.depth / kSliceBytes);
#pragma unroll 2
    for (int i = 0; i < of_head; ++i) {
      Piece key[2][2];                         // [digit][position]
#pragma unroll
      for (int d = 0; d < 2; ++d)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          key[d][half] = load_once(k + (2 * half + d) * static_cast<int>(call.kv.depth) + i * kSliceBytes);
      const Piece high = load_piece(s.q[i][0][g] + t * kPieceBytes), low = load_piece(s.q[i][1][g] + t * kPieceBytes);
      const RowPair rows[2] = {row_pair(key[0][0], key[0][1]), row_pair(key[1][0], key[1][1])};
      multiply_digits(sum, rows, high, low);
    }
  }
  const float2 scale = *reinterpret_cast<const float2*>(call.kv.k_scale(at.data) + first);
#pragma unroll
  for (int v = 0; v < 4; ++v) {
    const int c = column(v % 2);
    const float value = limited_score(round_sum(sum, v), s.a[c], v < 2 ? scale.x : scale.y);
    score[v] = first + v / 2 < visible(s, at, c) ? value : kUnseen;
  }
}

__device__ __forceinline__ void note_top(Shared& s, const float (&score)[4]) {
  const int key[2] = {Max{}(math::order_key(score[0]), math::order_key(score[2])),
                      Max{}(math::order_key(score[1]), math::order_key(score[3]))};
  int top, index;
  if (fold(key, Max{}, top, index)) atomicMax(&s.top[column(index)], top);
}
__device__ __forceinline__ float top_max(const Shared& s, int c) {
  const int key = s.top[c];
  return block_max(math::from_bits(static_cast<uint32_t>(key ^ (key >> 31 & 0x7fffffff))));
}

// Scores become weights 2^(t - M) sv; notes the denominators and the largest weights.
__device__ __forceinline__ void weigh(const Call& call, Shared& s, const At& at, float (&score)[4]) {
  const int first = static_cast<int>(threadIdx.x) / 32 * kTileRows + static_cast<int>(threadIdx.x) % 32 / 4 * 2;
  const float2 scale = *reinterpret_cast<const float2*>(call.kv.v_scale(at.data) + first);
  int sum[2], largest[2], value, index;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float m = top_max(s, column(i));
    sum[i] = largest[i] = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float p = power(score[i + 2 * half] - m);
      const float weight = p > 0 ? p * (half ? scale.y : scale.x) : 0.0f;
      sum[i] += math::round_weight(p * 0x1p23f);
      largest[i] = Max{}(largest[i], static_cast<int>(math::bits(weight)));
      score[i + 2 * half] = weight;
    }
  }
  if (fold(sum, Add{}, value, index)) atomicAdd(&s.sum[column(index)], value);
  if (fold(largest, Max{}, value, index)) atomicMax(&s.largest[column(index)], value);
}

// Weights become digits. The lane's two positions are neighbours: it writes two bytes at once.
__device__ __forceinline__ void store_weights(Shared& s, const float (&weight)[4]) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warp = threadIdx.x / 32;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int c = column(i);
    const float inverse = row_scale(static_cast<unsigned>(s.largest[c]), kQuantMax).inverse;
    const int even = math::round_int(weight[i] * inverse), odd = math::round_int(weight[i + 2] * inverse);
    const int at = ((warp % 4) ^ t) * kPieceBytes + 2 * g;             // t = c / 2 % 4
    const int high = (high_digit(even) & 255) | (high_digit(odd) & 255) << 8, low = (even & 255) | (odd & 255) << 8;
    *reinterpret_cast<uint16_t*>(s.w[warp / 4][0][c] + at) = static_cast<uint16_t>(high);
    *reinterpret_cast<uint16_t*>(s.w[warp / 4][1][c] + at) = static_cast<uint16_t>(low);
  }
}

// One thread for each column: the merge of (M, l), and the factors for o (NUMERICS 7.6).
__device__ __forceinline__ void merge_columns(Shared& s, const At& at) {
  for (int c = threadIdx.x; c < kColumns; c += kThreads) {
    const float m = top_max(s, c), l = static_cast<float>(s.sum[c]) * 0x1p-23f;
    s.scale[c] = row_scale(static_cast<unsigned>(s.largest[c]), kQuantMax).scale;
    s.top[c] = kNoKey;
    s.sum[c] = 0;
    if (visible(s, at, c) > 0) s.merge[c] = s.state[c].add(m, l);
  }
}

// o of the block, and its merge into the state. A warp's dimensions: tiles `warp`, `warp` + 8 of 16.
template <int MD>
__device__ __forceinline__ void values(const Call& call, const Shared& s, const At& at, float (&out)[MD][4]) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < MD; ++m) {
    const int first = (static_cast<int>(threadIdx.x) / 32 + m * kWarps) * kTileRows;
    if (first >= static_cast<int>(call.kv.dims)) continue;
    int sum[3][4];
    start_sums(sum);
    const int8_t* v = call.kv.v(at.data, first + g) + t * kPieceBytes;
#pragma unroll 1
    for (int i = 0; i < kBlockSlices; ++i) {
      if (i * kSliceBytes >= at.seen) break;
      Piece value[2][2];                       // [digit][dimension g, g + 8]
#pragma unroll
      for (int d = 0; d < 2; ++d)
#pragma unroll
        for (int half = 0; half < 2; ++half) value[d][half] = load_once(v + (16 * half + d) * kBlock + i * kSliceBytes);
      const int where = (t ^ (g / 2)) * kPieceBytes;                   // g / 2 = column / 2 % 4
      const Piece high = load_piece(s.w[i][0][g] + where), low = load_piece(s.w[i][1][g] + where);
      const RowPair rows[2] = {row_pair(value[0][0], value[0][1]), row_pair(value[1][0], value[1][1])};
      multiply_digits(sum, rows, high, low);
    }
#pragma unroll
    for (int v4 = 0; v4 < 4; ++v4) {
      const int c = column(v4 % 2);
      if (visible(s, at, c) == 0) continue;
      const float o = round_sum(sum, v4) * s.scale[c];
      out[m][v4] = out[m][v4] * s.merge[c].keep + o * s.merge[c].take;
    }
  }
}

// Writes what a run's columns have: the result, or the record of the one block.
template <int MD>
__device__ __forceinline__ void write(const Call& call, const Shared& s, const Task& mine, const At& at, const float (&out)[MD][4]) {
  const int g = static_cast<int>(threadIdx.x) % 32 / 4, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int c = column(i);
    if (s.live[c] < 0 || (call.partial && visible(s, at, c) == 0)) continue;
    float* to = call.target(mine.first + c, mine.kv_head, at.block);
    if (call.partial && warp == 0 && g == 0) to[0] = s.state[c].max, to[1] = s.state[c].total;
    to += call.partial ? 2 : 0;
    const float factor = call.partial ? 1.0f : 1.0f / s.state[c].total;
#pragma unroll
    for (int m = 0; m < MD; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int e = (warp + m * kWarps) * kTileRows + g + 8 * half;
        if (e < call.head_dim) to[e] = out[m][i + 2 * half] * factor;
      }
  }
}

// Walks the blocks of a run, or the one block of the task, and writes what its columns have.
template <int MD>
__device__ __forceinline__ void walk(const Call& call, Shared& s, const Task& mine, const Run& run) {
  const int32_t* pages = call.pages(s.of.sequence[run.from]);
  const int end = mine.only < 0 ? run.last / kBlock + 1 : mine.only + 1;
  float out[MD][4] = {};
  At at{};
  for (int block = mine.only < 0 ? 0 : mine.only; block < end; ++block) {
    at = block_at(call, pages, mine.kv_head, block, run.last);
    for (int i = threadIdx.x; i < 2 * static_cast<int>(call.kv.dims); i += kThreads) fetch_ahead(call.kv.v(at.data, 0) + i * kBlock);
    float weight[4];
    scores(call, s, at, weight);
    note_top(s, weight);
    __syncthreads();                           // every warp's largest score is in top
    weigh(call, s, at, weight);
    __syncthreads();                           // denominators and largest weights are whole; nobody reads the digits of the block before
    store_weights(s, weight);
    merge_columns(s, at);                      // clears top and sum, which nobody else reads until the next barrier
    __syncthreads();                           // digits and factors are there
    for (int c = threadIdx.x; c < kColumns; c += kThreads) s.largest[c] = 0;   // was read before this barrier, is noted behind the next
    if (block + 1 < end) {
      const uint8_t* next = call.kv.block(pages[block + 1], call.layer, mine.kv_head);
      for (int i = threadIdx.x; i < 2 * static_cast<int>(call.kv.depth); i += kThreads) fetch_ahead(next + i * kBlock);
    }
    values(call, s, at, out);
  }
  write(call, s, mine, at, out);
}

// MD times 128 dimensions.
//
// For each tile and block of 128 positions, D = depth, E = dims:
// Bytes: 256 (D + E) + 1024 of K and V from memory, each once; V is asked for while scores are computed, and the next block's K while
// values are. 32 KiB of K are in flight at once by each CTA, and 32 KiB of V behind it; two CTAs or more on a multiprocessor.
// Operations: 2 * 4 * 128 * 8 (D + E) of int8, 1024 powers. Bound by memory: 64 KiB at D = E = 128 are 3200 cycles of an H200's share for a
// multiprocessor, the products 400.
template <int MD>
__global__ void __launch_bounds__(kThreads, 2) attend(Call call) {
  __shared__ Shared s;
  wait_for_previous();
  const Task mine = task(call);
  if (threadIdx.x == 0) s.mine = mine;
  if (!s.of.load(call, mine)) return;
  load_queries(call, s, mine);
  walk_runs(call, s.of, s.mine, [&](const Run& run) {
    if (run.from > 0) __syncthreads();           // nobody still asks which columns of the run before are live
    const int c = static_cast<int>(threadIdx.x);
    if (c < kColumns) {
      s.live[c] = c >= run.from && c < run.to ? s.of.position[c] : -1;
      s.state[c] = no_block();
    }
    __syncthreads();                             // live is written; so are the queries, before the first run
    walk<MD>(call, s, s.mine, run);
  });
}

}  // namespace ibid::kernels::cuda::few
