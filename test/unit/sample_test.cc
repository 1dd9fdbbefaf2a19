// Choosing tokens: ties, masks, filters and noise against an independent, slow implementation; log-probabilities against float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/cpu/row_ops.h"
#include "kernels/math.h"
#include "kernels/ops.h"
#include "test/catch.h"
#include "test/unit/sample_cases.h"

using namespace ibid::kernels;
using namespace ibid::test;

namespace {

std::vector<Isa> isas() {
  std::vector<Isa> out;
  for (Isa isa : kIsas) {
    if (isa_available(isa)) out.push_back(isa);
  }
  return out;
}

// NUMERICS 11 once more, by sorting whole lists; shares only the elementary functions with the code under test.
Sampled slow_sample(const std::vector<float>& logits, const SampleSpec& spec) {
  struct Token { int id; float score; int64_t weight; };
  std::vector<Token> set;
  for (size_t i = 0; i < logits.size(); ++i) {
    int id = static_cast<int>(i);
    if (spec.mask && !(spec.mask[i / 32] >> (i % 32) & 1)) continue;
    float s = logits[i];
    for (int j = 0; j < spec.seen_count; ++j) {
      if (spec.seen[j] == id) s = s > 0 ? s / spec.repetition_penalty : s * spec.repetition_penalty;
    }
    set.push_back({id, spec.temperature > 0 ? s / spec.temperature : s, 0});
  }
  Sampled out;
  if (set.empty()) return out;
  auto by_score = [](const Token& a, const Token& b) { return a.score > b.score || (a.score == b.score && a.id < b.id); };
  std::sort(set.begin(), set.end(), by_score);
  if (spec.temperature > 0) {
    float max = set[0].score;
    if (spec.top_k > 0 && static_cast<size_t>(spec.top_k) < set.size()) set.resize(static_cast<size_t>(spec.top_k));
    if (spec.top_p < 1) {
      __int128 sum = 0, ahead = 0;
      for (Token& t : set) sum += t.weight = math::round_int(static_cast<double>(math::exp32(t.score - max)) * 0x1p40);
      std::stable_sort(set.begin(), set.end(),
                       [](const Token& a, const Token& b) { return a.weight > b.weight || (a.weight == b.weight && a.id < b.id); });
      __int128 limit = static_cast<__int128>(std::nearbyint(static_cast<double>(spec.top_p) * 0x1p32)) * sum / (__int128{1} << 32);
      std::vector<Token> kept;
      for (const Token& t : set) {
        if (kept.empty() || ahead < limit) kept.push_back(t);
        ahead += t.weight;
      }
      set = kept;
    }
    if (spec.min_p > 0) {
      float least = max + math::log32(spec.min_p);
      std::erase_if(set, [&](const Token& t) { return t.score < least; });
    }
    for (Token& t : set) t.score = t.score + math::gumbel(spec.noise_key, static_cast<uint32_t>(t.id), spec.position, spec.sample_index);
    std::sort(set.begin(), set.end(), by_score);
  }
  out.token = set[0].id;
  if (set.size() > 1) {
    out.runner_up = set[1].id;
    out.margin = set[0].score - set[1].score;
  }
  return out;
}

}  // namespace

TEST_CASE("greedy: ties go to the lowest id, -0 equals +0, margin and runner-up") {
  for (Isa isa : isas()) {
    std::unique_ptr<Device> d = make_cpu_device(isa, 1);
    std::vector<float> logits(3000, -5.0f);
    logits[2000] = logits[17] = logits[1023] = 1.5f;
    Sampled s = choose(*d, logits, {}).sampled;
    CHECK(s.token == 17);
    CHECK(s.runner_up == 1023);
    CHECK(s.margin == 0.0f);
    logits[2999] = 2.0f;
    s = choose(*d, logits, {}).sampled;
    CHECK(s.token == 2999);
    CHECK(s.runner_up == 17);
    CHECK(s.margin == 0.5f);
    CHECK(choose(*d, {-1.0f, -0.0f, 0.0f}, {}).sampled.token == 1);
    CHECK(choose(*d, {-1.0f, 0.0f, -0.0f}, {}).sampled.token == 1);
    s = choose(*d, {-7.0f}, {}).sampled;
    CHECK(s.token == 0);
    CHECK(s.runner_up == -1);
    CHECK(s.margin == 0.0f);
    CHECK(s.logprob == 0.0f);
  }
}

