// '%s' % x, '{}'.format(x) and round(), all without locale. Declared in template_builtins.h.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/error.h"
#include "runtime/template_builtins.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {
namespace {

constexpr int64_t kMaxWidth = 100000;
constexpr int64_t kMaxPrecision = 400;

// What stands between '%' or ':' and the letter.
struct Spec {
  std::string fill;                    // empty: by zeros
  char align = 0;                      // '<' '>' '^' '=', 0: by type
  char sign = 0;                       // '+' ' ' '-', 0: not given, as '-'
  bool alternate = false, zeros = false, commas = false;
  int64_t width = 0, precision = -1;
  char type = 0;
};

void refuse_alternate(bool alternate) { if (alternate) fault("the '#' flag is not supported for floats"); }

// Exact decimal digits, correctly rounded, in the form of %f, %e or %g.
std::string real_digits(double v, char type, int64_t precision, bool alternate) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  if (precision < 0) precision = 6;
  if (type == 'g' && precision == 0) precision = 1;
  char buffer[1024];
  std::chars_format form = type == 'f' ? std::chars_format::fixed
                         : type == 'e' ? std::chars_format::scientific : std::chars_format::general;
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, v, form, static_cast<int>(precision));
  IBID_CHECK(error == std::errc());
  std::string out(buffer, end);
  refuse_alternate(alternate);
  return out;
}

std::string unsigned_digits(uint64_t v, int base) {
  char buffer[72];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, v, base);
  IBID_CHECK(error == std::errc());
  return std::string(buffer, end);
}

std::string integer_digits(int64_t v, const Spec& spec) {
  uint64_t size = v < 0 ? uint64_t{0} - static_cast<uint64_t>(v) : static_cast<uint64_t>(v);
  char type = spec.type == 'X' ? 'x' : spec.type;
  int base = type == 'x' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  std::string digits = unsigned_digits(size, base);
  std::string prefix = spec.alternate && base != 10 ? std::string("0") + type : "";
  std::string out = (v < 0 ? "-" : "") + prefix + digits;
  return spec.type == 'X' ? text::upper(out) : out;
}

// Where zeros go into a number: behind its sign and radix prefix.
size_t lead_of(const std::string& number, const Spec& spec) {
  const size_t sign = number[0] == '-' || number[0] == '+' || number[0] == ' ' ? 1 : 0;
  const bool prefix = spec.alternate && number[sign] == '0' && number[sign + 1] >= 'A';      // a letter
  return sign + (prefix ? 2 : 0);
}

// Commas in the whole part, which begins at `lead`. Zeros that fill the number to `width` are grouped with it, so it may get longer by one.
std::string grouped_by_commas(const std::string& number, size_t lead, int64_t width) {
  const size_t end = std::min(number.find_first_not_of("0123456789", lead), number.size());
  if (end == lead) return number;                        // inf and nan
  const auto others = static_cast<int64_t>(number.size() - (end - lead));
  auto count = static_cast<int64_t>(end - lead);
  while (others + count + (count - 1) / 3 < width) ++count;
  const std::string digits = std::string(static_cast<size_t>(count) - (end - lead), '0') + number.substr(lead, end - lead);
  std::string out = number.substr(0, lead);
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out + number.substr(end);
}

// Sign, grouping and filling of a number; filling of a text.
std::string laid_out(std::string digits, const Spec& spec, bool numeric, Budget& budget) {
  if (numeric && (spec.sign == '+' || spec.sign == ' ') && digits[0] != '-') digits.insert(0, 1, spec.sign);
  const std::string fill = !spec.fill.empty() ? spec.fill : spec.zeros ? "0" : " ";
  const char align = spec.align ? spec.align : !numeric ? '<' : spec.zeros ? '=' : '>';
  if (numeric && spec.commas) digits = grouped_by_commas(digits, lead_of(digits, spec), align == '=' && fill == "0" ? spec.width : 0);
  int64_t missing = spec.width - text::length(digits);
  if (missing <= 0) return digits;
  budget.room(static_cast<uint64_t>(missing) * 4 + digits.size());
  auto repeat = [&](int64_t n) { std::string s; for (int64_t i = 0; i < n; ++i) s += fill; return s; };
  if (align == '=') {
    const size_t lead = lead_of(digits, spec);
    return digits.substr(0, lead) + repeat(missing) + digits.substr(lead);
  }
  if (align == '<') return digits + repeat(missing);
  if (align == '^') return repeat(missing / 2) + digits + repeat(missing - missing / 2);
  return repeat(missing) + digits;
}

