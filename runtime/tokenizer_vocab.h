// Texts by id and ids by text, and the alphabet in which byte-level vocabularies write bytes.
//
// Owns: the texts. Must not know: what a token means.
//
// 1. An id is below kMaxIds, so that a hostile id cannot make a table of gigabytes; ids may have gaps.
// 2. A text has one id and an id one text: whoever fills a table asks find() and has() first.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime::tokenize {

constexpr int64_t kMaxIds = int64_t{1} << 22;
constexpr size_t kMaxTokenBytes = size_t{1} << 16;

class TextTable {
 public:
  // Room for that many texts, so that filling it does not move it about.
  void reserve(size_t texts);
  // REQUIRES: 0 <= id < kMaxIds and free, text new and of at most kMaxTokenBytes.
  void add(int32_t id, std::string_view text);
  int32_t find(std::string_view text) const;          // -1: none
  bool has(int32_t id) const { return id >= 0 && id < size() && spans_[static_cast<size_t>(id)].offset != kNone; }
  std::string_view text(int32_t id) const;            // "" when there is none
  int32_t size() const { return static_cast<int32_t>(spans_.size()); }   // highest id + 1
  size_t longest() const { return longest_; }         // bytes
  size_t longest_search() const;                      // slots that the slowest find() of a text looks at

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Span { uint32_t offset = kNone, length = 0; };              // of bytes_
  struct Slot { uint32_t hash = 0, offset = 0, length = 0; int32_t id = -1; };

  size_t slot_of(std::string_view text, uint32_t hash) const;
  void rehash(size_t slots);

  std::string bytes_;
  std::vector<Span> spans_;                           // by id
  std::vector<Slot> slots_;                           // open addressing, a power of two, at most half full
  size_t used_ = 0, longest_ = 0;
};

// GPT-2's alphabet, in which every byte is written as a printable character.
std::string byte_level_symbol(uint8_t byte);
// The bytes that a text of this alphabet stands for. False when it has another character.
bool bytes_of_byte_level(std::string_view text, std::string& bytes);

}  // namespace ibid::runtime::tokenize
