// See template_eval.h. Expressions: names, attributes, items, calls.
#include "runtime/template_eval.h"

namespace ibid::runtime {

namespace {

struct Global : Callable {
  std::string name;
  GlobalFunction function = nullptr;
  Value call(Interpreter& in, const Arguments& arguments) override { return function(in, arguments); }
  bool refuses(std::string_view attribute) const override {            // of Python's types of these names
    if (name == "dict") return attribute == "fromkeys" || find_method(Kind::dict, attribute) || is_forbidden_method(Kind::dict, attribute);
    return name == "range" &&
           (attribute == "count" || attribute == "index" || attribute == "start" || attribute == "stop" || attribute == "step");
  }
};

struct BoundMethod : Callable {
  Value self;
  MethodFunction function = nullptr;
  Value call(Interpreter& in, const Arguments& arguments) override { return function(in, self, arguments); }
};

Value bind_method(const Value& self, MethodFunction function) {
  auto made = std::make_shared<BoundMethod>();
  made->self = self;
  made->function = function;
  made->nesting = self.nesting() + 1;
  return Value(Kind::function, std::move(made));
}

struct Cycle : Callable {
  size_t index = 0;
  Value call(Interpreter&, const Arguments& arguments) override {
    if (!arguments.named.empty()) fault("cycle() got an unexpected keyword argument '" + arguments.named[0].first + "'");
    if (arguments.positional.empty()) fault("no items for cycling given");
    return arguments.positional[index % arguments.positional.size()];
  }
};

// Kind::missing when the loop has no such attribute.
Value loop_attribute(Interpreter& in, const Loop& loop, const std::string& name) {
  auto count = static_cast<int64_t>(loop.items.size()), index = static_cast<int64_t>(loop.index);
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(count - index);
  if (name == "revindex0") return Value(count - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index == count - 1);
  if (name == "length") return Value(count);
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") return index > 0 ? loop.items[loop.index - 1] : in.undefined("there is no previous item");
  if (name == "nextitem") return index + 1 < count ? loop.items[loop.index + 1] : in.undefined("there is no next item");
  if (name == "cycle") {
    auto made = std::make_shared<Cycle>();
    made->index = loop.index;
    return Value(Kind::function, std::move(made));
  }
  return Value::missing();
}

Value range_attribute(const RangeBounds& range, const std::string& name) {
  if (name == "start") return Value(range.start);
  if (name == "stop") return Value(range.stop);
  return name == "step" ? Value(range.step) : Value::missing();
}

}  // namespace

Value Interpreter::undefined(std::string message) {
  budget_.spend(static_cast<int64_t>(message.size() / 64));
  return Value::undefined(std::move(message), strict_);
}

Value Interpreter::lookup(Symbol symbol) {
  for (const Scope* s = scope_.get(); s; s = s->parent.get()) {
    budget_.spend(static_cast<int64_t>(s->variables.size() / 16));
    for (const auto& [name, value] : s->variables) {
      if (name != symbol) continue;
      if (value.is(Kind::missing)) return undefined("'" + program_.names[symbol] + "' is undefined");
      return value;
    }
  }
  if (!variables_[symbol].is(Kind::missing)) return variables_[symbol];
  const std::string& name = program_.names[symbol];
  GlobalFunction function = find_global(name);
  if (!function || (name == "file" && !context_.files)) return undefined("'" + name + "' is undefined");
  auto made = std::make_shared<Global>();
  made->name = name;
  made->function = function;
  return Value(Kind::function, std::move(made));
}

// What belongs to the kind of value and not to what it holds; Kind::missing when there is none.
Value Interpreter::own_attribute(const Value& object, const std::string& name) {
  if (object.is(Kind::loop)) return loop_attribute(*this, object.as<Loop>(), name);
  if (object.is(Kind::function)) return object.as<Callable>().attribute(*this, name);
  return is_range(object) ? range_attribute(object.as<List>().range, name) : Value::missing();
}

// Python's order: what the type has, then what the container holds.
Value Interpreter::attribute(const Value& object, const std::string& name) {
  use(object);
  budget_.spend(static_cast<int64_t>(name.size() / 64));
  if (MethodFunction method = find_method(object.kind(), name)) return bind_method(object, method);
  if (is_forbidden_method(object.kind(), name))
    return undefined("access to attribute '" + name + "' of '" + type_name(object) + "' object is unsafe.");
  if (is_refused_attribute(object, name)) fault("attribute '" + name + "' of '" + object_name(object) + "' is not supported");
  if (object.is(Kind::dict)) {
    if (const Value* found = object.as<Dict>().find(std::string_view(name))) return *found;
  } else if (object.is(Kind::name_space)) {
    budget_.spend(static_cast<int64_t>(object.as<Namespace>().attributes.size() / 16));
    for (const auto& [key, value] : object.as<Namespace>().attributes)
      if (key == name) return value;
  } else if (Value found = own_attribute(object, name); !found.is(Kind::missing)) {
    return found;
  }
  std::string shown;
  append_repr(shown, name);
  return undefined("'" + object_name(object) + "' has no attribute " + shown);
}

// Python's order the other way round: what the container holds, then what the type has.
Value Interpreter::item(const Value& object, const Value& key) {
  use(object);
  use_if_strict(key);
  if (object.is(Kind::dict)) {
    bool hashable = key.is_number() || key.is(Kind::none) || key.is(Kind::string) || key.is(Kind::tuple);
    if (const Value* found = hashable ? object.as<Dict>().find(key, budget_) : nullptr) return *found;
  } else if (key.is_integral() && (object.is(Kind::list) || object.is(Kind::tuple) || object.is(Kind::view))) {
    const bool subscriptable = !object.is(Kind::view) || is_range(object);
    auto count = static_cast<int64_t>(object.items().size());
    int64_t i = key.integer() < 0 ? key.integer() + count : key.integer();
    if (subscriptable && i >= 0 && i < count) return object.items()[static_cast<size_t>(i)];
  } else if (key.is_integral() && object.is(Kind::string)) {
    const int64_t count = length(object);                  // paid for below, by slice() or here
    Value start(key.integer());
    if (key.integer() == -1)
      return count == 0 ? undefined("str object has no element -1") : slice(object, start, Value(), Value(), budget_);
    if (key.integer() >= -count && key.integer() < count) return slice(object, start, Value(key.integer() + 1), Value(), budget_);
    budget_.room(object.text().size());
  }
  if (key.is(Kind::string)) return attribute(object, key.text());
  return undefined(object_name(object) + " has no element " + repr(key, budget_));
}

Value Interpreter::call(const Value& function, const Arguments& arguments) {
  use(function);
  if (!function.is(Kind::function)) fault(std::string("'") + type_name(function) + "' object is not callable");
  std::shared_ptr<Object> keep = function.object();        // the call may reassign the variable that held it
  return static_cast<Callable&>(*keep).call(*this, arguments);
}

// Charged for the arguments: map() and select() apply them to item after item, and they were paid for once.
Value Interpreter::filter(const std::string& name, const Value& input, const Arguments& arguments) {
  budget_.spend(static_cast<int64_t>((arguments.positional.size() + arguments.named.size()) / 16));
  FilterFunction function = find_filter(name);
  if (!function) fault("no filter named '" + name + "'");
  return function(*this, input, arguments);
}

bool Interpreter::test(const std::string& name, const Value& input, const Arguments& arguments) {
  budget_.spend(static_cast<int64_t>((arguments.positional.size() + arguments.named.size()) / 16));
  TestFunction function = find_test(name);
  if (!function) fault("no test named '" + name + "'");
  return function(*this, input, arguments);
}

Values Interpreter::eval_all(const std::vector<ExprPtr>& expressions, size_t from) {
  Values out;
  out.reserve(expressions.size() - from);
  for (size_t i = from; i < expressions.size(); ++i) out.push_back(eval(*expressions[i]));
  return out;
}

Arguments Interpreter::eval_arguments(const Expr& e) {
  Arguments out;
  for (size_t i = 1; i < e.args.size(); ++i) {
    const Expr& argument = *e.args[i];
    if (argument.kind != ExprKind::spread) { out.positional.push_back(eval(argument)); continue; }
    for (Value& v : iterate(eval(*argument.args[0]), budget_)) out.positional.push_back(std::move(v));
  }
  for (const auto& [name, value] : e.named) {
    Value v = eval(*value);
    if (!name.empty()) { out.named.emplace_back(name, std::move(v)); continue; }
    use(v);
    if (!v.is(Kind::dict)) fault("argument after ** must be a mapping, not " + std::string(type_name(v)));
    for (const auto& [key, member] : v.as<Dict>().members()) {
      const std::string& keyword = text_of(key, "a keyword");
      budget_.spend(static_cast<int64_t>(1 + keyword.size() / 64));
      out.named.emplace_back(keyword, member);
    }
  }
  return out;
}

Value Interpreter::eval_call(const Expr& e, const Value* caller) {
  Value function = eval(*e.args[0]);
  Arguments arguments = eval_arguments(e);
  if (caller) arguments.named.emplace_back("caller", *caller);
  at_ = e.args[0]->at;
  return call(function, arguments);
}

// The input of a filter block's first filter is the block's text; later filters of the chain hold the first below them.
Value Interpreter::eval_filter(const Expr& e, const Value* block) {
  Value input = e.args[0] ? (block ? eval_filter(*e.args[0], block) : eval(*e.args[0])) : *block;
  Arguments arguments = eval_arguments(e);
  at_ = e.at;
  return filter(e.name, input, arguments);
}

bool Interpreter::holds(CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::eq: return equal(a, b, budget_);
    case CompareOp::ne: return !equal(a, b, budget_);
    case CompareOp::lt: return compare(a, b, budget_, "<") < 0;
    case CompareOp::le: return compare(a, b, budget_, "<=") <= 0;
    case CompareOp::gt: return compare(a, b, budget_, ">") > 0;
    case CompareOp::ge: return compare(a, b, budget_, ">=") >= 0;
    case CompareOp::in: return contains(b, a, budget_);
    case CompareOp::not_in: return !contains(b, a, budget_);
  }
  return false;
}

