// What the tests of sampling share on every device: logits, all combinations of filters, and a single choice.
#pragma once
#include <vector>

#include "kernels/math.h"
#include "kernels/ops.h"
#include "test/unit/random.h"

namespace ibid::test {

struct Answer {
  kernels::Sampled sampled;
  std::vector<kernels::TokenLogprob> top;
};

// One row; the logits go through the device's memory.
inline Answer choose(kernels::Device& d, const std::vector<float>& logits, const kernels::SampleSpec& spec) {
  Answer a;
  a.top.resize(static_cast<size_t>(spec.top_logprobs));
  int n = static_cast<int>(logits.size());
  size_t bytes = logits.size() * sizeof(float);
  float* on_device = static_cast<float*>(d.alloc(bytes));
  d.upload(on_device, logits.data(), bytes);
  d.sample(on_device, 1, n, n, &spec, &a.sampled, a.top.empty() ? nullptr : a.top.data(), spec.top_logprobs);
  d.release(on_device, bytes);
  return a;
}

inline std::vector<float> make_logits(int n, uint64_t seed, float spread = 3.0f) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = random.normal() * spread;
  return x;
}

inline bool same(const kernels::Sampled& a, const kernels::Sampled& b) {
  return a.token == b.token && a.runner_up == b.runner_up && kernels::math::bits(a.logprob) == kernels::math::bits(b.logprob) &&
         kernels::math::bits(a.margin) == kernels::math::bits(b.margin) && a.bad == b.bad;
}

// Any combination of filters over logits with ties.
struct SampleCase {
  std::vector<float> logits;
  std::vector<uint32_t> mask;
  std::vector<int32_t> seen;
  kernels::SampleSpec spec;

  SampleCase(int trial, Random& random) {
    int n = trial % 3 == 0 ? 1 + random.below(12) : 1 + random.below(2500);
    logits = make_logits(n, static_cast<uint64_t>(trial), trial % 5 ? 3.0f : 0.02f);
    for (int i = 0; i < n / 3; ++i) logits[static_cast<size_t>(random.below(n))] = logits[static_cast<size_t>(random.below(n))];   // ties
    mask.resize(static_cast<size_t>(n + 31) / 32);
    for (uint32_t& m : mask) m = static_cast<uint32_t>(random.next());
    for (int i = 0; i < n; i += 1 + random.below(9)) seen.push_back(i);
    const float temperatures[] = {0.0f, 0.7f, 1.0f, 1.9f}, top_ps[] = {1.0f, 0.0f, 0.1f, 0.5f, 0.9f, 0.999f};
    const float min_ps[] = {0.0f, 0.05f, 0.5f, 1.0f};
    spec.temperature = temperatures[random.below(4)];
    spec.top_k = random.below(2) ? 0 : 1 + random.below(60);
    spec.top_p = top_ps[random.below(6)];
    spec.min_p = min_ps[random.below(4)];
    spec.repetition_penalty = random.below(2) ? 1.3f : 1.0f;
    spec.seen = seen.data();
    spec.seen_count = static_cast<int>(seen.size());
    spec.mask = random.below(2) ? mask.data() : nullptr;
    spec.noise_key = random.next();
    spec.position = static_cast<uint32_t>(trial);
  }
  SampleCase(const SampleCase&) = delete;              // the spec points into it
};

}  // namespace ibid::test