TEST_CASE("greedy: mask and repetition penalty") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  std::vector<float> logits = {3.0f, 2.0f, -1.0f, -2.0f};
  uint32_t mask = 0b1100;
  SampleSpec spec;
  spec.mask = &mask;
  Sampled s = choose(*d, logits, spec).sampled;
  CHECK(s.token == 2);
  CHECK(s.runner_up == 3);
  CHECK(s.margin == 1.0f);
  CHECK(s.logprob < -3.9f);                                  // of the raw logits: the mask does not renormalise
  mask = 0;
  s = choose(*d, logits, spec).sampled;
  CHECK(s.token == -1);
  CHECK(s.bad == 0);
  const int32_t seen[] = {0, 2};
  spec = SampleSpec();
  spec.seen = seen;
  spec.seen_count = 2;
  spec.repetition_penalty = 2.0f;
  s = choose(*d, logits, spec).sampled;                      // 1.5, 2, -2, -2
  CHECK(s.token == 1);
  CHECK(s.runner_up == 0);
  CHECK(s.margin == 0.5f);
}

TEST_CASE("a margin is a finite number, whatever logits and penalties are") {
  const float most = std::numeric_limits<float>::max();
  const int32_t seen[] = {0, 1};
  SampleSpec penalty;
  penalty.seen = seen;
  penalty.seen_count = 2;
  penalty.repetition_penalty = 0.1f;
  for (Isa isa : isas()) {
    std::unique_ptr<Device> d = make_cpu_device(isa, 1);
    CHECK(choose(*d, {-2e38f, 2e38f}, {}).sampled.margin == most);
    Sampled s = choose(*d, {3e38f, 3.4e38f, 1.0f}, penalty).sampled;   // both are infinite now
    CHECK((s.token == 0 && s.runner_up == 1));
    CHECK(math::bits(s.margin) == 0);
    s = choose(*d, {3e38f, 1.0f, 2.0f}, penalty).sampled;
    CHECK((s.token == 0 && s.runner_up == 1));
    CHECK(s.margin == most);
    penalty.repetition_penalty = 10.0f;
    s = choose(*d, {-3e38f, -3.4e38f}, penalty).sampled;
    CHECK((s.token == 0 && math::bits(s.margin) == 0));
    penalty.repetition_penalty = 0.1f;
  }
}

TEST_CASE("a logit that is not finite makes the row bad, and only that row") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 2);
  std::vector<float> logits = make_logits(3 * 100, 1);
  logits[150] = std::numeric_limits<float>::infinity();
  std::vector<SampleSpec> specs(3);
  std::vector<Sampled> out(3);
  d->sample(logits.data(), 3, 100, 100, specs.data(), out.data(), nullptr, 0);
  CHECK((out[0].bad == 0 && out[1].bad == 1 && out[2].bad == 0));
  CHECK((out[0].token >= 0 && out[1].token == -1 && out[2].token >= 0));
  logits[150] = std::numeric_limits<float>::quiet_NaN();
  d->sample(logits.data(), 3, 50, 100, specs.data(), out.data(), nullptr, 0);
  CHECK(out[1].bad == 0);                                    // outside the 50 columns that count
}

TEST_CASE("log-probabilities and the most likely tokens agree with float64") {
  for (int n : {5, 1000, 50000}) {
    std::vector<float> logits = make_logits(n, static_cast<uint64_t>(n));
    std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
    SampleSpec spec;
    spec.top_logprobs = 5;
    Answer a = choose(*d, logits, spec);
    double max = *std::max_element(logits.begin(), logits.end()), sum = 0;
    for (float l : logits) sum += std::exp(l - max);
    std::vector<int> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int x, int y) { return logits[static_cast<size_t>(x)] > logits[static_cast<size_t>(y)]; });
    for (size_t i = 0; i < 5; ++i) {
      CHECK(a.top[i].id == order[i]);
      CHECK(std::fabs(a.top[i].logprob - (logits[static_cast<size_t>(order[i])] - max - std::log(sum))) < 4e-6);
    }
    CHECK(math::bits(a.top[0].logprob) == math::bits(a.sampled.logprob));
  }
}

TEST_CASE("top_logprobs: fewer tokens than asked for, equal logits by id") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  SampleSpec spec;
  spec.top_logprobs = 4;
  const std::vector<float> logits = {1.0f, 2.0f, 2.0f};
  Sampled s;
  std::vector<TokenLogprob> top(4, TokenLogprob{99, 99.0f});   // what an earlier step left
  d->sample(logits.data(), 1, 3, 3, &spec, &s, top.data(), 4);
  CHECK((top[0].id == 1 && top[1].id == 2 && top[2].id == 0 && top[3].id == -1));
}

