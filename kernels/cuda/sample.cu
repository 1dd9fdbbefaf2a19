// Choosing a token per row of logits on the device (NUMERICS 10 and 11): what every row needs is found by many blocks for each, parts of
// the row; the rest is done by one.
//
// Owns: filters and their exact integer rules, and what travels between host and device for them. Must not know: text,
// constraints (they arrive as a mask), requests.
//
// Per row of V logits: greedy reads 8 V bytes (maximum and choice, then sum) and computes one exponential per logit, spread over the
// multiprocessors. Sampling also writes and reads V scores, and with top-p V weights, once per pass: 4 V bytes a pass of top-k, 12 V of
// top-p, at most 8 passes each and mostly 3; a division, an exponential and for the tokens kept a Philox and two logarithms per logit.
// There one block's bandwidth decides: for 150,000 logits some tens of microseconds, beside a decode step of milliseconds.
//
// 1. Log-probabilities come from the raw logits; the choice comes from the filtered scores.
// 2. A rank orders tokens: larger first, and of equals the lower id. Ranks are integers and distinct, so no maximum has an order, and parts
//    of a row meet in any; sums are of integers.
// 3. A thread has the same columns of a row in every pass, so it filters what it reads. All threads read one score, the largest (start):
//    min-p, which can follow without a barrier, never drops that one, and the filters before it have barriers of their own first.
//    Barriers are those of block_reduce and last_kept, and those of the list in report_top; there are some between that list and the
//    weights that take its place.
#include <algorithm>
#include <cstring>

#include "kernels/cuda/block.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/select.h"
#include "kernels/math.h"

namespace ibid::kernels::cuda {

namespace {

constexpr int kThreads = 1024, kPartThreads = 256;
constexpr int kPartLogits = 2048;                // at least, but for short rows: 8 for each thread
constexpr float kScoreLimit = 0x1p100f;          // of l / T, so that scores stay finite
constexpr uint32_t kOut = 0x7fc00000;            // the bits of a score that is out of the running: a NaN, which no score is
constexpr float kLowest = -0x1.fffffep+127f, kSmallestNormal = 0x1p-126f;

// One row's SampleSpec as the device reads it; masks are words of this row, see Piece.
struct RowSpec {
  float temperature, top_p, min_p, repetition_penalty;
  int32_t top_k, top_logprobs, has_mask, has_seen;
  unsigned long long noise_key;
  uint32_t sample_index, position;
};

// The two largest ranks of all that were taken in.
struct Two {
  Rank first = 0, second = 0;
  __device__ void take(Rank r) {
    second = max(second, min(first, r));
    first = max(first, r);
  }
  // Of all threads together.
  __device__ Two of_block(Rank* shared) const {
    Two all;
    all.first = block_max(first, shared);
    all.second = block_max(first == all.first ? second : first, shared);
    return all;
  }
};

// What a part of a row says.
struct Survey {
  Rank best;                                     // of the finite logits
  Two choice;                                    // where it is greedy
  long long weight;                              // sum of 2^40 exp(l - the row's largest)
  unsigned largest;                              // bits of the largest magnitude
};

// What one launch works on. Arrays are by row.
struct Piece {
  const float* logits;
  int vocab, stride, words, max_top, parts;      // words: of a bit per token; parts: of a row
  const RowSpec* spec;
  const uint32_t *mask, *seen;
  float* score;                                  // (vocab)
  long long* weight;                             // (vocab); before the filters, the ranks of the most likely tokens
  Survey* survey;                                // (parts)
  Sampled* out;
  TokenLogprob* top;                             // (max_top)
};

struct Shared {
  Rank rank[32];
  long long sum[32];
  unsigned largest[32];
  Histogram histogram;
  int listed;
};

// A row, as all its threads see it.
struct Row {
  const float* logits;
  RowSpec spec;
  const uint32_t *mask, *seen;
  float* score;
  long long* weight;
  Survey* survey;
  int vocab, parts;
  float max = 0, log_sum = 0;                    // of the raw logits

  __device__ Row(const Piece& p, size_t index)
      : logits(p.logits + index * static_cast<size_t>(p.stride)), spec(p.spec[index]), mask(p.mask + index * static_cast<size_t>(p.words)),
        seen(p.seen + index * static_cast<size_t>(p.words)), score(p.score + index * static_cast<size_t>(p.vocab)),
        weight(p.weight + index * static_cast<size_t>(p.vocab)), survey(p.survey + index * static_cast<size_t>(p.parts)), vocab(p.vocab),
        parts(p.parts) {}

