// From a manifest and a record to the text that the tokenizer gets.
//
// Owns truncation, rendering of the step's templates and the hand-over to the model's chat template. Must not know token ids.
// 1. The text is a function of manifest, record and chat template alone; a failure is an outcome of the record
//    (status template_error), never an Error.
// 2. Nothing is cut unless the manifest asks for it, and what was cut is said in the result.
// 3. An assistant message at the end is a prefix: the rendered text stops right after it, and the model continues there.
// 4. The rendered text is tokenised with special tokens recognised, as Hugging Face does, so a record that contains "<|im_end|>" can end a
//    turn. With special_tokens: refuse no message may contain one: the whole text of a message is looked at, so that fields which make
//    one only together are found too.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "runtime/template.h"
#include "step/manifest.h"
#include "step/records.h"

namespace ibid::step {

struct Truncation {
  bool cut = false;
  uint64_t kept_bytes = 0, total_bytes = 0;            // of the field named by decoding.truncate
};

struct Prompt {
  std::string text;                                    // "" when error is set
  std::string error;                                   // "": rendered; else why not (status template_error)
  Truncation truncation;
};

// What the model's files say; empty strings when they say nothing.
struct ChatSetup {
  std::string chat_template;
  std::string bos_token, eos_token;
};

class PromptBuilder {
 public:
  struct TokenizerView {
    std::function<size_t(std::string_view)> count;               // tokens of a text, nothing added around it
    std::function<std::string(std::string_view)> find_special;   // the first special token in it; "" when there is none
  };

  // Errors: bad_data when messages are asked for and the model has no chat template, or it does not compile.
  PromptBuilder(const Manifest& manifest, const ChatSetup& chat, TokenizerView tokenizer);
  ~PromptBuilder();

  // REQUIRES: no record.problem.
  Prompt build(const Record& record) const;

  // True for raw text: the tokenizer adds what the model says around it (AddBos::as_model_says). A chat template writes its
  // own begin token, so nothing is added around it.
  bool wants_bos() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibid::step
