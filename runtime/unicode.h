// What tokenizers ask of Unicode: classes of characters, normalization, and UTF-8 that may be malformed.
//
// 1. The tables are ours, of recorded versions (unicode_tables.py says which and why there are two); no locale, no C library.
// 2. Nothing here knows of tokens.
// 3. Every function takes any bytes: malformed UTF-8 is read as U+FFFD, one for each maximal part of a sequence (Unicode 3.9).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ibid::runtime {

const char* unicode_tables_version();

enum CharFlag : uint8_t {
  kLetter = 1,        // \p{L}
  kNumber = 2,        // \p{N}
  kSpace = 4,         // \s: White_Space
  kWord = 8,          // \w as UTS 18 has it
  kPunctuation = 16,  // \p{P}
  kUnstable = 32,     // NFC may change it or what stands before it
};

// Flags of every code point, 0x110000 of them. Built at the first call; hot loops keep the pointer.
const uint8_t* char_flags();

struct Utf8Char {
  char32_t code;  // U+FFFD when malformed
  int size;       // bytes, at least 1
};

// The character at p. REQUIRES: p < end.
Utf8Char utf8_at(const char* p, const char* end);

// The text with every malformed part replaced by U+FFFD.
std::string replace_malformed(std::string_view text);

// How many bytes at the end of the text are the beginning of a sequence that more bytes could complete: 0 to 3.
size_t incomplete_tail(std::string_view text);

// Canonical composition and decomposition. REQUIRES: well-formed UTF-8.
std::string to_nfc(std::string_view text);
std::string to_nfd(std::string_view text);

}  // namespace ibid::runtime
