// Filters that make text or numbers of one value. Declared in template_builtins.h.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/template_builtins.h"
#include "runtime/template_eval.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {
namespace {

// What Jinja2 calls soft_str: a string as it is, anything else as str() has it.
Value soft(Interpreter& in, const Value& v) {
  use_if_strict(v);
  if (!v.is(Kind::string)) return Value(str(v, in.budget()));
  in.budget().room(v.text().size());
  return v;
}

template <std::string (*Convert)(std::string_view)>
Value case_filter(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("the filter", {}, 0);
  Value s = soft(in, v);
  in.budget().room(s.text().size() * 3);
  return same_safety(s, Convert(s.text()));
}

// Jinja2's title is not str.title: words begin after white space, '-' and opening brackets only.
Value title(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("title", {}, 0);
  Value s = soft(in, v);
  in.budget().room(s.text().size() * 3);
  std::string out, word;
  auto flush = [&] {
    if (word.empty()) return;
    size_t first = text::byte_offset(word, 1);
    out += text::upper(word.substr(0, first)) + text::lower(word.substr(first));
    word.clear();
  };
  const std::string& source = s.text();
  for (size_t at = 0; at < source.size();) {
    size_t start = at;
    char32_t c = text::next(source, at);
    bool breaks = text::is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    if (breaks) flush();
    (breaks ? out : word).append(source, start, at - start);
  }
  flush();
  return Value(std::move(out));
}

Value trim(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("trim", {"chars"}, 0);
  Value s = soft(in, v);
  if (p[0].is(Kind::missing) || p[0].is(Kind::none)) return same_safety(s, std::string(text::strip_right(text::strip_left(s.text()))));
  const std::string& set = text_of(p[0], "trim");
  in.budget().spend(static_cast<int64_t>(set.size()));
  return same_safety(s, std::string(text::strip_right(text::strip_left(s.text(), set), set)));
}

Value string(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("string", {}, 0);
  return soft(in, v);
}

Value safe(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("safe", {}, 0);
  return Value(str(v, in.budget()), true);
}

Value escape(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("escape", {}, 0);
  return v.safe() ? v : Value(escape_html(str(v, in.budget()), in.budget()), true);
}

Value replace(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("replace", {"old", "new", "count"}, 2);
  int64_t count = p[2].is(Kind::missing) || p[2].is(Kind::none) ? -1 : integer_of(p[2], "replace");
  return Value(replace_all(str(v, in.budget()), str(p[0], in.budget()), str(p[1], in.budget()), count, in.budget()));
}

Value default_value(Interpreter&, const Value& v, const Arguments& a) {
  Values p = a.bind("default", {"default_value", "boolean"}, 0);
  if (v.is(Kind::undefined) || (truth_or(p[1], false) && !truth(v))) return p[0].is(Kind::missing) ? Value("") : p[0];
  return v;
}

// Indents all lines but the first; `width` may be the indentation itself.
Value indent(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("indent", {"width", "first", "blank"}, 0);
  use(v);
  std::string width;
  if (p[0].is(Kind::string)) {
    in.budget().room(p[0].text().size());
    width = p[0].text();
  } else {
    int64_t spaces = std::max<int64_t>(integer_or(p[0], 4, "indent"), 0);
    in.budget().room(static_cast<uint64_t>(spaces));
    width = std::string(static_cast<size_t>(spaces), ' ');
  }
  bool first = truth_or(p[1], false), blank = truth_or(p[2], false);
  const std::string& s = text_of(v, "indent");
  in.budget().room(s.size());
  const std::string ended = s + "\n";                    // so that a line end at the very end leaves an empty last line
  std::string out;
  bool is_first = true;
  for (std::string_view line : text::lines(ended, false)) {
    if (!is_first) out += '\n';
    if (is_first ? first : (blank || !line.empty())) out += width;
    is_first = false;
    out += line;
    in.budget().check_size(out.size());
  }
  in.budget().room(out.size());
  return same_safety(v, std::move(out));
}

Value tojson(Interpreter& in, const Value& v, const Arguments& a) { return Value(to_json(v, a, in.budget())); }

// printf-style: the value is the format.
Value format(Interpreter& in, const Value& v, const Arguments& a) {
  if (!a.named.empty() && !a.positional.empty()) fault("can't handle positional and keyword arguments at the same time");
  Value values = Value::tuple(a.positional);
  if (!a.named.empty()) {
    auto dict = std::make_shared<Dict>();
    for (const auto& [name, value] : a.named) dict->set(Value(name), value, in.budget());
    values = make_dict(std::move(dict));
  }
  Value s = soft(in, v);
  return same_safety(s, percent_format(s, values, in.budget()));
}

Value center(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("center", {"width"}, 0);
  Value s = soft(in, v);
  int64_t missing = std::max<int64_t>(integer_or(p[0], 80, "center"), 0) - text::length(s.text());
  if (missing <= 0) return s;
  in.budget().room(static_cast<uint64_t>(missing) + s.text().size());
  int64_t left = missing / 2 + (missing & (missing + text::length(s.text())) & 1);         // CPython's rounding
  return same_safety(s, std::string(static_cast<size_t>(left), ' ') + s.text() + std::string(static_cast<size_t>(missing - left), ' '));
}

Value wordcount(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("wordcount", {}, 0);
  std::string s = str(v, in.budget());
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < s.size();) {
    char32_t c = text::next(s, at);
    bool is_word = c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c >= 0x80) fault("wordcount of text beyond ASCII is not supported");
    words += is_word && !inside;
    inside = is_word;
  }
  return Value(words);
}

