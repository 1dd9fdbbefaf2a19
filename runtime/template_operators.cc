// Operators on values, with Python's meaning; integers are 64 bits wide and an overflow is a Fault. Declared in template_eval.h.
#include <algorithm>
#include <cmath>

#include "runtime/template_eval.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {
namespace {

constexpr int64_t kExact = int64_t{1} << 53;           // integers up to here are exact as doubles

[[noreturn]] void unsupported(const char* op, const Value& a, const Value& b) {
  fault(std::string("unsupported operand type(s) for ") + op + ": '" + type_name(a) + "' and '" + type_name(b) + "'");
}

[[noreturn]] void overflow() { fault("integer does not fit in 64 bits"); }

const char* sign_of(ExprKind op) {
  switch (op) {
    case ExprKind::subtract: return "-";
    case ExprKind::multiply: return "*";
    case ExprKind::divide: return "/";
    case ExprKind::floor_divide: return "//";
    case ExprKind::modulo: return "%";
    default: return "** or pow()";
  }
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == -1) { int64_t r; if (__builtin_sub_overflow(int64_t{0}, a, &r)) overflow(); return r; }
  int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

int64_t floor_modulo(int64_t a, int64_t b) {
  if (b == -1) return 0;
  int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

int64_t power(int64_t base, int64_t exponent) {
  if (exponent < 0) fault("a negative exponent is not supported");
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

Value divide(const Value& a, const Value& b) {
  if (b.real() == 0) fault(a.is_integral() && b.is_integral() ? "division by zero" : "float division by zero");
  for (const Value* v : {&a, &b})
    if (v->is_integral() && (v->integer() > kExact || v->integer() < -kExact)) fault("division of integers beyond 2**53 is not supported");
  return Value(a.real() / b.real());
}

Value integer_arithmetic(ExprKind op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
    case ExprKind::subtract: if (__builtin_sub_overflow(a, b, &r)) overflow(); return Value(r);
    case ExprKind::multiply: if (__builtin_mul_overflow(a, b, &r)) overflow(); return Value(r);
    case ExprKind::floor_divide: if (b == 0) fault("integer division or modulo by zero"); return Value(floor_divide(a, b));
    case ExprKind::modulo: if (b == 0) fault("integer modulo by zero"); return Value(floor_modulo(a, b));
    default: return Value(power(a, b));
  }
}

// CPython's float_divmod: the remainder has the divisor's sign.
Value float_divide(ExprKind op, double a, double b) {
  if (b == 0) fault(op == ExprKind::modulo ? "float modulo" : "float floor division by zero");
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0) {
    if ((b < 0) != (mod < 0)) { mod += b; div -= 1.0; }
  } else {
    mod = std::copysign(0.0, b);
  }
  if (op == ExprKind::modulo) return Value(mod);
  if (div == 0) return Value(std::copysign(0.0, a / b));
  double floored = std::floor(div);
  return Value(div - floored > 0.5 ? floored + 1.0 : floored);
}

Value repeat(const Value& sequence, int64_t times, Budget& budget) {
  times = std::max<int64_t>(times, 0);
  if (sequence.is(Kind::string)) {
    const std::string& s = sequence.text();
    uint64_t size = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(s.size()), static_cast<uint64_t>(times), &size)) size = ~uint64_t{0};
    budget.room(size);
    std::string out;
    out.reserve(size);
    if (!s.empty())
      for (int64_t i = 0; i < times; ++i) out += s;
    return same_safety(sequence, std::move(out));
  }
  int64_t size = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(sequence.items().size()), times, &size)) overflow();
  budget.spend(size);
  Values out;
  for (int64_t i = 0; size > 0 && i < times; ++i) out.insert(out.end(), sequence.items().begin(), sequence.items().end());
  return sequence.is(Kind::list) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

bool repeatable(const Value& v) { return v.is(Kind::string) || v.is(Kind::list) || v.is(Kind::tuple); }

Value join_sequences(const Value& a, const Value& b, Budget& budget) {
  budget.spend(static_cast<int64_t>(a.items().size() + b.items().size()));
  Values out = a.items();
  out.insert(out.end(), b.items().begin(), b.items().end());
  return a.is(Kind::list) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

// Where a Python slice begins and ends, for either sign of the step.
struct Bounds { int64_t start, stop, step; };

int64_t bound(const Value& v, int64_t length, int64_t low, int64_t high, int64_t when_none) {
  if (v.is(Kind::none)) return when_none;
  if (!v.is_integral()) fault("slice indices must be integers or None or have an __index__ method");
  int64_t i = v.integer();
  if (i < 0) i = i < -length ? low : i + length;
  return std::clamp(i, low, high);
}

Bounds bounds_of(const Value& start, const Value& stop, const Value& step, int64_t length) {
  Bounds b{0, 0, 1};
  if (!step.is(Kind::none)) {
    if (!step.is_integral()) fault("slice indices must be integers or None or have an __index__ method");
    b.step = std::clamp<int64_t>(step.integer(), -length - 1, length + 1);
    if (step.integer() == 0) fault("slice step cannot be zero");
  }
  bool forward = b.step > 0;
  int64_t low = forward ? 0 : -1, high = forward ? length : length - 1;
  b.start = bound(start, length, low, high, forward ? 0 : length - 1);
  b.stop = bound(stop, length, low, high, forward ? length : -1);
  return b;
}

Value slice_text(const Value& v, const Bounds& b, int64_t length) {
  const std::string& s = v.text();
  bool ascii = static_cast<size_t>(length) == s.size();
  if (b.step == 1) {
    if (b.start >= b.stop) return same_safety(v, "");
    size_t from = ascii ? static_cast<size_t>(b.start) : text::byte_offset(s, b.start);
    std::string_view rest = std::string_view(s).substr(from);
    return same_safety(v, std::string(rest.substr(0, ascii ? static_cast<size_t>(b.stop - b.start)
                                                           : text::byte_offset(rest, b.stop - b.start))));
  }
  std::vector<size_t> starts;                          // of each character, and the end
  for (size_t at = 0; at < s.size(); text::next(s, at)) starts.push_back(at);
  starts.push_back(s.size());
  std::string out;
  for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop; i += b.step)
    out.append(s, starts[static_cast<size_t>(i)], starts[static_cast<size_t>(i) + 1] - starts[static_cast<size_t>(i)]);
  return same_safety(v, std::move(out));
}

