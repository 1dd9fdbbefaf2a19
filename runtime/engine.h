// The narrow public face of the runtime: prompts of token ids in, answers out, in whatever order they finish.
//
// 1. An answer is a function of (model bytes, profile, prompt ids, Decoding, noise key): never of the other requests, their
//    order, the chunk, the threads, the instruction set, the memory budget or the prefix cache.
// 2. Memory is taken once, when the engine opens; a budget that cannot hold one sequence of `context` positions is refused.
// 3. One thread drives an engine.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "runtime/model_files.h"
#include "runtime/tokenizer.h"

namespace ibid::runtime {

struct EngineOptions {
  kernels::Profile profile = kernels::Profile::w16a16;
  int context = 0;                     // positions of a sequence, prompt and answer together
  size_t kv_bytes = size_t{1} << 30;   // budget of the K/V cache; 0: what the device has free after all else, less a margin
  int max_batch = 64;                  // sequences at once
  int chunk = 0;                       // rows of one step, at most; 0: the device's step_rows()
  bool prefix_cache = true;
  std::function<void()> between_steps = nullptr; // called before each step; may throw, and the engine then stays sound
};

struct Decoding {
  int max_tokens = 256;
  float temperature = 0;               // 0: greedy
  int top_k = 0;                       // 0: off
  float top_p = 1, min_p = 0, repetition_penalty = 1;      // these values: off
  std::vector<std::string> stop;       // the text ends before the first of these
  int logprobs = 0;                    // alternatives reported for each token
};

struct Request {
  uint64_t id = 0;                     // the caller's own name for it
  std::vector<int32_t> prompt;         // at least one id
  Decoding decoding;
  uint64_t noise_key = 0;              // from (seed, record)
  uint32_t sample_index = 0;
};

enum class Status { ok, truncated, overflow, numeric_error };      // truncated: the token budget ran out
const char* status_name(Status status);

struct AnswerToken {                   // as kernels::Sampled has it
  int32_t id = -1;
  float logprob = 0;
  int32_t runner_up = -1;
  float margin = 0;
  std::vector<kernels::TokenLogprob> top;      // Decoding::logprobs of them
};

struct Answer {
  uint64_t id = 0;
  Status status = Status::ok;
  std::vector<AnswerToken> tokens;     // as generated, the end token or the token that completed a stop string included
  std::string text;                    // without end tokens, cut before a stop string
  int prompt_tokens = 0;
};

struct EngineStats {
  uint64_t steps = 0;
  uint64_t prompt_rows = 0, decode_rows = 0;   // computed, of prompts and of answers
  uint64_t cached_rows = 0;                    // of prompts, not computed: the prefix cache had them (of finished answers)
  size_t weight_bytes = 0, kv_bytes = 0, work_bytes = 0;     // device memory, without the device's own scratch
};

class Engine {
 public:
  // Converts the weights onto the device. Errors: bad_data (a tensor is missing or misshapen, with both shapes; a sum could
  // overflow; a weight is not finite), temporary (memory, with what was needed).
  Engine(std::unique_ptr<kernels::Device> device, const ModelFiles& model, const Tokenizer& tokenizer, const EngineOptions& options);
  ~Engine();

  // Status::overflow is answered at once when the prompt and one token do not fit the context. Errors: bad_data (a prompt id
  // that the model has no row for).
  void submit(Request request);
  int pending() const;                              // submitted and not yet returned by next()
  int capacity() const;                             // how many pending requests keep the batch full; more only wait
  bool advance();                                   // runs a step unless an answer is complete or nothing is pending; whether one is
  std::optional<Answer> next();                     // runs steps until an answer is complete; empty when nothing is pending

  // The logits of every position of a prompt, (prompt, vocab) float32; for oracles and tests. Uses the same forward pass.
  // REQUIRES: pending() == 0. Errors: bad_data (the prompt does not fit the context, or a numeric error).
  std::vector<float> logits(const std::vector<int32_t>& prompt);

  // Shows every row of logits, (vocab), that a token at `position` is about to be chosen from; for oracles and tests.
  using Observer = std::function<void(uint64_t id, int position, const float* logits, int vocab)>;
  void observe(Observer observer);

  const EngineStats& stats() const;
  kernels::Device& device();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibid::runtime
