// The weights of a block's positions (NUMERICS 7.3 to 7.5) from exact sums; included once per instruction set, inside its namespace.
//
// Owns: what becomes of the sums of both products of attention.
// Must not know: how the sums were made, which instruction set it is compiled for.
//
// A sum is 256 * high(lane) + low(lane) of a type that the including file brings, both within int32.

// float(256 * high + low). With the carry from low, the sum is 256 * upper + (the last 8 bits of low). Cut in two, 65536 * (upper >> 8) and
// the 16 bits below, each part has at most 24 bits, which float32 holds exactly: adding them is the only rounding.
static inline float combine(int32_t high, int32_t low) {
  int32_t upper = high + (low >> 8), fine = (upper & 255) * 256 + (low & 255);
  return static_cast<float>(upper & ~255) * 256.0f + static_cast<float>(fine);
}

template <class Digit>
static void split_digits(const int16_t* __restrict q, int n, Digit* __restrict high, Digit* __restrict low) {
  for (int i = 0; i < n; ++i) {
    high[i] = static_cast<Digit>(high_digit(q[i]));
    low[i] = static_cast<Digit>(low_digit(q[i]));
  }
}

struct Weighing {
  alignas(64) float t[kBlock];
  alignas(64) float weight[kBlock];
};

// t of `count` positions, of which the first `visible` count; returns the integer M >= all of them.
template <class Sums>
static float scores(const Sums sums, float a, const float* __restrict k_scale, int visible, int count, float* __restrict t) {
  for (int j = 0; j < count; ++j) {
    float unit = math::limit_magnitude(a * k_scale[j], kScoreUnitMax);
    t[j] = math::limit_magnitude(combine(sums.high(j), sums.low(j)) * unit, kScoreMax);
  }
  for (int j = visible; j < count; ++j) t[j] = -2 * kScoreMax;               // 2^(t - M) is then 0
  return math::ceil_int(math::from_order_key(math::largest_key(t, count)));
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

template <class Digit>
static void quantize_digits(const float* __restrict x, float inverse, int count, Digit* __restrict high, Digit* __restrict low) {
  for (int j = 0; j < count; ++j) {
    int q = math::round_int(x[j] * inverse);
    high[j] = static_cast<Digit>(high_digit(q));
    low[j] = static_cast<Digit>(low_digit(q));
  }
}

// The weights of one query, quantised into digits, with the maximum and the denominator in `out`. Returns their scale.
template <class Sums, class Digit>
static float weigh_block(Weighing& work, const Sums& sums, float a, const KvBlock& kv, int visible, int count, Digit* high, Digit* low,
                         AttentionPartial& out) {
  out.max = scores(sums, a, kv.k_scale, visible, count, work.t);
  WeightSums all = powers(work.t, kv.v_scale, out.max, count, work.weight);
  out.sum = static_cast<float>(all.denominator) * 0x1p-23f;
  RowScale s = row_scale(all.largest, kQuantMax);
  quantize_digits(work.weight, s.inverse, count, high, low);
  return s.scale;
}

template <class Sums>
static void put_together(const Sums sums, float scale, int head_dim, float* __restrict out) {
  for (int d = 0; d < head_dim; ++d) out[d] = combine(sums.high(d), sums.low(d)) * scale;
}

// The positions of a block that each query sees, and the most that one of them does. Says in `out` who is live.
static int visible_of(const AttentionTile& tile, int block, int first, int count, int* visible, AttentionPartial* out) {
  int most = 0;
  for (int i = 0; i < count; ++i) {
    visible[i] = visible_positions(tile.position[first + i], block);
    out[first + i].live = visible[i] > 0;
    most = visible[i] > most ? visible[i] : most;
  }
  return most;
}
