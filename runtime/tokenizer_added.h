// Finds added tokens (special and others) in text: leftmost, then longest.
//
// 1. A token that is found and then refused (special in plain text, part of a word) still hides what begins inside it: the search
//    goes on behind it, as the reference does.
// 2. The search takes at most text length x longest token steps, and tokens are at most kMaxAddedBytes long.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime::tokenize {

constexpr size_t kMaxAddedBytes = 512;

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;
  bool single_word = false;       // only where no word character touches it
  bool lstrip = false;            // swallows white space before it
  bool rstrip = false;            // and behind it
};

class AddedTokens {
 public:
  // REQUIRES: contents are not empty, distinct, at most kMaxAddedBytes.
  void set(std::vector<AddedToken> tokens);
  bool empty() const { return tokens_.empty(); }

  struct Part {
    std::string_view text;
    int32_t id;                   // -1: text between tokens
  };
  // Cuts text into tokens and what lies between them; parts of no bytes are left out.
  std::vector<Part> split(std::string_view text, bool recognise_special) const;

 private:
  const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;      // ascending by content
  size_t first_[257] = {};              // tokens_ by first byte: [first_[b], first_[b + 1])
};

}  // namespace ibid::runtime::tokenize
