// Filters over sequences and mappings. Declared in template_builtins.h. What Jinja2 yields lazily is made at once here and handed on
// as a generator, which can be read once.
#include <algorithm>

#include "runtime/template_builtins.h"
#include "runtime/template_eval.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {
namespace {

// A copy, which is charged.
std::string word_of(Interpreter& in, const Value& v, const char* function) {
  in.budget().room(text_of(v, function).size());
  return text_of(v, function);
}

bool is_digits(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// attribute='a.0.b': names and indices, each looked up as an item.
Value dotted(Interpreter& in, const Value& item, const Value& attribute) {
  if (!attribute.is(Kind::string)) return in.item(item, attribute);
  std::string_view path = attribute.text();
  Value v = item;
  while (true) {
    in.budget().spend(1);
    std::string part(path.substr(0, path.find('.')));
    v = in.item(v, is_digits(part) && part.size() < 18 ? Value(static_cast<int64_t>(std::stoll(part))) : Value(part));
    if (part.size() == path.size()) return v;
    path.remove_prefix(part.size() + 1);
  }
}

Value lowered(Interpreter& in, const Value& v) {
  if (!v.is(Kind::string)) return v;
  in.budget().room(v.text().size());
  return Value(text::lower(v.text()));
}

// What sort, unique, min and max compare: the attribute if one is named, without case unless asked for.
Value sort_key(Interpreter& in, const Value& item, const Value& attribute, bool case_sensitive) {
  Value v = attribute.is(Kind::missing) || attribute.is(Kind::none) ? item : dotted(in, item, attribute);
  return case_sensitive ? v : lowered(in, v);
}

// Stable, and by keys made beforehand.
using Keyed = std::pair<Value, Value>;                   // key, item
void sort_keyed(Interpreter& in, std::vector<Keyed>& keyed, bool reverse) {
  auto before = [&](const Keyed& a, const Keyed& b) {
    return compare(reverse ? b.first : a.first, reverse ? a.first : b.first, in.budget(), "<") < 0;
  };
  std::stable_sort(keyed.begin(), keyed.end(), before);
}

Values items_of(std::vector<Keyed> keyed) {
  Values out;
  for (Keyed& k : keyed) out.push_back(std::move(k.second));
  return out;
}

Value sort(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("sort", {"reverse", "case_sensitive", "attribute"}, 0);
  bool case_sensitive = truth_or(p[1], false);
  Values attributes;                                     // attribute='a,b' sorts by several
  if (p[2].is(Kind::string)) {
    std::string_view rest = p[2].text();
    for (size_t comma; (comma = rest.find(',')) != std::string_view::npos; rest.remove_prefix(comma + 1)) {
      in.budget().spend(1);
      attributes.push_back(Value(std::string(rest.substr(0, comma))));
    }
    attributes.push_back(Value(std::string(rest)));
  } else if (!p[2].is(Kind::missing)) {
    attributes.push_back(p[2]);
  }
  if (attributes.empty()) attributes.push_back(Value());
  std::vector<Keyed> keyed;
  for (Value& item : iterate(v, in.budget())) {
    Values keys;                                         // a list even of one: equal keys need no order then
    for (const Value& attribute : attributes) keys.push_back(sort_key(in, item, attribute, case_sensitive));
    keyed.emplace_back(Value::list(std::move(keys)), std::move(item));
  }
  sort_keyed(in, keyed, truth_or(p[0], false));
  return Value::list(items_of(std::move(keyed)));
}

Value dictsort(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("dictsort", {"case_sensitive", "by", "reverse"}, 0);
  use(v);
  if (!v.is(Kind::dict)) fault("'" + object_name(v) + "' has no attribute 'items'");
  const std::string by = p[1].is(Kind::missing) ? "key" : word_of(in, p[1], "dictsort");
  if (by != "key" && by != "value") fault("You can only sort by either \"key\" or \"value\"");
  bool case_sensitive = truth_or(p[0], false);
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : v.as<Dict>().members())
    keyed.emplace_back(sort_key(in, by == "key" ? key : value, Value::missing(), case_sensitive), Value::tuple({key, value}));
  in.budget().spend(static_cast<int64_t>(keyed.size()) * 2);
  sort_keyed(in, keyed, truth_or(p[2], false));
  return Value::list(items_of(std::move(keyed)));
}

Value unique(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("unique", {"case_sensitive", "attribute"}, 0);
  bool case_sensitive = truth_or(p[0], false);
  Dict seen;
  Values out;
  for (Value& item : iterate(v, in.budget())) {
    Value key = sort_key(in, item, p[1], case_sensitive);
    if (seen.find(key, in.budget())) continue;
    seen.set(std::move(key), Value(true), in.budget());
    out.push_back(std::move(item));
  }
  return Value::generator(std::move(out));
}

template <bool kGreatest>
Value extreme(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind(kGreatest ? "max" : "min", {"case_sensitive", "attribute"}, 0);
  bool case_sensitive = truth_or(p[0], false);
  Values items = iterate(v, in.budget());
  if (items.empty()) return in.undefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  Value best_key = sort_key(in, items[0], p[1], case_sensitive);
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = sort_key(in, items[i], p[1], case_sensitive);
    int order = compare(key, best_key, in.budget(), kGreatest ? ">" : "<");
    if (kGreatest ? order <= 0 : order >= 0) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Value sum(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("sum", {"attribute", "start"}, 0);
  Value total = p[1].is(Kind::missing) ? Value(int64_t{0}) : p[1];
  if (total.is(Kind::string)) fault("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : iterate(v, in.budget())) {
    Value term = p[0].is(Kind::missing) || p[0].is(Kind::none) ? item : dotted(in, item, p[0]);
    total = add(total, term, in.budget());
  }
  return total;
}

Value first(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("first", {}, 0);
  if (v.is(Kind::generator)) {
    List& source = v.as<List>();
    return source.read < source.items.size() ? source.items[source.read++] : in.undefined("No first item, sequence was empty.");
  }
  Values items = iterate(v, in.budget());
  return items.empty() ? in.undefined("No first item, sequence was empty.") : items.front();
}

Value last(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("last", {}, 0);
  if (v.is(Kind::generator)) fault("'generator' object is not reversible");
  Values items = iterate(v, in.budget());
  return items.empty() ? in.undefined("No last item, sequence was empty.") : items.back();
}

Value count(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("length", {}, 0);
  if (v.is(Kind::string)) in.budget().room(v.text().size());
  return Value(length(v));
}

Value list(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("list", {}, 0);
  return Value::list(iterate(v, in.budget()));
}

Value items(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("items", {}, 0);
  use_if_strict(v);
  if (v.is(Kind::undefined)) return Value::generator({});
  if (!v.is(Kind::dict)) fault("Can only get item pairs from a mapping.");
  Values out;
  for (const auto& [key, value] : v.as<Dict>().members()) out.push_back(Value::tuple({key, value}));
  in.budget().spend(static_cast<int64_t>(out.size()) * 2);
  return Value::generator(std::move(out));
}

Value reverse(Interpreter& in, const Value& v, const Arguments& a) {
  a.bind("reverse", {}, 0);
  if (v.is(Kind::string)) return slice(v, Value(), Value(), Value(int64_t{-1}), in.budget());
  Values out = iterate(v, in.budget());
  std::reverse(out.begin(), out.end());
  return Value::generator(std::move(out));
}

Value join(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("join", {"d", "attribute"}, 0);
  std::string separator = p[0].is(Kind::missing) ? "" : str(p[0], in.budget());
  std::string out;
  bool between = false;
  for (const Value& item : iterate(v, in.budget())) {
    if (between) out += separator;
    between = true;
    out += str(p[1].is(Kind::missing) || p[1].is(Kind::none) ? item : dotted(in, item, p[1]), in.budget());
    in.budget().check_size(out.size());
  }
  in.budget().room(out.size());
  return Value(std::move(out));
}

Arguments without_first(const Arguments& a, size_t n) {
  Arguments out;
  out.positional.assign(a.positional.begin() + static_cast<std::ptrdiff_t>(n), a.positional.end());
  out.named = a.named;
  return out;
}

// map(attribute='x', default=...) or map('filter', ...).
Value map(Interpreter& in, const Value& v, const Arguments& a) {
  Values out;
  if (!truth(v)) return Value::generator({});            // even none, which could not be iterated
  if (a.positional.empty()) {
    Values p = a.bind("map", {"attribute", "default"}, 0);
    if (p[0].is(Kind::missing)) fault("map requires a filter argument");
    for (const Value& item : iterate(v, in.budget())) {
      Value found = dotted(in, item, p[0]);
      out.push_back(found.is(Kind::undefined) && !p[1].is(Kind::missing) ? p[1] : found);
    }
    return Value::generator(std::move(out));
  }
  const std::string name = word_of(in, a.positional[0], "map");
  Arguments rest = without_first(a, 1);
  if (!find_filter(name)) fault("no filter named '" + name + "'");
  for (const Value& item : iterate(v, in.budget())) out.push_back(in.filter(name, item, rest));
  return Value::generator(std::move(out));
}

// The four of select: of the item itself or of an attribute, wanting the test to pass or to fail; without a test, truth.
template <bool kWanted, bool kAttribute>
Value select(Interpreter& in, const Value& v, const Arguments& a) {
  constexpr size_t at = kAttribute ? 1 : 0;
  if (!truth(v)) return Value::generator({});
  if (a.positional.size() < at) fault("missing parameter for attribute name");
  bool tests = a.positional.size() > at;
  const std::string name = tests ? word_of(in, a.positional[at], "select") : "";
  if (tests && !find_test(name)) fault("no test named '" + name + "'");
  Arguments rest = without_first(a, tests ? at + 1 : at);
  Values out;
  for (const Value& item : iterate(v, in.budget())) {
    Value subject = kAttribute ? dotted(in, item, a.positional[0]) : item;
    bool passes = tests ? in.test(name, subject, rest) : truth(subject);
    if (passes == kWanted) out.push_back(item);
  }
  return Value::generator(std::move(out));
}

// Rows of a given length; the last filled up if a filling is given.
Value batch(Interpreter& in, const Value& v, const Arguments& a) {
  Values p = a.bind("batch", {"linecount", "fill_with"}, 1);
  int64_t size = integer_of(p[0], "batch");
  if (size < 1) fault("batch needs a positive length");
  Values rows, row;
  for (Value& item : iterate(v, in.budget())) {
    if (static_cast<int64_t>(row.size()) == size) rows.push_back(Value::list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    bool fills = !p[1].is(Kind::missing) && !p[1].is(Kind::none);
    if (fills) in.budget().spend(size);
    while (fills && static_cast<int64_t>(row.size()) < size) row.push_back(p[1]);
    rows.push_back(Value::list(std::move(row)));
  }
  return Value::generator(std::move(rows));
}

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
  static constexpr Named<FilterFunction> table[] = {
      {"batch", batch}, {"count", count}, {"dictsort", dictsort}, {"first", first}, {"items", items}, {"join", join}, {"last", last},
      {"length", count}, {"list", list}, {"map", map}, {"max", extreme<true>}, {"min", extreme<false>}, {"reject", select<false, false>},
      {"rejectattr", select<false, true>}, {"reverse", reverse}, {"select", select<true, false>}, {"selectattr", select<true, true>},
      {"sort", sort}, {"sum", sum}, {"unique", unique}};
  return look_up(table, name);
}

}  // namespace ibid::runtime
