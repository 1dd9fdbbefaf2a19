// Finds added tokens (special and others) in text: leftmost, then longest.
//
// Owns: their texts, and the automaton that finds them. Must not know: the vocabulary, the other parts of a tokenizer.
//
// 1. A token that is found and then refused (special in plain text, part of a word) still hides what begins inside it: the search
//    goes on behind it, as the reference does.
// 2. The search takes steps in proportion to the text, whatever the tokens are (Aho and Corasick, 1975), and memory for a window of it.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime::tokenize {

constexpr size_t kMaxAddedBytes = 512;            // of one token
constexpr size_t kMaxAddedTotal = size_t{1} << 22; // of all; each takes the automaton 16 bytes at most

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
  // REQUIRES: contents are not empty, distinct, at most kMaxAddedBytes, together at most kMaxAddedTotal.
  void set(std::vector<AddedToken> tokens);

  struct Part {
    std::string_view text;
    int32_t id;                   // -1: text between tokens
  };
  // Cuts text into tokens and what lies between them; parts of no bytes are left out. Adds to *steps, if given, how many states it asked.
  std::vector<Part> split(std::string_view text, bool recognise_special, uint64_t* steps = nullptr) const;

 private:
  // Text is read backwards. A state is an end of tokens: the longest that the text read so far begins with. State 0 is the empty one.
  struct State {
    uint32_t children;                  // [this, that of the next state): this end and one more byte before it, ascending by that byte
    uint32_t fallback;                  // the longest shorter end that this one begins with
    int32_t longest;                    // of tokens_, the longest that this end begins with; -1: none
    unsigned char byte;                 // its first
  };
  uint32_t next(uint32_t state, unsigned char byte, uint64_t& steps) const;
  void find(std::string_view text, std::vector<int32_t>& found, uint64_t& steps) const;

  std::vector<AddedToken> tokens_;      // ascending by content read backwards
  std::vector<State> states_;           // by length; one more ends the last one's children
  std::array<uint32_t, 256> last_{};    // the states of one byte; 0: no token ends with it
};

}  // namespace ibid::runtime::tokenize
