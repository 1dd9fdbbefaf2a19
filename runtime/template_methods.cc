// Methods of str, list, tuple and dict. Declared in template_builtins.h.
#include <algorithm>

#include "runtime/template_builtins.h"
#include "runtime/template_eval.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {
namespace {

bool given(const Value& v) { return !v.is(Kind::missing) && !v.is(Kind::none); }

// --- str ---------------------------------------------------------------------------------------

template <std::string (*Convert)(std::string_view)>
Value converted(Interpreter& in, const Value& self, const Arguments& a) {
  a.bind("the method", {}, 0);
  in.budget().room(self.text().size() * 3);
  return same_safety(self, Convert(self.text()));
}

template <bool kLeft, bool kRight>
Value strip(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind("strip", {"chars"}, 0);
  std::string_view s = self.text();
  in.budget().room(s.size());
  if (given(p[0])) {
    const std::string& set = text_of(p[0], "strip()");
    in.budget().spend(static_cast<int64_t>(std::min(set.size(), size_t{64}) * s.size() / 64));
    if (set.size() > 64) fault("strip() of more than 64 bytes of characters is not supported");
    if (kLeft) s = text::strip_left(s, set);
    if (kRight) s = text::strip_right(s, set);
  } else {
    if (kLeft) s = text::strip_left(s);
    if (kRight) s = text::strip_right(s);
  }
  return same_safety(self, std::string(s));
}

// The pieces are charged one by one: a text of separators makes far more of them than it has steps.
Values split_words(const Value& self, int64_t limit, Budget& budget) {
  Values out;
  std::string_view s = text::strip_left(self.text());
  while (!s.empty()) {
    budget.spend(1);
    if (limit >= 0 && static_cast<int64_t>(out.size()) == limit) { out.push_back(same_safety(self, std::string(s))); break; }
    size_t end = 0;
    for (size_t at = 0; at < s.size();) {
      if (text::is_space(text::next(s, at))) break;
      end = at;
    }
    out.push_back(same_safety(self, std::string(s.substr(0, end))));
    s = text::strip_left(s.substr(end));
  }
  return out;
}

Values split_at(const Value& self, const std::string& separator, int64_t limit, Budget& budget) {
  if (separator.empty()) fault("empty separator");
  Values out;
  const std::string& s = self.text();
  size_t at = 0;
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    size_t found = separator.size() <= 16 ? s.find(separator, at) : text::find(s, separator, at);
    if (found == std::string::npos) break;
    budget.spend(1);
    out.push_back(same_safety(self, s.substr(at, found - at)));
    at = found + separator.size();
  }
  out.push_back(same_safety(self, s.substr(at)));
  return out;
}

Value split(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind("split", {"sep", "maxsplit"}, 0);
  int64_t limit = integer_or(p[1], -1, "split()");
  in.budget().room(self.text().size());
  return Value::list(given(p[0]) ? split_at(self, text_of(p[0], "split()"), limit, in.budget()) : split_words(self, limit, in.budget()));
}

// From the right: only a limit makes it differ.
Value rsplit(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind("rsplit", {"sep", "maxsplit"}, 0);
  int64_t limit = integer_or(p[1], -1, "rsplit()");
  if (!given(p[0])) {
    if (limit >= 0) fault("rsplit() with a limit needs a separator here");
    return split(in, self, Arguments{});
  }
  const std::string& separator = text_of(p[0], "rsplit()");
  if (separator.empty()) fault("empty separator");
  std::string_view s = self.text();
  in.budget().room(s.size());
  if (separator.size() > 16) fault("rsplit() with a separator of more than 16 bytes is not supported");
  Values out;
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    size_t found = s.rfind(separator);
    if (found == std::string_view::npos) break;
    in.budget().spend(1);
    out.push_back(same_safety(self, std::string(s.substr(found + separator.size()))));
    s = s.substr(0, found);
  }
  out.push_back(same_safety(self, std::string(s)));
  std::reverse(out.begin(), out.end());
  return Value::list(std::move(out));
}

Value splitlines(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind("splitlines", {"keepends"}, 0);
  in.budget().room(self.text().size());
  Values out;
  for (std::string_view line : text::lines(self.text(), integer_or(p[0], 0, "splitlines()") != 0)) {
    in.budget().spend(1);
    out.push_back(same_safety(self, std::string(line)));
  }
  return Value::list(std::move(out));
}

