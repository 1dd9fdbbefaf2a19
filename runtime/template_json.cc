// Between JSON and values: what the caller gives, and tojson (json.dumps with the options that transformers exposes).
// Declared in template_builtins.h.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/json.h"
#include "runtime/template_builtins.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {
namespace {

struct JsonStyle {
  bool ascii = false, sort_keys = false, indents = false;
  std::string indent, item_separator = ", ", key_separator = ": ";
};

void append_unit(std::string& out, unsigned unit) {
  static const char* const hex = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += hex[(unit >> shift) & 15];
}

// ensure_ascii: everything outside ' '..'~' as UTF-16 escapes.
void append_ascii(std::string& out, std::string_view s) {
  std::string quoted;
  append_json_string(quoted, s);
  for (size_t at = 0; at < quoted.size();) {
    char32_t c = text::next(quoted, at);
    if (c < 0x7F) { out += static_cast<char>(c); continue; }
    if (c >= 0x10000) {
      append_unit(out, 0xD800 + ((c - 0x10000) >> 10));
      c = 0xDC00 + ((c - 0x10000) & 0x3FF);
    }
    append_unit(out, c);
  }
}

class Dumper {
 public:
  Dumper(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  std::string run(const Value& v) {
    dump(v, 0);
    budget_.room(out_.size());
    return std::move(out_);
  }

 private:
  void dump(const Value& v, int depth) {
    budget_.spend(1);
    budget_.check_size(out_.size());
    use_if_strict(v);
    switch (v.kind()) {
      case Kind::none: out_ += "null"; break;
      case Kind::boolean: out_ += v.boolean() ? "true" : "false"; break;
      case Kind::integer: out_ += std::to_string(v.integer()); break;
      case Kind::real: number(v.real()); break;
      case Kind::string: string(v.text()); break;
      case Kind::list: case Kind::tuple: array(v.items(), depth); break;
      case Kind::dict: object(v.as<Dict>(), depth); break;
      default: fault(std::string("Object of type ") + type_name(v) + " is not JSON serializable");
    }
  }

  void number(double v) {
    if (std::isfinite(v)) out_ += float_repr(v);
    else out_ += std::isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity";
  }

  void string(std::string_view s) {
    if (style_.ascii) append_ascii(out_, s);
    else append_json_string(out_, s);
  }

  void new_line(int depth) {
    if (!style_.indents) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  void array(const Values& items, int depth) {
    if (items.empty()) { out_ += "[]"; return; }
    out_ += '[';
    bool first = true;
    for (const Value& item : items) {
      if (!first) out_ += style_.item_separator;
      first = false;
      new_line(depth + 1);
      dump(item, depth + 1);
    }
    new_line(depth);
    out_ += ']';
  }

  void object(const Dict& dict, int depth) {
    if (dict.members().empty()) { out_ += "{}"; return; }
    std::vector<const Dict::Member*> members;
    for (const Dict::Member& m : dict.members()) members.push_back(&m);
    if (style_.sort_keys)
      std::stable_sort(members.begin(), members.end(), [&](auto* a, auto* b) { return compare(a->first, b->first, budget_, "<") < 0; });
    out_ += '{';
    bool first = true;
    for (const Dict::Member* m : members) {
      if (!first) out_ += style_.item_separator;
      first = false;
      new_line(depth + 1);
      key(m->first);
      out_ += style_.key_separator;
      dump(m->second, depth + 1);
    }
    new_line(depth);
    out_ += '}';
  }

  void key(const Value& v) {
    if (v.is(Kind::string)) return string(v.text());
    if (v.is(Kind::tuple)) fault("keys must be str, int, float, bool or None, not tuple");
    out_ += '"';
    dump(v, 0);
    out_ += '"';
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string out_;
};

// As Python's json.loads: a lexeme with a fraction or an exponent is a float.
Value number_value(const Json& json) {
  const std::string& lexeme = json.lexeme();
  if (lexeme.find_first_of(".eE") != std::string::npos) return Value(json.as_double());
  int64_t v = 0;
  auto [end, error] = std::from_chars(lexeme.data(), lexeme.data() + lexeme.size(), v);
  if (error != std::errc() || end != lexeme.data() + lexeme.size()) fault("the integer " + lexeme + " does not fit in 64 bits");
  return Value(v);
}

Value converted(const Json& json, Budget& budget, int depth) {
  if (depth > kMaxNesting) fault("values nested deeper than " + std::to_string(kMaxNesting) + " levels");
  budget.spend(1);
  if (json.is_null()) return Value();
  if (json.is_bool()) return Value(json.as_bool());
  if (json.is_number()) return number_value(json);
  if (json.is_string()) {
    budget.room(json.as_string().size());
    return Value(json.as_string());
  }
  if (json.is_array()) {
    Values items;
    items.reserve(json.items().size());
    for (const Json& item : json.items()) items.push_back(converted(item, budget, depth + 1));
    return Value::list(std::move(items));
  }
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, value] : json.members()) dict->set(Value(key), converted(value, budget, depth + 1), budget);
  return make_dict(std::move(dict));
}

}  // namespace

Value from_json(const Json& json, Budget& budget) { return converted(json, budget, 0); }

std::string to_json(const Value& v, const Arguments& arguments, Budget& budget) {
  Values p = arguments.bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ascii = truth_or(p[0], false);
  style.sort_keys = truth_or(p[3], false);
  if (!p[1].is(Kind::missing) && !p[1].is(Kind::none)) {
    style.indents = true;
    style.item_separator = ",";
    if (p[1].is(Kind::string)) {
      budget.room(p[1].text().size());
      style.indent = p[1].text();
    } else {
      int64_t spaces = std::max<int64_t>(integer_of(p[1], "tojson's indent"), 0);
      if (spaces > 1000) fault("tojson's indent is larger than 1000");
      style.indent = std::string(static_cast<size_t>(spaces), ' ');
    }
  }
  if (!p[2].is(Kind::missing) && !p[2].is(Kind::none)) {
    Values two = iterate(p[2], budget);
    if (two.size() != 2) fault("tojson's separators are a pair");
    budget.room(text_of(two[0], "tojson's separators").size() + text_of(two[1], "tojson's separators").size());
    style.item_separator = two[0].text();
    style.key_separator = two[1].text();
  }
  return Dumper(style, budget).run(v);
}

}  // namespace ibid::runtime