std::string format_real(double v, const Spec& spec) {
  char type = static_cast<char>(spec.type >= 'A' && spec.type <= 'Z' ? spec.type - 'A' + 'a' : spec.type);
  std::string out = real_digits(type == '%' ? v * 100 : v, type == '%' ? 'f' : type, spec.precision, spec.alternate);
  if (type == '%') out += '%';
  return type == spec.type ? out : text::upper(out);
}

int64_t number_in(std::string_view s, size_t& at, int64_t limit, const char* what) {
  int64_t v = 0;
  while (at < s.size() && s[at] >= '0' && s[at] <= '9') {
    v = v * 10 + (s[at++] - '0');
    if (v > limit) fault(std::string(what) + " of a format is larger than " + std::to_string(limit));
  }
  return v;
}

std::string first_characters(std::string s, int64_t precision) {
  return precision < 0 ? s : s.substr(0, text::byte_offset(s, precision));
}

// --- '%' ---------------------------------------------------------------------------------------

class PercentFormatter {
 public:
  PercentFormatter(const Value& format, const Value& values, Budget& budget)
      : format_(format.text()), safe_(format.safe()), values_(values), budget_(budget) {}

  std::string run() {
    budget_.room(format_.size());
    for (size_t at = 0; at < format_.size();) {
      size_t percent = std::min(format_.find('%', at), format_.size());
      out_.append(format_, at, percent - at);
      at = percent;
      if (at < format_.size()) directive(++at);
      budget_.spend(1);
      budget_.check_size(out_.size());
    }
    bool one_for_all = values_.is(Kind::dict) || (!values_.is(Kind::tuple) && taken_ > 0);
    if (!one_for_all && taken_ < (values_.is(Kind::tuple) ? values_.items().size() : 1))
      fault("not all arguments converted during string formatting");
    budget_.room(out_.size());
    return std::move(out_);
  }

 private:
  const Value& next_value() {
    if (!key_.is(Kind::missing)) return key_;
    size_t have = values_.is(Kind::tuple) ? values_.items().size() : 1;
    if (taken_ >= have) fault("not enough arguments for format string");
    ++taken_;
    return values_.is(Kind::tuple) ? values_.items()[taken_ - 1] : values_;
  }

  void named(size_t& at) {
    key_ = Value::missing();
    if (at >= format_.size() || format_[at] != '(') return;
    size_t close = format_.find(')', at);
    if (close == std::string::npos) fault("incomplete format key");
    if (!values_.is(Kind::dict)) fault("format requires a mapping");
    std::string name = format_.substr(at + 1, close - at - 1);
    const Value* found = values_.as<Dict>().find(std::string_view(name));
    if (!found) fault("the format's key '" + name + "' is missing");
    key_ = *found;
    at = close + 1;
  }

  void directive(size_t& at) {
    Spec spec;
    named(at);
    for (; at < format_.size(); ++at) {
      char c = format_[at];
      if (c == '-') spec.align = '<';
      else if (c == '+') spec.sign = '+';
      else if (c == ' ') { if (!spec.sign) spec.sign = ' '; }
      else if (c == '#') spec.alternate = true;
      else if (c == '0') spec.zeros = true;
      else break;
    }
    if (spec.align) spec.zeros = false;
    if (at < format_.size() && format_[at] == '*') fault("'*' in a format is not supported");
    spec.width = number_in(format_, at, kMaxWidth, "width");
    if (at < format_.size() && format_[at] == '.') spec.precision = number_in(format_, ++at, kMaxPrecision, "precision");
    if (at >= format_.size()) fault("incomplete format");
    spec.type = format_[at++];
    out_ += conversion(spec);
  }

