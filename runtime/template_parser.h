// Tokens to tree: the grammar of Jinja2, less what chat templates and prompts do not use. Must not know how anything is evaluated;
// which filters and tests exist it asks.
//
// 1. What is not supported is refused here, by name and position. As in Jinja2, an unknown filter or test directly inside an
//    {% if %} or a conditional expression is an error only when it is reached.
// 2. Depth is bounded: by max_depth where the source nests, by kMaxHeight where a chain makes a tall tree.
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "runtime/template_ast.h"
#include "runtime/template_lexer.h"

namespace ibid::runtime {

// Of a call, and of a macro: each is compared with those before it.
constexpr size_t kMostNames = 255;

// Errors: Error{bad_data, where NAME:line:column}.
Program parse_template(std::string source, std::string name, int max_depth, WhitespaceRules rules);

class Parser {
 public:
  Parser(Program& program, std::vector<Token> tokens, int max_depth);
  void run() { program_.body.statements = statements({}); }

 private:
  friend class Nested;

  // Tokens.
  const Token& now() const { return tokens_[pos_]; }
  const Token& ahead() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  bool at(TokenKind kind) const { return now().kind == kind; }
  bool at_op(std::string_view op) const { return at(TokenKind::op) && now().text == op; }
  bool at_name(std::string_view name) const { return at(TokenKind::name) && now().text == name; }
  bool take_op(std::string_view op);
  bool take_name(std::string_view name);
  Token take() { return tokens_[pos_ + 1 < tokens_.size() ? pos_++ : pos_]; }
  void expect_op(std::string_view op);
  Token expect_name();
  void expect_block_end();
  [[noreturn]] void fail(uint32_t at, const std::string& what) const;
  [[noreturn]] void unexpected(const std::string& wanted) const;
  std::string shown() const;
  Symbol symbol(const std::string& name);

  // Statements (template_parser.cc).
  std::vector<StmtPtr> statements(const std::vector<std::string>& ends);
  StmtPtr output();
  StmtPtr block(const Token& tag);
  StmtPtr if_block(const Token& tag);
  StmtPtr for_block(const Token& tag);
  StmtPtr set_block(const Token& tag);
  StmtPtr macro_block(const Token& tag);
  StmtPtr call_block(const Token& tag);
  StmtPtr filter_block(const Token& tag);
  StmtPtr generation_block(const Token& tag);
  StmtPtr loop_control(const Token& tag);
  void parameters(Stmt& stmt);
  void end_block(const std::string& end);
  Body scoped(const std::vector<std::string>& ends, bool keeps_loop);

  // Expressions (template_parser_expr.cc).
  ExprPtr expression();                              // conditional, the widest
  ExprPtr tuple(bool conditional, bool parenthesised = false);
  ExprPtr or_expr();
  ExprPtr and_expr();
  ExprPtr not_expr();
  ExprPtr compare();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters);
  ExprPtr primary();
  ExprPtr postfix(ExprPtr e);
  ExprPtr filters(ExprPtr e);
  ExprPtr one_filter(ExprPtr input);
  ExprPtr one_test(ExprPtr e);
  ExprPtr list_literal();
  ExprPtr dict_literal();
  ExprPtr subscript(ExprPtr e);
  ExprPtr index();
  ExprPtr call(ExprPtr callee);
  void arguments(Expr& call);
  ExprPtr target(bool in_loop);
  void check_target(const Expr& e, bool in_loop);

  void require_named(bool known, const char* what, const Token& name);   // the filter or test exists, or may be missing
  void refuse_unknown();                             // fails if an unknown name stood where it must exist

  StmtPtr make(StmtKind kind, uint32_t at) const;
  ExprPtr make(ExprKind kind, uint32_t at) const;
  ExprPtr make(ExprKind kind, uint32_t at, ExprPtr a, ExprPtr b = nullptr) const;
  ExprPtr grown(ExprPtr e) const;                    // sets the height from the children, refuses what is too tall
  StmtPtr grown(StmtPtr s) const;

  Program& program_;
  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int depth_ = 0, max_depth_;
  int loops_ = 0;                                    // around this place, in the same function
  std::vector<std::pair<uint32_t, std::string>> unknown_;    // not yet excused by an `if` after the expression
  int soft_ = 0;                                     // conditions around this place, in the same scope
  std::map<std::string, Symbol> symbols_;
};

// Counts one level of nesting for as long as it lives.
class Nested {
 public:
  explicit Nested(Parser& parser) : parser_(parser) {
    if (++parser_.depth_ > parser_.max_depth_)
      parser_.fail(parser_.now().at, "nested deeper than " + std::to_string(parser_.max_depth_) + " levels");
  }
  ~Nested() { --parser_.depth_; }
  Nested(const Nested&) = delete;

 private:
  Parser& parser_;
};

}  // namespace ibid::runtime
