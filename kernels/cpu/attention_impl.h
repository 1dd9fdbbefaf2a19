// Attention by multiply-adds of int16 pairs; included after row_ops_impl.h and attention_weigh.h, in the same way and under the same rules.
//
// Owns: the fast form of attention_scalar.cc. A score is the sum of q * k over dimensions, an output that of w * v over positions:
// one and the same loop. The left factor is split into base-256 digits, so that a sum of int32 cannot overflow:
// |digit| <= 128, |value| <= 32639, at most 256 terms: < 2^31, and 256 * high + low is put together by one rounding.

struct Work {
  alignas(64) int16_t q[kTile][2][kMaxHeadDim];    // digits, high first
  alignas(64) int16_t w[kChunk][2][kBlock];
  alignas(64) int32_t sums[kChunk][2][kMaxHeadDim];
  Weighing weighing;
  float w_scale[kChunk];
};
static_assert(sizeof(Work) <= kAttentionScratchBytes && kMaxHeadDim >= kBlock);

// The accumulators of rows of digits, two vectors each; a nest of members, because gcc 12 leaves an array of them in memory.
template <int N, int width>
struct Sums {
  Acc left = zero(), right = zero();
  Sums<N - 1, width> rest;

  __attribute__((always_inline)) void add(const int16_t* a, Vec b0, Vec b1) {
    Vec factor = pair(a);
    left = dot(left, factor, b0);
    right = dot(right, factor, b1);
    pin(left), pin(right);                 // in registers throughout: gcc 12 stored both to the stack in every round
    rest.add(a + width, b0, b1);
  }
  __attribute__((always_inline)) void write(int32_t (*sums)[kMaxHeadDim], int lane) {
    store(&sums[0][lane], left);
    store(&sums[0][lane + kLanes], right);
    rest.write(sums + 1, lane);
  }
};
template <int width>
struct Sums<0, width> {
  void add(const int16_t*, Vec, Vec) {}
  void write(int32_t (*)[kMaxHeadDim], int) {}
};

// sums[i][digit][lane] = sum over p < pairs of a[i][digit][2p] b[p][lane][0] + a[i][digit][2p+1] b[p][lane][1], for two vectors
// of lanes. a: (N, 2, width); b: rows of `b_row` values.
// A function of its own, so that nothing else wants its registers.
template <int N, int width>
__attribute__((noinline)) static void dot_lanes(const int16_t* a, const int16_t* b, size_t b_row, int pairs,
                                                int32_t (*sums)[kMaxHeadDim], int lane) {
  Sums<2 * N, width> acc;
  for (int p = 0; p < pairs; ++p, b += b_row) acc.add(a + 2 * p, load(b), load(b + 2 * kLanes));
  acc.write(sums, lane);
}

template <int N, int width>
static void dot_pairs(const int16_t* a, const int16_t* b, size_t b_row, int pairs, int lanes, int32_t (*sums)[2][kMaxHeadDim]) {
  for (int lane = 0; lane < lanes; lane += 2 * kLanes) dot_lanes<N, width>(a, b + 2 * lane, b_row, pairs, sums[0], lane);
}

// The sums of one query.
struct DigitSums {
  const int32_t (*of)[kMaxHeadDim];
  int32_t high(int lane) const { return of[0][lane]; }
  int32_t low(int lane) const { return of[1][lane]; }
};

// N queries from `first` over one block.
template <int N>
static void attend_chunk(const AttentionTile& tile, int block, const KvBlock& kv, int first, Work& work, AttentionPartial* out) {
  int visible[N], most = visible_of(tile, block, first, N, visible, out);
  if (most == 0) return;
  int dims = static_cast<int>(padded_dims(tile.head_dim));
  int count = (most + 31) / 32 * 32;
  dot_pairs<N, kMaxHeadDim>(work.q[first][0], kv.k, 2 * kBlock, tile.head_dim / 2, count, work.sums);
  for (int i = 0; i < N; ++i) {
    work.w_scale[i] = weigh_block(work.weighing, DigitSums{work.sums[i]}, tile.q_scale[first + i] * tile.scale, kv, visible[i], count,
                                  work.w[i][0], work.w[i][1], out[first + i]);
  }
  dot_pairs<N, kBlock>(work.w[0][0], kv.v, 2 * static_cast<size_t>(dims), (most + 1) / 2, dims, work.sums);
  for (int i = 0; i < N; ++i) put_together(DigitSums{work.sums[i]}, work.w_scale[i], tile.head_dim, out[first + i].out);
}

// The queries from `first` on, as many as kChunk at a time, the rest in one smaller chunk.
template <int N>
static void attend_rest(const AttentionTile& tile, int block, const KvBlock& kv, int first, Work& work, AttentionPartial* out) {
  for (; tile.count - first >= N; first += N) attend_chunk<N>(tile, block, kv, first, work, out);
  if constexpr (N > 1) {
    if (first < tile.count) attend_rest<N - 1>(tile, block, kv, first, work, out);
  }
}

static void attend(const AttentionTile& tile, int block, AttentionScratch& scratch, AttentionPartial* out) {
  Work& work = reinterpret_cast<Work&>(scratch);
  for (int i = 0; i < tile.count; ++i) split_digits(tile.q[i], tile.head_dim, work.q[i][0], work.q[i][1]);
  KvBlock kv = kv_block(tile.kv, tile.pages[block], tile.layer, tile.kv_head);
  attend_rest<kChunk>(tile, block, kv, 0, work, out);
}

static void merge(AttentionPartial& state, const AttentionPartial& next, int head_dim) {
  if (!next.live) return;
  if (!state.live) {
    state.live = true;
    state.max = next.max;
    state.sum = next.sum;
    __builtin_memcpy(state.out, next.out, static_cast<size_t>(head_dim) * sizeof(float));
    return;
  }
  float max = state.max > next.max ? state.max : next.max;
  float a = rescale(state.max - max), b = rescale(next.max - max);
  state.max = max;
  state.sum = state.sum * a + next.sum * b;
  for (int d = 0; d < head_dim; ++d) state.out[d] = state.out[d] * a + next.out[d] * b;
}
