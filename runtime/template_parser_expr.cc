// See template_parser.h. Expressions, with the precedence that Jinja2 gives them.
#include <algorithm>

#include "runtime/template_builtins.h"
#include "runtime/template_parser.h"

namespace ibid::runtime {

ExprPtr Parser::make(ExprKind kind, uint32_t at) const {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->at = at;
  return e;
}

ExprPtr Parser::make(ExprKind kind, uint32_t at, ExprPtr a, ExprPtr b) const {
  ExprPtr e = make(kind, at);
  e->args.push_back(std::move(a));
  if (b) e->args.push_back(std::move(b));
  return grown(std::move(e));
}

ExprPtr Parser::grown(ExprPtr e) const {
  int tallest = 0;
  for (const ExprPtr& a : e->args)
    if (a) tallest = std::max(tallest, a->height);
  for (const auto& [name, a] : e->named) tallest = std::max(tallest, a->height);
  e->height = tallest + 1;
  if (e->height > kMaxHeight) fail(e->at, "expression of more than " + std::to_string(kMaxHeight) + " levels");
  return e;
}

ExprPtr Parser::expression() {
  Nested nested(*this);
  size_t unknown_before = unknown_.size();
  ExprPtr e = or_expr();
  if (at_name("if")) unknown_.resize(unknown_before);
  while (at_name("if")) {
    uint32_t where = take().at;
    ExprPtr conditional = make(ExprKind::conditional, where);
    ++soft_;
    conditional->args.push_back(or_expr());
    conditional->args.push_back(std::move(e));
    conditional->args.push_back(take_name("else") ? expression() : nullptr);
    --soft_;
    e = grown(std::move(conditional));
  }
  return e;
}

// Expressions with commas between them; one alone is itself.
ExprPtr Parser::tuple(bool conditional, bool parenthesised) {
  uint32_t where = now().at;
  std::vector<ExprPtr> items;
  bool comma = false;
  while (true) {
    if (!items.empty()) {
      if (!take_op(",")) break;
      comma = true;
    }
    if (at(TokenKind::variable_end) || at(TokenKind::block_end) || at_op(")")) break;
    items.push_back(conditional ? expression() : or_expr());
  }
  if (!comma && items.size() == 1) return std::move(items[0]);
  if (items.empty() && !parenthesised) unexpected("an expression");
  ExprPtr e = make(ExprKind::tuple, where);
  e->args = std::move(items);
  return grown(std::move(e));
}

ExprPtr Parser::or_expr() {
  ExprPtr e = and_expr();
  while (at_name("or")) {
    uint32_t where = take().at;
    ExprPtr right = and_expr();
    e = make(ExprKind::logical_or, where, std::move(e), std::move(right));
  }
  return e;
}

ExprPtr Parser::and_expr() {
  ExprPtr e = not_expr();
  while (at_name("and")) {
    uint32_t where = take().at;
    ExprPtr right = not_expr();
    e = make(ExprKind::logical_and, where, std::move(e), std::move(right));
  }
  return e;
}

ExprPtr Parser::not_expr() {
  if (!at_name("not")) return compare();
  Nested nested(*this);
  uint32_t where = take().at;
  return make(ExprKind::logical_not, where, not_expr());
}

ExprPtr Parser::compare() {
  static const std::pair<std::string_view, CompareOp> ops[] = {{"==", CompareOp::eq}, {"!=", CompareOp::ne}, {"<", CompareOp::lt},
                                                               {"<=", CompareOp::le}, {">", CompareOp::gt}, {">=", CompareOp::ge}};
  uint32_t where = now().at;
  ExprPtr first = sum();
  ExprPtr e;
  while (true) {
    auto op = std::find_if(std::begin(ops), std::end(ops), [&](const auto& o) { return at_op(o.first); });
    bool negated = at_name("not") && ahead().kind == TokenKind::name && ahead().text == "in";
    if (op == std::end(ops) && !negated && !at_name("in")) break;
    if (!e) e = make(ExprKind::compare, where, std::move(first));
    e->ops.push_back(op != std::end(ops) ? op->second : negated ? CompareOp::not_in : CompareOp::in);
    pos_ += negated ? 2 : 1;
    e->args.push_back(sum());
  }
  return e ? grown(std::move(e)) : std::move(first);
}

ExprPtr Parser::sum() {
  ExprPtr e = concat();
  while (at_op("+") || at_op("-")) {
    Token op = take();
    ExprPtr right = concat();
    e = make(op.text == "+" ? ExprKind::add : ExprKind::subtract, op.at, std::move(e), std::move(right));
  }
  return e;
}

ExprPtr Parser::concat() {
  ExprPtr first = product();
  if (!at_op("~")) return first;
  ExprPtr e = make(ExprKind::concat, now().at, std::move(first));
  while (take_op("~")) e->args.push_back(product());
  return grown(std::move(e));
}

ExprPtr Parser::product() {
  ExprPtr e = power();
  while (at_op("*") || at_op("/") || at_op("//") || at_op("%")) {
    Token op = take();
    ExprKind kind = op.text == "*" ? ExprKind::multiply : op.text == "/" ? ExprKind::divide
                    : op.text == "//" ? ExprKind::floor_divide : ExprKind::modulo;
    ExprPtr right = power();
    e = make(kind, op.at, std::move(e), std::move(right));
  }
  return e;
}

ExprPtr Parser::power() {
  ExprPtr e = unary(true);
  while (at_op("**")) {
    uint32_t where = take().at;
    ExprPtr right = unary(true);
    e = make(ExprKind::power, where, std::move(e), std::move(right));
  }
  return e;
}

ExprPtr Parser::unary(bool with_filters) {
  uint32_t where = now().at;
  ExprPtr e;
  if (at_op("-") || at_op("+")) {
    Nested nested(*this);
    ExprKind kind = take().text == "-" ? ExprKind::negate : ExprKind::plus;
    e = make(kind, where, unary(false));
  } else {
    e = primary();
  }
  e = postfix(std::move(e));
  return with_filters ? filters(std::move(e)) : std::move(e);
}

ExprPtr Parser::primary() {
  Token t = now();
  ExprPtr e = make(ExprKind::constant, t.at);
  if (t.kind == TokenKind::name) {
    ++pos_;
    if (t.text == "true" || t.text == "True") e->value = Value(true);
    else if (t.text == "false" || t.text == "False") e->value = Value(false);
    else if (t.text != "none" && t.text != "None") {
      e->kind = ExprKind::name;
      e->symbol = symbol(t.text);
    }
    return e;
  }
  if (t.kind == TokenKind::text) {
    std::string joined;
    while (at(TokenKind::text)) joined += take().text;         // adjacent literals are one
    e->value = Value(std::move(joined));
    return e;
  }
  if (t.kind == TokenKind::integer || t.kind == TokenKind::real) {
    ++pos_;
    e->value = t.kind == TokenKind::integer ? Value(t.integer) : Value(t.real);
    return e;
  }
  if (take_op("(")) {
    e = tuple(true, true);
    expect_op(")");
    return e;
  }
  if (at_op("[")) return list_literal();
  if (at_op("{")) return dict_literal();
  unexpected("an expression");
}

ExprPtr Parser::list_literal() {
  ExprPtr e = make(ExprKind::list, take().at);
  while (!at_op("]")) {
    if (!e->args.empty()) expect_op(",");
    if (at_op("]")) break;
    e->args.push_back(expression());
  }
  expect_op("]");
  return grown(std::move(e));
}

ExprPtr Parser::dict_literal() {
  ExprPtr e = make(ExprKind::dict, take().at);
  while (!at_op("}")) {
    if (!e->args.empty()) expect_op(",");
    if (at_op("}")) break;
    e->args.push_back(expression());
    expect_op(":");
    e->args.push_back(expression());
  }
  expect_op("}");
  return grown(std::move(e));
}

ExprPtr Parser::postfix(ExprPtr e) {
  while (true) {
    if (at_op(".") || at_op("[")) e = subscript(std::move(e));
    else if (at_op("(")) e = call(std::move(e));
    else return e;
  }
}

ExprPtr Parser::subscript(ExprPtr e) {
  Token open = take();
  if (open.text == "[") {
    ExprPtr key = index();
    if (at_op(",")) fail(now().at, "several subscripts are not supported");
    expect_op("]");
    return make(ExprKind::item, open.at, std::move(e), std::move(key));
  }
  if (at(TokenKind::integer)) {
    ExprPtr key = make(ExprKind::constant, now().at);
    key->value = Value(take().integer);
    return make(ExprKind::item, open.at, std::move(e), std::move(key));
  }
  ExprPtr attribute = make(ExprKind::attribute, now().at, std::move(e));
  attribute->name = expect_name().text;
  return attribute;
}

ExprPtr Parser::index() {
  uint32_t where = now().at;
  ExprPtr start, stop, step;
  if (!at_op(":")) {
    start = expression();
    if (!at_op(":")) return start;
  }
  expect_op(":");
  if (!at_op("]") && !at_op(":")) stop = expression();
  if (take_op(":") && !at_op("]")) step = expression();
  ExprPtr e = make(ExprKind::slice, where);
  e->args.push_back(std::move(start));
  e->args.push_back(std::move(stop));
  e->args.push_back(std::move(step));
  return grown(std::move(e));
}

ExprPtr Parser::call(ExprPtr callee) {
  if (callee->kind == ExprKind::attribute && is_refused_method(callee->name))
    fail(callee->at, "method '" + callee->name + "' is not supported");
  ExprPtr e = make(ExprKind::call, now().at, std::move(callee));
  arguments(*e);
  return grown(std::move(e));
}

void Parser::arguments(Expr& call) {
  expect_op("(");
  bool first = true;
  while (!at_op(")")) {
    if (!first) expect_op(",");
    first = false;
    if (at_op(")")) break;
    if (at_op("*") || at_op("**")) {
      Token stars = take();
      if (stars.text == "*") call.args.push_back(make(ExprKind::spread, stars.at, expression()));
      else call.named.emplace_back("", expression());
    } else if (at(TokenKind::name) && ahead().kind == TokenKind::op && ahead().text == "=") {
      Token name = take();
      ++pos_;
      if (call.named.size() == kMostNames) fail(name.at, "more than " + std::to_string(kMostNames) + " named arguments");
      for (const auto& [other, value] : call.named)
        if (other == name.text) fail(name.at, "argument '" + name.text + "' appears twice");
      call.named.emplace_back(name.text, expression());
    } else {
      if (!call.named.empty()) fail(now().at, "a positional argument follows a named one");
      call.args.push_back(expression());
    }
  }
  expect_op(")");
}

ExprPtr Parser::filters(ExprPtr e) {
  while (true) {
    if (take_op("|")) e = one_filter(std::move(e));
    else if (e && at_name("is")) e = one_test(std::move(e));
    else if (e && at_op("(")) e = call(std::move(e));
    else return e;
  }
}

void Parser::require_named(bool known, const char* what, const Token& name) {
  if (!known && soft_ == 0) unknown_.emplace_back(name.at, std::string("no ") + what + " named '" + name.text + "'");
}

void Parser::refuse_unknown() {
  if (!unknown_.empty()) fail(unknown_[0].first, unknown_[0].second);
}

ExprPtr Parser::one_filter(ExprPtr input) {
  Token name = expect_name();
  ExprPtr e = make(ExprKind::filter, name.at);
  e->name = name.text;
  if (at_op(".")) fail(now().at, "filter names with a dot are not supported");
  require_named(find_filter(e->name) != nullptr, "filter", name);
  e->args.push_back(std::move(input));
  if (at_op("(")) arguments(*e);
  return grown(std::move(e));
}

ExprPtr Parser::one_test(ExprPtr input) {
  uint32_t where = take().at;                                  // 'is'
  bool negated = take_name("not");
  Token name = expect_name();
  ExprPtr e = make(ExprKind::test, name.at);
  e->name = name.text;
  require_named(find_test(e->name) != nullptr, "test", name);
  e->args.push_back(std::move(input));
  bool value_follows = at(TokenKind::name) || at(TokenKind::text) || at(TokenKind::integer) || at(TokenKind::real) || at_op("[") ||
                       at_op("{");
  if (at_op("(")) {
    arguments(*e);
  } else if (value_follows && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) fail(now().at, "tests cannot be chained with 'is'");
    e->args.push_back(postfix(primary()));
  }
  e = grown(std::move(e));
  return negated ? make(ExprKind::logical_not, where, std::move(e)) : std::move(e);
}