  __device__ bool greedy() const { return !(spec.temperature > 0); }
  __device__ bool allowed(int i) const { return !spec.has_mask || (mask[i / 32] >> (i % 32) & 1); }
  // NUMERICS 11.2
  __device__ float penalised(int i) const {
    float l = logits[i];
    if (!spec.has_seen || !(seen[i / 32] >> (i % 32) & 1)) return l;
    return l > 0 ? l / spec.repetition_penalty : l * spec.repetition_penalty;
  }
  __device__ float logprob(int i) const {
    float value = (logits[i] - max) - log_sum;
    return value < kLowest ? kLowest : value;
  }
  __device__ bool in(int i) const { return math::bits(score[i]) != kOut; }
};

// Larger value first, then lower id; never 0. REQUIRES: value is not NaN
__device__ Rank rank_of(float value, int id) {
  return static_cast<Rank>(static_cast<uint32_t>(math::order_key(value)) ^ 0x80000000u) << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}
__device__ int id_of(Rank rank) { return static_cast<int>(0xffffffffu - static_cast<uint32_t>(rank)); }

template <class F>
__device__ void each(int from, int end, F f) {
#pragma unroll 4
  for (int i = from + static_cast<int>(threadIdx.x); i < end; i += static_cast<int>(blockDim.x)) f(i);
}
template <class F>
__device__ void each(int n, F f) { each(0, n, f); }

__device__ unsigned long long weight_of(float difference) {
  return static_cast<unsigned long long>(math::round_int(static_cast<double>(math::exp32(difference)) * 0x1p40));
}

// --- parts of rows: block = row * parts + part ----------------------------------------------------------------------------

struct Part { int row, index, from, end; };
__device__ Part part_of_block(const Piece& p) {
  const int block = static_cast<int>(blockIdx.x), row = block / p.parts, index = block % p.parts, count = (p.vocab + p.parts - 1) / p.parts;
  return {row, index, min(index * count, p.vocab), min((index + 1) * count, p.vocab)};
}

// 4 V bytes of each row.
__global__ void __launch_bounds__(kPartThreads) survey_kernel(Piece p) {
  __shared__ Rank ranks[32];
  __shared__ unsigned magnitudes[32];
  wait_for_previous();
  const Part part = part_of_block(p);
  const Row row(p, static_cast<size_t>(part.row));
  unsigned largest = 0;
  Rank best = 0;
  Two choice;
  each(part.from, part.end, [&](int i) {
    const float l = row.logits[i];
    const unsigned magnitude = math::bits(l) & 0x7fffffff;
    largest = max(largest, magnitude);
    if (magnitude < 0x7f800000) best = max(best, rank_of(l, i));
    if (row.greedy() && row.allowed(i)) choice.take(rank_of(row.penalised(i), i));
  });
  largest = block_max(largest, magnitudes);
  best = block_max(best, ranks);
  choice = choice.of_block(ranks);
  if (threadIdx.x == 0) row.survey[part.index] = {best, choice, 0, largest};
}

// Finds a row's largest logit from its parts; false where one is not finite.
__device__ bool find_max(Row& row, Rank* ranks, unsigned* magnitudes) {
  unsigned largest = 0;
  Rank best = 0;
  each(row.parts, [&](int i) {
    largest = max(largest, row.survey[i].largest);
    best = max(best, row.survey[i].best);
  });
  if (block_max(largest, magnitudes) >= 0x7f800000) return false;
  row.max = row.logits[id_of(block_max(best, ranks))];
  return true;
}

// 4 V bytes of each row, V exponentials.
__global__ void __launch_bounds__(kPartThreads) weigh_kernel(Piece p) {
  __shared__ Rank ranks[32];
  __shared__ unsigned magnitudes[32];
  __shared__ long long sums[32];
  wait_for_previous();
  const Part part = part_of_block(p);
  Row row(p, static_cast<size_t>(part.row));
  if (!find_max(row, ranks, magnitudes)) return;
  long long sum = 0;
  each(part.from, part.end, [&](int i) { sum += static_cast<long long>(weight_of(row.logits[i] - row.max)); });
  sum = block_sum(sum, sums);
  if (threadIdx.x == 0) row.survey[part.index].weight = sum;
}

// --- a row by one block ---------------------------------------------------------------------------------------------------

// The largest logit, and what turns a logit into a log-probability (NUMERICS 10.3); false where a logit is not finite.
__device__ bool measure(Row& row, Shared& s) {
  if (!find_max(row, s.rank, s.largest)) return false;
  long long sum = 0;
  each(row.parts, [&](int i) { sum += row.survey[i].weight; });
  row.log_sum = math::log32(static_cast<float>(block_sum(sum, s.sum)) * 0x1p-40f);
  return true;
}

// The `count` most likely tokens in order: collected in any order, then each put to the place that its rank has among them.
__device__ void report_top(const Row& row, int count, TokenLogprob* top, Shared& s) {
  auto rank = [&](int i) { return rank_of(row.logits[i], i); };
  Rank last =
      count < row.vocab ? last_kept<true>(s.histogram, row.vocab, static_cast<unsigned long long>(count), rank, [](int) { return 1; }) : 0;
  if (threadIdx.x == 0) s.listed = 0;
  __syncthreads();                               // the list is empty before anyone appends
  each(row.vocab, [&](int i) {
    if (rank(i) >= last) row.weight[atomicAdd(&s.listed, 1)] = i;
  });
  __syncthreads();                               // the list is complete before it is ordered
  each(count, [&](int n) {
    int id = static_cast<int>(row.weight[n]), place = 0;
    for (int m = 0; m < count; ++m) place += rank(static_cast<int>(row.weight[m])) > rank(id);
    top[place] = {id, row.logprob(id)};
  });
}

// --- filters of sampling; a token that falls out gets the score kOut ------------------------------------------------------

// NUMERICS 11.1 to 11.3: scores. Gives the number of tokens in the running, and the largest score.
__device__ int start(const Row& row, float& largest, Shared& s) {
  Rank best = 0;
  long long count = 0;
  each(row.vocab, [&](int i) {
    float v = math::from_bits(kOut);
    if (row.allowed(i)) {
      v = row.penalised(i) / row.spec.temperature;
      v = v > kScoreLimit ? kScoreLimit : v;
      v = v < -kScoreLimit ? -kScoreLimit : v;
      best = max(best, rank_of(v, i));
      ++count;
    }
    row.score[i] = v;
  });
  count = block_sum(count, s.sum);
  best = block_max(best, s.rank);                // its barriers also stand between a score and its readers
  if (best != 0) largest = row.score[id_of(best)];
  return static_cast<int>(count);
}

template <class F>
__device__ void drop(const Row& row, F out) {
  each(row.vocab, [&](int i) {
    if (row.in(i) && out(i)) row.score[i] = math::from_bits(kOut);
  });
}

// NUMERICS 11.4. Gives the number of tokens left.
__device__ int keep_top_k(const Row& row, int count, Shared& s) {
  int k = row.spec.top_k;
  if (k <= 0 || k >= count) return count;
  auto rank = [&](int i) { return row.in(i) ? rank_of(row.score[i], i) : 0; };
  Rank last = last_kept<true>(s.histogram, row.vocab, static_cast<unsigned long long>(k), rank, [](int) { return 1; });
  drop(row, [&](int i) { return rank(i) < last; });
  return k;
}

// NUMERICS 11.5. The first always has some weight, and a limit of 1 keeps it and nothing else.
__device__ void keep_top_p(const Row& row, float largest, Shared& s) {
  if (!(row.spec.top_p < 1.0f)) return;
  long long sum = 0;
  each(row.vocab, [&](int i) {
    row.weight[i] = row.in(i) ? static_cast<long long>(weight_of(row.score[i] - largest)) : -1;
    if (row.in(i)) sum += row.weight[i];
  });
  unsigned long long total = static_cast<unsigned long long>(block_sum(sum, s.sum));
  unsigned long long q32 = row.spec.top_p > 0
                               ? static_cast<unsigned long long>(math::round_int(static_cast<double>(row.spec.top_p) * 0x1p32))
                               : 0;
  unsigned long long limit = __umul64hi(q32, total) << 32 | (q32 * total) >> 32;
  if (limit == 0) limit = 1;
  auto rank = [&](int i) {
    return row.weight[i] < 0 ? 0 : static_cast<Rank>(row.weight[i]) << 22 | (0x3fffffu - static_cast<uint32_t>(i));
  };
  Rank last = last_kept<false>(s.histogram, row.vocab, limit, rank, [&](int i) { return row.weight[i]; });
  drop(row, [&](int i) { return rank(i) < last; });
}

// NUMERICS 11.6
__device__ void keep_min_p(const Row& row, float largest) {
  if (!(row.spec.min_p >= kSmallestNormal)) return;
  float least = largest + math::log32(row.spec.min_p);
  drop(row, [&](int i) { return !(row.score[i] >= least); });
}

// --- the choice -------------------------------------------------------------------------------------------------------------

// Writes the first of two and its lead in value(i) over the second, which may be none.
template <class Value>
__device__ void choose(const Row& row, const Two& two, Value value, Sampled& out) {
  if (threadIdx.x != 0 || two.first == 0) return;
  out.token = id_of(two.first);
  out.logprob = row.logprob(out.token);
  if (two.second == 0) return;
  out.runner_up = id_of(two.second);
  out.margin = math::lead(value(out.token), value(out.runner_up));
}

__device__ void choose_greedy(const Row& row, Shared& s, Sampled& out) {
  Two two;
  each(row.parts, [&](int i) { two.take(row.survey[i].choice.first), two.take(row.survey[i].choice.second); });
  choose(row, two.of_block(s.rank), [&](int i) { return row.penalised(i); }, out);
}

__device__ void choose_sampling(const Row& row, Shared& s, Sampled& out) {
  float largest = 0;
  int count = start(row, largest, s);
  if (count == 0) return;
  keep_top_k(row, count, s);
  keep_top_p(row, largest, s);
  keep_min_p(row, largest);
  auto key = [&](int i) {
    return row.score[i] + math::gumbel(row.spec.noise_key, static_cast<uint32_t>(i), row.spec.position, row.spec.sample_index);
  };
  Two two;
  each(row.vocab, [&](int i) {
    if (row.in(i)) two.take(rank_of(key(i), i));
  });
  choose(row, two.of_block(s.rank), key, out);
}

__global__ void __launch_bounds__(kThreads) sample_kernel(Piece p) {
  __shared__ Shared s;
  wait_for_previous();
  size_t index = blockIdx.x;
  Row row(p, index);
  Sampled out;
  TokenLogprob* top = p.top + index * static_cast<size_t>(p.max_top);
  each(p.max_top, [&](int i) { top[i] = TokenLogprob(); });
  if (!measure(row, s)) {
    out.bad = 1;
  } else {
    if (row.spec.top_logprobs > 0) report_top(row, min(row.spec.top_logprobs, row.vocab), top, s);
    if (row.greedy()) choose_greedy(row, s, out);
    else choose_sampling(row, s, out);
  }
  if (threadIdx.x == 0) p.out[index] = out;
}

// --- host ---------------------------------------------------------------------------------------------------------------------

size_t mask_words(int vocab) { return (static_cast<size_t>(vocab) + 31) / 32; }
int most_parts(int vocab) { return (vocab + kPartLogits - 1) / kPartLogits; }

// Blocks for each row, all together as many as are in work at one time.
int parts_of(const Context& c, int rows, int vocab) { return std::clamp(4 * c.multiprocessors / rows, 1, most_parts(vocab)); }

// What travels, and what stays on the device, of `rows` rows: offsets from the start of a scratch area.
struct Layout {
  size_t mask, seen, sent, out, top, received, score, weight, survey, total;
  Layout(int rows, int vocab, int max_top) {
    size_t r = static_cast<size_t>(rows), at = 0;
    auto take = [&](size_t bytes) {
      size_t start = at;
      at += round_up(bytes, 256);
      return start;
    };
    take(r * sizeof(RowSpec));
    mask = take(r * mask_words(vocab) * 4);
    seen = take(r * mask_words(vocab) * 4);
    sent = at;
    out = take(r * sizeof(Sampled));
    top = take(r * static_cast<size_t>(max_top) * sizeof(TokenLogprob));
    received = at - out;
    score = take(r * static_cast<size_t>(vocab) * 4);
    weight = take(r * static_cast<size_t>(vocab) * 8);
    survey = take(r * static_cast<size_t>(most_parts(vocab)) * sizeof(Survey));
    total = at;
  }
};

// Rows of one launch: as many as the scratch has room for.
int rows_at_once(int rows, int vocab, int max_top) {
  size_t each_row = Layout(1, vocab, max_top).total;
  return std::clamp(static_cast<int>(kScratchPiece / each_row), 1, std::max(rows, 1));
}

void write_spec(const SampleSpec& from, int vocab, RowSpec& to, uint32_t* mask, uint32_t* seen) {
  bool penalty = from.repetition_penalty != 1.0f && from.seen_count > 0;
  to = {from.temperature, from.top_p, from.min_p, from.repetition_penalty, from.top_k, from.top_logprobs, from.mask != nullptr, penalty,
        from.noise_key, from.sample_index, from.position};
  if (from.mask) std::memcpy(mask, from.mask, mask_words(vocab) * 4);
  if (!penalty) return;
  std::memset(seen, 0, mask_words(vocab) * 4);
  for (int i = 0; i < from.seen_count; ++i) {
    int32_t id = from.seen[i];
    if (id >= 0 && id < vocab) seen[id / 32] |= uint32_t{1} << (id % 32);
  }
}

}  // namespace

size_t sample_scratch(int rows, int vocab, int max_top) { return Layout(rows_at_once(rows, vocab, max_top), vocab, max_top).total; }
size_t sample_pinned(int rows, int vocab, int max_top) {
  Layout l(rows_at_once(rows, vocab, max_top), vocab, max_top);
  return l.sent + l.received;
}

void sample(Context& c, const float* logits, int rows, int vocab, int stride, const SampleSpec* specs, Sampled* out, TokenLogprob* top,
            int max_top) {
  int most = rows_at_once(rows, vocab, max_top);
  size_t words = mask_words(vocab);
  uint8_t *device = static_cast<uint8_t*>(c.scratch.data), *host = static_cast<uint8_t*>(c.pinned.data);
  for (int row = 0; row < rows; row += most) {
    int count = std::min(most, rows - row);
    Layout l(count, vocab, max_top);
    for (int i = 0; i < count; ++i) {
      size_t at = static_cast<size_t>(i) * words * 4;
      write_spec(specs[row + i], vocab, reinterpret_cast<RowSpec*>(host)[i], reinterpret_cast<uint32_t*>(host + l.mask + at),
                 reinterpret_cast<uint32_t*>(host + l.seen + at));
    }
    check(cudaMemcpyAsync(device, host, l.sent, cudaMemcpyHostToDevice, c.stream), "sending what a sample asks for");
    Piece p{logits + static_cast<size_t>(row) * static_cast<size_t>(stride), vocab, stride, static_cast<int>(words), max_top,
            parts_of(c, count, vocab), reinterpret_cast<const RowSpec*>(device), reinterpret_cast<const uint32_t*>(device + l.mask),
            reinterpret_cast<const uint32_t*>(device + l.seen), reinterpret_cast<float*>(device + l.score),
            reinterpret_cast<long long*>(device + l.weight), reinterpret_cast<Survey*>(device + l.survey),
            reinterpret_cast<Sampled*>(device + l.out), reinterpret_cast<TokenLogprob*>(device + l.top)};
    const dim3 parts(static_cast<unsigned>(count) * static_cast<unsigned>(p.parts));
    launch(survey_kernel, parts, dim3(kPartThreads), 0, c.stream, p);
    launch(weigh_kernel, parts, dim3(kPartThreads), 0, c.stream, p);
    launch(sample_kernel, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, c.stream, p);
    check(cudaGetLastError(), "sampling");       // or what lay there would be fetched as the choice
    check(cudaMemcpyAsync(host + l.sent, device + l.out, l.received, cudaMemcpyDeviceToHost, c.stream), "fetching samples");
    check(cudaStreamSynchronize(c.stream), "sampling");
    std::memcpy(out + row, host + l.sent, static_cast<size_t>(count) * sizeof(Sampled));
    size_t columns = static_cast<size_t>(max_top);
    if (top)
      std::memcpy(top + static_cast<size_t>(row) * columns, host + l.sent + (l.top - l.out),
                  static_cast<size_t>(count) * columns * sizeof(TokenLogprob));
  }
}

}  // namespace ibid::kernels::cuda