Value partition(Interpreter& in, const Value& self, const Arguments& a) {
  const Value separator = a.bind("partition", {"sep"}, 1)[0];
  in.budget().room(self.text().size());
  Values parts = split_at(self, text_of(separator, "partition()"), 1, in.budget());
  if (parts.size() == 1) return Value::tuple({parts[0], Value(""), Value("")});
  return Value::tuple({parts[0], Value(separator.text()), parts[1]});
}

Value replace(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind("replace", {"old", "new", "count"}, 2);
  const std::string& from = text_of(p[0], "replace()");
  const std::string& to = text_of(p[1], "replace()");
  std::string safe_to = self.safe() && !p[1].safe() ? escape_html(to, in.budget()) : to;
  return same_safety(self, replace_all(self.text(), from, safe_to, integer_or(p[2], -1, "replace()"), in.budget()));
}

// Whether start lies behind end, where Python finds not even an empty affix. REQUIRES: integers, none or missing.
bool bounds_cross(const Value& start, const Value& end, int64_t length) {
  auto from_left = [length](const Value& v, int64_t otherwise) {
    if (!given(v)) return otherwise;
    return v.integer() < 0 ? std::max<int64_t>(v.integer() + length, 0) : v.integer();
  };
  return from_left(start, 0) > std::min(from_left(end, length), length);
}

// One affix or a tuple of them, with optional bounds.
template <bool kStart>
Value has_affix(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind(kStart ? "startswith" : "endswith", {"prefix", "start", "end"}, 1);
  Value part = given(p[1]) || given(p[2]) ? slice(self, given(p[1]) ? p[1] : Value(), given(p[2]) ? p[2] : Value(), Value(), in.budget())
                                          : self;
  use(p[0]);
  const bool nowhere = (given(p[1]) || given(p[2])) && bounds_cross(p[1], p[2], length(self));
  const Values only{p[0]};
  for (const Value& affix : p[0].is(Kind::tuple) ? p[0].items() : only) {
    if (!affix.is(Kind::string))
      fault(std::string(kStart ? "startswith" : "endswith") + " first arg must be str or a tuple of str, not " + type_name(affix));
    const std::string& s = part.text();
    const std::string& x = affix.text();
    in.budget().spend(static_cast<int64_t>(x.size() / 64 + 1));
    if (!nowhere && x.size() <= s.size() && s.compare(kStart ? 0 : s.size() - x.size(), x.size(), x) == 0) return Value(true);
  }
  return Value(false);
}

template <bool kPrefix>
Value remove_affix(Interpreter& in, const Value& self, const Arguments& a) {
  const Value given_affix = a.bind("removeprefix", {"affix"}, 1)[0];
  const std::string& affix = text_of(given_affix, "removeprefix()");
  const std::string& s = self.text();
  in.budget().room(s.size());
  if (affix.size() > s.size() || s.compare(kPrefix ? 0 : s.size() - affix.size(), affix.size(), affix) != 0) return self;
  return same_safety(self, kPrefix ? s.substr(affix.size()) : s.substr(0, s.size() - affix.size()));
}

int64_t find_in(Interpreter& in, const Value& self, const Arguments& a) {
  const Value sub = a.bind("find", {"sub"}, 1)[0];
  in.budget().room(self.text().size());
  size_t at = text::find(self.text(), text_of(sub, "find()"));
  return at == std::string::npos ? -1 : text::length(std::string_view(self.text()).substr(0, at));
}

Value find(Interpreter& in, const Value& self, const Arguments& a) { return Value(find_in(in, self, a)); }

Value index(Interpreter& in, const Value& self, const Arguments& a) {
  int64_t at = find_in(in, self, a);
  if (at < 0) fault("substring not found");
  return Value(at);
}

Value count(Interpreter& in, const Value& self, const Arguments& a) {
  const Value wanted = a.bind("count", {"sub"}, 1)[0];
  const std::string& sub = text_of(wanted, "count()");
  in.budget().room(self.text().size());
  if (sub.empty()) return Value(text::length(self.text()) + 1);
  return Value(static_cast<int64_t>(split_at(self, sub, -1, in.budget()).size()) - 1);
}

