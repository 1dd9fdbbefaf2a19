// See template_value.h. Representation, dictionaries, truth, length, iteration, comparison; printing is in template_repr.cc.
#include "runtime/template_value.h"

#include <algorithm>
#include <cmath>

#include "runtime/error.h"
#include "runtime/template_unicode.h"
#include "runtime/text_hash.h"

namespace ibid::runtime {

void fault(std::string what) { throw Fault{std::move(what)}; }

void Budget::spend(int64_t steps) {
  steps_left_ -= steps;
  if (steps_left_ < 0) fault("the template needs more than " + std::to_string(steps_) + " steps");
}

void Budget::check_size(uint64_t bytes) const {
  if (bytes > static_cast<uint64_t>(text_bytes_)) fault("the template makes a text longer than " + std::to_string(text_bytes_) + " bytes");
}

void Budget::room(uint64_t bytes) {
  check_size(bytes);
  spend(static_cast<int64_t>(bytes / 64));
}

namespace {

int nesting_of(const Values& items) {
  int deepest = 0;
  for (const Value& v : items) deepest = std::max(deepest, v.nesting() + 1);
  if (deepest > kMaxNesting) fault("values nested deeper than " + std::to_string(kMaxNesting) + " levels");
  return deepest;
}

}  // namespace

Value::Value(std::string v, bool safe) : kind_(Kind::string) {
  auto made = std::make_shared<Text>();
  made->bytes = std::move(v);
  made->safe = safe;
  object_ = std::move(made);
}

Value Value::undefined(std::string message, bool strict) {
  auto made = std::make_shared<Undefined>();
  made->message = std::move(message);
  made->strict = strict;
  return Value(Kind::undefined, std::move(made));
}

Value Value::sequence(Kind kind, Values items) {
  auto made = std::make_shared<List>();
  made->nesting = nesting_of(items);
  made->items = std::move(items);
  return Value(kind, std::move(made));
}

Value Value::view(std::string python_type, Values items) {
  Value v = sequence(Kind::view, std::move(items));
  v.as<List>().python_type = std::move(python_type);
  return v;
}

const std::string& Value::text() const { IBID_CHECK(kind_ == Kind::string); return as<Text>().bytes; }
bool Value::safe() const { return kind_ == Kind::string && as<Text>().safe; }
const Values& Value::items() const { IBID_CHECK(is_sequence()); return as<List>().items; }

// --- dictionaries ------------------------------------------------------------------------------

namespace {

constexpr size_t kNowhere = ~size_t{0};
constexpr size_t kSmallDict = 8;

// Exactly: as a double an integer beyond 2^53 would be another one. REQUIRES: b is not a NaN.
int order(int64_t a, double b) {
  constexpr double kBeyond = 9223372036854775808.0;        // 2^63
  if (b >= kBeyond) return -1;
  if (b < -kBeyond) return 1;
  const double floor = std::floor(b);
  const auto whole = static_cast<int64_t>(floor);
  if (a != whole) return a < whole ? -1 : 1;
  return floor < b ? -1 : 0;
}

// Python's rule: 1, 1.0 and True are one key.
bool equal_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
  if (a.is(Kind::real) && b.is(Kind::real)) return a.real() == b.real();
  const double real = a.is_integral() ? b.real() : a.real();
  return !std::isnan(real) && order(a.is_integral() ? a.integer() : b.integer(), real) == 0;
}

// A tuple is charged for each part each time it is reached: tuples that share parts can have 2^250 of them.
bool equal_keys(const Value& a, const Value& b, Budget& budget) {
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::none)) return true;
  if (a.is(Kind::string)) {
    budget.spend(static_cast<int64_t>(a.text().size() / 64));
    return a.text() == b.text();
  }
  if (!a.is(Kind::tuple) || a.items().size() != b.items().size()) return false;
  for (size_t i = 0; i < a.items().size(); ++i) {
    budget.spend(1);
    if (!equal_keys(a.items()[i], b.items()[i], budget)) return false;
  }
  return true;
}

}  // namespace

void check_hashable(const Value& key, Budget& budget) {
  if (key.is_number() || key.is(Kind::none) || key.is(Kind::string)) return;
  if (!key.is(Kind::tuple)) fault(std::string("unhashable type: '") + type_name(key) + "'");
  budget.spend(static_cast<int64_t>(key.items().size()));
  for (const Value& part : key.items()) check_hashable(part, budget);
}

