// See template_eval.h. Statements, scopes and macros; expressions are in template_eval_expr.cc.
#include "runtime/template_eval.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/template_lexer.h"

namespace ibid::runtime {

// A scope of its own for as long as it lives.
class Interpreter::InScope {
 public:
  InScope(Interpreter& in, const Body& body, std::shared_ptr<Scope> parent) : in_(in), outer_(in.scope_) {
    in_.scope_ = std::make_shared<Scope>();
    in_.scope_->parent = std::move(parent);
    begin(body);
  }
  ~InScope() { in_.scope_ = outer_; }
  InScope(const InScope&) = delete;

  // The next round of a loop; a macro may still hold the last round's scope.
  void again(const Body& body) {
    if (in_.scope_->captured) {
      auto fresh = std::make_shared<Scope>();
      fresh->parent = outer_;
      in_.scope_ = std::move(fresh);
    }
    in_.scope_->variables.clear();
    begin(body);
  }

 private:
  void begin(const Body& body) {
    in_.budget_.spend(static_cast<int64_t>(body.unset.size() / 16));
    for (Symbol s : body.unset) in_.scope_->variables.emplace_back(s, Value::missing());
  }
  Interpreter& in_;
  std::shared_ptr<Scope> outer_;
};

struct Macro : Callable {
  const Stmt* definition = nullptr;
  std::shared_ptr<Scope> scope;
  Value call(Interpreter& in, const Arguments& arguments) override { return in.call_macro(*definition, scope, arguments); }
  Value attribute(Interpreter& in, std::string_view name) const override {
    if (name == "name") return definition->kind == StmtKind::macro ? Value(in.program_.names[definition->symbol]) : Value();
    if (name != "arguments") return Value::missing();
    Values names;
    for (const Parameter& p : definition->parameters) names.push_back(Value(in.program_.names[p.symbol]));
    in.budget().spend(static_cast<int64_t>(names.size()));
    return Value::tuple(std::move(names));
  }
  bool refuses(std::string_view name) const override {       // what Jinja2 derives from the names that the body reads
    return name == "caller" || name == "catch_kwargs" || name == "catch_varargs" || name == "explicit_caller";
  }
};

Interpreter::Interpreter(const Program& program, const TemplateLimits& limits, UndefinedIs undefined, const RenderContext& context)
    : program_(program), limits_(limits), context_(context), strict_(undefined == UndefinedIs::an_error),
      budget_(limits.max_steps, limits.max_output) {}

Interpreter::~Interpreter() {
  for (auto& n : namespaces_) n->attributes.clear();
  for (auto& s : captured_) s->variables.clear();
}

std::string Interpreter::run(Values variables) {
  variables_ = std::move(variables);
  std::string out;
  try {
    InScope root(*this, program_.body, nullptr);
    run_body(program_.body, out);
  } catch (const Fault& f) {
    throw Error(ErrorKind::bad_data, program_.name + ":" + line_and_column(program_.source, at_), f.what);
  }
  return out;
}

// --- statements --------------------------------------------------------------------------------

void Interpreter::append(std::string& out, std::string_view text) {
  budget_.spend(static_cast<int64_t>(text.size() / 64));
  budget_.check_size(out.size() + text.size());
  out += text;
}

void Interpreter::print(std::string& out, const Value& v) {
  if (v.is(Kind::string)) append(out, v.text());
  else append(out, str(v, budget_));
}

Interpreter::Flow Interpreter::run_body(const Body& body, std::string& out) {
  for (const StmtPtr& s : body.statements) {
    Flow flow = run_statement(*s, out);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& s, std::string& out) {
  Level level(frames_, limits_.max_depth * kFramesPerCall, "evaluation");
  at_ = s.at;
  budget_.spend(1);
  switch (s.kind) {
    case StmtKind::data: append(out, s.text); break;
    case StmtKind::output: {
      Value v = eval(*s.expr);
      at_ = s.expr->at;
      print(out, v);
      break;
    }
    case StmtKind::branch: return run_branch(s, out);
    case StmtKind::loop: return run_loop(s, out);
    case StmtKind::assign: assign(*s.target, eval(*s.expr)); break;
    case StmtKind::assign_block: run_assign_block(s); break;
    case StmtKind::macro: set_variable(s.symbol, make_macro(s)); break;
    case StmtKind::call_block: run_call_block(s, out); break;
    case StmtKind::filter_block: {
      Value body(run_scoped(s.body));
      Value filtered = eval_filter(*s.expr, &body);
      // joined as it is
      if (!filtered.is(Kind::string)) fault(std::string("{% filter %} must give a string, not ") + type_name(filtered));
      append(out, filtered.text());
      break;
    }
    case StmtKind::scope: append(out, run_scoped(s.body)); break;
    case StmtKind::break_loop: return Flow::break_loop;
    case StmtKind::continue_loop: return Flow::continue_loop;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_branch(const Stmt& s, std::string& out) {
  for (const auto& [condition, body] : s.branches) {
    if (condition) {
      Value v = eval(*condition);
      at_ = condition->at;
      if (!truth(v)) continue;
    }
    return run_body(body, out);
  }
  return Flow::normal;
}

// What the loop goes through, after its `if`.
Values Interpreter::loop_items(const Stmt& s) {
  Value iterated = eval(*s.expr);
  at_ = s.expr->at;
  Values items = iterate(iterated, budget_);
  if (!s.filter) return items;
  Values passed;
  static const Body no_names;
  InScope scope(*this, no_names, scope_);
  for (Value& v : items) {
    scope.again(no_names);
    assign(*s.target, v);
    Value verdict = eval(*s.filter);
    at_ = s.filter->at;
    if (truth(verdict)) passed.push_back(std::move(v));
  }
  return passed;
}

Interpreter::Flow Interpreter::run_loop(const Stmt& s, std::string& out) {
  auto loop = std::make_shared<Loop>();
  loop->items = loop_items(s);
  for (const Value& v : loop->items) loop->nesting = std::max(loop->nesting, v.nesting() + 1);
  if (run_rounds(s, loop, out) || !s.has_otherwise) return Flow::normal;
  InScope scope(*this, s.otherwise, scope_);
  return run_body(s.otherwise, out);
}

// Whether a round reached the end of the body: Jinja2 asks that, not whether there were items, before it runs the `else`.
bool Interpreter::run_rounds(const Stmt& s, const std::shared_ptr<Loop>& loop, std::string& out) {
  bool completed = false;
  static const Body no_names;
  InScope scope(*this, no_names, scope_);
  for (size_t i = 0; i < loop->items.size(); ++i) {
    scope.again(s.body);
    budget_.spend(1);
    loop->index = i;
    if (s.uses_loop) scope_->variables.emplace_back(program_.loop_symbol, Value(Kind::loop, loop));
    at_ = s.at;
    assign(*s.target, loop->items[i]);
    Flow flow = run_body(s.body, out);
    completed = completed || flow == Flow::normal;
    if (flow == Flow::break_loop) break;
  }
  return completed;
}

std::string Interpreter::run_scoped(const Body& body) {
  std::string out;
  InScope scope(*this, body, scope_);
  run_body(body, out);
  return out;
}

void Interpreter::run_assign_block(const Stmt& s) {
  Value body(run_scoped(s.body));
  at_ = s.at;
  assign(*s.target, s.expr ? eval_filter(*s.expr, &body) : body);
}

void Interpreter::run_call_block(const Stmt& s, std::string& out) {
  Value caller = make_macro(s);
  Value result = eval_call(*s.expr, &caller);
  print(out, result);
}

// --- assignment --------------------------------------------------------------------------------

void Interpreter::set_variable(Symbol symbol, Value value) {
  budget_.spend(static_cast<int64_t>(scope_->variables.size() / 16));
  for (auto& [name, old] : scope_->variables)
    if (name == symbol) { old = std::move(value); return; }
  scope_->variables.emplace_back(symbol, std::move(value));
}

void Interpreter::assign(const Expr& target, Value value) {
  if (target.kind == ExprKind::name) return set_variable(target.symbol, std::move(value));
  if (target.kind == ExprKind::tuple) return unpack(target, value);
  Value object = lookup(target.symbol);
  at_ = target.at;
  if (!object.is(Kind::name_space)) fault("cannot assign attribute on non-namespace object");
  if (value.nesting() >= kMaxNesting) fault("values nested deeper than " + std::to_string(kMaxNesting) + " levels");
  budget_.spend(static_cast<int64_t>(object.as<Namespace>().attributes.size() / 16));
  for (auto& [name, old] : object.as<Namespace>().attributes)
    if (name == target.name) { old = std::move(value); return; }
  budget_.spend(static_cast<int64_t>(object.as<Namespace>().attributes.size()));
  object.as<Namespace>().attributes.emplace_back(target.name, std::move(value));
}

void Interpreter::unpack(const Expr& target, const Value& value) {
  at_ = target.at;
  use(value);
  if (value.is_number() || value.is(Kind::none)) fault(std::string("cannot unpack non-iterable ") + type_name(value) + " object");
  Values items = iterate(value, budget_);
  size_t expected = target.args.size();
  if (items.size() > expected) fault("too many values to unpack (expected " + std::to_string(expected) + ")");
  if (items.size() < expected)
    fault("not enough values to unpack (expected " + std::to_string(expected) + ", got " + std::to_string(items.size()) + ")");
  for (size_t i = 0; i < expected; ++i) assign(*target.args[i], std::move(items[i]));
}

// --- macros ------------------------------------------------------------------------------------

Value Interpreter::make_macro(const Stmt& s) {
  if (!scope_->captured) {
    scope_->captured = true;
    captured_.push_back(scope_);
  }
  auto macro = std::make_shared<Macro>();
  macro->definition = &s;
  macro->scope = scope_;
  return Value(Kind::function, std::move(macro));
}

Value Interpreter::call_macro(const Stmt& s, const std::shared_ptr<Scope>& definition, const Arguments& arguments) {
  Level level(calls_, limits_.max_depth, "calls");
  std::string out;
  InScope scope(*this, s.body, definition);
  bind_macro(s, arguments);
  run_body(s.body, out);
  return Value(std::move(out));
}

// As Jinja2's Macro.__call__: by position, the rest by name, then defaults, which see the parameters before them.
void Interpreter::bind_macro(const Stmt& s, const Arguments& arguments) {
  const std::string name = s.kind == StmtKind::macro ? program_.names[s.symbol] : "caller";
  auto left = arguments.named;
  auto take_named = [&left](const std::string& wanted) {
    auto found = std::find_if(left.begin(), left.end(), [&](const auto& n) { return n.first == wanted; });
    if (found == left.end()) return Value::missing();
    Value v = std::move(found->second);
    left.erase(found);
    return v;
  };
  size_t count = s.parameters.size(), given = std::min(arguments.positional.size(), count);
  Values bound(arguments.positional.begin(), arguments.positional.begin() + static_cast<std::ptrdiff_t>(given));
  budget_.spend(static_cast<int64_t>((count - given) * left.size() / 16));
  for (size_t i = given; i < count; ++i) bound.push_back(take_named(program_.names[s.parameters[i].symbol]));
  if (s.uses_caller) {
    Value caller = take_named("caller");
    set_variable(program_.caller_symbol, caller.is(Kind::missing) ? undefined("No caller defined") : caller);
  }
  if (s.uses_kwargs) {
    auto rest = std::make_shared<Dict>();
    for (auto& [key, value] : left) rest->set(Value(key), value, budget_);
    set_variable(program_.kwargs_symbol, make_dict(std::move(rest)));
  } else if (!left.empty()) {
    fault("macro '" + name + "' takes no keyword argument '" + left[0].first + "'");
  }
  if (s.uses_varargs) {
    set_variable(program_.varargs_symbol,
                 Value::tuple(Values(arguments.positional.begin() + static_cast<std::ptrdiff_t>(given), arguments.positional.end())));
  } else if (arguments.positional.size() > count) {
    fault("macro '" + name + "' takes not more than " + std::to_string(count) + " argument(s)");
  }
  for (size_t i = 0; i < count; ++i) {
    const Parameter& p = s.parameters[i];
    if (!bound[i].is(Kind::missing)) set_variable(p.symbol, std::move(bound[i]));
    else if (p.fallback) set_variable(p.symbol, eval(*p.fallback));
    else set_variable(p.symbol, undefined("parameter '" + program_.names[p.symbol] + "' was not provided"));
  }
}

Value Interpreter::make_namespace(std::vector<std::pair<std::string, Value>> attributes) {
  auto made = std::make_shared<Namespace>();
  made->attributes = std::move(attributes);
  namespaces_.push_back(made);
  return Value(Kind::name_space, std::move(made));
}

}  // namespace ibid::runtime
