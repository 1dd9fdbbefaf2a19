// See template_lexer.h. One pass; the rules follow the regular expressions of Jinja2's lexer.
#include "runtime/template_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {

std::string line_and_column(std::string_view source, uint32_t at) {
  std::string_view before = source.substr(0, at);
  size_t line = 1, start = 0;
  for (size_t i = 0; i < before.size(); ++i)
    if (before[i] == '\n') { ++line; start = i + 1; }
  return std::to_string(line) + ":" + std::to_string(text::length(before.substr(start)) + 1);
}

void refuse(std::string_view source, const std::string& name, uint32_t at, const std::string& what) {
  throw Error(ErrorKind::bad_data, name + ":" + line_and_column(source, at), what);
}

std::string normalise_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') { out += source[i]; continue; }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

class Lexer {
 public:
  Lexer(const std::string& source, const std::string& name, WhitespaceRules rules) : source_(source), name_(name), rules_(rules) {}

  std::vector<Token> run() {
    while (pos_ < source_.size()) {
      size_t open = next_opening(pos_);
      data(pos_, open);
      if (open == std::string::npos) break;
      pos_ = open;
      opening();
    }
    push(TokenKind::end, source_.size());
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(size_t at, const std::string& what) const { refuse(source_, name_, static_cast<uint32_t>(at), what); }

  std::string_view rest(size_t at) const { return std::string_view(source_).substr(std::min(at, source_.size())); }
  bool starts(size_t at, std::string_view what) const { return rest(at).substr(0, what.size()) == what; }

  Token& push(TokenKind kind, size_t at) {
    tokens_.emplace_back();
    tokens_.back().kind = kind;
    tokens_.back().at = static_cast<uint32_t>(at);
    return tokens_.back();
  }

  size_t next_opening(size_t from) const {
    for (size_t at = source_.find('{', from); at != std::string::npos; at = source_.find('{', at + 1)) {
      char c = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (c == '{' || c == '%' || c == '#') return at;
    }
    return std::string::npos;
  }

  char sign_at(size_t at) const { return starts(at, "-") ? '-' : starts(at, "+") ? '+' : '\0'; }

  size_t skip_space(size_t at) const {
    while (at < source_.size()) {
      size_t after = at;
      if (!text::is_space(text::next(source_, after))) break;
      at = after;
    }
    return at;
  }

  // Text up to an opening, less what '-' and lstrip_blocks take from its end.
  void data(size_t from, size_t open) {
    std::string_view s = rest(from).substr(0, open == std::string::npos ? std::string::npos : open - from);
    if (open != std::string::npos) s = s.substr(0, kept_before(s, open));
    if (!s.empty()) push(TokenKind::data, from).text = s;
  }

  size_t kept_before(std::string_view s, size_t open) const {
    char sign = sign_at(open + 2);
    if (sign == '-') return text::strip_right(s).size();
    if (sign == '+' || !rules_.lstrip_blocks || source_[open + 1] == '{') return s.size();
    size_t newline = s.rfind('\n');
    size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (newline == std::string_view::npos && !line_start_) return s.size();
    return text::strip_left(s.substr(line)).empty() ? line : s.size();
  }

  // Moves past white space or the one newline that a closing mark takes with it.
  void after_close(char sign, bool trims) {
    size_t start = pos_;
    if (sign == '-') pos_ = skip_space(pos_);
    else if (sign != '+' && trims && rules_.trim_blocks && starts(pos_, "\n")) ++pos_;
    line_start_ = pos_ > start && source_[pos_ - 1] == '\n';
  }

  void opening() {
    size_t start = pos_;
    char kind = source_[pos_ + 1];
    char sign = sign_at(pos_ + 2);
    pos_ += sign ? 3 : 2;
    if (kind == '#') return comment(start);
    if (kind == '%' && raw_follows()) return raw(start);
    push(kind == '{' ? TokenKind::variable_begin : TokenKind::block_begin, start);
    inside(kind == '{' ? "}}" : "%}", start);
  }

  void comment(size_t start) {
    size_t close = source_.find("#}", pos_);
    if (close == std::string::npos) fail(start, "comment without its end '#}'");
    char sign = close > pos_ ? sign_at(close - 1) : '\0';
    pos_ = close + 2;
    after_close(sign, true);
  }

  bool raw_follows() const {
    size_t at = skip_space(pos_);
    if (!starts(at, "raw") || (at + 3 < source_.size() && is_name(source_[at + 3]))) return false;
    at = skip_space(at + 3);
    return starts(at, "%}") || starts(at, "-%}");
  }

  void raw(size_t start) {
    pos_ = skip_space(skip_space(pos_) + 3);
    bool strips = starts(pos_, "-");
    pos_ += strips ? 3 : 2;
    after_close(strips ? '-' : '\0', false);
    size_t body = pos_;
    for (size_t open = source_.find("{%", body); open != std::string::npos; open = source_.find("{%", open + 1)) {
      char sign = sign_at(open + 2);
      size_t at = skip_space(open + (sign ? 3 : 2));
      if (!starts(at, "endraw")) continue;
      at = skip_space(at + 6);
      char close_sign = sign_at(at);
      if (close_sign) ++at;
      if (!starts(at, "%}")) continue;
      data(body, open);
      pos_ = at + 2;
      return after_close(close_sign, true);
    }
    fail(start, "raw block without its {% endraw %}");
  }

  // Tokens up to the closing mark; inside brackets the mark's characters are operators.
  void inside(std::string_view close, size_t start) {
    std::string brackets;
    while (true) {
      pos_ = skip_space(pos_);
      if (pos_ >= source_.size()) fail(start, "'" + source_.substr(start, 2) + "' without its end '" + std::string(close) + "'");
      char sign = sign_at(pos_);
      bool is_block = close == "%}";
      if (brackets.empty() &&
          (starts(pos_, close) || (sign == '-' && starts(pos_ + 1, close)) || (sign == '+' && is_block && starts(pos_ + 1, close)))) {
        if (starts(pos_, close)) sign = '\0';
        push(is_block ? TokenKind::block_end : TokenKind::variable_end, pos_);
        pos_ += sign ? 3 : 2;
        return after_close(sign, is_block);
      }
      token(brackets);
    }
  }

  void token(std::string& brackets) {
    char c = source_[pos_];
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return string(c);
    if (is_name_start(c)) {
      size_t start = pos_;
      while (pos_ < source_.size() && is_name(source_[pos_])) ++pos_;
      push(TokenKind::name, start).text = source_.substr(start, pos_ - start);
      return;
    }
    op(brackets);
  }

  void op(std::string& brackets) {
    static constexpr std::array<std::string_view, 25> ops = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[",
                                                              "]",  "(",  ")",  "{",  "}",  "|",  ",", ":", ".", ">", "<", "="};
    for (std::string_view candidate : ops) {
      if (!starts(pos_, candidate)) continue;
      char c = candidate[0];
      if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
      if (c == ')' || c == ']' || c == '}') {
        if (brackets.empty() || brackets.back() != c) fail(pos_, std::string("unexpected '") + c + "'");
        brackets.pop_back();
      }
      push(TokenKind::op, pos_).text = candidate;
      pos_ += candidate.size();
      return;
    }
    size_t after = pos_;
    text::next(source_, after);
    fail(pos_, "unexpected character '" + source_.substr(pos_, after - pos_) + "'");
  }

  // Digits that single underscores may group.
  std::string digits() {
    std::string out;
    while (pos_ < source_.size()) {
      if (is_digit(source_[pos_])) out += source_[pos_++];
      else if (!out.empty() && source_[pos_] == '_' && pos_ + 1 < source_.size() && is_digit(source_[pos_ + 1])) ++pos_;
      else break;
    }
    return out;
  }

  void number() {
    size_t start = pos_;
    bool after_dot = !tokens_.empty() && tokens_.back().kind == TokenKind::op && tokens_.back().text == "." &&
                     tokens_.back().at + 1 == start;
    std::string lexeme = digits();
    bool real = false;
    if (!after_dot && starts(pos_, ".") && pos_ + 1 < source_.size() && is_digit(source_[pos_ + 1])) {
      ++pos_;
      lexeme += "." + digits();
      real = true;
    }
    if (!after_dot && (starts(pos_, "e") || starts(pos_, "E"))) {
      size_t at = pos_ + 1;
      std::string exponent = "e";
      if (at < source_.size() && (source_[at] == '+' || source_[at] == '-')) exponent += source_[at++];
      if (at < source_.size() && is_digit(source_[at])) {
        pos_ = at;
        lexeme += exponent + digits();
        real = true;
      }
    }
    if (pos_ < source_.size() && is_name(source_[pos_])) fail(start, "unknown form of number (decimal only)");
    if (real) real_token(lexeme, start);
    else integer_token(lexeme, start);
  }

  void integer_token(const std::string& lexeme, size_t start) {
    if (lexeme.size() > 1 && lexeme[0] == '0' && lexeme.find_first_not_of('0') != std::string::npos)
      fail(start, "a number may not start with 0");
    Token& t = push(TokenKind::integer, start);
    auto [end, error] = std::from_chars(lexeme.data(), lexeme.data() + lexeme.size(), t.integer);
    if (error != std::errc() || end != lexeme.data() + lexeme.size()) fail(start, "integer does not fit in 64 bits");
    t.text = lexeme;
  }

  void real_token(const std::string& lexeme, size_t start) {
    std::string plain = lexeme;
    size_t plus = plain.find('+');
    if (plus != std::string::npos) plain.erase(plus, 1);
    Token& t = push(TokenKind::real, start);
    auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), t.real);
    if (error != std::errc() || end != plain.data() + plain.size()) fail(start, "number out of range");
    t.text = lexeme;
  }

  void string(char quote) {
    size_t start = pos_++;
    std::string out;
    while (true) {
      if (pos_ >= source_.size()) fail(start, "string without its closing quote");
      char c = source_[pos_];
      if (c == quote) break;
      ++pos_;
      if (c == '\\') escape(out, start);
      else out += c;
    }
    ++pos_;
    push(TokenKind::text, start).text = std::move(out);
  }

  // Python's unicode-escape: an unknown escape keeps its backslash.
  void escape(std::string& out, size_t start) {
    if (pos_ >= source_.size()) fail(start, "string without its closing quote");
    size_t at = pos_ - 1;
    char c = source_[pos_++];
    switch (c) {
      case '\n': return;
      case '\\': case '\'': case '"': out += c; return;
      case 'a': out += '\a'; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'v': out += '\v'; return;
      case 'x': return hex(out, 2, at);
      case 'u': return hex(out, 4, at);
      case 'U': return hex(out, 8, at);
      case 'N': fail(at, "\\N{...} is not supported");
      default: break;
    }
    if (c < '0' || c > '7') { out += '\\'; out += c; return; }
    char32_t v = static_cast<char32_t>(c - '0');
    for (int i = 0; i < 2 && pos_ < source_.size() && source_[pos_] >= '0' && source_[pos_] <= '7'; ++i)
      v = v * 8 + static_cast<char32_t>(source_[pos_++] - '0');
    append_utf8(out, v);
  }

  void hex(std::string& out, size_t count, size_t at) {
    uint32_t v = 0;
    std::string_view digits = rest(pos_).substr(0, count);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), v, 16);
    if (digits.size() != count || error != std::errc() || end != digits.data() + count)
      fail(at, "escape needs " + std::to_string(count) + " hexadecimal digits");
    if (v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) fail(at, "escape is not a character");
    append_utf8(out, v);
    pos_ += count;
  }

  const std::string& source_;
  const std::string& name_;
  WhitespaceRules rules_;
  size_t pos_ = 0;
  bool line_start_ = true;           // the text at pos_ begins a line, whatever was cut away before it
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex_template(const std::string& source, const std::string& name, WhitespaceRules rules) {
  if (source.size() > std::numeric_limits<uint32_t>::max() / 2) refuse(source, name, 0, "template larger than 2 GB");
  if (!is_utf8(source)) refuse("", name, 0, "template is not valid UTF-8");
  return Lexer(source, name, rules).run();
}

}  // namespace ibid::runtime
