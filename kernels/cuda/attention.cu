// Attention on tensor cores, exact within blocks of 128 absolute positions and merged in their order (NUMERICS 7).
//
// Owns: how queries are cut into tiles, when the blocks of a context are shared out, the kernels. Must not know: models, graphs.
//
// 1. A column is a query and a head of the group that reads one kv head; columns are the n side of both products. The m side is
//    positions for scores, dimensions for values. All operands are 16-byte pieces as they lie in memory (mma.h).
// 2. What a column gets of a block depends on the column and the block alone: (max, sum, out) of NUMERICS 7.4 and 7.5. Blocks meet
//    in ascending order by 7.6, within a CTA that walks them, or in `merge` when each block had a CTA of its own.
// 3. A tile of columns may hold queries of several sequences. A run is the columns of one; it walks its own pages, and the other
//    columns see nothing of them.
// 4. The grid follows from what the host knows of the batch (Batch::longest_run, last_position: upper bounds). What it holds is read
//    on the device: a CTA without work leaves, so a recorded launch serves every batch that the bounds cover.
// 5. What invisible positions hold does not matter: their weight is 0, in digits and as a float.
#include "kernels/attention_rules.h"
#include "kernels/cuda/attention_lane.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/mma.h"
#include "kernels/math.h"

namespace ibid::kernels::cuda {
namespace {

constexpr int kWarps = kBlock / kTileRows, kThreads = 32 * kWarps;   // a warp for each 16 positions of a block
constexpr int kMaxSlices = 4;                    // head_dim <= 256
constexpr int kBlockSlices = kBlock / kSliceBytes;
constexpr float kUnseen = -2 * kScoreMax;        // a score whose power is 0 beside any that is seen
constexpr int kMostGrid = 65'535;                // of y and z
constexpr int kNoKey = -0x7fffffff - 1;          // below every order_key

struct Call {
  HeadsView q;
  KvView kv;
  const int32_t* position;                       // (rows)
  const int32_t* sequence;                       // (rows)
  const int32_t* page_table;                     // (sequences, max_pages)
  const int32_t* query_rows;                     // (queries) or null
  float* out;                                    // (queries, heads, head_dim)
  float* partial;                                // (queries, heads, blocks, record): null where a CTA walks all blocks
  int max_pages, layer, head_dim, heads, group;
  int columns, span;                             // in all, for each kv head; of a tile
  int runs, blocks;                              // CTAs that share the runs of a tile, and blocks, in the grid
  float scale;                                   // float(log2 e / sqrt(head_dim))

