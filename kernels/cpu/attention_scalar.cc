// Attention as the specification words it (NUMERICS 7), one query at a time.
#include <cmath>

#include "kernels/cpu/row_ops_scalar.h"
#include "kernels/math.h"

namespace ibid::kernels::scalar {

// The scores of the visible positions of a block in units of powers of two; returns the integer M >= all of them.
static float scores(const AttentionTile& tile, int query, const KvBlock& kv, int visible, float* t) {
  float a = tile.q_scale[query] * tile.scale, largest = 0;
  for (int j = 0; j < visible; ++j) {
    int64_t sum = 0;
    for (int d = 0; d < tile.head_dim; ++d) {
      sum += int64_t{tile.q[query][d]} * kv.k[(d / 2 * kBlock + j) * 2 + d % 2];
    }
    float unit = a * kv.k_scale[j];
    if (unit > kScoreUnitMax) unit = kScoreUnitMax;
    t[j] = static_cast<float>(sum) * unit;
    if (t[j] > kScoreMax) t[j] = kScoreMax;
    if (t[j] < -kScoreMax) t[j] = -kScoreMax;
    if (j == 0 || t[j] > largest) largest = t[j];
  }
  return std::ceil(largest);
}

static void attend_one(const AttentionTile& tile, int query, const KvBlock& kv, int visible, AttentionPartial& out) {
  float t[kBlock], weight[kBlock], scale = 0;
  int16_t w[kBlock];
  out.max = scores(tile, query, kv, visible, t);
  int64_t sum = 0;
  for (int j = 0; j < visible; ++j) {
    float p = math::exp2_weight(t[j] - out.max);
    sum += math::round_weight(p * 0x1p23f);
    weight[j] = p * kv.v_scale[j];
  }
  out.sum = static_cast<float>(sum) * 0x1p-23f;
  quantize(weight, visible, w, &scale);
  int dims = static_cast<int>(padded_dims(tile.head_dim));
  for (int d = 0; d < tile.head_dim; ++d) {
    int64_t total = 0;
    for (int j = 0; j < visible; ++j) total += int64_t{w[j]} * kv.v[(j / 2 * dims + d) * 2 + j % 2];
    out.out[d] = static_cast<float>(total) * scale;
  }
}

void attend(const AttentionTile& tile, int block, AttentionScratch&, AttentionPartial* out) {
  KvBlock kv = kv_block(tile.kv, tile.pages[block], tile.layer, tile.kv_head);
  for (int query = 0; query < tile.count; ++query) {
    int visible = visible_positions(tile.position[query], block);
    out[query].live = visible > 0;
    if (visible > 0) attend_one(tile, query, kv, visible, out[query]);
  }
}

void merge(AttentionPartial& state, const AttentionPartial& next, int head_dim) {
  if (!next.live) return;
  if (!state.live) {
    state.live = true;
    state.max = next.max;
    state.sum = next.sum;
    for (int d = 0; d < head_dim; ++d) state.out[d] = next.out[d];
    return;
  }
  float max = state.max > next.max ? state.max : next.max;
  float a = rescale(state.max - max), b = rescale(next.max - max);
  state.max = max;
  state.sum = state.sum * a + next.sum * b;
  for (int d = 0; d < head_dim; ++d) state.out[d] = state.out[d] * a + next.out[d] * b;
}

}  // namespace ibid::kernels::scalar
