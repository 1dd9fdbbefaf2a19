// Attention by multiply-adds of int16 pairs; included after row_ops_impl.h, in the same way and under the same rules.
//
// Owns: the fast form of attention_scalar.cc. A score is the sum of q * k over dimensions, an output that of w * v over positions:
// one and the same loop. The left factor is split into base-256 digits, so that a sum of int32 cannot overflow:
// |digit| <= 128, |value| <= 32639, at most 256 terms: < 2^31, and 256 * high + low is put together by one rounding.

struct Work {
  alignas(64) int16_t q[kTile][2][kMaxHeadDim];    // digits, high first
  alignas(64) int16_t w[kChunk][2][kBlock];
  alignas(64) int32_t sums[kChunk][2][kMaxHeadDim];
  alignas(64) float t[kBlock];
  alignas(64) float weight[kBlock];
  float w_scale[kChunk];
};
static_assert(sizeof(Work) <= kAttentionScratchBytes && kMaxHeadDim >= kBlock);

static void split_digits(const int16_t* __restrict q, int n, int16_t* __restrict high, int16_t* __restrict low) {
  for (int i = 0; i < n; ++i) {
    high[i] = static_cast<int16_t>(high_digit(q[i]));
    low[i] = static_cast<int16_t>(low_digit(q[i]));
  }
}

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

// 256 * high + low, once carried, is 256 * upper + 8 bits. `upper` without its last 8 bits, and those with the 8, are at most 24 bits
// each, which float32 holds exactly: their sum is the only rounding.
static inline float combine(int32_t high, int32_t low) {
  int32_t upper = high + (low >> 8), fine = (upper & 255) * 256 + (low & 255);
  return static_cast<float>(upper & ~255) * 256.0f + static_cast<float>(fine);
}

// t of `count` positions, of which the first `visible` count; returns the integer M >= all of them.
static float scores(const int32_t (*__restrict sums)[kMaxHeadDim], float a, const float* __restrict k_scale, int visible, int count,
                    float* __restrict t) {
  for (int j = 0; j < count; ++j) {
    float unit = math::limit_magnitude(a * k_scale[j], kScoreUnitMax);
    t[j] = math::limit_magnitude(combine(sums[0][j], sums[1][j]) * unit, kScoreMax);
  }
  for (int j = visible; j < count; ++j) t[j] = -2 * kScoreMax;               // 2^(t - M) is then 0
  int32_t key = largest_key(t, count);
  return math::ceil_int(math::from_bits(static_cast<uint32_t>(key ^ ((key >> 31) & 0x7fffffff))));
}

// What the loop over the weights of a block adds up.
struct WeightSums {
  int32_t denominator;
  uint32_t largest;
};

// weight = 2^(t - max) * v_scale: 0 where not visible, since the power is, and scales are always finite.
static WeightSums powers(const float* __restrict t, const float* __restrict v_scale, float max, int count, float* __restrict weight) {
  int32_t sum = 0, largest = 0;
  for (int j = 0; j < count; ++j) {
    float p = math::exp2_weight(t[j] - max);
    sum += math::round_weight(p * 0x1p23f);
    weight[j] = p * v_scale[j];
    int32_t magnitude = static_cast<int32_t>(math::bits(weight[j]));
    largest = magnitude > largest ? magnitude : largest;
  }
  return {sum, static_cast<uint32_t>(largest)};
}

static void quantize_digits(const float* __restrict x, float inverse, int count, int16_t* __restrict high, int16_t* __restrict low) {
  for (int j = 0; j < count; ++j) {
    int q = math::round_int(x[j] * inverse);
    high[j] = static_cast<int16_t>(high_digit(q));
    low[j] = static_cast<int16_t>(low_digit(q));
  }
}

// The weights of one query, quantised into digits, with the maximum and the denominator in `out`. Returns their scale.
static float weigh_block(Work& work, int i, float a, const KvBlock& kv, int visible, int count, AttentionPartial& out) {
  out.max = scores(work.sums[i], a, kv.k_scale, visible, count, work.t);
  WeightSums sums = powers(work.t, kv.v_scale, out.max, count, work.weight);
  out.sum = static_cast<float>(sums.denominator) * 0x1p-23f;
  RowScale s = row_scale(sums.largest, kQuantMax);
  quantize_digits(work.weight, s.inverse, count, work.w[i][0], work.w[i][1]);
  return s.scale;
}

static void put_together(const int32_t (*__restrict sums)[kMaxHeadDim], float scale, int head_dim, float* __restrict out) {
  for (int d = 0; d < head_dim; ++d) out[d] = combine(sums[0][d], sums[1][d]) * scale;
}

// N queries from `first` over one block.
template <int N>
static void attend_chunk(const AttentionTile& tile, int block, const KvBlock& kv, int first, Work& work, AttentionPartial* out) {
  int visible[N], most = 0;
  for (int i = 0; i < N; ++i) {
    visible[i] = visible_positions(tile.position[first + i], block);
    out[first + i].live = visible[i] > 0;
    most = visible[i] > most ? visible[i] : most;
  }
  if (most == 0) return;
  int dims = static_cast<int>(padded_dims(tile.head_dim));
  int count = (most + 31) / 32 * 32;
  dot_pairs<N, kMaxHeadDim>(work.q[first][0], kv.k, 2 * kBlock, tile.head_dim / 2, count, work.sums);
  for (int i = 0; i < N; ++i) {
    work.w_scale[i] = weigh_block(work, i, tile.q_scale[first + i] * tile.scale, kv, visible[i], count, out[first + i]);
  }
  dot_pairs<N, kBlock>(work.w[0][0], kv.v, 2 * static_cast<size_t>(dims), (most + 1) / 2, dims, work.sums);
  for (int i = 0; i < N; ++i) put_together(work.sums[i], work.w_scale[i], tile.head_dim, out[first + i].out);
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
