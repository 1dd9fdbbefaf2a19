// See template_parser.h. Statements; expressions are in template_parser_expr.cc.
#include "runtime/template_parser.h"

#include <algorithm>

namespace ibid::runtime {

Program parse_template(std::string source, std::string name, int max_depth, WhitespaceRules rules) {
  Program program;
  program.source = normalise_newlines(source);
  program.name = std::move(name);
  Parser(program, lex_template(program.source, program.name, rules), max_depth).run();
  return program;
}

Parser::Parser(Program& program, std::vector<Token> tokens, int max_depth)
    : program_(program), tokens_(std::move(tokens)), max_depth_(max_depth) {
  program_.loop_symbol = symbol("loop");
  program_.caller_symbol = symbol("caller");
  program_.varargs_symbol = symbol("varargs");
  program_.kwargs_symbol = symbol("kwargs");
}

void Parser::fail(uint32_t at, const std::string& what) const { refuse(program_.source, program_.name, at, what); }

std::string Parser::shown() const {
  switch (now().kind) {
    case TokenKind::end: return "the end of the template";
    case TokenKind::data: return "text";
    case TokenKind::variable_end: return "'}}'";
    case TokenKind::block_end: return "'%}'";
    case TokenKind::text: return "a string";
    default: return "'" + now().text + "'";
  }
}

void Parser::unexpected(const std::string& wanted) const { fail(now().at, "expected " + wanted + ", found " + shown()); }

bool Parser::take_op(std::string_view op) {
  if (!at_op(op)) return false;
  ++pos_;
  return true;
}

bool Parser::take_name(std::string_view name) {
  if (!at_name(name)) return false;
  ++pos_;
  return true;
}

void Parser::expect_op(std::string_view op) { if (!take_op(op)) unexpected("'" + std::string(op) + "'"); }

Token Parser::expect_name() {
  if (!at(TokenKind::name)) unexpected("a name");
  return take();
}

void Parser::expect_block_end() {
  if (!at(TokenKind::block_end)) unexpected("'%}'");
  ++pos_;
}

Symbol Parser::symbol(const std::string& name) {
  auto [found, added] = symbols_.emplace(name, static_cast<Symbol>(program_.names.size()));
  if (added) program_.names.push_back(name);
  return found->second;
}

namespace {

int height_of(const Body& body) {
  int tallest = 0;
  for (const StmtPtr& s : body.statements) tallest = std::max(tallest, s->height);
  return tallest;
}

}  // namespace

StmtPtr Parser::make(StmtKind kind, uint32_t at) const {
  auto s = std::make_unique<Stmt>();
  s->kind = kind;
  s->at = at;
  return s;
}

StmtPtr Parser::grown(StmtPtr s) const {
  int tallest = std::max(height_of(s->body), height_of(s->otherwise));
  for (const ExprPtr* e : {&s->target, &s->expr, &s->filter})
    if (*e) tallest = std::max(tallest, (*e)->height);
  for (const auto& [condition, body] : s->branches) tallest = std::max({tallest, height_of(body), condition ? condition->height : 0});
  for (const Parameter& p : s->parameters)
    if (p.fallback) tallest = std::max(tallest, p.fallback->height);
  s->height = tallest + 1;
  if (s->height > kMaxHeight) fail(s->at, "nested deeper than " + std::to_string(kMaxHeight) + " levels");
  return s;
}

// Statements up to a tag of that name, which is left as the current token (its '{%' taken).
std::vector<StmtPtr> Parser::statements(const std::vector<std::string>& ends) {
  Nested nested(*this);
  std::vector<StmtPtr> out;
  while (!at(TokenKind::end)) {
    if (at(TokenKind::data)) {
      StmtPtr data = make(StmtKind::data, now().at);
      data->text = take().text;
      out.push_back(std::move(data));
    } else if (at(TokenKind::variable_begin)) {
      out.push_back(output());
      refuse_unknown();
    } else {
      ++pos_;                                        // '{%'
      if (!at(TokenKind::name)) unexpected("the name of a tag");
      if (std::find(ends.begin(), ends.end(), now().text) != ends.end()) return out;
      Token tag = take();
      out.push_back(grown(block(tag)));
      refuse_unknown();
    }
  }
  if (!ends.empty()) unexpected("{% " + ends.back() + " %}");
  return out;
}

StmtPtr Parser::output() {
  StmtPtr s = make(StmtKind::output, take().at);
  s->expr = tuple(true);
  if (!at(TokenKind::variable_end)) unexpected("'}}'");
  ++pos_;
  return grown(std::move(s));
}

StmtPtr Parser::block(const Token& tag) {
  const std::string& t = tag.text;
  if (t == "if") return if_block(tag);
  if (t == "for") return for_block(tag);
  if (t == "set") return set_block(tag);
  if (t == "macro") return macro_block(tag);
  if (t == "call") return call_block(tag);
  if (t == "filter") return filter_block(tag);
  if (t == "generation") return generation_block(tag);
  if (t == "break" || t == "continue") return loop_control(tag);
  for (const char* known : {"include", "import", "from", "extends", "block", "do", "with", "autoescape", "trans", "debug"})
    if (t == known) fail(tag.at, "{% " + t + " %} is not supported");
  fail(tag.at, "unknown tag '" + t + "'");
}

void Parser::end_block(const std::string& end) {
  take_name(end);
  expect_block_end();
}

// The body of a construct with variables of its own.
Body Parser::scoped(const std::vector<std::string>& ends, bool keeps_loop) {
  int soft = std::exchange(soft_, 0);
  int loops = std::exchange(loops_, keeps_loop ? loops_ : 0);
  Body body;
  body.statements = statements(ends);
  soft_ = soft;
  loops_ = loops;
  return body;
}

StmtPtr Parser::if_block(const Token& tag) {
  StmtPtr s = make(StmtKind::branch, tag.at);
  ++soft_;
  ExprPtr condition = tuple(false);
  while (true) {
    expect_block_end();
    bool is_else = condition == nullptr;
    Body body;
    body.statements = statements(is_else ? std::vector<std::string>{"endif"} : std::vector<std::string>{"elif", "else", "endif"});
    s->branches.emplace_back(std::move(condition), std::move(body));
    Token end = take();
    if (end.text == "endif") break;
    condition = end.text == "elif" ? tuple(false) : nullptr;
  }
  --soft_;
  expect_block_end();
  return s;
}

StmtPtr Parser::for_block(const Token& tag) {
  StmtPtr s = make(StmtKind::loop, tag.at);
  s->target = target(true);
  if (!take_name("in")) unexpected("'in'");
  s->expr = tuple(false);
  if (take_name("if")) s->filter = expression();
  if (at_name("recursive")) fail(now().at, "recursive loops are not supported");
  expect_block_end();
  ++loops_;
  s->body = scoped({"else", "endfor"}, true);
  --loops_;
  if (take_name("else")) {
    expect_block_end();
    s->has_otherwise = true;
    s->otherwise = scoped({"endfor"}, true);
  }
  end_block("endfor");
  return s;
}

StmtPtr Parser::set_block(const Token& tag) {
  StmtPtr s = make(StmtKind::assign, tag.at);
  s->target = target(false);
  if (take_op("=")) {
    s->expr = tuple(true);
    expect_block_end();
    return s;
  }
  s->kind = StmtKind::assign_block;
  if (s->target->kind == ExprKind::tuple) fail(s->target->at, "a set block has one target");
  if (at_op("|")) s->expr = filters(nullptr);
  expect_block_end();
  s->body = scoped({"endset"}, false);
  end_block("endset");
  return s;
}

void Parser::parameters(Stmt& stmt) {
  expect_op("(");
  while (!at_op(")")) {
    if (!stmt.parameters.empty()) expect_op(",");
    if (at_op(")")) break;
    Token name = expect_name();
    Parameter p;
    p.symbol = symbol(name.text);
    if (stmt.parameters.size() == kMostNames) fail(name.at, "more than " + std::to_string(kMostNames) + " parameters");
    for (const Parameter& other : stmt.parameters)
      if (other.symbol == p.symbol) fail(name.at, "parameter '" + name.text + "' appears twice");
    if (take_op("=")) p.fallback = expression();
    else if (!stmt.parameters.empty() && stmt.parameters.back().fallback)
      fail(name.at, "a parameter without a default follows one that has it");
    stmt.parameters.push_back(std::move(p));
  }
  expect_op(")");
}

StmtPtr Parser::macro_block(const Token& tag) {
  StmtPtr s = make(StmtKind::macro, tag.at);
  s->symbol = symbol(expect_name().text);
  parameters(*s);
  expect_block_end();
  s->body = scoped({"endmacro"}, false);
  end_block("endmacro");
  return s;
}

StmtPtr Parser::call_block(const Token& tag) {
  StmtPtr s = make(StmtKind::call_block, tag.at);
  if (at_op("(")) parameters(*s);
  s->expr = expression();
  if (s->expr->kind != ExprKind::call) fail(s->expr->at, "{% call %} needs a call");
  expect_block_end();
  s->body = scoped({"endcall"}, false);
  end_block("endcall");
  return s;
}

StmtPtr Parser::filter_block(const Token& tag) {
  StmtPtr s = make(StmtKind::filter_block, tag.at);
  s->expr = filters(one_filter(nullptr));
  expect_block_end();
  s->body = scoped({"endfilter"}, false);
  end_block("endfilter");
  return s;
}

StmtPtr Parser::generation_block(const Token& tag) {
  StmtPtr s = make(StmtKind::scope, tag.at);
  expect_block_end();
  s->body = scoped({"endgeneration"}, false);
  end_block("endgeneration");
  return s;
}

StmtPtr Parser::loop_control(const Token& tag) {
  if (loops_ == 0) fail(tag.at, "{% " + tag.text + " %} outside of a loop");
  StmtPtr s = make(tag.text == "break" ? StmtKind::break_loop : StmtKind::continue_loop, tag.at);
  expect_block_end();
  return s;
}

}  // namespace ibid::runtime
