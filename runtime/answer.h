// An answer in the making: tokens in, text and the reason to end out.
//
// Owns: the text of one request, and the rules of ending. Must not know: logits, batches, devices.
//
// 1. An end id ends the answer and is never part of the text.
// 2. Stop strings are looked for in the decoded text, wherever token borders lie; the text ends before the first of them.
// 3. Text that the tokenizer still holds back when the answer ends is text like any other, also for 2.
#pragma once
#include <string>
#include <vector>

#include "runtime/engine.h"
#include "runtime/tokenizer.h"

namespace ibid::runtime {

// Tokens that a request has room for from the start, if its budget is that large: many wait, and few use their whole budget.
constexpr int kExpectedTokens = 1024;

class AnswerBuilder {
 public:
  // end_ids: ascending; it and the tokenizer outlive this. budget: tokens at most.
  AnswerBuilder(const Tokenizer& tokenizer, const std::vector<int32_t>& end_ids, std::vector<std::string> stop, int budget);

  // Adds the next token; true when the answer is complete (status ok or truncated).
  bool push(AnswerToken token);

  // Ends it here, for a reason that the tokens do not tell (numeric_error, overflow).
  void end(Status status);

  Answer& answer() { return answer_; }

 private:
  bool cut_at_stop();

  const std::vector<int32_t>* end_ids_;
  Tokenizer::Stream stream_;
  std::vector<std::string> stop_;
  size_t longest_stop_ = 0;            // bytes
  size_t searched_ = 0;                // no stop string begins before this byte
  int budget_;
  Answer answer_;
};

// Distinct ids of a prompt and an answer, in order of first appearance (what a repetition penalty applies to).
class SeenTokens {
 public:
  explicit SeenTokens(int vocab) : bits_((static_cast<size_t>(vocab) + 31) / 32, 0) {}
  void add(int32_t id) {
    uint32_t& word = bits_[id / 32];
    const uint32_t bit = 1u << (id % 32);
    if (!(word & bit)) ids_.push_back(id);
    word |= bit;
  }
  const std::vector<int32_t>& ids() const { return ids_; }

 private:
  std::vector<uint32_t> bits_;
  std::vector<int32_t> ids_;
};

}  // namespace ibid::runtime
