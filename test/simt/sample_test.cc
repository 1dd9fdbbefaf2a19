// Sampling on the CUDA device: the scalar CPU device's bits for every combination of filters, under every schedule.
#include <limits>

#include "test/catch.h"
#include "test/simt/shim_device.h"
#include "test/unit/sample_cases.h"

using namespace ibid::kernels;
using namespace ibid::test;

namespace {

bool same(const TokenLogprob& a, const TokenLogprob& b) { return a.id == b.id && math::bits(a.logprob) == math::bits(b.logprob); }

}  // namespace

TEST_CASE("every combination of filters equals the CPU, alone and in a batch") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    Random random(5);
    for (int trial = 0; trial < 70; ++trial) {
      SampleCase c(trial, random);
      c.spec.top_logprobs = trial % 4 * 3;
      Answer want = choose(*cpu, c.logits, c.spec), got = choose(*gpu, c.logits, c.spec);
      INFO(name_of(s) << ", trial " << trial << " n " << c.logits.size() << " T " << c.spec.temperature << " k " << c.spec.top_k << " p "
                      << c.spec.top_p << " min_p " << c.spec.min_p);
      CHECK(same(got.sampled, want.sampled));
      for (size_t i = 0; i < want.top.size(); ++i) CHECK(same(got.top[i], want.top[i]));
    }
  }
}

TEST_CASE("rows of a batch do not see each other; columns behind the vocabulary do not count; a bad row is named") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  simt::set_schedule({});
  const int rows = 7, vocab = 333, stride = 352, max_top = 4;
  std::vector<float> logits = make_logits(rows * stride, 3);
  logits[2 * stride + 5] = std::numeric_limits<float>::infinity();
  logits[4 * stride + vocab] = std::numeric_limits<float>::quiet_NaN();
  std::vector<SampleSpec> specs(rows);
  for (int i = 0; i < rows; ++i) {
    SampleSpec& spec = specs[static_cast<size_t>(i)];
    spec.temperature = i % 2 ? 0.8f : 0.0f;
    spec.top_p = i % 3 ? 0.9f : 1.0f;
    spec.top_logprobs = i % (max_top + 1);
    spec.noise_key = static_cast<uint64_t>(i);
  }
  OnDevice<float> on_device(*gpu, logits);
  std::vector<Sampled> want(rows), got(rows);
  std::vector<TokenLogprob> want_top(rows * max_top), got_top(rows * max_top);
  cpu->sample(logits.data(), rows, vocab, stride, specs.data(), want.data(), want_top.data(), max_top);
  gpu->sample(on_device, rows, vocab, stride, specs.data(), got.data(), got_top.data(), max_top);
  CHECK(got[2].bad == 1);
  for (size_t i = 0; i < want.size(); ++i) CHECK(same(got[i], want[i]));
  for (size_t i = 0; i < want_top.size(); ++i) {
    INFO(i);
    if (got[i / max_top].bad == 0) CHECK(same(got_top[i], want_top[i]));
  }
}

TEST_CASE("rows in several parts: the first two, and what is not finite, in any of them") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  const int vocab = 6401;
  const std::vector<float> rest = make_logits(vocab, 8);
  std::vector<uint32_t> mask((vocab + 31) / 32, 0xffffffffu);
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    for (int first : {0, 2133, 6400}) {
      for (int second : {1, 2132, 4268}) {
        std::vector<float> logits = rest;
        logits[static_cast<size_t>(first)] = logits[static_cast<size_t>(second)] = 50.0f;                // equals: the lower id
        for (float temperature : {0.0f, 0.7f}) {
          SampleSpec spec;
          spec.temperature = temperature;
          const Answer want = choose(*cpu, logits, spec);
          INFO(name_of(s) << ", " << first << " and " << second << ", T " << temperature);
          CHECK(same(choose(*gpu, logits, spec).sampled, want.sampled));
          if (temperature == 0) CHECK((want.sampled.token == std::min(first, second) && want.sampled.runner_up == std::max(first, second)));
          mask[static_cast<size_t>(first) / 32] &= ~(uint32_t{1} << first % 32);
          spec.mask = mask.data();
          const Answer masked = choose(*gpu, logits, spec);
          CHECK((masked.sampled.token != first && same(masked.sampled, choose(*cpu, logits, spec).sampled)));
          mask[static_cast<size_t>(first) / 32] = 0xffffffffu;
        }
        logits[static_cast<size_t>(first)] = std::numeric_limits<float>::quiet_NaN();
        CHECK(choose(*gpu, logits, SampleSpec()).sampled.bad == 1);
      }
    }
  }
}

TEST_CASE("margins, scores and log-probabilities beyond the floats, and between infinities") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  simt::set_schedule({});
  const int32_t seen[] = {0, 1};
  for (float penalty : {1.0f, 0.1f, 10.0f})
    for (const std::vector<float>& logits : {std::vector<float>{-2e38f, 2e38f}, {3e38f, 3.4e38f, 1.0f}, {3e38f, 1.0f, 2.0f},
                                             {-3e38f, -3.4e38f}}) {
      for (float temperature : {0.0f, 0.5f}) {
        SampleSpec spec;
        spec.temperature = temperature;
        spec.seen = seen;
        spec.seen_count = 2;
        spec.repetition_penalty = penalty;
        spec.top_logprobs = 2;
        INFO(penalty << " " << logits[0] << " T " << temperature);
        const Answer got = choose(*gpu, logits, spec), want = choose(*cpu, logits, spec);
        CHECK(same(got.sampled, want.sampled));
        for (size_t i = 0; i < 2; ++i) CHECK(same(got.top[i], want.top[i]));
      }
    }
}