  __host__ __device__ int record() const { return static_cast<int>(kv.dims) + 2; }      // max, sum, out[dims]
  __device__ int row(int column) const {
    const int query = column / group;
    return query_rows ? query_rows[query] : query;
  }
  // Number of the column among (query, head).
  __device__ size_t place(int column, int kv_head) const {
    return static_cast<size_t>(column / group) * static_cast<size_t>(heads) + static_cast<size_t>(kv_head * group + column % group);
  }
};

// What a CTA shares; C columns. Pieces of w are exchanged within their 64 bytes, by column, so that writing them meets no bank twice.
template <int C>
struct __align__(16) Shared {
  int8_t q[kMaxSlices][2][C][kSliceBytes];       // digits of the queries, H first
  int8_t w[kBlockSlices][2][C][kSliceBytes];     // digits of the weights of the block in work
  int position[C], sequence[C];                  // of the columns; -1 behind the last
  int live[C];                                   // the position of a column of the run in work, -1 of any other
  float a[C];                                    // sq * c
  int top[C], sum[C], largest[C];                // of the block: order_key of the largest score, denominator, bits of the largest weight
  float max[C], total[C];                        // the state: M and l
  float keep[C], take[C], scale[C];              // of the block: 2^(M - N), 2^(M' - N), scale of the weights
};

// o of the lanes, each of which reads and writes its own. Registers hold it between blocks at the price of spills.
template <int NT, int MD>
struct State { float out[MD][NT][4][kThreads]; };

// Late tiles come first, because they walk furthest.
__device__ __forceinline__ int first_of_tile(const Call& call) { return static_cast<int>(gridDim.x - 1 - blockIdx.x) * call.span; }

// --- the parts of a block, in the order in which they run ---------------------------------------------------------------

template <int C>
__device__ void load_columns(const Call& call, Shared<C>& s, int first, int count, int kv_head) {
  for (int c = threadIdx.x; c < C; c += kThreads) {
    const int row = c < count ? call.row(first + c) : 0;
    s.position[c] = c < count ? call.position[row] : -1;
    s.sequence[c] = c < count ? call.sequence[row] : -1;
    s.a[c] = c < count ? *call.q.scale(row, kv_head * call.group + (first + c) % call.group) * call.scale : 0;
    s.top[c] = kNoKey;
    s.sum[c] = s.largest[c] = 0;
  }
}

template <int C>
__device__ void load_queries(const Call& call, Shared<C>& s, int first, int count, int kv_head) {
  const int of_digit = static_cast<int>(call.q.depth) / kPieceBytes;
  for (int i = threadIdx.x; i < C * 2 * of_digit; i += kThreads) {
    const int c = i / (2 * of_digit), d = i / of_digit % 2, piece = i % of_digit;
    Piece v = zero_piece();
    if (c < count) {
      const int8_t* head = call.q.head(call.row(first + c), kv_head * call.group + (first + c) % call.group);
      v = load_piece(head + static_cast<size_t>(d) * call.q.depth + static_cast<size_t>(piece) * kPieceBytes);
    }
    *reinterpret_cast<Piece*>(s.q[piece / 4][d][c] + piece % 4 * kPieceBytes) = v;
  }
}

// The block that a run is at.
struct At {
  int block, seen;                               // positions of the block that any column sees
  uint8_t* data;                                 // the block of this layer and kv head
};

// How many positions of the block column c sees.
template <int C>
__device__ __forceinline__ int visible(const Shared<C>& s, const At& at, int c) {
  return visible_positions(s.live[c], at.block);
}

// Scores of the warp's 16 positions. Rows g and g + 8 of the product are positions 2 g and 2 g + 1, so that a lane has neighbours.
template <int NT>
__device__ __forceinline__ void scores(const Call& call, const Shared<8 * NT>& s, const At& at, float (&score)[NT][4]) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, first = static_cast<int>(threadIdx.x) / 32 * kTileRows + 2 * g;
  int sum[NT][3][4] = {};
  if (first - 2 * g < at.seen) {
    const int8_t* k = call.kv.k(at.data, first) + t * kPieceBytes;
    const int slices = static_cast<int>(call.kv.depth / kSliceBytes);
#pragma unroll(NT == 1 ? 2 : 1)
    for (int i = 0; i < slices; ++i) {
      Piece key[2][2];                           // [digit][position]
#pragma unroll
      for (int d = 0; d < 2; ++d)
#pragma unroll
        for (int half = 0; half < 2; ++half) key[d][half] = load_once(k + (2 * half + d) * static_cast<int>(call.kv.depth) + i * kSliceBytes);
#pragma unroll
      for (int n = 0; n < NT; ++n) {
        const Piece high = load_piece(s.q[i][0][8 * n + g] + t * kPieceBytes), low = load_piece(s.q[i][1][8 * n + g] + t * kPieceBytes);
        mma_slice(sum[n][0], key[0][0], key[0][1], high);
        mma_slice(sum[n][1], key[0][0], key[0][1], low);
        mma_slice(sum[n][1], key[1][0], key[1][1], high);
        mma_slice(sum[n][2], key[1][0], key[1][1], low);
      }
    }
  }
  const float2 scale = *reinterpret_cast<const float2*>(call.kv.k_scale(at.data) + first);
#pragma unroll
  for (int n = 0; n < NT; ++n)
#pragma unroll
    for (int v = 0; v < 4; ++v) {
      const int c = lane_column(2 * n + v % 2);
      const float unit = math::limit_magnitude(s.a[c] * (v < 2 ? scale.x : scale.y), kScoreUnitMax);
      const float value = math::limit_magnitude(round_sum(sum[n], v) * unit, kScoreMax);
      score[n][v] = first + v / 2 < visible(s, at, c) ? value : kUnseen;
    }
}

template <int NT>
__device__ __forceinline__ void note_top(Shared<8 * NT>& s, const float (&score)[NT][4]) {
  int key[2 * NT], top, index;
#pragma unroll
  for (int i = 0; i < 2 * NT; ++i) key[i] = Max{}(math::order_key(score[i / 2][i % 2]), math::order_key(score[i / 2][i % 2 + 2]));
  if (fold(key, Max{}, top, index)) atomicMax(&s.top[lane_column(index)], top);
}

// M of a column: the smallest integer that no score exceeds. Where nothing is seen, what makes every power 0.
template <int C>
__device__ __forceinline__ float block_max(const Shared<C>& s, int c) {
  const int key = s.top[c];
  const float m = math::ceil_int(math::from_bits(static_cast<uint32_t>(key ^ (key >> 31 & 0x7fffffff))));
  return m < -kScoreMax ? -kScoreMax : m;
}

// Scores become weights 2^(t - M) sv; notes the denominators and the largest weights.
template <int NT>
__device__ __forceinline__ void weigh(const Call& call, Shared<8 * NT>& s, const At& at, float (&score)[NT][4]) {
  const int first = static_cast<int>(threadIdx.x) / 32 * kTileRows + static_cast<int>(threadIdx.x) % 32 / 4 * 2;
  const float2 scale = *reinterpret_cast<const float2*>(call.kv.v_scale(at.data) + first);
  int sum[2 * NT], largest[2 * NT], value, index;
#pragma unroll
  for (int i = 0; i < 2 * NT; ++i) {
    const float m = block_max(s, lane_column(i));
    sum[i] = largest[i] = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float p = math::exp2_weight(score[i / 2][i % 2 + 2 * half] - m);
      const float weight = p > 0 ? p * (half ? scale.y : scale.x) : 0.0f;
      sum[i] += math::round_weight(p * 0x1p23f);
      largest[i] = Max{}(largest[i], static_cast<int>(math::bits(weight)));
      score[i / 2][i % 2 + 2 * half] = weight;
    }
  }
  if (fold(sum, Add{}, value, index)) atomicAdd(&s.sum[lane_column(index)], value);
  if (fold(largest, Max{}, value, index)) atomicMax(&s.largest[lane_column(index)], value);
}

