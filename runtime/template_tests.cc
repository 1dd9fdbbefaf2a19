// What may follow `is`. Declared in template_builtins.h.
#include "runtime/template_builtins.h"
#include "runtime/template_eval.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {
namespace {

bool plain(const Arguments& a) {
  a.bind("the test", {}, 0);
  return true;
}

template <Kind kKind>
bool is_kind(Interpreter&, const Value& v, const Arguments& a) { return plain(a) && v.is(kKind); }

bool is_defined(Interpreter&, const Value& v, const Arguments& a) { return plain(a) && !v.is(Kind::undefined); }
bool is_true(Interpreter&, const Value& v, const Arguments& a) { return plain(a) && v.is(Kind::boolean) && v.boolean(); }
bool is_false(Interpreter&, const Value& v, const Arguments& a) { return plain(a) && v.is(Kind::boolean) && !v.boolean(); }
bool is_number(Interpreter&, const Value& v, const Arguments& a) { return plain(a) && v.is_number(); }

// Whatever Python's iter() takes: an undefined value too.
bool is_iterable(Interpreter&, const Value& v, const Arguments& a) {
  use_if_strict(v);
  return plain(a) && (v.is_sequence() || v.is(Kind::string) || v.is(Kind::dict) || v.is(Kind::undefined) || v.is(Kind::loop));
}

// Whatever has a length and items: a mapping and an undefined value too, a generator not.
bool is_sequence(Interpreter&, const Value& v, const Arguments& a) {
  use_if_strict(v);
  return plain(a) &&
         (v.is(Kind::list) || v.is(Kind::tuple) || v.is(Kind::string) || v.is(Kind::dict) || v.is(Kind::undefined) || is_range(v));
}

// The classes of undefined values and of the loop have a __call__, whatever it does.
bool is_callable(Interpreter&, const Value& v, const Arguments& a) {
  return plain(a) && (v.is(Kind::function) || v.is(Kind::undefined) || v.is(Kind::loop));
}

bool is_escaped(Interpreter&, const Value& v, const Arguments& a) { return plain(a) && v.safe(); }

template <CompareOp kOp>
bool compares(Interpreter& in, const Value& v, const Arguments& a) {
  const Value other = a.bind("the test", {"other"}, 1)[0];
  switch (kOp) {
    case CompareOp::eq: return equal(v, other, in.budget());
    case CompareOp::ne: return !equal(v, other, in.budget());
    case CompareOp::lt: return compare(v, other, in.budget(), "<") < 0;
    case CompareOp::le: return compare(v, other, in.budget(), "<=") <= 0;
    case CompareOp::gt: return compare(v, other, in.budget(), ">") > 0;
    case CompareOp::ge: return compare(v, other, in.budget(), ">=") >= 0;
    case CompareOp::in: return contains(other, v, in.budget());
    case CompareOp::not_in: return !contains(other, v, in.budget());
  }
  return false;
}

bool is_same(Interpreter& in, const Value& v, const Arguments& a) {
  const Value other = a.bind("sameas", {"other"}, 1)[0];
  if (v.kind() != other.kind()) return false;
  if (v.is(Kind::none) || v.is(Kind::boolean)) return equal(v, other, in.budget());
  if (!v.object()) fault("sameas compares objects; numbers have no identity here");
  return v.object() == other.object();
}

bool divisible(const Value& v, const Value& by) {
  Budget enough(1, 1);
  return !truth(arithmetic(ExprKind::modulo, v, by, enough));
}

bool is_even(Interpreter&, const Value& v, const Arguments& a) {
  return plain(a) && divisible(Value(integer_of(v, "even")), Value(int64_t{2}));
}
bool is_odd(Interpreter&, const Value& v, const Arguments& a) {
  return plain(a) && !divisible(Value(integer_of(v, "odd")), Value(int64_t{2}));
}

bool is_divisible(Interpreter&, const Value& v, const Arguments& a) {
  return divisible(Value(integer_of(v, "divisibleby")), Value(integer_of(a.bind("divisibleby", {"num"}, 1)[0], "divisibleby")));
}

template <bool (*Is)(std::string_view)>
bool is_case(Interpreter& in, const Value& v, const Arguments& a) { return plain(a) && Is(str(v, in.budget())); }

// Whether a dict of Jinja2's has the value as a key.
template <auto find_named>
bool is_name(Interpreter& in, const Value& v, const Arguments& a) {
  use_if_strict(v);
  bool may_be_unhashable = v.is(Kind::list) || v.is(Kind::tuple) || v.is(Kind::dict) || (v.is(Kind::view) && !is_range(v));
  if (may_be_unhashable) check_hashable(v, in.budget());
  return plain(a) && v.is(Kind::string) && find_named(v.text());
}

bool is_undefined(Interpreter& in, const Value& v, const Arguments& a) { return !is_defined(in, v, a); }

}  // namespace

TestFunction find_test(std::string_view name) {
  static constexpr Named<TestFunction> table[] = {
      {"!=", compares<CompareOp::ne>}, {"<", compares<CompareOp::lt>}, {"<=", compares<CompareOp::le>}, {"==", compares<CompareOp::eq>},
      {">", compares<CompareOp::gt>}, {">=", compares<CompareOp::ge>}, {"boolean", is_kind<Kind::boolean>}, {"callable", is_callable},
      {"defined", is_defined}, {"divisibleby", is_divisible}, {"eq", compares<CompareOp::eq>}, {"equalto", compares<CompareOp::eq>},
      {"escaped", is_escaped}, {"even", is_even}, {"false", is_false}, {"filter", is_name<find_filter>}, {"float", is_kind<Kind::real>},
      {"ge", compares<CompareOp::ge>}, {"greaterthan", compares<CompareOp::gt>}, {"gt", compares<CompareOp::gt>},
      {"in", compares<CompareOp::in>}, {"integer", is_kind<Kind::integer>}, {"iterable", is_iterable}, {"le", compares<CompareOp::le>},
      {"lessthan", compares<CompareOp::lt>}, {"lower", is_case<text::is_lower>}, {"lt", compares<CompareOp::lt>},
      {"mapping", is_kind<Kind::dict>}, {"ne", compares<CompareOp::ne>}, {"none", is_kind<Kind::none>}, {"number", is_number},
      {"odd", is_odd}, {"sameas", is_same}, {"sequence", is_sequence}, {"string", is_kind<Kind::string>}, {"test", is_name<find_test>},
      {"true", is_true}, {"undefined", is_undefined}, {"upper", is_case<text::is_upper>}};
  return look_up(table, name);
}

}  // namespace ibid::runtime
