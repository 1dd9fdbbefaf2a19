// See json.h. A recursive-descent reader over a string_view with a bounded depth.
#include "runtime/json.h"

#include <charconv>
#include <unordered_set>

#include "runtime/error.h"
#include "runtime/text_hash.h"

namespace ibid {
namespace {

constexpr int kMaxDepth = 200;

class Parser {
 public:
  Parser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Json document() {
    skip_space();
    Json value = parse_value(0);
    skip_space();
    if (pos_ != text_.size()) fail("unexpected text after the JSON value");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < pos_ && i < text_.size(); ++i) {
      if (text_[i] == '\n') { ++line; column = 1; } else { ++column; }
    }
    throw Error(ErrorKind::bad_data, where_ + ":" + std::to_string(line) + ":" + std::to_string(column), "bad JSON: " + what);
  }

  bool at_end() const { return pos_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[pos_]; }

  void skip_space() {
    while (!at_end() && (text_[pos_] == ' ' || text_[pos_] == '\t' || text_[pos_] == '\n' || text_[pos_] == '\r')) ++pos_;
  }

  void expect(char c) {
    if (at_end() || text_[pos_] != c) fail(std::string("expected '") + c + "'");
    ++pos_;
  }

  Json parse_value(int depth) {
    if (depth > kMaxDepth) fail("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    if (at_end()) fail("unexpected end");
    switch (peek()) {
      case '{': return parse_object(depth);
      case '[': return parse_array(depth);
      case '"': return Json(parse_string());
      case 't': parse_word("true"); return Json(true);
      case 'f': parse_word("false"); return Json(false);
      case 'n': parse_word("null"); return Json();
      default: return parse_number();
    }
  }

  void parse_word(std::string_view word) {
    if (text_.substr(pos_, word.size()) != word) fail("unexpected character");
    pos_ += word.size();
  }

  Json parse_object(int depth) {
    expect('{');
    Json::Object members;
    std::unordered_set<std::string, TextHash> seen;
    skip_space();
    if (peek() == '}') { ++pos_; return Json(std::move(members)); }
    while (true) {
      skip_space();
      if (peek() != '"') fail("expected a key in double quotes");
      std::string key = parse_string();
      if (!seen.insert(key).second) fail("duplicate key \"" + key + "\"");
      skip_space();
      expect(':');
      skip_space();
      members.emplace_back(std::move(key), parse_value(depth + 1));
      skip_space();
      if (peek() == ',') { ++pos_; continue; }
      expect('}');
      return Json(std::move(members));
    }
  }

  Json parse_array(int depth) {
    expect('[');
    Json::Array items;
    skip_space();
    if (peek() == ']') { ++pos_; return Json(std::move(items)); }
    while (true) {
      skip_space();
      items.push_back(parse_value(depth + 1));
      skip_space();
      if (peek() == ',') { ++pos_; continue; }
      expect(']');
      return Json(std::move(items));
    }
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("expected a digit");
    while (peek() >= '0' && peek() <= '9') ++pos_;
  }

  Json parse_number() {
    size_t start = pos_;
    if (peek() == '-') ++pos_;
    if (peek() == '0') ++pos_;
    else if (peek() >= '1' && peek() <= '9') digits();
    else fail("unexpected character");
    if (peek() == '.') { ++pos_; digits(); }
    if (peek() == 'e' || peek() == 'E') {
      ++pos_;
      if (peek() == '+' || peek() == '-') ++pos_;
      digits();
    }
    return Json::number(std::string(text_.substr(start, pos_ - start)));
  }

  unsigned parse_hex4() {
    unsigned v = 0;
    for (int i = 0; i < 4; ++i, ++pos_) {
      char c = peek();
      if (c >= '0' && c <= '9') v = v * 16 + static_cast<unsigned>(c - '0');
      else if (c >= 'a' && c <= 'f') v = v * 16 + static_cast<unsigned>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') v = v * 16 + static_cast<unsigned>(c - 'A' + 10);
      else fail("expected four hexadecimal digits");
    }
    return v;
  }

  void parse_unicode_escape(std::string& out) {
    unsigned unit = parse_hex4();
    if (unit >= 0xDC00 && unit <= 0xDFFF) fail("lone surrogate");
    if (unit < 0xD800 || unit > 0xDBFF) { append_utf8(out, unit); return; }
    if (text_.substr(pos_, 2) != "\\u") fail("lone surrogate");
    pos_ += 2;
    unsigned low = parse_hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("lone surrogate");
    append_utf8(out, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
  }

  void parse_escape(std::string& out) {
    char c = peek();
    ++pos_;
    switch (c) {
      case '"': out += '"'; return;
      case '\\': out += '\\'; return;
      case '/': out += '/'; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': parse_unicode_escape(out); return;
      default: --pos_; fail("unknown escape");
    }
  }

  std::string parse_string() {
    expect('"');
    std::string out;
    while (true) {
      size_t run = pos_;
      while (run < text_.size() && text_[run] != '"' && text_[run] != '\\' && static_cast<unsigned char>(text_[run]) >= 0x20) ++run;
      out.append(text_, pos_, run - pos_);
      pos_ = run;
      if (at_end()) fail("unterminated string");
      char c = text_[pos_];
      if (c == '"') { ++pos_; break; }
      if (c != '\\') fail("control character in a string");
      ++pos_;
      parse_escape(out);
    }
    if (!is_utf8(out)) fail("string is not valid UTF-8");
    return out;
  }

  std::string_view text_;
  const std::string& where_;
  size_t pos_ = 0;
};

[[noreturn]] void wrong_kind(const char* wanted, const Json& found) {
  throw Error(ErrorKind::bad_data, "", std::string("expected ") + wanted + ", found " + found.kind_name());
}

void dump_to(const Json& j, std::string& out) {
  if (j.is_null()) out += "null";
  else if (j.is_bool()) out += j.as_bool() ? "true" : "false";
  else if (j.is_number()) out += j.lexeme();
  else if (j.is_string()) append_json_string(out, j.as_string());
  else if (j.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& item : j.items()) {
      if (!first) out += ',';
      first = false;
      dump_to(item, out);
    }
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : j.members()) {
      if (!first) out += ',';
      first = false;
      append_json_string(out, key);
      out += ':';
      dump_to(value, out);
    }
    out += '}';
  }
}

}  // namespace