// What may stand left of '=' or between 'for' and 'in'.
ExprPtr Parser::target(bool in_loop) {
  if (!in_loop && at(TokenKind::name) && ahead().kind == TokenKind::op && ahead().text == ".") {
    Token name = take();
    ++pos_;
    ExprPtr e = make(ExprKind::namespace_target, name.at);
    e->symbol = symbol(name.text);
    e->name = expect_name().text;
    return e;
  }
  uint32_t where = now().at;
  std::vector<ExprPtr> items;
  bool comma = false;
  do {
    if (!items.empty()) comma = true;
    if (at_op("=") || (in_loop && at_name("in")) || at_op(")") || at(TokenKind::block_end)) break;
    if (take_op("(")) {
      Nested nested(*this);
      items.push_back(target(true));
      expect_op(")");
    } else {
      items.push_back(primary());
    }
    check_target(*items.back(), in_loop);
  } while (take_op(","));
  if (items.empty()) unexpected("a name to assign to");
  if (!comma && items.size() == 1) return std::move(items[0]);
  ExprPtr e = make(ExprKind::tuple, where);
  e->args = std::move(items);
  return grown(std::move(e));
}

void Parser::check_target(const Expr& e, bool in_loop) {
  if (e.kind != ExprKind::name && e.kind != ExprKind::tuple) fail(e.at, "cannot assign to this");
  if (in_loop && e.kind == ExprKind::name && e.symbol == program_.loop_symbol) fail(e.at, "'loop' cannot be the variable of a loop");
}

}  // namespace ibid::runtime
