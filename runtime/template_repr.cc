// How values of the template language look as text: Python's str() and repr(). Declared in template_value.h.
#include <charconv>
#include <cmath>

#include "runtime/error.h"
#include "runtime/template_unicode.h"
#include "runtime/template_value.h"

namespace ibid::runtime {
namespace {

constexpr int kMaxPrintDepth = kMaxNesting + 50;       // a namespace may hold itself

void append_escaped(std::string& out, char32_t c) {
  static const char* const hex = "0123456789abcdef";
  int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += hex[(c >> shift) & 15];
}

class Printer {
 public:
  Printer(std::string& out, Budget& budget) : out_(out), budget_(budget) {}

  void print(const Value& v, int depth) {
    if (depth > kMaxPrintDepth) fault("values nested too deep to print");
    budget_.spend(1);
    switch (v.kind()) {
      case Kind::missing: case Kind::undefined: use_if_strict(v); out_ += "Undefined"; break;
      case Kind::none: out_ += "None"; break;
      case Kind::boolean: out_ += v.boolean() ? "True" : "False"; break;
      case Kind::integer: out_ += std::to_string(v.integer()); break;
      case Kind::real: out_ += float_repr(v.real()); break;
      case Kind::string: print_text(v); break;
      case Kind::list: print_items("[", v.items(), "]", depth); break;
      case Kind::tuple: print_items("(", v.items(), v.items().size() == 1 ? ",)" : ")", depth); break;
      case Kind::view: print_view(v.as<List>(), depth); break;
      case Kind::dict: print_dict(v.as<Dict>(), depth); break;
      case Kind::name_space: print_namespace(v.as<Namespace>(), depth); break;
      case Kind::generator: fault("a generator has no text of its own (use |list or |join)");
      case Kind::loop: fault("the loop has no text of its own");
      case Kind::function: fault("a function has no text of its own (it is not called)");
    }
    budget_.room(out_.size() - charged_);
    charged_ = out_.size();
    budget_.check_size(out_.size());
  }

 private:
  void print_text(const Value& v) {
    if (v.safe()) out_ += "Markup(";
    append_repr(out_, v.text());
    if (v.safe()) out_ += ')';
  }

  void print_items(const char* open, const Values& items, const char* close, int depth) {
    out_ += open;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) out_ += ", ";
      print(items[i], depth + 1);
    }
    out_ += close;
  }

  void print_view(const List& view, int depth) {
    if (view.python_type == "range") return print_range(view.range);
    out_ += view.python_type + "(";
    print_items("[", view.items, "]", depth);
    out_ += ')';
  }

  void print_range(const RangeBounds& r) {
    out_ += "range(" + std::to_string(r.start) + ", " + std::to_string(r.stop) + (r.step == 1 ? "" : ", " + std::to_string(r.step)) + ")";
  }

  void print_dict(const Dict& dict, int depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, value] : dict.members()) {
      if (!first) out_ += ", ";
      first = false;
      print(key, depth + 1);
      out_ += ": ";
      print(value, depth + 1);
    }
    out_ += '}';
  }

  void print_namespace(const Namespace& ns, int depth) {
    out_ += "<Namespace {";
    bool first = true;
    for (const auto& [name, value] : ns.attributes) {
      if (!first) out_ += ", ";
      first = false;
      append_repr(out_, name);
      out_ += ": ";
      print(value, depth + 1);
    }
    out_ += "}>";
  }

  std::string& out_;
  Budget& budget_;
  size_t charged_ = 0;
};

}  // namespace

// Single quotes unless only they occur inside; what is not printable is escaped.
void append_repr(std::string& out, std::string_view s) {
  char quote = s.find('\'') != std::string_view::npos && s.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < s.size();) {
    size_t start = at;
    char32_t c = text::next(s, at);
    if (c == static_cast<unsigned char>(quote) || c == '\\') { out += '\\'; out += static_cast<char>(c); }
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (!text::is_printable(c)) append_escaped(out, c);
    else out.append(s.substr(start, at - start));
  }
  out += quote;
}

// The shortest digits that read back the same, laid out as CPython does: exponent form below 1e-4 and from 1e16 on.
std::string float_repr(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  char buffer[40];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  IBID_CHECK(error == std::errc());
  std::string_view shortest(buffer, static_cast<size_t>(end - buffer));
  std::string sign = shortest[0] == '-' ? "-" : "";
  shortest.remove_prefix(sign.size());
  size_t e = shortest.find('e');
  int exponent = 0;
  std::string_view exponent_text = shortest.substr(e + (shortest[e + 1] == '+' ? 2 : 1));
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);
  int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    std::string mantissa = count == 1 ? digits : digits.substr(0, 1) + "." + digits.substr(1);
    int size = std::abs(exponent);
    return sign + mantissa + (exponent < 0 ? "e-" : "e+") + (size < 10 ? "0" : "") + std::to_string(size);
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return sign + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return sign + digits.substr(0, static_cast<size_t>(exponent + 1)) + "." + digits.substr(static_cast<size_t>(exponent + 1));
}

std::string repr(const Value& v, Budget& budget) {
  std::string out;
  Printer(out, budget).print(v, 0);
  return out;
}

std::string str(const Value& v, Budget& budget) {
  use_if_strict(v);
  if (v.is(Kind::undefined)) return "";
  if (v.is(Kind::string)) {
    budget.room(v.text().size());
    return v.text();
  }
  return repr(v, budget);
}

}  // namespace ibid::runtime
