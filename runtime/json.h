// JSON values as ibid needs them: order kept, number lexemes kept, duplicates refused.
//
// 1. Objects keep their source order; a duplicate key is an error (two readers would disagree on it).
// 2. A number is its lexeme: 1.0 and 1 are different bytes and stay so. Conversion is asked for by the caller.
// 3. Strings are valid UTF-8 after parsing; lone surrogates, raw control characters and bytes that are not UTF-8 are errors.
// 4. Input is hostile: depth is bounded, nothing is allocated from a declared size.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ibid {

class Json {
 public:
  struct Number { std::string lexeme; };
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;                                   // null
  Json(bool v) : v_(v) {}
  Json(int v) : Json(static_cast<int64_t>(v)) {}
  Json(int64_t v) : v_(Number{std::to_string(v)}) {}
  Json(uint64_t v) : v_(Number{std::to_string(v)}) {}
  Json(std::string v) : v_(std::move(v)) {}
  Json(std::string_view v) : v_(std::string(v)) {}
  Json(const char* v) : v_(std::string(v)) {}
  Json(Array v) : v_(std::move(v)) {}
  Json(Object v) : v_(std::move(v)) {}
  static Json number(std::string lexeme) { Json j; j.v_ = Number{std::move(lexeme)}; return j; }

  bool is_null() const { return std::holds_alternative<std::monostate>(v_); }
  bool is_bool() const { return std::holds_alternative<bool>(v_); }
  bool is_number() const { return std::holds_alternative<Number>(v_); }
  bool is_string() const { return std::holds_alternative<std::string>(v_); }
  bool is_array() const { return std::holds_alternative<Array>(v_); }
  bool is_object() const { return std::holds_alternative<Object>(v_); }
  const char* kind_name() const;                      // "null", "boolean", "number", "string", "array", "object"

  // Accessors throw Error{bad_data} naming the kind that was found.
  bool as_bool() const;
  const std::string& as_string() const;
  const std::string& lexeme() const;                  // of a number
  int64_t as_int() const;                             // an integer lexeme that fits
  double as_double() const;                           // correctly rounded
  const Array& items() const;
  const Object& members() const;
  Array& items();
  Object& members();

  const Json* find(std::string_view key) const;       // null pointer when absent or not an object
  const Json& at(std::string_view key) const;         // throws, naming the key
  void set(std::string key, Json value);              // replaces or appends; turns null into an object

  // Parses exactly one value, nested at most 200 deep, with optional white space around it. Errors: Error{bad_data, where:line:column}.
  static Json parse(std::string_view text, const std::string& where);

  // Compact text: source order, lexemes as they are, only what must be escaped is escaped.
  std::string dump() const;

 private:
  std::variant<std::monostate, bool, Number, std::string, Array, Object> v_;
};

// Appends a JSON string literal: escapes ", \ and control characters (short forms where JSON has them, else \u00xx).
void append_json_string(std::string& out, std::string_view text);

// True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool is_utf8(std::string_view text);
// The same text, with U+FFFD for each byte that is of no character: names of files may have any.
std::string as_utf8(std::string_view text);

// Appends the UTF-8 form of a code point (REQUIRES: a scalar value).
void append_utf8(std::string& out, char32_t code_point);

}  // namespace ibid