// The step as it was given: what is clamped would show.
Value slice_range(const RangeBounds& r, const Bounds& b, const Value& step, Budget& budget) {
  RangeBounds out;
  auto item = [&r](int64_t i) {
    int64_t v = 0;
    if (__builtin_mul_overflow(i, r.step, &v) || __builtin_add_overflow(v, r.start, &v)) overflow();
    return v;
  };
  out.start = item(b.start);
  out.stop = item(b.stop);
  if (__builtin_mul_overflow(r.step, step.is(Kind::none) ? 1 : step.integer(), &out.step)) overflow();
  return range_value(out, budget);
}

}  // namespace

std::string object_name(const Value& v) {
  switch (v.kind()) {
    case Kind::none: return "None";
    case Kind::name_space: return "jinja2.utils.Namespace object";
    case Kind::loop: return "jinja2.runtime.LoopContext object";
    case Kind::function: return "function object";
    default: return std::string(v.safe() ? "markupsafe.Markup" : type_name(v)) + " object";
  }
}

Value add(const Value& a, const Value& b, Budget& budget) {
  use(a);
  use(b);
  if (a.is(Kind::string) && b.is(Kind::string)) {
    bool safe = a.safe() || b.safe();
    std::string left = safe && !a.safe() ? escape_html(a.text(), budget) : "";
    std::string right = safe && !b.safe() ? escape_html(b.text(), budget) : "";
    const std::string& l = safe && !a.safe() ? left : a.text();
    const std::string& r = safe && !b.safe() ? right : b.text();
    budget.room(l.size() + r.size());
    std::string out;
    out.reserve(l.size() + r.size());
    return Value((out += l) += r, safe);
  }
  if (a.is_integral() && b.is_integral()) {
    int64_t r = 0;
    if (__builtin_add_overflow(a.integer(), b.integer(), &r)) overflow();
    return Value(r);
  }
  if (a.is_number() && b.is_number()) return Value(a.real() + b.real());
  if (a.kind() == b.kind() && (a.is(Kind::list) || a.is(Kind::tuple))) return join_sequences(a, b, budget);
  if (a.is(Kind::string) || a.is(Kind::list) || a.is(Kind::tuple))
    fault(std::string("can only concatenate ") + type_name(a) + " (not \"" + type_name(b) + "\") to " + type_name(a));
  unsupported("+", a, b);
}

Value arithmetic(ExprKind op, const Value& a, const Value& b, Budget& budget) {
  use(a);
  if (op == ExprKind::modulo && a.is(Kind::string)) return same_safety(a, percent_format(a, b, budget));
  use(b);
  if (op == ExprKind::multiply && repeatable(a) && b.is_integral()) return repeat(a, b.integer(), budget);
  if (op == ExprKind::multiply && repeatable(b) && a.is_integral()) return repeat(b, a.integer(), budget);
  if (op == ExprKind::multiply && (repeatable(a) || repeatable(b)))
    fault(std::string("can't multiply sequence by non-int of type '") + type_name(repeatable(a) ? b : a) + "'");
  if (!a.is_number() || !b.is_number()) unsupported(sign_of(op), a, b);
  if (op == ExprKind::divide) return divide(a, b);
  if (a.is_integral() && b.is_integral()) return integer_arithmetic(op, a.integer(), b.integer());
  switch (op) {
    case ExprKind::subtract: return Value(a.real() - b.real());
    case ExprKind::multiply: return Value(a.real() * b.real());
    case ExprKind::power: fault("'**' is supported for integers only");   // pow() differs between C libraries
    default: return float_divide(op, a.real(), b.real());
  }
}

Value negate(const Value& v) {
  if (v.is(Kind::real)) return Value(-v.real());
  if (!v.is_integral()) fault(std::string("bad operand type for unary -: '") + type_name(v) + "'");
  int64_t r = 0;
  if (__builtin_sub_overflow(int64_t{0}, v.integer(), &r)) overflow();
  return Value(r);
}

Value slice(const Value& v, const Value& start, const Value& stop, const Value& step, Budget& budget) {
  for (const Value* b : {&start, &stop, &step}) use(*b);
  if (v.is(Kind::string)) budget.room(v.text().size());
  int64_t count = length(v);
  Bounds b = bounds_of(start, stop, step, count);
  if (v.is(Kind::string)) return slice_text(v, b, count);
  if (is_range(v)) return slice_range(v.as<List>().range, b, step, budget);
  budget.spend(count);
  Values out;
  for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop; i += b.step) out.push_back(v.items()[static_cast<size_t>(i)]);
  return v.is(Kind::tuple) ? Value::tuple(std::move(out)) : Value::list(std::move(out));
}

}  // namespace ibid::runtime
