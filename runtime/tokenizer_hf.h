// Between tokenizer_hf.cc (vocabulary, merges, added tokens) and tokenizer_hf_steps.cc (what happens before and after them).
#pragma once
#include <optional>
#include <string>

#include "runtime/json.h"
#include "runtime/tokenizer_parts.h"

namespace ibid::runtime::tokenize {

// A value inside tokenizer.json and its name there ("pre_tokenizer.pretokenizers[1]"), which every error begins with.
class JsonPart {
 public:
  JsonPart(const Json& json, std::string name) : json_(&json), name_(std::move(name)) {}

  const Json& json() const { return *json_; }
  [[noreturn]] void fail(const std::string& what) const;

  JsonPart at(const std::string& key) const;                        // an error when it is absent
  std::optional<JsonPart> find(const std::string& key) const;       // none when it is absent or null
  std::vector<JsonPart> items() const;                              // of an array

  const std::string& text() const;
  std::string text_not_empty() const;
  int64_t integer() const;
  bool is_zero() const;                                             // a number that is zero
  bool flag(const std::string& key, bool fallback) const;           // of the member
  std::string type() const { return at("type").text(); }

 private:
  std::string name_of(const std::string& key) const { return name_.empty() ? key : name_ + "." + key; }
  const Json* json_;
  std::string name_;
};

void read_normalizer(const JsonPart& part, Normalizer& normalizer);
// True when the pieces go to the model as bytes.
bool read_pre_tokenizer(const JsonPart& part, Splitter& splitter);
void read_post_processor(const JsonPart& part, Parts& parts);
void read_decoder(const JsonPart& part, Decoder& decoder);

}  // namespace ibid::runtime::tokenize