// The row quantiser (NUMERICS 3) of the weights of a column, of which `largest` are the bits of the largest.
__device__ __forceinline__ bool counts_as_zero(int largest) { return largest >= 0x7f800000 || math::from_bits(static_cast<uint32_t>(largest)) < 0x1p-96f; }

// Weights become digits. The lane's two positions are neighbours: it writes two bytes at once.
template <int NT>
__device__ __forceinline__ void store_weights(Shared<8 * NT>& s, const float (&weight)[NT][4]) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warp = threadIdx.x / 32;
#pragma unroll
  for (int i = 0; i < 2 * NT; ++i) {
    const int c = lane_column(i), largest = s.largest[c];
    const float inverse = counts_as_zero(largest) ? 0.0f : static_cast<float>(kQuantMax) / math::from_bits(static_cast<uint32_t>(largest));
    const int even = math::round_int(weight[i / 2][i % 2] * inverse), odd = math::round_int(weight[i / 2][i % 2 + 2] * inverse);
    const int at = ((warp % 4) ^ t) * kPieceBytes + 2 * g;               // t = c / 2 % 4
    const int high = ((even + 128) >> 8 & 255) | ((odd + 128) >> 8 & 255) << 8, low = (even & 255) | (odd & 255) << 8;
    *reinterpret_cast<uint16_t*>(s.w[warp / 4][0][c] + at) = static_cast<uint16_t>(high);
    *reinterpret_cast<uint16_t*>(s.w[warp / 4][1][c] + at) = static_cast<uint16_t>(low);
  }
}

// One thread for each column: the merge of (M, l), and the factors for o (NUMERICS 7.6). first: this block is the column's first.
template <int C>
__device__ __forceinline__ void merge_columns(Shared<C>& s, const At& at, bool first) {
  for (int c = threadIdx.x; c < C; c += kThreads) {
    const float m = block_max(s, c), l = static_cast<float>(s.sum[c]) * 0x1p-23f;
    const float largest = math::from_bits(static_cast<uint32_t>(s.largest[c]));
    s.scale[c] = counts_as_zero(s.largest[c]) ? 0.0f : largest / static_cast<float>(kQuantMax);
    s.top[c] = kNoKey;
    s.sum[c] = 0;
    if (visible(s, at, c) == 0) continue;
    if (first) {
      s.max[c] = m;
      s.total[c] = l;
    } else {
      const float n = s.max[c] > m ? s.max[c] : m;
      s.keep[c] = rescale(s.max[c] - n);
      s.take[c] = rescale(m - n);
      s.total[c] = s.total[c] * s.keep[c] + l * s.take[c];
      s.max[c] = n;
    }
  }
}