  std::string conversion(Spec& spec) {
    if (spec.type == '%') return "%";
    if (spec.type == 's' || spec.type == 'r') {
      const Value& v = next_value();
      std::string s = spec.type == 's' ? str(v, budget_) : repr(v, budget_);
      if (safe_ && !v.safe()) s = escape_html(s, budget_);
      spec.zeros = false;
      if (!spec.align) spec.align = '>';
      return laid_out(first_characters(std::move(s), spec.precision), spec, false, budget_);
    }
    if (std::string_view("diuxXo").find(spec.type) != std::string_view::npos) return integer(spec);
    if (std::string_view("feEgG").find(spec.type) == std::string_view::npos)
      fault(std::string("unsupported format character '") + spec.type + "'");
    const Value& v = next_value();
    use(v);
    if (!v.is_number()) fault(std::string("must be real number, not ") + type_name(v));
    return laid_out(format_real(v.real(), spec), spec, true, budget_);
  }

  std::string integer(const Spec& spec) {
    const Value& v = next_value();
    use(v);
    bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (!v.is_integral() && !(decimal && v.is(Kind::real)))
      fault(std::string("%") + spec.type + " format: " + (decimal ? "a real number" : "an integer") + " is required, not " + type_name(v));
    if (v.is(Kind::real) && !(std::abs(v.real()) < 9.2e18)) fault("cannot convert float " + float_repr(v.real()) + " to a 64-bit integer");
    if (spec.precision >= 0) fault("a precision for integers is not supported");
    return laid_out(integer_digits(v.is(Kind::real) ? static_cast<int64_t>(v.real()) : v.integer(), spec), spec, true, budget_);
  }

  const std::string& format_;
  bool safe_;
  const Value& values_;
  Budget& budget_;
  std::string out_;
  Value key_ = Value::missing();
  size_t taken_ = 0;
};

// --- '{}' --------------------------------------------------------------------------------------

Spec brace_spec(std::string_view s) {
  Spec spec;
  size_t at = 0;
  auto is_align = [&](size_t i) { return i < s.size() && std::string_view("<>^=").find(s[i]) != std::string_view::npos; };
  size_t after = 0;
  if (!s.empty()) text::next(s, after);
  if (after > 0 && is_align(after)) { spec.fill = s.substr(0, after); spec.align = s[after]; at = after + 1; }
  else if (is_align(0)) { spec.align = s[0]; at = 1; }
  if (at < s.size() && (s[at] == '+' || s[at] == '-' || s[at] == ' ')) spec.sign = s[at++];
  if (at < s.size() && s[at] == '#') { spec.alternate = true; ++at; }
  if (at < s.size() && s[at] == '0') { spec.zeros = true; ++at; }                  // with a fill character a digit of the width
  spec.width = number_in(s, at, kMaxWidth, "width");
  if (at < s.size() && s[at] == ',') { spec.commas = true; ++at; }
  if (at < s.size() && s[at] == '.') {
    ++at;
    if (at >= s.size() || s[at] < '0' || s[at] > '9') fault("format specifier missing precision");
    spec.precision = number_in(s, at, kMaxPrecision, "precision");
  }
  if (at < s.size()) spec.type = s[at++];
  if (at != s.size()) fault("format specifier '" + std::string(s) + "' is not supported");
  return spec;
}

std::string brace_value(const Value& v, std::string_view spec_text, Budget& budget) {
  if (spec_text.empty()) return str(v, budget);
  use(v);
  Spec spec = brace_spec(spec_text);
  auto unknown = [&] { fault(std::string("format code '") + spec.type + "' is not supported for a value of type " + type_name(v)); };
  if (v.is(Kind::string)) {
    if (spec.type && spec.type != 's') unknown();
    if (spec.commas || spec.sign || spec.alternate || spec.align == '=') fault("this format specifier does not apply to a string");
    return laid_out(first_characters(v.text(), spec.precision), spec, false, budget);
  }
  if (!v.is_number()) fault(std::string("unsupported format string passed to ") + type_name(v) + ".__format__");
  if (v.is(Kind::boolean) && !spec.type) fault("a format specifier for a bool needs a type letter");
  bool real_type = spec.type && std::string_view("feEgG%").find(spec.type) != std::string_view::npos;
  if (real_type) return laid_out(format_real(v.real(), spec), spec, true, budget);
  if (v.is(Kind::real)) {
    if (spec.type || spec.precision >= 0) { if (spec.type) unknown(); else fault("a precision needs one of the letters f, e, g or %"); }
    refuse_alternate(spec.alternate);
    return laid_out(float_repr(v.real()), spec, true, budget);
  }
  if (spec.type && std::string_view("dxXob").find(spec.type) == std::string_view::npos) unknown();
  if (spec.precision >= 0) fault("precision not allowed in integer format specifier");
  if (spec.commas && spec.type && spec.type != 'd') fault(std::string("Cannot specify ',' with '") + spec.type + "'.");
  return laid_out(integer_digits(v.integer(), spec), spec, true, budget);
}