Value Interpreter::eval_compare(const Expr& e) {
  Value left = eval(*e.args[0]);
  for (size_t i = 0; i < e.ops.size(); ++i) {
    Value right = eval(*e.args[i + 1]);
    at_ = e.at;
    if (!holds(e.ops[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::eval_concat(const Expr& e) {
  std::string out;
  for (const ExprPtr& part : e.args) {
    Value v = eval(*part);
    at_ = part->at;
    print(out, v);
  }
  return Value(std::move(out));
}

Value Interpreter::eval_dict(const Expr& e) {
  auto dict = std::make_shared<Dict>();
  for (size_t i = 0; i < e.args.size(); i += 2) {
    Value key = eval(*e.args[i]);
    Value value = eval(*e.args[i + 1]);
    at_ = e.at;
    dict->set(std::move(key), std::move(value), budget_);
  }
  return make_dict(std::move(dict));
}

Value Interpreter::eval_item(const Expr& e) {
  Value object = eval(*e.args[0]);
  const Expr& index = *e.args[1];
  if (index.kind != ExprKind::slice) {
    Value key = eval(index);
    at_ = e.at;
    return item(object, key);
  }
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i)
    if (index.args[i]) bounds[i] = eval(*index.args[i]);
  at_ = e.at;
  use(object);
  bool sliceable = object.is(Kind::string) || object.is(Kind::list) || object.is(Kind::tuple) || is_range(object);
  if (object.is(Kind::dict)) fault("unhashable type: 'slice'");
  if (!sliceable) fault(std::string("'") + type_name(object) + "' object is not subscriptable");
  return slice(object, bounds[0], bounds[1], bounds[2], budget_);
}

Value Interpreter::eval_test(const Expr& e) {
  Value input = eval(*e.args[0]);
  Arguments arguments = eval_arguments(e);
  at_ = e.at;
  return Value(test(e.name, input, arguments));
}

Value Interpreter::eval_sign(const Expr& e) {
  Value v = eval(*e.args[0]);
  at_ = e.at;
  use(v);
  if (e.kind == ExprKind::negate) return negate(v);
  if (!v.is_number()) fault(std::string("bad operand type for unary +: '") + type_name(v) + "'");
  return v.is_integral() ? Value(v.integer()) : v;
}

Value Interpreter::eval_conditional(const Expr& e) {
  Value v = eval(*e.args[0]);
  at_ = e.at;
  if (truth(v)) return eval(*e.args[1]);
  if (e.args[2]) return eval(*e.args[2]);
  return Value::undefined("the inline if-expression evaluated to false and no else section was defined", false);   // empty even when strict
}

Value Interpreter::eval_arithmetic(const Expr& e) {
  Value a = eval(*e.args[0]);
  Value b = eval(*e.args[1]);
  at_ = e.at;
  return e.kind == ExprKind::add ? add(a, b, budget_) : arithmetic(e.kind, a, b, budget_);
}

Value Interpreter::eval(const Expr& e) {
  Level level(frames_, limits_.max_depth * kFramesPerCall, "evaluation");
  at_ = e.at;
  budget_.spend(1);
  switch (e.kind) {
    case ExprKind::constant: return e.value;
    case ExprKind::name: return lookup(e.symbol);
    case ExprKind::list: return Value::list(eval_all(e.args));
    case ExprKind::tuple: return Value::tuple(eval_all(e.args));
    case ExprKind::dict: return eval_dict(e);
    case ExprKind::attribute: { Value object = eval(*e.args[0]); at_ = e.at; return attribute(object, e.name); }
    case ExprKind::item: return eval_item(e);
    case ExprKind::call: return eval_call(e);
    case ExprKind::filter: return eval_filter(e, nullptr);
    case ExprKind::test: return eval_test(e);
    case ExprKind::negate: case ExprKind::plus: return eval_sign(e);
    case ExprKind::logical_not: { Value v = eval(*e.args[0]); at_ = e.at; return Value(!truth(v)); }
    case ExprKind::logical_and: { Value v = eval(*e.args[0]); at_ = e.at; return truth(v) ? eval(*e.args[1]) : v; }
    case ExprKind::logical_or: { Value v = eval(*e.args[0]); at_ = e.at; return truth(v) ? v : eval(*e.args[1]); }
    case ExprKind::conditional: return eval_conditional(e);
    case ExprKind::compare: return eval_compare(e);
    case ExprKind::concat: return eval_concat(e);
    case ExprKind::add: case ExprKind::subtract: case ExprKind::multiply: case ExprKind::divide: case ExprKind::floor_divide:
    case ExprKind::modulo: case ExprKind::power: return eval_arithmetic(e);
    case ExprKind::slice: case ExprKind::spread: case ExprKind::namespace_target: break;      // only inside of others
  }
  fault("broken template tree");
}

}  // namespace ibid::runtime
