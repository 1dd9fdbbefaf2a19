// Choosing a token per row of logits: the order of steps of NUMERICS 11; log-probabilities of NUMERICS 10.
//
// Owns: filters and their exact integer rules. Must not know: text, constraints (they arrive as a mask), requests.
//
// 1. Log-probabilities come from the raw logits; the choice comes from the filtered scores.
// 2. Candidates stay in the order of their ids, so that "the first largest" is "the lowest id".
#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/fpenv.h"
#include "kernels/math.h"

namespace ibid::kernels {

namespace {

constexpr float kScoreLimit = 0x1p100f;    // of l / T, so that scores stay finite

// The tokens still in the running: ids ascending, and their scores.
struct Candidates {
  float* score;
  int32_t* id;
  int64_t* weight;
  uint64_t* rank;
  int count = 0;

  template <class F>
  void keep(F wanted) {
    int kept = 0;
    for (int i = 0; i < count; ++i) {
      if (!wanted(i)) continue;
      score[kept] = score[i];
      id[kept++] = id[i];
    }
    count = kept;
  }
};

// What turns a logit into a log-probability: (l - max) - log_sum.
struct Normaliser {
  float max = 0, log_sum = 0;
  float logprob(float logit) const {
    float value = (logit - max) - log_sum;
    float lowest = std::numeric_limits<float>::lowest();
    return value < lowest ? lowest : value;
  }
};

Normaliser normaliser(const RowOps& ops, const float* logits, int vocab, float max) {
  Normaliser n;
  n.max = max;
  n.log_sum = math::log32(static_cast<float>(ops.weigh(logits, vocab, max, nullptr)) * 0x1p-40f);
  return n;
}

// NUMERICS 11.1, 11.2: raw logits of the allowed ids, then the repetition penalty.
void start(Candidates& set, const float* logits, int vocab, const SampleSpec& spec) {
  std::memcpy(set.score, logits, static_cast<size_t>(vocab) * sizeof(float));
  for (int i = 0; i < spec.seen_count && spec.repetition_penalty != 1.0f; ++i) {
    if (spec.seen[i] < 0 || spec.seen[i] >= vocab) continue;
    float& s = set.score[spec.seen[i]];
    s = s > 0 ? s / spec.repetition_penalty : s * spec.repetition_penalty;
  }
  for (int i = 0; i < vocab; ++i) set.id[i] = i;
  set.count = vocab;
  if (spec.mask) set.keep([&](int i) { return (spec.mask[i / 32] >> (i % 32) & 1) != 0; });
}

// NUMERICS 11.3
void apply_temperature(Candidates& set, float temperature) {
  for (int i = 0; i < set.count; ++i) {
    float s = set.score[i] / temperature;
    s = s > kScoreLimit ? kScoreLimit : s;
    set.score[i] = s < -kScoreLimit ? -kScoreLimit : s;
  }
}

// NUMERICS 11.4: the k first by (score descending, id ascending), which one unsigned number encodes.
void keep_top_k(Candidates& set, int k) {
  if (k <= 0 || k >= set.count) return;
  auto rank = [&](int i) {
    uint64_t score = static_cast<uint32_t>(math::order_key(set.score[i])) ^ 0x80000000u;
    return score << 32 | (0xffffffffu - static_cast<uint32_t>(set.id[i]));
  };
  for (int i = 0; i < set.count; ++i) set.rank[i] = rank(i);
  std::nth_element(set.rank, set.rank + (k - 1), set.rank + set.count, std::greater<uint64_t>());
  uint64_t last = set.rank[k - 1];
  set.keep([&](int i) { return rank(i) >= last; });
}

// NUMERICS 11.5: tokens whose predecessors by (P descending, id ascending) weigh less than top_p of the whole.
void keep_top_p(const RowOps& ops, Candidates& set, float top_p, float max) {
  if (!(top_p < 1.0f)) return;
  int64_t sum = ops.weigh(set.score, set.count, max, set.weight);
  uint64_t q32 = top_p > 0 ? static_cast<uint64_t>(math::round_int(static_cast<double>(top_p) * 0x1p32)) : 0;
  int64_t limit = static_cast<int64_t>(static_cast<unsigned __int128>(q32) * static_cast<uint64_t>(sum) >> 32);
  auto rank = [&](int i) { return static_cast<uint64_t>(set.weight[i]) << 22 | (0x3fffffu - static_cast<uint32_t>(set.id[i])); };
  for (int i = 0; i < set.count; ++i) set.rank[i] = rank(i);
  uint64_t* end = set.rank + set.count;
  std::make_heap(set.rank, end);
  uint64_t last = set.rank[0];
  for (int64_t ahead = static_cast<int64_t>(last >> 22); end > set.rank + 1 && ahead < limit; ahead += static_cast<int64_t>(last >> 22)) {
    std::pop_heap(set.rank, end--);
    last = set.rank[0];
  }
  // keep() moves scores and ids but not weights; a token is moved only to a place that has been asked about already.
  set.keep([&](int i) { return rank(i) >= last; });
}

// NUMERICS 11.6
void keep_min_p(Candidates& set, float min_p, float max) {
  if (!(min_p >= std::numeric_limits<float>::min())) return;
  float least = max + math::log32(min_p);
  set.keep([&](int i) { return set.score[i] >= least; });
}

int runner_up(const RowOps& ops, const float* score, int count, int winner) {
  int before = winner > 0 ? ops.argmax(score, winner) : -1;
  int rest = count - winner - 1;
  int after = rest > 0 ? winner + 1 + ops.argmax(score + winner + 1, rest) : -1;
  if (before < 0) return after;
  if (after < 0) return before;
  return score[after] > score[before] ? after : before;
}

void choose(const RowOps& ops, Candidates& set, const SampleSpec& spec, Sampled& out) {
  if (spec.temperature > 0) {
    apply_temperature(set, spec.temperature);
    float max = set.score[ops.argmax(set.score, set.count)];
    keep_top_k(set, spec.top_k);
    keep_top_p(ops, set, spec.top_p, max);
    keep_min_p(set, spec.min_p, max);
    ops.add_noise(set.score, set.id, set.count, spec.noise_key, spec.position, spec.sample_index);
  }
  int winner = ops.argmax(set.score, set.count);
  out.token = set.id[winner];
  int second = runner_up(ops, set.score, set.count, winner);
  if (second < 0) return;
  out.runner_up = set.id[second];
  out.margin = math::lead(set.score[winner], set.score[second]);
}

// Nothing changes the scores: greedy over the logits as they are, whose places are the ids.
bool plain(const SampleSpec& spec) {
  return spec.temperature <= 0 && !spec.mask && (spec.repetition_penalty == 1.0f || spec.seen_count == 0);
}

void choose_plain(const RowOps& ops, const float* logits, int vocab, int first, Sampled& out) {
  out.token = first;
  out.runner_up = runner_up(ops, logits, vocab, first);
  if (out.runner_up >= 0) out.margin = math::lead(logits[first], logits[out.runner_up]);
}

// The `count` most likely tokens, lowest id first among equals, by insertion: few of many logits enter a short list.
void report_top(const float* logits, int vocab, const Normaliser& n, int count, TokenLogprob* top) {
  int filled = 0;
  for (int i = 0; i < vocab; ++i) {
    if (filled == count && !(logits[i] > logits[top[count - 1].id])) continue;
    int at = filled < count ? filled++ : count - 1;
    for (; at > 0 && logits[i] > logits[top[at - 1].id]; --at) top[at] = top[at - 1];
    top[at] = {i, n.logprob(logits[i])};
  }
}

void sample_row(CpuContext& c, WorkerScratch& scratch, const float* logits, int vocab, const SampleSpec& spec, Sampled& out,
                TokenLogprob* top) {
  out = Sampled();
  if (!c.rows.all_finite(logits, vocab)) {
    out.bad = 1;
    return;
  }
  int first = c.rows.argmax(logits, vocab);
  Normaliser n = normaliser(c.rows, logits, vocab, logits[first]);
  if (spec.top_logprobs > 0) report_top(logits, vocab, n, std::min(spec.top_logprobs, vocab), top);
  if (plain(spec)) {
    choose_plain(c.rows, logits, vocab, first, out);
  } else {
    Candidates set{scratch.score, scratch.id, scratch.weight, scratch.rank};
    start(set, logits, vocab, spec);
    if (set.count == 0) return;
    choose(c.rows, set, spec, out);
  }
  out.logprob = n.logprob(logits[out.token]);
}

}  // namespace

void sample(CpuContext& c, const float* logits, int rows, int vocab, int stride, const SampleSpec* specs, Sampled* out, TokenLogprob* top,
            int max_top) {
  auto task = [&](int row, int worker) {
    TokenLogprob* row_top = top ? top + static_cast<size_t>(row) * static_cast<size_t>(max_top) : nullptr;
    for (int i = 0; i < max_top && row_top; ++i) row_top[i] = TokenLogprob();
    const float* row_logits = logits + static_cast<size_t>(row) * static_cast<size_t>(stride);
    sample_row(c, c.scratch[static_cast<size_t>(worker)], row_logits, vocab, specs[row], out[row], row_top);
  };
  if (rows > 1) {
    c.pool.run(rows, task);
  } else if (rows == 1) {
    set_fp_env();
    task(0, 0);
  }
}

}  // namespace ibid::kernels
