// Tokens back to text, one at a time: what a token adds that no later token can change is given at once, the rest is held back.
//
// Owns: the steps; what is held back lies in the caller's DecodeState. Must not know: ids, the vocabulary, files.
//
// 1. Decoding a list is pushing its tokens one by one, so a stream and a whole answer cannot differ.
// 2. A chain of tokenizer.json has the form  steps, ByteFallback, steps, Fuse, Strip  with every part optional; what has another
//    form is refused where it is read.
// 3. Bytes that are not UTF-8 become U+FFFD as in the reference: byte-level, one for each maximal malformed part; by
//    ByteFallback, one for each byte of a run of byte tokens that is not well-formed as a whole.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime::tokenize {

struct DecodeStep {
  enum class Kind {
    replace,                           // every `text` in the token becomes `with`
    strip,                             // up to `start` and `stop` times `text` at the token's ends
    metaspace,                         // every `text` becomes a space; in the first token, nothing if `drop_first`
  };
  Kind kind = Kind::replace;
  std::string text, with;              // text: not empty
  size_t start = 0, stop = 0;
  bool drop_first = false;
};

// Where a decoding stands between two tokens.
struct DecodeState {
  std::string pending;                 // bytes that a later token may complete
  size_t pieces = 0;                   // that have left ByteFallback
  size_t stripped = 0;                 // how much of `strip_start` is used up
};

struct Decoder {
  enum class Kind { chain, byte_level, spaced };   // spaced: tokens joined by a space (no decoder in the file)

  Kind kind = Kind::chain;
  bool byte_fallback = false;
  std::vector<DecodeStep> before, after;           // ByteFallback; without it `after` is empty
  std::string strip_text;                          // what to take from the start of the whole text, at most strip_start times
  size_t strip_start = 0;

  // `token` as the vocabulary writes it; `is_text`: it is the text itself, not written in the byte-level alphabet.
  std::string push(DecodeState& state, std::string_view token, bool is_text) const;
  std::string finish(DecodeState& state) const;

 private:
  std::string push_bytes(DecodeState& state, std::string_view token, bool is_text) const;
  std::string emit(DecodeState& state, std::string piece) const;
  std::string flush_run(DecodeState& state) const;
};

}  // namespace ibid::runtime::tokenize
