// Cuts a template into text and tokens as Jinja2's lexer does under trim_blocks and lstrip_blocks. Owns white space control,
// raw blocks, comments, literals; must not know the grammar.
//
// 1. Line ends become \n and one at the very end is dropped, before anything else.
// 2. A position is a byte offset into that normalised source; it becomes line:column only in an error.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime {

enum class TokenKind : uint8_t { data, variable_begin, variable_end, block_begin, block_end, name, text, integer, real, op, end };

struct Token {
  TokenKind kind = TokenKind::end;
  uint32_t at = 0;                 // offset in the source
  std::string text;                // data, a name, an operator, a string's value after its escapes
  int64_t integer = 0;
  double real = 0;
};

// Of Jinja2's environment. Both hold for every template; a test takes them away to see that it would notice.
struct WhitespaceRules { bool trim_blocks = true, lstrip_blocks = true; };

// "line:column" of an offset; columns count characters from 1.
std::string line_and_column(std::string_view source, uint32_t at);

std::string normalise_newlines(std::string_view source);

// Errors: Error{bad_data, where NAME:line:column}.
std::vector<Token> lex_template(const std::string& source, const std::string& name, WhitespaceRules rules);

// The same Error for the parser.
[[noreturn]] void refuse(std::string_view source, const std::string& name, uint32_t at, const std::string& what);

}  // namespace ibid::runtime
