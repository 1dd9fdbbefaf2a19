// Attention of many queries by AMX-INT8: both factors of both products as digits, four products of digits for each.
//
// Owns: the fast form of attention_scalar.cc for 12 queries and more. Must not know: what rows and heads the queries are.
//
// A block's K and V lie as pairs of int16 (attention.h), but tiles of AMX want quads of digits. These are made anew for each tile of
// queries, which takes about as long as the products of 24 queries: so tiles of queries are large here,
// and fewer than kFewQueries go the way of AVX-512.
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/row_ops.h"
#include "kernels/math.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::amx {

#include "kernels/cpu/attention_weigh.h"

namespace {

constexpr int kFewQueries = 12;
constexpr int kDepth = 64;                         // int8 of k that a tile holds

// One digit of a block's K or V, [quad of k][lane][4]: what a line of a tile of the right factor is.
constexpr size_t kPlane = static_cast<size_t>(kMaxHeadDim) * kBlock;
using Quads = int8_t[2][kPlane];                   // H, L

// Of 16 queries the sums of digit products of equal weight (HH; HL and LH; LL): [sum][query][lane], lanes as many as there are.
constexpr int kSums = 3;
struct Sums {
  const int32_t* of_query;
  int lanes;
  int32_t sum(int i, int lane) const { return of_query[i * kTileRows * lanes + lane]; }
  int32_t high(int lane) const { return 256 * sum(0, lane) + sum(1, lane); }
  int32_t low(int lane) const { return sum(2, lane); }
};

struct Work {
  alignas(64) int8_t q[2][kTile][kMaxHeadDim];     // H, L; zeros from head_dim to the next multiple of kDepth
  alignas(64) int8_t w[2][kTile][kBlock];          // the same of the weights
  alignas(64) Quads quads;
  alignas(64) int32_t sums[kSums * kTileRows * kMaxHeadDim];
  Weighing weighing;
};
static_assert(sizeof(Work) <= kAttentionScratchBytes && kMaxHeadDim >= kBlock);
static_assert(kTile % kTileRows == 0 && kMaxHeadDim % kDepth == 0 && kBlock % kDepth == 0);      // tiles read whole lines, 16 of them

// The bytes 0 and 2 of each of 16 lanes of two vectors, as four bytes of a lane.
__m512i join(__m512i first, __m512i second) {
  first = _mm512_or_si512(first, _mm512_srli_epi32(first, 8));
  second = _mm512_or_si512(second, _mm512_srli_epi32(second, 8));
  return _mm512_mask_blend_epi16(0xAAAAAAAA, first, _mm512_slli_epi32(second, 16));
}

// Pairs of int16, [pair][stride][2], of which the first `lanes` lanes become quads. An odd last pair gets zeros beside it.
void make_quads(const int16_t* from, int pairs, int stride, int lanes, Quads& to) {
  const __m512i bias = _mm512_set1_epi16(128), low = _mm512_set1_epi16(255);
  for (int pair = 0; pair < pairs; pair += 2) {
    const int16_t* at = from + static_cast<size_t>(pair) * 2 * static_cast<size_t>(stride);
    size_t line = static_cast<size_t>(pair) * 2 * static_cast<size_t>(lanes);
    for (int lane = 0; lane < lanes; lane += 16, at += 32, line += 64) {
      const __m512i a = _mm512_loadu_si512(at), b = pair + 1 < pairs ? _mm512_loadu_si512(at + 2 * stride) : _mm512_setzero_si512();
      const __m512i high = join(_mm512_srli_epi16(_mm512_add_epi16(a, bias), 8), _mm512_srli_epi16(_mm512_add_epi16(b, bias), 8));
      _mm512_store_si512(to[0] + line, high);
      _mm512_store_si512(to[1] + line, join(_mm512_and_si512(a, low), _mm512_and_si512(b, low)));
    }
  }
}

// One tile of each factor, at step 0.
struct Left { const int8_t *high, *low; size_t stride; };
struct Right { const int8_t *high, *low; size_t line; };

// The sums of 16 queries and 16 lanes in three tiles, `steps` times kDepth deep; and from there to memory. Tile numbers are text to gcc.
#define IBID_ADD_PRODUCTS(hh, cross, ll)                         \
  _tile_zero(hh);                                                \
  _tile_zero(cross);                                             \
  _tile_zero(ll);                                                \
  for (size_t step = 0; step < steps; ++step) {                  \
    const size_t left = step * kDepth, right = step * (kDepth / 4) * b.line; \
    _tile_loadd(6, a.high + left, a.stride);                     \
    _tile_loadd(7, b.high + right, b.line);                      \
    _tile_dpbssd(hh, 6, 7);                                      \
    _tile_loadd(7, b.low + right, b.line);                       \
    _tile_dpbssd(cross, 6, 7);                                   \
    _tile_loadd(6, a.low + left, a.stride);                      \
    _tile_dpbssd(ll, 6, 7);                                      \
    _tile_loadd(7, b.high + right, b.line);                      \
    _tile_dpbssd(cross, 6, 7);                                   \
  }
#define IBID_STORE(hh, cross, ll, to)                            \
  _tile_stored(hh, to, b.line);                                  \
  _tile_stored(cross, (to) + plane, b.line);                     \
  _tile_stored(ll, (to) + 2 * plane, b.line);

// The sums of 16 queries and all lanes. Two sets of tiles take turns, so that one is stored while the other's products run:
// 1.3 to 1.7 times as fast.
// The tile instructions' operands are invisible to the compiler, hence the barriers.           REQUIRES: lanes a multiple of 32
void multiply(const Left& a, Right b, size_t steps, int lanes, int32_t* sums) {
  const int plane = kTileRows * lanes;
  asm volatile("" ::: "memory");
  for (int lane = 0; lane < lanes; lane += 32) {
    IBID_ADD_PRODUCTS(0, 1, 2)
    if (lane > 0) { IBID_STORE(3, 4, 5, sums + lane - 16) }
    b.high += 64, b.low += 64;
    IBID_ADD_PRODUCTS(3, 4, 5)
    IBID_STORE(0, 1, 2, sums + lane)
    b.high += 64, b.low += 64;
  }
  IBID_STORE(3, 4, 5, sums + lanes - 16)
  asm volatile("" ::: "memory");
}

int round_to(int value, int step) { return (value + step - 1) / step * step; }
size_t steps_of(int depth) { return static_cast<size_t>((depth + kDepth - 1) / kDepth); }

// Zeros where a digit's tiles read more than its `n` values.
void clear_rest(int8_t* digits, int n) {
  for (int i = n; i < round_to(n, kDepth); ++i) digits[i] = 0;
}

}  // namespace