Value truncate(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("truncate", {"length", "killwords", "end", "leeway"}, 0);
  const std::string& s = text_of(v, "truncate");
  if (p[2].is(Kind::missing)) p[2] = Value("...");
  const std::string& end = text_of(p[2], "truncate");
  in.budget().room(end.size());
  int64_t limit = integer_or(p[0], 255, "truncate"), leeway = integer_or(p[3], 5, "truncate");
  if (limit < text::length(end))
    fault("truncate: expected length >= " + std::to_string(text::length(end)) + ", got " + std::to_string(limit));
  if (leeway < 0) fault("truncate: expected leeway >= 0, got " + std::to_string(leeway));
  in.budget().room(s.size());
  if (text::length(s) - leeway <= limit) return v;
  std::string cut = s.substr(0, text::byte_offset(s, limit - text::length(end)));
  if (!truth_or(p[1], false)) cut = cut.substr(0, std::min(cut.rfind(' '), cut.size()));
  return same_safety(v, cut + end);
}

// --- numbers -----------------------------------------------------------------------------------

// What Python's int() and float() see of a text: white space beyond ASCII as ' ', decimal digits of all scripts as '0' to '9', anything
// else beyond ASCII as what fits no number. Without C's white space at the ends and without a '+', which from_chars does not take.
std::string as_numeral(std::string_view s) {
  std::string out;
  for (size_t at = 0; at < s.size();) {
    const char32_t c = text::next(s, at);
    const int digit = c < 0x80 ? -1 : text::decimal(c);
    out += c < 0x80 ? static_cast<char>(c) : text::is_space(c) ? ' ' : digit >= 0 ? static_cast<char>('0' + digit) : '?';
  }
  const char* const white = " \t\n\v\f\r";
  out.erase(0, std::min(out.find_first_not_of(white), out.size()));
  out.erase(out.find_last_not_of(white) + 1);
  if (out[0] == '+' && out[1] != '-') out.erase(0, 1);
  return out;
}

// Takes each '_' out; false unless all stand between two characters that `joined` accepts.
template <class Joined>
bool without_underscores(std::string& s, Joined joined) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '_') out += s[i];
    else if (i == 0 || !joined(s[i - 1]) || i + 1 == s.size() || !joined(s[i + 1])) return false;
  }
  s = std::move(out);
  return true;
}

bool parse_float(std::string_view s, double& v) {
  std::string plain = as_numeral(s);
  if (!without_underscores(plain, [](char c) { return c >= '0' && c <= '9'; })) return false;
  if (plain.find_first_of("xXpP(") != std::string::npos) return false;
  auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), v);
  if (end != plain.data() + plain.size()) return false;
  if (error == std::errc::result_out_of_range) fault("number out of range: " + plain);
  return error == std::errc();
}

