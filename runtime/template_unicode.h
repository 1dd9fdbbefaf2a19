// What Python's str knows about characters: case, white space, printability. Owns the tables; must not know what a template is.
//
// 1. All functions take and return well-formed UTF-8 (REQUIRES) and agree with CPython's str methods under Unicode 14.0.
// 2. Positions and lengths that leave this file are in code points unless a name says bytes.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime::text {

// Decodes the code point at byte `at` and moves past it (REQUIRES: at < s.size()).
char32_t next(std::string_view s, size_t& at);
int64_t length(std::string_view s);
bool is_ascii(std::string_view s);
size_t byte_offset(std::string_view s, int64_t characters);      // of the n-th code point; s.size() at or past the end

bool is_space(char32_t c);                                       // str.isspace, which is also what split and strip remove
bool is_printable(char32_t c);                                   // str.isprintable, which repr() follows
bool is_cased(char32_t c);
int decimal(char32_t c);                                         // the value of a decimal digit (category Nd), -1 when it is none
bool is_upper(std::string_view s);                              // str.isupper: cased characters, all of them upper case
bool is_lower(std::string_view s);

std::string upper(std::string_view s);
std::string lower(std::string_view s);
std::string title(std::string_view s);
std::string capitalize(std::string_view s);

std::string_view strip_left(std::string_view s);                 // white space
std::string_view strip_right(std::string_view s);
std::string_view strip_left(std::string_view s, std::string_view set);    // any of the characters of set
std::string_view strip_right(std::string_view s, std::string_view set);

// str.splitlines: at every line boundary that Unicode knows, the last empty line left out.
std::vector<std::string_view> lines(std::string_view s, bool keep_ends);

// First position in bytes of needle at or after `from`, npos when absent. Linear in the worst case.
size_t find(std::string_view haystack, std::string_view needle, size_t from = 0);

}  // namespace ibid::runtime::text