Value join(Interpreter& in, const Value& self, const Arguments& a) {
  std::string out;
  bool between = false;
  for (const Value& item : iterate(a.bind("join", {"iterable"}, 1)[0], in.budget())) {
    if (between) out += self.text();
    between = true;
    out += text_of(item, "join()");
    in.budget().check_size(out.size());
  }
  in.budget().room(out.size());
  return same_safety(self, std::move(out));
}

Value format(Interpreter& in, const Value& self, const Arguments& a) { return same_safety(self, brace_format(self, a, in.budget())); }

enum class Side { left, right, zeros };

template <Side kSide>
Value padded(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind("the method", {"width", "fillchar"}, 1);
  std::string fill = kSide == Side::zeros ? "0" : given(p[1]) ? text_of(p[1], "fillchar") : " ";
  if (text::length(fill) != 1) fault("The fill character must be exactly one character long");
  int64_t missing = std::max<int64_t>(std::max<int64_t>(integer_of(p[0], "width"), 0) - text::length(self.text()), 0);
  in.budget().room(static_cast<uint64_t>(std::min<int64_t>(missing, int64_t{1} << 40)) * fill.size() + self.text().size());
  std::string pad;
  for (int64_t i = 0; i < missing; ++i) pad += fill;
  const std::string& s = self.text();
  if (kSide == Side::right) return same_safety(self, s + pad);
  bool sign = kSide == Side::zeros && !s.empty() && (s[0] == '-' || s[0] == '+');
  return same_safety(self, sign ? s[0] + pad + s.substr(1) : pad + s);
}

template <bool (*Is)(char)>
Value all_of(Interpreter& in, const Value& self, const Arguments& a) {
  a.bind("the method", {}, 0);
  in.budget().room(self.text().size());
  if (!text::is_ascii(self.text())) fault("is...() methods of text beyond ASCII are not supported");
  return Value(!self.text().empty() && std::all_of(self.text().begin(), self.text().end(), Is));
}

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool letter_or_digit(char c) { return digit(c) || letter(c); }
bool space(char c) { return text::is_space(static_cast<unsigned char>(c)); }

template <bool (*Is)(std::string_view)>
Value is_case(Interpreter& in, const Value& self, const Arguments& a) {
  a.bind("the method", {}, 0);
  in.budget().room(self.text().size());
  return Value(Is(self.text()));
}

constexpr Named<MethodFunction> kTextMethods[] = {
    {"capitalize", converted<text::capitalize>}, {"count", count}, {"endswith", has_affix<false>}, {"find", find}, {"format", format},
    {"index", index}, {"isalnum", all_of<letter_or_digit>}, {"isalpha", all_of<letter>}, {"isdecimal", all_of<digit>},
    {"isdigit", all_of<digit>}, {"islower", is_case<text::is_lower>}, {"isnumeric", all_of<digit>}, {"isspace", all_of<space>},
    {"isupper", is_case<text::is_upper>}, {"join", join}, {"ljust", padded<Side::right>}, {"lower", converted<text::lower>},
    {"lstrip", strip<true, false>}, {"partition", partition}, {"removeprefix", remove_affix<true>}, {"removesuffix", remove_affix<false>},
    {"replace", replace}, {"rjust", padded<Side::left>}, {"rsplit", rsplit}, {"rstrip", strip<false, true>}, {"split", split},
    {"splitlines", splitlines}, {"startswith", has_affix<true>}, {"strip", strip<true, true>}, {"title", converted<text::title>},
    {"upper", converted<text::upper>}, {"zfill", padded<Side::zeros>}};

// --- list, tuple -------------------------------------------------------------------------------

Value count_items(Interpreter& in, const Value& self, const Arguments& a) {
  const Value wanted = a.bind("count", {"value"}, 1)[0];
  int64_t n = 0;
  for (const Value& v : self.items()) n += equal(v, wanted, in.budget());
  return Value(n);
}

Value index_of(Interpreter& in, const Value& self, const Arguments& a) {
  const Value wanted = a.bind("index", {"value"}, 1)[0];
  for (size_t i = 0; i < self.items().size(); ++i)
    if (equal(self.items()[i], wanted, in.budget())) return Value(static_cast<int64_t>(i));
  fault(repr(wanted, in.budget()) + " is not in list");
}

Value copy(Interpreter&, const Value& self, const Arguments& a) {
  a.bind("copy", {}, 0);
  return self;
}