bool parse_int(std::string_view s, int base, int64_t& v) {
  std::string plain = as_numeral(s), digits = plain;
  const bool negative = digits[0] == '-';
  if (negative) digits.erase(0, 1);
  const char* prefix = base == 16 ? "xX" : base == 8 ? "oO" : base == 2 ? "bB" : "";
  const bool prefixed = *prefix && digits[0] == '0' && (digits[1] == prefix[0] || digits[1] == prefix[1]);
  if (prefixed) digits.erase(0, digits[2] == '_' ? 3 : 2);
  if (!without_underscores(digits, [](char c) { return c != '_'; })) return false;      // from_chars sees whether they are digits
  if (digits.empty() || digits[0] == '-') return false;
  if (negative) digits.insert(0, "-");
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), v, base);
  if (end != digits.data() + digits.size()) return false;
  if (error == std::errc::result_out_of_range) {
    std::erase(plain, '_');
    fault("the integer " + plain + " does not fit in 64 bits");
  }
  return error == std::errc();
}

Value truncated(double v) {
  if (!(std::abs(v) < 9.2e18)) fault("cannot convert float " + float_repr(v) + " to a 64-bit integer");
  return Value(static_cast<int64_t>(v));
}

Value to_int(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("int", {"default", "base"}, 0);
  use(v);
  int64_t base = integer_or(p[1], 10, "int");
  if (base < 2 || base > 36) fault("int() base must be between 2 and 36");
  Value otherwise = p[0].is(Kind::missing) ? Value(int64_t{0}) : p[0];
  if (v.is_integral()) return Value(v.integer());
  if (v.is(Kind::real)) return std::isnan(v.real()) ? otherwise : truncated(v.real());
  if (!v.is(Kind::string)) return otherwise;
  in.budget().room(v.text().size());
  int64_t whole = 0;
  double real = 0;
  if (parse_int(v.text(), static_cast<int>(base), whole)) return Value(whole);
  return parse_float(v.text(), real) && std::isfinite(real) ? truncated(real) : otherwise;
}

Value to_float(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("float", {"default"}, 0);
  use(v);
  if (v.is_number()) return Value(v.real());
  double real = 0;
  if (v.is(Kind::string)) in.budget().room(v.text().size());
  if (v.is(Kind::string) && parse_float(v.text(), real)) return Value(real);
  return p[0].is(Kind::missing) ? Value(0.0) : p[0];
}

Value absolute(Interpreter&, const Value& v, const Arguments& a) {
  a.bind("abs", {}, 0);
  use(v);
  if (!v.is_number()) fault(std::string("bad operand type for abs(): '") + type_name(v) + "'");
  if (v.is(Kind::real)) return Value(std::abs(v.real()));
  return v.integer() < 0 ? negate(v) : Value(v.integer());
}

Value round(Interpreter&, const Value& v, const Arguments& a) {
  Values p = a.bind("round", {"precision", "method"}, 0);
  int64_t digits = integer_or(p[0], 0, "round");
  if (p[1].is(Kind::missing)) p[1] = Value("common");
  const std::string& method = text_of(p[1], "round");
  use(v);
  if (!v.is_number()) fault(std::string("round needs a number, not ") + type_name(v));
  if (method == "common") return v.is_integral() && digits >= 0 ? Value(v.integer()) : Value(round_half_even(v.real(), digits));
  if (method != "ceil" && method != "floor") fault("method must be common, ceil or floor");
  if (digits < 0 || digits > 15) fault("round to floor or ceil supports a precision of 0 to 15");
  if (v.is_integral()) return Value(v.real());
  double power = 1;
  for (int64_t i = 0; i < digits; ++i) power *= 10;      // exact up to 10^15
  const double scaled = v.real() * power;
  if (!std::isfinite(scaled)) fault("cannot convert float " + float_repr(scaled) + " to integer");
  const double whole = (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) + 0.0;      // an integer in Python, which has no -0
  return Value(whole / power);
}

}  // namespace

FilterFunction find_text_filter(std::string_view name) {
  static constexpr Named<FilterFunction> table[] = {
      {"abs", absolute}, {"capitalize", case_filter<text::capitalize>}, {"center", center}, {"d", default_value},
      {"default", default_value}, {"e", escape}, {"escape", escape}, {"float", to_float}, {"format", format}, {"indent", indent},
      {"int", to_int}, {"lower", case_filter<text::lower>}, {"replace", replace}, {"round", round}, {"safe", safe}, {"string", string},
      {"title", title}, {"tojson", tojson}, {"trim", trim}, {"truncate", truncate}, {"upper", case_filter<text::upper>},
      {"wordcount", wordcount}};
  return look_up(table, name);
}

}  // namespace ibid::runtime