const char* Json::kind_name() const {
  static const char* const names[] = {"null", "boolean", "number", "string", "array", "object"};
  return names[v_.index()];
}

bool Json::as_bool() const { if (!is_bool()) wrong_kind("boolean", *this); return std::get<bool>(v_); }
const std::string& Json::as_string() const { if (!is_string()) wrong_kind("string", *this); return std::get<std::string>(v_); }
const std::string& Json::lexeme() const { if (!is_number()) wrong_kind("number", *this); return std::get<Number>(v_).lexeme; }
const Json::Array& Json::items() const { if (!is_array()) wrong_kind("array", *this); return std::get<Array>(v_); }
const Json::Object& Json::members() const { if (!is_object()) wrong_kind("object", *this); return std::get<Object>(v_); }
Json::Array& Json::items() { if (!is_array()) wrong_kind("array", *this); return std::get<Array>(v_); }
Json::Object& Json::members() { if (!is_object()) wrong_kind("object", *this); return std::get<Object>(v_); }

int64_t Json::as_int() const {
  const std::string& s = lexeme();
  int64_t v = 0;
  auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (err != std::errc() || end != s.data() + s.size()) throw Error(ErrorKind::bad_data, "", "expected an integer, found " + s);
  return v;
}

double Json::as_double() const {
  const std::string& s = lexeme();
  double v = 0;
  auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (err != std::errc() || end != s.data() + s.size()) throw Error(ErrorKind::bad_data, "", "number out of range: " + s);
  return v;
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : members())
    if (name == key) return &value;
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* found = find(key);
  if (!found) throw Error(ErrorKind::bad_data, "", "missing key \"" + std::string(key) + "\"");
  return *found;
}

void Json::set(std::string key, Json value) {
  if (is_null()) v_ = Object{};
  for (auto& [name, old] : members())
    if (name == key) { old = std::move(value); return; }
  members().emplace_back(std::move(key), std::move(value));
}

Json Json::parse(std::string_view text, const std::string& where) { return Parser(text, where).document(); }

std::string Json::dump() const {
  std::string out;
  dump_to(*this, out);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  static const char* const hex = "0123456789abcdef";
  out += '"';
  size_t done = 0;                                     // what stands for itself is copied in runs
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, done, i - done);
    done = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        out += "\\u00";
        out += hex[(c >> 4) & 15];
        out += hex[c & 15];
    }
  }
  out.append(text, done);
  out += '"';
}

// Bytes of the well-formed character at p; 0: there is none.
static size_t utf8_length(const unsigned char* p, const unsigned char* end) {
  if (*p < 0x80) return 1;
  int more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : 1;
  if (*p < 0xC2 || *p > 0xF4 || end - p <= more) return 0;
  unsigned char low = 0x80, high = 0xBF;                 // the second byte's range rules out overlong forms and surrogates
  if (*p == 0xE0) low = 0xA0;
  if (*p == 0xED) high = 0x9F;
  if (*p == 0xF0) low = 0x90;
  if (*p == 0xF4) high = 0x8F;
  if (p[1] < low || p[1] > high) return 0;
  for (int i = 2; i <= more; ++i)
    if ((p[i] & 0xC0) != 0x80) return 0;
  return static_cast<size_t>(more) + 1;
}

bool is_utf8(std::string_view s) {
  const auto* p = reinterpret_cast<const unsigned char*>(s.data());
  for (const auto* end = p + s.size(); p < end;) {
    const size_t length = utf8_length(p, end);
    if (length == 0) return false;
    p += length;
  }
  return true;
}

std::string as_utf8(std::string_view s) {
  std::string out;
  const auto* p = reinterpret_cast<const unsigned char*>(s.data());
  for (const auto* end = p + s.size(); p < end;) {
    const size_t length = utf8_length(p, end);
    if (length > 0) out.append(reinterpret_cast<const char*>(p), length);
    else append_utf8(out, 0xFFFD);
    p += length > 0 ? length : 1;
  }
  return out;
}

void append_utf8(std::string& out, char32_t c) {
  auto put = [&out](unsigned v) { out += static_cast<char>(v); };
  if (c < 0x80) { put(c); }
  else if (c < 0x800) { put(0xC0 | (c >> 6)); put(0x80 | (c & 63)); }
  else if (c < 0x10000) { put(0xE0 | (c >> 12)); put(0x80 | ((c >> 6) & 63)); put(0x80 | (c & 63)); }
  else { put(0xF0 | (c >> 18)); put(0x80 | ((c >> 12) & 63)); put(0x80 | ((c >> 6) & 63)); put(0x80 | (c & 63)); }
}

}  // namespace ibid