size_t Dict::position(std::string_view key) const {
  if (table_.empty()) {
    for (size_t i = 0; i < members_.size(); ++i)
      if (members_[i].first.is(Kind::string) && members_[i].first.text() == key) return i;
    return kNowhere;
  }
  size_t mask = table_.size() - 1;
  for (size_t at = hash_of(key) & mask; table_[at] != 0; at = (at + 1) & mask)
    if (members_[table_[at] - 1].first.text() == key) return table_[at] - 1;
  return kNowhere;
}

void Dict::rebuild() {
  size_t size = 32;
  while (size < members_.size() * 4) size *= 2;
  table_.assign(size, 0);
  for (size_t i = 0; i < members_.size(); ++i) {
    if (!members_[i].first.is(Kind::string)) continue;
    size_t at = hash_of(members_[i].first.text()) & (size - 1);
    while (table_[at] != 0) at = (at + 1) & (size - 1);
    table_[at] = static_cast<uint32_t>(i + 1);
  }
}

size_t Dict::position(const Value& key, Budget& budget) const {
  if (key.is(Kind::string)) {
    budget.spend(static_cast<int64_t>(key.text().size() / 64));
    return position(std::string_view(key.text()));
  }
  budget.spend(static_cast<int64_t>(members_.size() / 16));
  for (size_t i = 0; i < members_.size(); ++i)
    if (equal_keys(members_[i].first, key, budget)) return i;
  return kNowhere;
}

void Dict::set(Value key, Value value, Budget& budget) {
  check_hashable(key, budget);
  nesting = std::max(nesting, std::max(key.nesting(), value.nesting()) + 1);
  if (nesting > kMaxNesting) fault("values nested deeper than " + std::to_string(kMaxNesting) + " levels");
  size_t old = position(key, budget);
  if (old != kNowhere) {
    members_[old].second = std::move(value);
    return;
  }
  members_.emplace_back(std::move(key), std::move(value));
  if (members_.size() <= kSmallDict) return;
  if (members_.size() * 2 > table_.size()) return rebuild();
  const Value& added = members_.back().first;
  if (!added.is(Kind::string)) return;
  size_t at = hash_of(added.text()) & (table_.size() - 1);
  while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
  table_[at] = static_cast<uint32_t>(members_.size());
}

const Value* Dict::find(std::string_view key) const {
  size_t at = position(key);
  return at == kNowhere ? nullptr : &members_[at].second;
}

const Value* Dict::find(const Value& key, Budget& budget) const {
  size_t at = position(key, budget);
  return at == kNowhere ? nullptr : &members_[at].second;
}

Value make_dict(std::shared_ptr<Dict> dict) { return Value(Kind::dict, std::move(dict)); }

// --- undefined ---------------------------------------------------------------------------------

void fault_undefined(const Value& v) { fault(v.as<Undefined>().message); }
void use(const Value& v) { if (v.is(Kind::undefined)) fault_undefined(v); }
void use_if_strict(const Value& v) { if (v.is(Kind::undefined) && v.as<Undefined>().strict) fault_undefined(v); }

// --- truth, length, iteration ------------------------------------------------------------------

const char* type_name(const Value& v) {
  switch (v.kind()) {
    case Kind::missing: case Kind::undefined: return "Undefined";
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::real: return "float";
    case Kind::string: return v.safe() ? "Markup" : "str";
    case Kind::list: return "list";
    case Kind::tuple: return "tuple";
    case Kind::view: return v.as<List>().python_type.c_str();
    case Kind::generator: return "generator";
    case Kind::dict: return "dict";
    case Kind::name_space: return "Namespace";
    case Kind::loop: return "LoopContext";
    case Kind::function: return "function";
  }
  return "object";
}

bool is_range(const Value& v) { return v.is(Kind::view) && v.as<List>().python_type == "range"; }

bool truth(const Value& v) {
  use_if_strict(v);
  switch (v.kind()) {
    case Kind::missing: case Kind::undefined: case Kind::none: return false;
    case Kind::boolean: case Kind::integer: return v.integer() != 0;
    case Kind::real: return v.real() != 0;
    case Kind::string: return !v.text().empty();
    case Kind::list: case Kind::tuple: case Kind::view: return !v.items().empty();
    case Kind::dict: return !v.as<Dict>().members().empty();
    case Kind::generator: case Kind::name_space: case Kind::loop: case Kind::function: return true;
  }
  return true;
}

int64_t length(const Value& v) {
  use_if_strict(v);
  switch (v.kind()) {
    case Kind::undefined: return 0;
    case Kind::string: return text::length(v.text());
    case Kind::list: case Kind::tuple: case Kind::view: return static_cast<int64_t>(v.items().size());
    case Kind::dict: return static_cast<int64_t>(v.as<Dict>().members().size());
    default: fault(std::string("object of type '") + type_name(v) + "' has no len()");
  }
}