class BraceFormatter {
 public:
  BraceFormatter(const Value& format, const Arguments& arguments, Budget& budget)
      : format_(format), arguments_(arguments), budget_(budget) {}

  std::string run() {
    const std::string& s = format_.text();
    budget_.room(s.size());
    for (size_t at = 0; at < s.size();) {
      budget_.spend(1);
      budget_.check_size(out_.size());
      size_t brace = std::min(s.find_first_of("{}", at), s.size());
      out_.append(s, at, brace - at);
      at = brace;
      if (at < s.size()) at = braced(s, at);
    }
    budget_.room(out_.size());
    return std::move(out_);
  }

 private:
  // A doubled brace or a replacement field; the position after it.
  size_t braced(const std::string& s, size_t at) {
    char c = s[at];
    if (at + 1 < s.size() && s[at + 1] == c) { out_ += c; return at + 2; }
    if (c == '}') fault("Single '}' encountered in format string");
    size_t close = s.find('}', at);
    if (close == std::string::npos) fault("Single '{' encountered in format string");
    field(std::string_view(s).substr(at + 1, close - at - 1));
    return close + 1;
  }

  void field(std::string_view field) {
    if (field.find('{') != std::string_view::npos) fault("a replacement field inside another is not supported");
    size_t colon = field.find(':');
    std::string_view name = field.substr(0, colon), spec = colon == std::string_view::npos ? "" : field.substr(colon + 1);
    std::string_view conversion = name.size() >= 2 ? name.substr(name.size() - 2) : "";
    if (conversion == "!r" || conversion == "!s") name.remove_suffix(2);
    const Value& argument = named(name);
    const Value value = conversion == "!r" ? Value(repr(argument, budget_)) : conversion == "!s" ? Value(str(argument, budget_)) : argument;
    if (format_.safe() && value.safe() && !spec.empty()) fault("Unsupported format specification for Markup.");
    std::string piece = brace_value(value, spec, budget_);
    out_ += format_.safe() && !value.safe() ? escape_html(piece, budget_) : piece;
  }

  const Value& named(std::string_view name) {
    auto unsupported = [&] { fault("the replacement field '" + std::string(name) + "' is not supported"); };
    if (name.find_first_of(".[!") != std::string_view::npos) unsupported();
    if (!name.empty() && (name[0] < '0' || name[0] > '9')) {
      budget_.spend(static_cast<int64_t>(arguments_.named.size() / 16));
      for (const auto& [key, v] : arguments_.named)
        if (key == name) return v;
      fault("the replacement field '" + std::string(name) + "' is missing");
    }
    if (name.empty() ? manual_ : automatic_ > 0) fault("cannot switch between manual and automatic field numbering");
    manual_ = !name.empty();
    size_t digits = 0;
    int64_t index = name.empty() ? automatic_++ : number_in(name, digits, kMaxWidth, "index");
    if (digits != name.size()) unsupported();
    if (index >= static_cast<int64_t>(arguments_.positional.size()))
      fault("Replacement index " + std::to_string(index) + " out of range for positional args tuple");
    return arguments_.positional[static_cast<size_t>(index)];
  }

  const Value& format_;
  const Arguments& arguments_;
  Budget& budget_;
  std::string out_;
  int64_t automatic_ = 0;              // fields numbered so far
  bool manual_ = false;
};

}  // namespace

std::string percent_format(const Value& format, const Value& values, Budget& budget) {
  return PercentFormatter(format, values, budget).run();
}

std::string brace_format(const Value& format, const Arguments& arguments, Budget& budget) {
  return BraceFormatter(format, arguments, budget).run();
}

// Decimal rounding of the exact binary value, ties to even, as CPython does it: through digits.
double round_half_even(double v, int64_t digits) {
  if (!std::isfinite(v) || digits > 323) return v;         // as CPython: no double has more decimals to round to
  if (digits < 0) fault("round to a negative precision is not supported");
  std::string text = real_digits(v, 'f', digits, false);
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace ibid::runtime
