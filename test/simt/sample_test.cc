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
      INFO(name_of(s) << ", trial " << trial << " n " << c.logits.size() << " T " << c.spec.temperature << " k " << c.spec.top_k << " p " << c.spec.top_p << " min_p " << c.spec.min_p);
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

TEST_CASE("margins beyond the floats, and between infinities") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  simt::set_schedule({});
  const int32_t seen[] = {0, 1};
  for (float penalty : {1.0f, 0.1f, 10.0f})
    for (const std::vector<float>& logits : {std::vector<float>{-2e38f, 2e38f}, {3e38f, 3.4e38f, 1.0f}, {3e38f, 1.0f, 2.0f}, {-3e38f, -3.4e38f}}) {
      SampleSpec spec;
      spec.seen = seen;
      spec.seen_count = 2;
      spec.repetition_penalty = penalty;
      INFO(penalty << " " << logits[0]);
      CHECK(same(choose(*gpu, logits, spec).sampled, choose(*cpu, logits, spec).sampled));
    }
}

TEST_CASE("ties everywhere: equal logits, signed zeros, and weights that are zero") {
  auto cpu = make_cpu_device(Isa::scalar, 1), gpu = shim_device();
  std::vector<std::vector<float>> rows = {std::vector<float>(700, 1.0f), {-0.0f}, {0.0f, -0.0f, 0.0f}, {-1.0f, -0.0f, 0.0f}, std::vector<float>(513, -0.0f)};
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