TEST_CASE("top_logprobs: where equal logits are more than are asked for, those of the lowest ids are reported") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  SampleSpec spec;
  spec.top_logprobs = 2;
  Answer a = choose(*d, {1.0f, 2.0f, 2.0f, 2.0f}, spec);
  CHECK((a.top[0].id == 1 && a.top[1].id == 2));
}

TEST_CASE("a log-probability below float32 is the lowest that there is") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  const uint32_t mask = 0b01;
  SampleSpec spec;
  spec.mask = &mask;
  spec.top_logprobs = 2;
  Answer a = choose(*d, {-3e38f, 3e38f}, spec);
  CHECK(a.sampled.token == 0);
  CHECK(a.sampled.logprob == std::numeric_limits<float>::lowest());
  CHECK((a.top[1].id == 0 && a.top[1].logprob == std::numeric_limits<float>::lowest()));
}

TEST_CASE("repetition penalty: one id is enough, and ids that the row does not have are passed over") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  const int32_t seen[] = {0, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min(), 3, -1};
  SampleSpec spec;
  spec.seen = seen;
  spec.repetition_penalty = 2.0f;
  for (int count : {1, 5}) {
    spec.seen_count = count;
    const Sampled s = choose(*d, {3.0f, 2.0f, -1.0f}, spec).sampled;
    CHECK((s.token == 1 && s.runner_up == 0 && s.margin == 0.5f));
  }
}

TEST_CASE("filters at their ends: one token of top-k, a top-p of nearly 1, the least min-p") {
  const float least = std::numeric_limits<float>::min();
  auto others = [](const std::vector<float>& logits, int top_k, float top_p, float min_p) {      // whether a second token is in the running
    std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
    SampleSpec spec;
    spec.temperature = 1;
    spec.top_k = top_k;
    spec.top_p = top_p;
    spec.min_p = min_p;
    return choose(*d, logits, spec).sampled.runner_up >= 0;
  };
  CHECK_FALSE(others({1.0f, 1.0f, 2.0f}, 1, 1, 0));
  CHECK(others({1.0f, 1.0f, 2.0f}, 2, 1, 0));
  CHECK_FALSE(others({0.0f, -12.0f}, 0, 0.9999f, 0));                         // the second weighs 6e-6
  CHECK(others({0.0f, -12.0f}, 0, std::nextafter(1.0f, 0.0f), 0));
  CHECK_FALSE(others({0.0f, -8.0f}, 0, 1, 0.0005f));                          // e^-8 is 0.00034
  CHECK(others({0.0f, -87.0f}, 0, 1, least));                                 // its logarithm is -87.3
  CHECK_FALSE(others({0.0f, -88.0f}, 0, 1, least));
  CHECK(others({0.0f, -1000.0f}, 0, 1, std::nextafter(least, 0.0f)));         // not a normal number: off
}

TEST_CASE("every combination of filters equals the slow implementation, on every instruction set") {
  std::vector<std::unique_ptr<Device>> devices;
  for (Isa isa : isas()) devices.push_back(make_cpu_device(isa, 1));
  Random random(5);
  for (int trial = 0; trial < 400; ++trial) {
    const SampleCase c(trial, random);
    const std::vector<float>& logits = c.logits;
    const SampleSpec& spec = c.spec;
    int n = static_cast<int>(logits.size());
    Sampled want = slow_sample(logits, spec), first = choose(*devices[0], logits, spec).sampled;
    INFO("trial " << trial << " n " << n << " T " << spec.temperature << " k " << spec.top_k << " p " << spec.top_p << " min_p "
                  << spec.min_p);
    CHECK(first.token == want.token);
    CHECK(first.runner_up == want.runner_up);
    CHECK(math::bits(first.margin) == math::bits(want.margin));
    for (auto& d : devices) CHECK(same(choose(*d, logits, spec).sampled, first));
  }
}

TEST_CASE("scores beyond the limit are equal, and no noise is seen in them") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  SampleSpec spec;
  spec.temperature = 1;
  for (const std::vector<float>& logits : {std::vector<float>{-0x1p110f, -0x1p109f}, {0x1p109f, 0x1p110f}}) {
    const Sampled s = choose(*d, logits, spec).sampled;
    CHECK((s.token == 0 && s.runner_up == 1 && math::bits(s.margin) == 0));
  }
}