// Which dimensions and columns of the values are a warp's: tiles of 16 dimensions `tile`, tile + 8 below `tiles`; where there are no
// more than four, two warps share one and each has half of the columns.
struct Part {
  int tile, tiles, half;                         // half: -1 all columns
  template <int NT>
  __device__ __forceinline__ bool has(int n) const { return half < 0 || n / (NT > 1 ? NT / 2 : 1) == half; }
};
template <int NT>
__device__ __forceinline__ Part part(const Call& call) {
  const int warp = threadIdx.x / 32, tiles = static_cast<int>(call.kv.dims) / kTileRows;
  if (NT > 1 && tiles <= kWarps / 2) return {warp % (kWarps / 2), tiles, warp / (kWarps / 2)};
  return {warp, tiles, -1};
}

// o of the block, and its merge into the state.
template <int NT, int MD>
__device__ __forceinline__ void values(const Call& call, const Shared<8 * NT>& s, const At& at, const Part& mine, bool first, State<NT, MD>& state) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < MD; ++m) {
    const int tile = mine.tile + m * kWarps;
    if (tile >= mine.tiles) continue;
    int sum[NT][3][4] = {};
    const int8_t* v = call.kv.v(at.data, tile * kTileRows + g) + t * kPieceBytes;
#pragma unroll 1
    for (int i = 0; i < kBlockSlices; ++i) {
      if (i * kSliceBytes >= at.seen) break;
      Piece value[2][2];                         // [digit][dimension g, g + 8]
#pragma unroll
      for (int d = 0; d < 2; ++d)
#pragma unroll
        for (int half = 0; half < 2; ++half) value[d][half] = load_once(v + (16 * half + d) * kBlock + i * kSliceBytes);
#pragma unroll
      for (int n = 0; n < NT; ++n) {
        if (!mine.has<NT>(n)) continue;
        const int where = (t ^ (g / 2)) * kPieceBytes;                   // g / 2 = column / 2 % 4
        const Piece high = load_piece(s.w[i][0][8 * n + g] + where), low = load_piece(s.w[i][1][8 * n + g] + where);
        mma_slice(sum[n][0], value[0][0], value[0][1], high);
        mma_slice(sum[n][1], value[0][0], value[0][1], low);
        mma_slice(sum[n][1], value[1][0], value[1][1], high);
        mma_slice(sum[n][2], value[1][0], value[1][1], low);
      }
    }
#pragma unroll
    for (int n = 0; n < NT; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int c = lane_column(2 * n + e % 2);
        if (!mine.has<NT>(n) || visible(s, at, c) == 0) continue;
        const float o = round_sum(sum[n], e) * s.scale[c];
        float& out = state.out[m][n][e][threadIdx.x];
        out = first ? o : out * s.keep[c] + o * s.take[c];
      }
  }
}

// Writes what a run's columns have: the result, or the partial of the one block.
template <int NT, int MD>
__device__ __forceinline__ void write(const Call& call, const Shared<8 * NT>& s, const At& at, const Part& mine, const State<NT, MD>& state) {
  const int g = static_cast<int>(threadIdx.x) % 32 / 4, first_column = first_of_tile(call), kv_head = static_cast<int>(blockIdx.y);
#pragma unroll
  for (int n = 0; n < NT; ++n)
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int c = lane_column(2 * n + side);
      if (s.live[c] < 0 || !mine.has<NT>(n) || (call.partial && visible(s, at, c) == 0)) continue;
      const size_t place = call.place(first_column + c, kv_head);
      float* to = call.partial ? call.partial + (place * static_cast<size_t>(call.blocks) + static_cast<size_t>(at.block)) * static_cast<size_t>(call.record()) + 2
                               : call.out + place * static_cast<size_t>(call.head_dim);
      const float inverse = 1.0f / s.total[c];
      if (call.partial && mine.tile == 0 && g == 0) {
        to[-2] = s.max[c];
        to[-1] = s.total[c];
      }
#pragma unroll
      for (int m = 0; m < MD; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int e = (mine.tile + m * kWarps) * kTileRows + g + 8 * half;
          const float out = state.out[m][n][2 * half + side][threadIdx.x];
          if (e < call.head_dim) to[e] = call.partial ? out : out * inverse;
        }
    }
}

