// The parsed template. Owns nothing but data: made by the parser, annotated by the scope analysis, read by the evaluator.
//
// 1. Every node knows its offset in the normalised source and its height; no height exceeds kMaxHeight, so recursion over a
//    tree (its destruction included) is bounded.
// 2. A name is a number: its index in Program::names.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/template_value.h"

namespace ibid::runtime {

constexpr int kMaxHeight = 400;

using Symbol = uint32_t;

enum class ExprKind : uint8_t {
  constant, name,
  list, tuple, dict,           // dict: key, value, key, value
  attribute,                   // args[0].name
  item,                        // args[0][args[1]]
  slice,                       // args[0..2], each may be null; only as the index of an item
  call,                        // args[0](args[1..], named)
  spread,                      // *args[0], only among the arguments of a call
  filter, test,                // args[0] | name(args[1..], named); args[0] of a filter block's first filter is null
  negate, plus, logical_not,
  add, subtract, multiply, divide, floor_divide, modulo, power,
  concat,                      // any number of args
  compare,                     // args[0] ops[0] args[1] ops[1] ...
  logical_and, logical_or,
  conditional,                 // args: condition, then, otherwise (may be null)
  namespace_target             // symbol.name, only as the target of a set
};

enum class CompareOp : uint8_t { eq, ne, lt, le, gt, ge, in, not_in };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind = ExprKind::constant;
  uint32_t at = 0;
  int height = 1;
  Symbol symbol = 0;                                     // name, namespace_target
  std::string name;                                      // attribute, filter, test, namespace_target's attribute
  Value value;                                           // constant
  std::vector<ExprPtr> args;
  std::vector<std::pair<std::string, ExprPtr>> named;    // an empty name: **mapping
  std::vector<CompareOp> ops;
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;

struct Body {
  std::vector<StmtPtr> statements;
  std::vector<Symbol> unset;                             // names that begin without a value here, hiding a variable of the caller
};

enum class StmtKind : uint8_t {
  data, output, branch, loop, assign, assign_block, macro, call_block, filter_block, scope, break_loop, continue_loop
};

struct Parameter { Symbol symbol = 0; ExprPtr fallback; };       // fallback null: no default

struct Stmt {
  StmtKind kind = StmtKind::data;
  uint32_t at = 0;
  int height = 1;
  std::string text;                                      // data
  Symbol symbol = 0;                                     // macro
  ExprPtr target;                                        // loop, assign, assign_block
  ExprPtr expr;                                          // output; loop: what is iterated; assign: the value; call_block: the call;
                                                         // assign_block (may be null), filter_block: the filter
  ExprPtr filter;                                        // loop: its `if`, or null
  std::vector<std::pair<ExprPtr, Body>> branches;        // branch: conditions in order, null for else
  std::vector<Parameter> parameters;                     // macro, call_block
  Body body, otherwise;                                  // otherwise: loop's else
  bool has_otherwise = false;
  bool uses_loop = false;                                // loop: its body reads `loop`
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;     // macro, call_block
};

struct Program {
  std::string source, name;
  std::vector<std::string> names;                        // of symbols
  Symbol loop_symbol = 0, caller_symbol = 0, varargs_symbol = 0, kwargs_symbol = 0;
  Body body;
};

}  // namespace ibid::runtime
