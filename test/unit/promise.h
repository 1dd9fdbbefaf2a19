// What the promise tests share: runs of one workload under any circumstances, and the gate that compares two runs by bits.
#pragma once
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/engine.h"
#include "runtime/error.h"
#include "runtime/random_model.h"

namespace ibid::test {

struct Circumstances {
  kernels::Isa isa = kernels::best_isa();
  int threads = 1;
  kernels::Profile profile = kernels::Profile::w16a16;
  int max_batch = 1, chunk = 4096;
  bool prefix_cache = false;
  int repeats = 1;                     // the whole workload again, in the same engine: a warm cache, when there is one
};

using Bits = std::vector<uint32_t>;

// Every row of logits that a token was chosen from, and the answers, of the last repeat.
struct Run {
  std::map<std::pair<uint64_t, int>, Bits> rows;           // by request and position
  std::map<uint64_t, runtime::Answer> answers;
  runtime::EngineStats stats;
};

inline std::vector<kernels::Isa> available_isas() {
  std::vector<kernels::Isa> isas;
  for (kernels::Isa isa : kernels::kIsas) {
    if (kernels::isa_available(isa)) isas.push_back(isa);
  }
  return isas;
}

inline runtime::Tokenizer tokenizer_of(const runtime::ModelFiles& files) {
  return files.gguf ? runtime::Tokenizer::from_gguf(files.tokenizer)
                    : runtime::Tokenizer::from_huggingface(files.tokenizer, files.tokenizer_config);
}

inline Run run_on(std::unique_ptr<kernels::Device> device, const runtime::ModelFiles& model, const Circumstances& c,
                  const std::vector<runtime::Request>& requests) {
  const runtime::Tokenizer tokenizer = tokenizer_of(model);
  runtime::EngineOptions options;
  options.profile = c.profile;
  options.context = 512;
  options.kv_bytes = size_t{64} << 20;
  options.max_batch = c.max_batch;
  options.chunk = c.chunk;
  options.prefix_cache = c.prefix_cache;
  runtime::Engine engine(std::move(device), model, tokenizer, options);
  Run run;
  engine.observe([&](uint64_t id, int position, const float* logits, int vocab) {
    Bits& bits = run.rows[{id, position}];
    bits.resize(vocab);
    std::memcpy(bits.data(), logits, vocab * sizeof(float));
  });
  for (int i = 0; i < c.repeats; i++) {
    run.rows.clear();
    run.answers.clear();
    for (const runtime::Request& r : requests) engine.submit(r);
    while (auto answer = engine.next()) run.answers[answer->id] = *answer;
  }
  run.stats = engine.stats();
  return run;
}

inline Run run_on(const runtime::ModelFiles& model, const Circumstances& c, const std::vector<runtime::Request>& requests) {
  return run_on(kernels::make_cpu_device(c.isa, c.threads), model, c, requests);
}

// Each request in an engine of its own.
inline Run run_alone(const runtime::ModelFiles& model, const Circumstances& c, const std::vector<runtime::Request>& requests) {
  Run all;
  for (const runtime::Request& r : requests) {
    Run one = run_on(model, c, {r});
    all.rows.merge(one.rows);
    all.answers.merge(one.answers);
  }
  return all;
}

// Whether the call throws an Error whose text contains the part.
template <class F>
bool says(F call, const std::string& part) {
  try {
    call();
  } catch (const Error& e) {
    return std::string(e.what()).find(part) != std::string::npos;
  }
  return false;
}

inline bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

inline bool same_token(const runtime::AnswerToken& a, const runtime::AnswerToken& b) {
  bool same = a.id == b.id && a.runner_up == b.runner_up && same_bits(a.logprob, b.logprob) && same_bits(a.margin, b.margin) &&
              a.top.size() == b.top.size();
  for (size_t i = 0; same && i < a.top.size(); i++) same = a.top[i].id == b.top[i].id && same_bits(a.top[i].logprob, b.top[i].logprob);
  return same;
}

// Why the rows of a run cannot come from a living engine: "" when they can.
inline std::string signs_of_death(const Run& run) {
  if (run.rows.size() < 2) return "fewer than two rows of logits";
  const Bits* previous = nullptr;
  size_t repeated = 0;
  for (const auto& [where, bits] : run.rows) {
    bool varied = false;
    for (uint32_t b : bits) {
      if ((b & 0x7fffffff) >= 0x7f800000) return "a logit that is not finite in request " + std::to_string(where.first);
      varied |= b != bits[0];
    }
    if (!varied) return "a row of equal logits in request " + std::to_string(where.first);
    repeated += previous && *previous == bits;
    previous = &bits;
  }
  return 2 * repeated >= run.rows.size() ? "the same row of logits again and again" : "";
}

// The gate: "" when both runs live and agree in every bit, else the first thing that is wrong.
inline std::string gate(const Run& expected, const Run& found) {
  for (const Run* run : {&expected, &found}) {
    if (const std::string death = signs_of_death(*run); !death.empty()) return death;
  }
  if (expected.rows.size() != found.rows.size()) return "other numbers of rows";
  for (const auto& [where, bits] : expected.rows) {
    const auto it = found.rows.find(where);
    const std::string place = "request " + std::to_string(where.first) + ", position " + std::to_string(where.second);
    if (it == found.rows.end()) return place + ": no such row";
    for (size_t i = 0; i < bits.size(); i++) {
      if (bits[i] != it->second[i]) return place + ", logit " + std::to_string(i) + ": bits differ";
    }
  }
  for (const auto& [id, a] : expected.answers) {
    const auto it = found.answers.find(id);
    if (it == found.answers.end()) return "request " + std::to_string(id) + ": no answer";
    const runtime::Answer& b = it->second;
    bool same = a.status == b.status && a.text == b.text && a.prompt_tokens == b.prompt_tokens && a.tokens.size() == b.tokens.size();
    for (size_t i = 0; same && i < a.tokens.size(); i++) same = same_token(a.tokens[i], b.tokens[i]);
    if (!same) return "request " + std::to_string(id) + ": other answer";
  }
  return "";
}

// A ragged workload: short and long prompts, a third of them behind one long common beginning, some sampled with penalties.
inline std::vector<runtime::Request> ragged_requests(int count, int vocab, int max_tokens) {
  std::vector<runtime::Request> requests;
  uint64_t state = 42;
  auto random = [&](int below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int>((state >> 33) % below);
  };
  std::vector<int32_t> common;
  for (int i = 0; i < 140; i++) common.push_back(random(vocab));
  for (int i = 0; i < count; i++) {
    runtime::Request r;
    r.id = i;
    if (i % 3 == 1) r.prompt.assign(common.begin(), common.begin() + (i % 2 ? 140 : 75));
    for (int n = 1 + random(i % 8 == 2 ? 150 : 20); n > 0; n--) r.prompt.push_back(random(vocab));
    r.decoding.max_tokens = 1 + random(max_tokens);
    r.decoding.logprobs = i % 4;
    if (i % 5 == 3) r.decoding.temperature = 0.9f, r.decoding.top_p = 0.95f, r.decoding.repetition_penalty = 1.1f;
    r.noise_key = 1000 + i;
    requests.push_back(r);
  }
  return requests;
}

}  // namespace ibid::test
