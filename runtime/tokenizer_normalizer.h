// Normalization of text before it is cut: the steps of tokenizer.json that ibid follows.
//
// Owns: the steps. Must not know: tokens.
//
// 1. Growth is bounded: steps that a hostile file stacks up end in an error, not in all of the memory.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime::tokenize {

struct NormalizeStep {
  enum class Kind { nfc, nfd, prepend, replace };
  Kind kind = Kind::nfc;
  std::string text;          // prepend: what; replace: with what
  std::string pattern;       // replace: what, literally; not empty
};

struct Normalizer {
  std::vector<NormalizeStep> steps;
  // REQUIRES: well-formed UTF-8. Empty text stays empty. Errors: bad_data when the text grows beyond all reason.
  std::string apply(std::string_view text) const;
};

// Every occurrence of a literal, left to right; given up, with a text longer than `most`, once it is longer.
std::string replace_all(std::string_view text, std::string_view pattern, std::string_view with, size_t most);

}  // namespace ibid::runtime::tokenize