TEST_CASE("top-p: the integer rule at its borders") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  std::vector<float> logits(4, 0.0f);                        // four equal tokens: each weighs 2^40
  auto support = [&](float top_p) {
    std::vector<bool> hit(4, false);
    SampleSpec spec;
    spec.temperature = 1;
    spec.top_p = top_p;
    for (uint64_t key = 0; key < 200; ++key) {
      spec.noise_key = key;
      hit[static_cast<size_t>(choose(*d, logits, spec).sampled.token)] = true;
    }
    return hit;
  };
  CHECK(support(0.0f) == std::vector<bool>{true, false, false, false});
  CHECK(support(0.25f) == std::vector<bool>{true, false, false, false});      // ahead of the second: 1/4, not < 1/4
  CHECK(support(0.2500001f) == std::vector<bool>{true, true, false, false});
  CHECK(support(0.5f) == std::vector<bool>{true, true, false, false});
  CHECK(support(0.75f) == std::vector<bool>{true, true, true, false});
  CHECK(support(0.99f) == std::vector<bool>{true, true, true, true});
  CHECK(support(1.0f) == std::vector<bool>{true, true, true, true});
}

TEST_CASE("sampling follows the distribution: chi-square on eight tokens, and the counts that version 1 fixed") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  const std::vector<float> logits = {0.0f, 1.0f, -1.0f, 2.0f, 0.5f, -3.0f, 1.5f, 0.0f};
  const int draws = 20000;
  double sum = 0, chi = 0;
  for (float l : logits) sum += std::exp(static_cast<double>(l));
  std::vector<int> count(8, 0);
  SampleSpec spec;
  spec.temperature = 1;
  spec.noise_key = 20260101;
  for (int i = 0; i < draws; ++i) {
    spec.position = static_cast<uint32_t>(i);
    ++count[static_cast<size_t>(choose(*d, logits, spec).sampled.token)];
  }
  for (size_t i = 0; i < 8; ++i) {
    double want = draws * std::exp(static_cast<double>(logits[i])) / sum;
    chi += (count[i] - want) * (count[i] - want) / want;
  }
  INFO(chi);
  CHECK(chi < 18.48);                                        // 7 degrees of freedom, 1 %
  CHECK(count == std::vector<int>{1123, 2866, 378, 7863, 1776, 55, 4844, 1095});
}

TEST_CASE("noise depends on key, token, position and sample, not on the row or the vocabulary") {
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 2);
  std::vector<float> logits = make_logits(300, 9, 0.5f), three;
  for (int i = 0; i < 3; ++i) three.insert(three.end(), logits.begin(), logits.end());
  SampleSpec spec;
  spec.temperature = 1;
  spec.noise_key = 11;
  spec.position = 5;
  Sampled alone = choose(*d, logits, spec).sampled;
  std::vector<SampleSpec> specs(3, spec);
  specs[1].sample_index = 1;
  std::vector<Sampled> out(3);
  d->sample(three.data(), 3, 300, 300, specs.data(), out.data(), nullptr, 0);
  CHECK(same(out[0], alone));
  CHECK(same(out[2], alone));
  CHECK_FALSE(same(out[1], alone));
  float a = math::gumbel(1, 2, 3, 4);
  CHECK(a != math::gumbel(2, 2, 3, 4));
  CHECK(a != math::gumbel(1, 3, 3, 4));
  CHECK(a != math::gumbel(1, 2, 4, 4));
  CHECK(a != math::gumbel(1, 2, 3, 5));
  CHECK(a != math::gumbel(1 + (uint64_t{1} << 32), 2, 3, 4));
}

TEST_CASE("array functions: every instruction set gives the scalar bits") {
  for (Isa isa : isas()) {
    const RowOps& ops = row_ops(isa);
    for (int n : {1, 7, 16, 31, 1023, 1024, 1025, 5000}) {
      std::vector<float> x = make_logits(n, static_cast<uint64_t>(n), 8.0f), y = x;
      float max = *std::max_element(x.begin(), x.end());
      CHECK(ops.argmax(x.data(), n) == kRowOpsScalar.argmax(x.data(), n));
      std::vector<int64_t> p(x.size()), q(x.size());
      int64_t sum = kRowOpsScalar.weigh(x.data(), n, max, p.data());
      CHECK(ops.weigh(x.data(), n, max, q.data()) == sum);
      CHECK(ops.weigh(x.data(), n, max, nullptr) == sum);
      CHECK(p == q);
      std::vector<int32_t> id(x.size());
      std::iota(id.begin(), id.end(), 100);
      kRowOpsScalar.add_noise(x.data(), id.data(), n, 77, 3, 1);
      ops.add_noise(y.data(), id.data(), n, 77, 3, 1);
      CHECK(std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
    }
  }
}