// Walks the blocks of a run, or the one block `only` (-1: all), and writes what its columns have.
template <int NT, int MD>
__device__ __forceinline__ void walk(const Call& call, Shared<8 * NT>& s, State<NT, MD>& state, const Part& mine, const int32_t* pages, int last, int only) {
  const int kv_head = static_cast<int>(blockIdx.y), blocks = last / kBlock + 1;
  if (only >= blocks) return;
  At at{only < 0 ? 0 : only, 0, nullptr};
  for (const int end = only < 0 ? blocks : only + 1;; ++at.block) {
    at.data = call.kv.block(pages[at.block], call.layer, kv_head);
    at.seen = last + 1 - at.block * kBlock < kBlock ? last + 1 - at.block * kBlock : kBlock;
    const bool first = only >= 0 || at.block == 0;
    for (int i = threadIdx.x; i < 2 * static_cast<int>(call.kv.dims); i += kThreads) fetch_ahead(call.kv.v(at.data, 0) + i * kBlock);
    float weight[NT][4];
    scores<NT>(call, s, at, weight);
    note_top<NT>(s, weight);
    __syncthreads();                             // every warp's largest score is in top
    weigh<NT>(call, s, at, weight);
    __syncthreads();                             // denominators and largest weights are whole; nobody reads the digits of the block before
    store_weights<NT>(s, weight);
    merge_columns(s, at, first);                 // clears top and sum, which nobody else reads until the next barrier
    __syncthreads();                             // digits and factors are there
    for (int c = threadIdx.x; c < 8 * NT; c += kThreads) s.largest[c] = 0;     // was read before this barrier, is noted behind the next
    if (at.block + 1 < end) {
      const uint8_t* next = call.kv.block(pages[at.block + 1], call.layer, kv_head);
      for (int i = threadIdx.x; i < 2 * static_cast<int>(call.kv.depth); i += kThreads) fetch_ahead(next + i * kBlock);
    }
    values<NT, MD>(call, s, at, mine, first, state);
    if (at.block + 1 == end) break;
  }
  write<NT, MD>(call, s, at, mine, state);
}

// Block (x, y, z): a tile of columns; a kv head; z = runs * block + share of the runs, block being 0 where each CTA walks them all.
// NT tiles of 8 columns, MD times 128 dimensions.
//
// For each tile and block of 128 positions, D = depth, E = dims, C = 8 NT:
// Bytes: 256 (D + E) + 1024 of K and V, from memory in decoding, from L2 in prefill. Each is read once; V is asked for while scores
// are computed, and the next block's K while values are.
// Operations: 2 * 4 * 128 C (D + E) of int8, 128 C of exp2. Decoding (C = 8) is bound by memory: 64 KiB at D = E = 128 are 3200 cycles of an
// H200's share for a multiprocessor, the products 400. Prefill (C = 32): 1600 cycles of mma, beside some 1500 of the rest.
// In flight in decoding: 32 KiB of K at once by each CTA, and 32 KiB of V behind it; two CTAs or more on a multiprocessor.
template <int NT, int MD>
__global__ void __launch_bounds__(kThreads, 2) attend(Call call) {
  constexpr int C = 8 * NT;
  __shared__ Shared<C> s;
  __shared__ State<NT, MD> state;
  wait_for_previous();
  const int kv_head = static_cast<int>(blockIdx.y), first_column = first_of_tile(call), left = call.columns - first_column, count = left < call.span ? left : call.span;
  const int share = static_cast<int>(blockIdx.z) % call.runs, only = call.partial ? static_cast<int>(blockIdx.z) / call.runs : -1;
  load_columns(call, s, first_column, count, kv_head);
  const int c0 = static_cast<int>(threadIdx.x);
  // A barrier too: behind it the columns are there. A thread asks for the column that it wrote.
  if (!__syncthreads_or(c0 < count && s.position[c0] / kBlock >= only)) return;    // no column sees the block of this CTA
  load_queries(call, s, first_column, count, kv_head);
  const Part mine = part<NT>(call);
  for (int run = 0, to = 0; to < count; ++run) {
    const int from = to;
    int last = 0;
    for (; to < count && s.sequence[to] == s.sequence[from]; ++to) last = Max{}(last, s.position[to]);
    if (run % call.runs != share) continue;
    if (run > 0) __syncthreads();                // nobody still asks which columns of the run before are live
    if (c0 < C) s.live[c0] = c0 >= from && c0 < to ? s.position[c0] : -1;
    __syncthreads();                             // live is written; so are the queries, before the first run
    walk<NT, MD>(call, s, state, mine, call.page_table + static_cast<size_t>(s.sequence[from]) * static_cast<size_t>(call.max_pages), last, only);
  }
}

