// Text to token ids and back, exactly as the model's own tokenizer does it.
//
// Owns: the parts of one tokenizer (tokenizer_parts.h). Must not know: files, templates, what a text is for.
//
// 1. A tokenizer that ibid cannot follow exactly is refused by name (model type, normalizer, pre-tokenizer, pattern).
// 2. Unicode properties are our own tables of one recorded version (unicode_version()); the C library's are never asked.
// 3. Whether "<|im_end|>" in a text is the token or its characters is for the caller to say.
// 4. encode() and decode() are const and safe in many threads at once.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/json.h"
#include "runtime/tokenizer_decoder.h"

namespace ibid::runtime {

namespace tokenize { struct Parts; }

const char* unicode_version();

class Tokenizer {
 public:
  // From tokenizer.json and tokenizer_config.json (may be null). Errors: bad_data, naming the part.
  static Tokenizer from_huggingface(const Json& tokenizer, const Json& tokenizer_config);
  // From GGUF metadata (tokenizer.ggml.*), as one JSON object. Errors: bad_data, naming the key.
  static Tokenizer from_gguf(const Json& metadata);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  enum class Specials { recognise, as_text };       // whether "<|im_end|>" in the text is the token or the characters
  enum class AddBos { no, as_model_says };          // as_model_says: what the post-processor (or GGUF's add_bos) adds around

  // Errors: bad_data when the text is not UTF-8 or is 2 GiB long.
  std::vector<int32_t> encode(std::string_view text, Specials specials, AddBos bos) const;
  // Text of ids; special (control) tokens give nothing when skip_special, nor do ids that the vocabulary lacks.
  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const;

  int size() const;                                 // ids are [0, size()); a model may have more rows
  std::string_view token_text(int32_t id) const;    // as the vocabulary writes it (for `show`)
  bool is_special(int32_t id) const;
  // the first special token that encode() recognises in text; -1: none. Errors: as encode()
  int32_t find_special(std::string_view text) const;
  int32_t id_of(std::string_view token) const;      // of a whole vocabulary entry or added token; -1 when there is none
  int32_t bos_id() const;                           // -1: none
  int32_t eos_id() const;                           // -1: none

  // Decodes a growing answer. push() returns the bytes that this token adds and that no later token can change; finish()
  // returns the rest (an incomplete UTF-8 sequence becomes U+FFFD, as the reference decoders do). Concatenated they equal
  // decode() of all ids, which is made of them.
  class Stream {
   public:
    explicit Stream(const Tokenizer& tokenizer, bool skip_special = true) : tokenizer_(&tokenizer), skip_special_(skip_special) {}
    std::string push(int32_t id);
    std::string finish();
   private:
    const Tokenizer* tokenizer_;
    bool skip_special_;
    tokenize::DecodeState state_;
  };

 private:
  Tokenizer();
  std::unique_ptr<tokenize::Parts> parts_;
};

}  // namespace ibid::runtime
