// See canon.h.
#include "step/canon.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/error.h"

namespace ibid::step {
namespace {

constexpr int64_t kMaxExactInteger = (int64_t{1} << 53) - 1;

// Splits to_chars' shortest scientific form "d.ddde[+-]xx" into digits and exponent and lays them out by ECMA-262,
// Number::toString: plain digits from 1e-6 up to (not including) 1e21, an exponent outside.
std::string ecmascript_form(std::string_view scientific) {
  std::string out;
  if (scientific.front() == '-') { out += '-'; scientific.remove_prefix(1); }
  size_t e = scientific.find('e');
  std::string digits(1, scientific[0]);
  if (e > 2) digits += scientific.substr(2, e - 2);
  int exponent = 0;
  size_t from = e + 1 + (scientific[e + 1] == '+');
  std::from_chars(scientific.data() + from, scientific.data() + scientific.size(), exponent);

  const int count = static_cast<int>(digits.size());   // k of the standard
  const int point = exponent + 1;                      // n of the standard: the value is 0.digits * 10^point
  if (point > 21 || point <= -6) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    return out.append(exponent < 0 ? "e-" : "e+").append(std::to_string(std::abs(exponent)));
  }
  if (point <= 0) return out.append("0.").append(static_cast<size_t>(-point), '0').append(digits);
  if (count <= point) return out.append(digits).append(static_cast<size_t>(point - count), '0');
  const auto whole = static_cast<size_t>(point);
  return out.append(digits, 0, whole).append(".").append(digits, whole);
}

template <typename Float>
std::string number_text(Float value) {
  IBID_CHECK(std::isfinite(value));
  if (value == 0) return "0";                          // minus zero too, as ECMAScript prints it
  char buffer[64];
  auto [end, err] = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  IBID_CHECK(err == std::errc());
  return ecmascript_form(std::string_view(buffer, static_cast<size_t>(end - buffer)));
}

std::string canonical_lexeme(const Json& number) {
  const std::string& lexeme = number.lexeme();
  if (lexeme.find_first_of(".eE") == std::string::npos) {
    int64_t v = 0;
    auto [end, err] = std::from_chars(lexeme.data(), lexeme.data() + lexeme.size(), v);
    if (err != std::errc() || end != lexeme.data() + lexeme.size() || v > kMaxExactInteger || v < -kMaxExactInteger)
      throw Error(ErrorKind::bad_data, "", "the integer " + lexeme + " is beyond 2^53 - 1, which canonical JSON cannot carry",
                  "write it as a string");
  }
  return canonical_number(number.as_double());
}

void append_canonical(std::string& out, const Json& value) {
  if (value.is_string()) return append_json_string(out, value.as_string());
  if (value.is_number()) { out += canonical_lexeme(value); return; }
  if (value.is_array()) {
    char separator = '[';
    for (const Json& item : value.items()) {
      out += separator;
      separator = ',';
      append_canonical(out, item);
    }
    out += separator == '[' ? "[]" : "]";
    return;
  }
  if (!value.is_object()) { out += value.dump(); return; }   // null, true, false

  std::vector<const Json::Member*> sorted;
  for (const Json::Member& member : value.members()) sorted.push_back(&member);
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return utf16_less(a->first, b->first); });
  char separator = '{';
  for (const Json::Member* member : sorted) {
    out += separator;
    separator = ',';
    append_json_string(out, member->first);
    out += ':';
    append_canonical(out, member->second);
  }
  out += separator == '{' ? "{}" : "}";
}

}  // namespace

std::string canonical(const Json& value) {
  std::string out;
  append_canonical(out, value);
  return out;
}

std::string canonical_number(double value) { return number_text(value); }
std::string canonical_number(float value) { return number_text(value); }

bool utf16_less(std::string_view a, std::string_view b) {
  auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (x == a.end() || y == b.end()) return x == a.end() && y != b.end();
  const auto p = static_cast<unsigned char>(*x), q = static_cast<unsigned char>(*y);
  // UTF-8 orders by code point, and so does UTF-16 but for one thing: surrogates (lead bytes F0..F4) sort before U+E000..U+FFFF
  // (lead bytes EE and EF).
  const bool p_astral = p >= 0xF0, q_astral = q >= 0xF0;
  if (p_astral != q_astral && std::min(p, q) >= 0xEE) return p_astral;
  return p < q;
}

}  // namespace ibid::step
