// Runs a parsed template: one Interpreter for one render. Owns scopes, limits and the position of errors; what filters, tests,
// methods and functions do is in template_builtins.h.
//
// 1. Scopes behave as those of the Python that Jinja2 generates: lexical, one for each loop round, macro call and block body.
// 2. Evaluation recurses at most kFramesPerCall * max_depth deep, calls at most max_depth.
// 3. Whatever could hold itself (namespaces, scopes that macros captured) is emptied when the render ends.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/template.h"
#include "runtime/template_ast.h"
#include "runtime/template_builtins.h"

namespace ibid::runtime {

constexpr int kFramesPerCall = 20;

// One level of recursion for as long as it lives.
class Level {
 public:
  Level(int& depth, int limit, const char* what) : depth_(depth) {
    if (depth >= limit) fault(std::string(what) + " nested deeper than " + std::to_string(limit) + " levels");
    ++depth_;
  }
  ~Level() { --depth_; }
  Level(const Level&) = delete;

 private:
  int& depth_;
};

struct Scope : Object {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<Symbol, Value>> variables;
  bool captured = false;
};

struct Loop : Object {
  Values items;
  size_t index = 0;
};

class Interpreter {
 public:
  Interpreter(const Program& program, const TemplateLimits& limits, UndefinedIs undefined, const RenderContext& context);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;

  // `variables`: one for each symbol, Kind::missing where the caller gave none.
  std::string run(Values variables);

  // For the builtins.
  Budget& budget() { return budget_; }
  const RenderContext& context() const { return context_; }
  Value undefined(std::string message);                                     // charged: it may name a key of any length
  Value attribute(const Value& object, const std::string& name);            // object.name
  Value item(const Value& object, const Value& key);                        // object[key]
  Value call(const Value& function, const Arguments& arguments);
  Value filter(const std::string& name, const Value& input, const Arguments& arguments);
  bool test(const std::string& name, const Value& input, const Arguments& arguments);
  Value make_namespace(std::vector<std::pair<std::string, Value>> attributes);

 private:
  friend struct Macro;
  enum class Flow { normal, break_loop, continue_loop };
  class InScope;

  Flow run_body(const Body& body, std::string& out);
  Flow run_statement(const Stmt& s, std::string& out);
  Flow run_branch(const Stmt& s, std::string& out);
  Flow run_loop(const Stmt& s, std::string& out);
  bool run_rounds(const Stmt& s, const std::shared_ptr<Loop>& loop, std::string& out);
  Values loop_items(const Stmt& s);
  void run_assign_block(const Stmt& s);
  void run_call_block(const Stmt& s, std::string& out);
  std::string run_scoped(const Body& body);
  Value make_macro(const Stmt& s);
  Value call_macro(const Stmt& s, const std::shared_ptr<Scope>& scope, const Arguments& arguments);
  void bind_macro(const Stmt& s, const Arguments& arguments);
  void print(std::string& out, const Value& v);
  void append(std::string& out, std::string_view text);

  void assign(const Expr& target, Value value);
  void unpack(const Expr& target, const Value& value);
  void set_variable(Symbol symbol, Value value);
  Value lookup(Symbol symbol);
  Value own_attribute(const Value& object, const std::string& name);

  Value eval(const Expr& e);
  Value eval_compare(const Expr& e);
  Value eval_concat(const Expr& e);
  Value eval_dict(const Expr& e);
  Value eval_item(const Expr& e);
  Value eval_call(const Expr& e, const Value* caller = nullptr);
  Value eval_filter(const Expr& e, const Value* input);
  Value eval_test(const Expr& e);
  Value eval_sign(const Expr& e);
  Value eval_conditional(const Expr& e);
  Value eval_arithmetic(const Expr& e);
  Values eval_all(const std::vector<ExprPtr>& expressions, size_t from = 0);
  Arguments eval_arguments(const Expr& e);
  bool holds(CompareOp op, const Value& a, const Value& b);

  const Program& program_;
  const TemplateLimits limits_;
  const RenderContext& context_;
  bool strict_;
  Budget budget_;
  Values variables_;
  std::shared_ptr<Scope> scope_;
  uint32_t at_ = 0;                                  // where an error is reported
  int frames_ = 0, calls_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<Scope>> captured_;
};

// Operators (template_operators.cc). All Fault like Python.
Value add(const Value& a, const Value& b, Budget& budget);
Value arithmetic(ExprKind op, const Value& a, const Value& b, Budget& budget);   // subtract ... power
Value negate(const Value& v);
Value slice(const Value& v, const Value& start, const Value& stop, const Value& step, Budget& budget);
std::string object_name(const Value& v);             // "'dict object'", as the messages about attributes have it

}  // namespace ibid::runtime