// Partials to results, in order. Block x: one (query, head); a thread for each dimension.
// Bytes: 4 (E + 2) for each block. Operations: 3 E for each block. Bound by memory, mostly L2.
__global__ void __launch_bounds__(256) merge(Call call) {
  wait_for_previous();
  const int place = static_cast<int>(blockIdx.x), query = place / call.heads, e = static_cast<int>(threadIdx.x);
  const int row = call.query_rows ? call.query_rows[query] : query, end = call.position[row] / kBlock + 1;
  const size_t record = static_cast<size_t>(call.record());
  const float* from = call.partial + static_cast<size_t>(place) * static_cast<size_t>(call.blocks) * record;
  float max = from[0], total = from[1], out = from[2 + e];
#pragma unroll 4
  for (int b = 1; b < end; ++b) {
    const float* block = from + static_cast<size_t>(b) * record;
    const float n = max > block[0] ? max : block[0], keep = rescale(max - n), take = rescale(block[0] - n);
    total = total * keep + block[1] * take;
    out = out * keep + block[2 + e] * take;
    max = n;
  }
  if (e < call.head_dim) call.out[static_cast<size_t>(place) * static_cast<size_t>(call.head_dim) + static_cast<size_t>(e)] = out * (1.0f / total);
}

// --- the grid -------------------------------------------------------------------------------------------------------------

int power_of_two(int n) {
  int p = 1;
  while (p < n) p *= 2;
  return p;
}

size_t partial_bytes(int queries, int heads, int blocks, int head_dim) {
  return static_cast<size_t>(queries) * static_cast<size_t>(heads) * static_cast<size_t>(blocks) * (round_up(static_cast<size_t>(head_dim), 16) + 2) * sizeof(float);
}

// What the host may know of the blocks: a power of two, so that one recording serves a range of lengths.
int grid_blocks(const Batch& batch) {
  const int blocks = power_of_two(batch.last_position / kBlock + 1);
  return blocks < batch.max_pages ? blocks : batch.max_pages;
}

template <int NT, int MD>
void run(Context& c, Call call, int longest, int queries, const Batch& batch) {
  constexpr int C = 8 * NT;
  const int wide = call.group < C ? C / call.group : 1, of_tile = wide < longest ? wide : longest;
  call.span = call.group < C ? of_tile * call.group : C;
  const int tiles = (call.columns + call.span - 1) / call.span, others = batch.rows - batch.longest_run + 1;
  call.runs = others < 1 || of_tile == 1 ? 1 : others < of_tile ? others : of_tile;
  // Shared out when walking CTAs alone would leave multiprocessors idle, and the partials have a place.
  const bool few = tiles * call.kv.kv_heads < c.multiprocessors * (NT == 1 ? 4 : 2);
  const bool fits = partial_bytes(queries, call.heads, call.blocks, call.head_dim) <= c.scratch.bytes && call.runs * call.blocks <= kMostGrid;
  const bool split = few && fits && call.blocks > 1;
  call.partial = split ? static_cast<float*>(c.scratch.data) : nullptr;
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(call.kv.kv_heads), static_cast<unsigned>(call.runs * (split ? call.blocks : 1)));
  launch(attend<NT, MD>, grid, dim3(kThreads), 0, c.stream, call);
  if (split) launch(merge, dim3(static_cast<unsigned>(queries * call.heads)), dim3(static_cast<unsigned>(call.kv.dims)), 0, c.stream, call);
}

}  // namespace

size_t attention_scratch(const StepLimits& limits) {
  const int queries = limits.rows > limits.wanted ? limits.rows : limits.wanted;
  const size_t whole = partial_bytes(queries, limits.heads, limits.max_pages, limits.head_dim);
  return whole < kScratchPiece ? whole : kScratchPiece;
}

void attention(Context& c, const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer, const KvCache& kv,
               float* out) {
  if (queries <= 0) return;
  const int dim = kv.shape.head_dim, group = heads / kv.shape.kv_heads;
  Call call{view(q, heads, dim), view(kv), batch.position, batch.sequence, batch.page_table, query_rows, out, nullptr, batch.max_pages, layer, dim,
            heads, group, queries * group, 0, 1, grid_blocks(batch), attention_scale(dim)};
  // Chosen rows are mostly the last of their sequences: they share no keys.
  const int longest = query_rows ? 1 : batch.longest_run < queries ? batch.longest_run : queries;
  if (longest * group <= 8) {
    dim > 128 ? run<1, 2>(c, call, longest, queries, batch) : run<1, 1>(c, call, longest, queries, batch);
  } else {
    // Twice the dimensions leave registers for half the columns.
    dim > 128 ? run<2, 2>(c, call, longest, queries, batch) : run<4, 1>(c, call, longest, queries, batch);
  }
}

}  // namespace ibid::kernels::cuda