TEST_CASE("ties everywhere: equal logits, signed zeros, and weights that are zero") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  std::vector<std::vector<float>> rows = {std::vector<float>(700, 1.0f), {-0.0f}, {0.0f, -0.0f, 0.0f}, {-1.0f, -0.0f, 0.0f},
                                          std::vector<float>(513, -0.0f)};
  rows.push_back(std::vector<float>(600, -200.0f));
  rows.back()[599] = 5.0f;                             // all others weigh nothing
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    for (const std::vector<float>& logits : rows) {
      for (float top_p : {1.0f, 0.0f, 0.3f, 0.99f}) {
        for (int top_k : {0, 1, 2, 300}) {
          SampleSpec spec;
          spec.temperature = top_p == 1.0f && top_k == 1 ? 0.0f : 1.0f;
          spec.top_p = top_p;
          spec.top_k = top_k;
          spec.top_logprobs = 3;
          spec.noise_key = 9;
          Answer want = choose(*cpu, logits, spec), got = choose(*gpu, logits, spec);
          INFO(name_of(s) << ", n " << logits.size() << " p " << top_p << " k " << top_k);
          CHECK(same(got.sampled, want.sampled));
          for (size_t i = 0; i < want.top.size(); ++i) CHECK(same(got.top[i], want.top[i]));
        }
      }
    }
  }
}

TEST_CASE("the first two among the columns of one thread, in either order, others before and between them") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  simt::set_schedule({});
  const int vocab = 6401;
  for (int step : {256, 1024})                   // threads that survey a part of the row; that choose
    for (bool ascending : {true, false}) {
      std::vector<float> logits = make_logits(vocab, 11);
      for (int i = 0; i < 5; ++i) logits[static_cast<size_t>(7 + i * step)] = 100.0f + 10.0f * static_cast<float>(ascending ? i : -i);
      for (float temperature : {0.0f, 0.7f}) {
        SampleSpec spec;
        spec.temperature = temperature;
        const Answer want = choose(*cpu, logits, spec);
        INFO("step " << step << " ascending " << ascending << " T " << temperature);
        REQUIRE(want.sampled.token % step == 7);
        CHECK(same(choose(*gpu, logits, spec).sampled, want.sampled));
      }
    }
}

TEST_CASE("min-p: a number that is no normal one filters nothing, the smallest normal one does") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  simt::set_schedule({});
  const std::vector<float> logits = {0.0f, -87.0f, -100.0f};
  for (float min_p : {0x1p-149f, 0x1.fffffcp-127f, 0x1p-126f}) {
    SampleSpec spec;
    spec.temperature = 1;
    spec.min_p = min_p;
    const uint32_t mask = 5;                           // the first and the last: who is left is the runner-up
    spec.mask = &mask;
    const Answer want = choose(*cpu, logits, spec);
    INFO(min_p);
    REQUIRE(want.sampled.runner_up == (min_p < 0x1p-126f ? 2 : -1));
    CHECK(same(choose(*gpu, logits, spec).sampled, want.sampled));
  }
}

TEST_CASE("more rows than the scratch holds, each in several parts, none of which sees the columns behind the vocabulary") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  simt::set_schedule({});
  // room for the most likely tokens is taken, filled or not: two rows at once
  const int rows = 3, vocab = 5003, stride = 5008, max_top = 3 << 20;
  std::vector<float> logits = make_logits(rows * stride, 4);
  for (int row = 0; row < rows; ++row)
    for (int i = vocab; i < stride; ++i) logits[static_cast<size_t>(row * stride + i)] = std::numeric_limits<float>::quiet_NaN();
  std::vector<SampleSpec> specs(rows);
  for (int i = 0; i < rows; ++i) {
    SampleSpec& spec = specs[static_cast<size_t>(i)];
    spec.temperature = i == 1 ? 0.0f : 0.8f;
    spec.top_logprobs = i + 1;
    spec.noise_key = static_cast<uint64_t>(i);
  }
  OnDevice<float> on_device(*gpu, logits);
  std::vector<Sampled> want(rows), got(rows);
  std::vector<TokenLogprob> want_top(size_t{rows} * max_top), got_top(want_top.size());
  simt::counters() = {};
  cpu->sample(logits.data(), rows, vocab, stride, specs.data(), want.data(), want_top.data(), max_top);
  gpu->sample(on_device, rows, vocab, stride, specs.data(), got.data(), got_top.data(), max_top);
  CHECK(simt::counters().launches == 2 * 3);
  for (size_t row = 0; row < rows; ++row) {
    INFO(row);
    CHECK(same(got[row], want[row]));
    for (size_t i = 0; i <= row; ++i) CHECK(same(got_top[row * max_top + i], want_top[row * max_top + i]));
  }
}