constexpr Named<MethodFunction> kListMethods[] = {{"copy", copy}, {"count", count_items}, {"index", index_of}};
constexpr Named<MethodFunction> kTupleMethods[] = {{"count", count_items}, {"index", index_of}};

// --- dict --------------------------------------------------------------------------------------

Value get(Interpreter& in, const Value& self, const Arguments& a) {
  Values p = a.bind("get", {"key", "default"}, 1);
  use_if_strict(p[0]);
  if (p[0].is(Kind::undefined)) return p[1].is(Kind::missing) ? Value() : p[1];
  bool hashable = p[0].is_number() || p[0].is(Kind::none) || p[0].is(Kind::string) || p[0].is(Kind::tuple);
  if (!hashable) fault(std::string("unhashable type: '") + type_name(p[0]) + "'");
  if (const Value* found = self.as<Dict>().find(p[0], in.budget())) return *found;
  return p[1].is(Kind::missing) ? Value() : p[1];
}

enum class Part { keys, values, items };

template <Part kPart>
Value part(Interpreter& in, const Value& self, const Arguments& a) {
  a.bind("the method", {}, 0);
  Values out;
  for (const auto& [key, value] : self.as<Dict>().members())
    out.push_back(kPart == Part::keys ? key : kPart == Part::values ? value : Value::tuple({key, value}));
  in.budget().spend(static_cast<int64_t>(out.size()) * 2);
  return Value::view(kPart == Part::keys ? "dict_keys" : kPart == Part::values ? "dict_values" : "dict_items", std::move(out));
}

constexpr Named<MethodFunction> kDictMethods[] = {{"copy", copy}, {"get", get}, {"items", part<Part::items>}, {"keys", part<Part::keys>},
                                                  {"values", part<Part::values>}};

template <size_t N>
bool among(const char* const (&names)[N], std::string_view name) {
  return std::any_of(std::begin(names), std::end(names), [name](const char* n) { return name == n; });
}

// What Python's types have, less what is here.
constexpr const char* kRefusedOfText[] = {"casefold", "center", "encode", "expandtabs", "format_map", "isascii", "isidentifier",
                                          "isprintable", "istitle", "maketrans", "rfind", "rindex", "rpartition", "swapcase", "translate"};
constexpr const char* kRefusedOfMarkup[] = {"escape", "striptags", "unescape"};
constexpr const char* kRefusedOfIntegers[] = {"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes",
                                              "imag", "is_integer", "numerator", "real", "to_bytes"};
constexpr const char* kRefusedOfReals[] = {"as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"};
constexpr const char* kRefusedOfGenerators[] = {"close", "gi_running", "gi_suspended", "gi_yieldfrom", "send", "throw"};

}  // namespace

MethodFunction find_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::string: return look_up(kTextMethods, name);
    case Kind::list: return look_up(kListMethods, name);
    case Kind::tuple: return look_up(kTupleMethods, name);
    case Kind::dict: return look_up(kDictMethods, name);
    default: return nullptr;
  }
}

bool is_refused_method(std::string_view name) { return name == "fromkeys" || among(kRefusedOfText, name); }

bool is_refused_attribute(const Value& v, std::string_view name) {
  switch (v.kind()) {
    case Kind::boolean: case Kind::integer: return among(kRefusedOfIntegers, name);
    case Kind::real: return among(kRefusedOfReals, name);
    case Kind::string: return among(kRefusedOfText, name) || (v.safe() && among(kRefusedOfMarkup, name));
    case Kind::view:
      if (is_range(v)) return name == "count" || name == "index";
      return name == "mapping" || (name == "isdisjoint" && v.as<List>().python_type != "dict_values");
    case Kind::generator: return among(kRefusedOfGenerators, name);
    case Kind::dict: return name == "fromkeys";
    case Kind::loop: return name == "changed";
    case Kind::function: return v.as<Callable>().refuses(name);
    default: return false;
  }
}

bool is_forbidden_method(Kind kind, std::string_view name) {
  static constexpr const char* list_names[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
  static constexpr const char* dict_names[] = {"clear", "pop", "popitem", "setdefault", "update"};
  return kind == Kind::list ? among(list_names, name) : kind == Kind::dict && among(dict_names, name);
}

}  // namespace ibid::runtime