// A query that sees nothing of the block gets weights without a meaning, and is not live.
void attend(const AttentionTile& tile, int block, AttentionScratch& scratch, AttentionPartial* out) {
  if (tile.count < kFewQueries) return kRowOpsAvx512.attend(tile, block, scratch, out);
  int visible[kTile];
  const int most = visible_of(tile, block, 0, tile.count, visible, out);
  if (most == 0) return;
  Work& work = reinterpret_cast<Work&>(scratch);
  const KvBlock kv = kv_block(tile.kv, tile.pages[block], tile.layer, tile.kv_head);
  const int dims = static_cast<int>(padded_dims(tile.head_dim)), count = round_to(most, 32);
  const Right keys{work.quads[0], work.quads[1], 4 * static_cast<size_t>(count)};
  const Right values{work.quads[0], work.quads[1], 4 * static_cast<size_t>(dims)};
  float scale[kTile];
  const Tiles tiles;
  for (int i = 0; i < tile.count; ++i) {
    split_digits(tile.q[i], tile.head_dim, work.q[0][i], work.q[1][i]);
    for (auto& digit : work.q) clear_rest(digit[i], tile.head_dim);
  }
  make_quads(kv.k, tile.head_dim / 2, kBlock, count, work.quads);
  for (int first = 0; first < tile.count; first += kTileRows) {
    multiply({work.q[0][first], work.q[1][first], kMaxHeadDim}, keys, steps_of(tile.head_dim), count, work.sums);
    for (int i = first; i < tile.count && i < first + kTileRows; ++i) {
      const Sums sums{work.sums + (i - first) * count, count};
      scale[i] = weigh_block(work.weighing, sums, tile.q_scale[i] * tile.scale, kv, visible[i], count, work.w[0][i], work.w[1][i], out[i]);
      for (auto& digit : work.w) clear_rest(digit[i], count);
    }
  }
  make_quads(kv.v, (most + 1) / 2, dims, dims, work.quads);
  for (int first = 0; first < tile.count; first += kTileRows) {
    multiply({work.w[0][first], work.w[1][first], kBlock}, values, steps_of(count), dims, work.sums);
    for (int i = first; i < tile.count && i < first + kTileRows; ++i)
      put_together(Sums{work.sums + (i - first) * dims, dims}, scale[i], tile.head_dim, out[i].out);
  }
}

}  // namespace ibid::kernels::amx