Values iterate(const Value& v, Budget& budget) {
  use_if_strict(v);
  Values out;
  if (v.is(Kind::undefined)) return out;
  if (v.is(Kind::generator)) {
    List& source = v.as<List>();
    out.assign(source.items.begin() + static_cast<std::ptrdiff_t>(source.read), source.items.end());
    source.read = source.items.size();
  } else if (v.is_sequence()) {
    budget.spend(static_cast<int64_t>(v.items().size()));
    out = v.items();
  } else if (v.is(Kind::dict)) {
    for (const auto& [key, value] : v.as<Dict>().members()) out.push_back(key);
  } else if (v.is(Kind::string)) {
    const std::string& s = v.text();
    budget.spend(static_cast<int64_t>(s.size()));
    for (size_t at = 0; at < s.size();) {
      size_t start = at;
      text::next(s, at);
      out.push_back(Value(s.substr(start, at - start)));
    }
  } else {
    fault(std::string("'") + type_name(v) + "' object is not iterable");
  }
  budget.spend(static_cast<int64_t>(out.size()));
  return out;
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  use_if_strict(container);
  if (container.is(Kind::string)) {
    if (!item.is(Kind::string)) fault(std::string("'in <string>' requires string as left operand, not ") + type_name(item));
    budget.spend(static_cast<int64_t>(container.text().size() / 64));
    return text::find(container.text(), item.text()) != std::string::npos;
  }
  if (container.is(Kind::dict)) {
    check_hashable(item, budget);
    return container.as<Dict>().find(item, budget) != nullptr;
  }
  if (!container.is_sequence() && !container.is(Kind::undefined))
    fault(std::string("argument of type '") + type_name(container) + "' is not iterable");
  if (container.is(Kind::undefined)) return false;
  List& list = container.as<List>();
  size_t first = 0;
  size_t& at = container.is(Kind::generator) ? list.read : first;     // what stands behind the item found can be read later
  while (at < list.items.size()) {
    budget.spend(1);
    if (equal(list.items[at++], item, budget)) return true;
  }
  return false;
}

// --- comparison --------------------------------------------------------------------------------

namespace {

bool equal_dicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.members().size() != b.members().size()) return false;
  for (const auto& [key, value] : a.members()) {
    const Value* other = b.find(key, budget);
    if (!other || !equal(value, *other, budget)) return false;
  }
  return true;
}

// Python compares a view and a range with their own rules; only lists and tuples compare item by item here.
bool equal_items(const Values& a, const Values& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!equal(a[i], b[i], budget)) return false;
  return true;
}

int order(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) fault("nan has no place in an order");
  return a < b ? -1 : a > b ? 1 : 0;
}

int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  if (a.is(Kind::real) == b.is(Kind::real) || std::isnan(a.real()) || std::isnan(b.real())) return order(a.real(), b.real());
  return a.is_integral() ? order(a.integer(), b.real()) : -order(b.integer(), a.real());
}

}  // namespace

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.spend(1);
  use_if_strict(a);
  use_if_strict(b);
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::missing: case Kind::undefined: case Kind::none: return true;
    case Kind::string: budget.spend(static_cast<int64_t>(a.text().size() / 64)); return a.text() == b.text();
    case Kind::list: case Kind::tuple: return a.object() == b.object() || equal_items(a.items(), b.items(), budget);
    case Kind::view: return a.object() == b.object() || (a.as<List>().python_type == b.as<List>().python_type &&
                                                         equal_items(a.items(), b.items(), budget));
    case Kind::dict: return a.object() == b.object() || equal_dicts(a.as<Dict>(), b.as<Dict>(), budget);
    default: return a.object() == b.object();
  }
}

int compare(const Value& a, const Value& b, Budget& budget, const char* operation) {
  budget.spend(1);
  use(a);
  use(b);
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  if (a.is(Kind::string) && b.is(Kind::string)) {
    budget.spend(static_cast<int64_t>(std::min(a.text().size(), b.text().size()) / 64));
    return a.text().compare(b.text());                    // the order of UTF-8 bytes is the order of code points
  }
  if (a.kind() == b.kind() && (a.is(Kind::list) || a.is(Kind::tuple))) {
    size_t common = std::min(a.items().size(), b.items().size());
    for (size_t i = 0; i < common; ++i)
      if (!equal(a.items()[i], b.items()[i], budget)) return compare(a.items()[i], b.items()[i], budget, operation);
    return order(static_cast<double>(a.items().size()), static_cast<double>(b.items().size()));
  }
  fault(std::string("'") + operation + "' not supported between instances of '" + type_name(a) + "' and '" + type_name(b) + "'");
}

}  // namespace ibid::runtime
