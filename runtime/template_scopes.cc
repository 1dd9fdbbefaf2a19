// See template_scopes.h. A scope is analysed whole before the scopes inside it.
#include "runtime/template_scopes.h"

#include <map>

#include "runtime/template_lexer.h"

namespace ibid::runtime {
namespace {

enum class Load { parameter, outside, alias, unset };      // how a name gets its value when the scope begins

struct Names {
  const Names* parent = nullptr;
  std::map<Symbol, Load> loads;
  std::set<Symbol> stores;

  bool known(Symbol s) const { return loads.count(s) > 0 || (parent && parent->known(s)); }
  bool known_outside(Symbol s) const { return parent && parent->known(s); }
  void store(Symbol s) {
    stores.insert(s);
    loads.emplace(s, known_outside(s) ? Load::alias : Load::unset);      // keeps what is there
  }
  void load(Symbol s) { if (!known(s)) loads.emplace(s, Load::outside); }
  void parameter(Symbol s) { stores.insert(s); loads[s] = Load::parameter; }

  // What only some paths assign keeps its outer value on the others.
  void merge(const std::vector<Names>& branches) {
    std::set<Symbol> conditional;
    for (const Names& b : branches) conditional.insert(b.stores.begin(), b.stores.end());
    for (Symbol s : stores) conditional.erase(s);
    for (const Names& b : branches) {
      for (const auto& [s, load] : b.loads) loads[s] = load;
      stores.insert(b.stores.begin(), b.stores.end());
    }
    for (Symbol s : conditional) loads[s] = known_outside(s) ? Load::alias : Load::outside;
  }
};

class Analysis {
 public:
  explicit Analysis(Program& program) : program_(program) {}

  NamesRead run() {
    Names root;
    visit(program_.body, root);
    finish(program_.body, root);
    return std::move(read_);
  }

 private:
  // --- one scope, without what is inside its inner scopes ---

  void visit(const Expr* e, Names& names) {
    if (!e) return;
    if (e->kind == ExprKind::name || e->kind == ExprKind::namespace_target) names.load(e->symbol);
    for (const ExprPtr& a : e->args) visit(a.get(), names);
    for (const auto& [name, a] : e->named) visit(a.get(), names);
    if (e->kind == ExprKind::call && e->args[0]->kind == ExprKind::name && program_.names[e->args[0]->symbol] == "file" &&
        e->args.size() > 1 && e->args[1]->kind == ExprKind::constant && e->args[1]->value.is(Kind::string))
      read_.files.insert(e->args[1]->value.text());
  }

  void visit_target(const Expr& e, Names& names, bool as_parameter) {
    if (e.kind == ExprKind::tuple) {
      for (const ExprPtr& a : e.args) visit_target(*a, names, as_parameter);
    } else if (e.kind == ExprKind::namespace_target) {
      names.load(e.symbol);
    } else if (as_parameter) {
      names.parameter(e.symbol);
    } else {
      names.store(e.symbol);
    }
  }

  void visit(const Body& body, Names& names) {
    for (const StmtPtr& s : body.statements) visit(*s, names);
  }

  void visit(const Stmt& s, Names& names) {
    switch (s.kind) {
      case StmtKind::branch: visit_branches(s, names); break;
      case StmtKind::macro: names.store(s.symbol); break;
      case StmtKind::assign_block: visit_target(*s.target, names, false); visit(s.expr.get(), names); break;
      case StmtKind::assign: visit(s.expr.get(), names); visit_target(*s.target, names, false); break;
      default: visit(s.expr.get(), names); break;                      // of loops and blocks the scope sees only the head
    }
  }

  // Each branch copies the names so far, so many of both would take long.
  void count(const Names& names, const Stmt& s) {
    constexpr size_t kMaxCopied = 5'000'000;
    copied_ += names.loads.size() + names.stores.size();
    if (copied_ > kMaxCopied) refuse(program_.source, program_.name, s.at, "too many conditions among too many variables");
  }

  // {% elif %} is an {% if %} in the other branch.
  void visit_branches(const Stmt& s, Names& names) {
    visit(s.branches[0].first.get(), names);
    count(names, s);
    std::vector<Names> branches(2, names);
    visit(s.branches[0].second, branches[0]);
    Names& others = branches[1];
    for (size_t i = 1; i < s.branches.size(); ++i) {
      const auto& [condition, body] = s.branches[i];
      visit(condition.get(), others);
      count(others, s);
      std::vector<Names> one(1, others);
      visit(body, one[0]);
      others.merge(one);
    }
    names.merge(branches);
  }

  // --- the scopes inside ---

  void finish(Body& body, const Names& names) {
    for (const auto& [s, load] : names.loads) {
      if (load == Load::outside) read_.outside.insert(s);
      if (load == Load::unset) body.unset.push_back(s);
    }
    descend(body, names);
  }

  void descend(Body& body, const Names& names) {
    for (StmtPtr& s : body.statements) inner(*s, names);
  }

  void inner(Stmt& s, const Names& outer) {
    Names names;
    names.parent = &outer;
    switch (s.kind) {
      case StmtKind::branch:
        for (auto& [condition, body] : s.branches) descend(body, outer);
        break;
      case StmtKind::loop: inner_loop(s, outer); break;
      case StmtKind::macro: case StmtKind::call_block: inner_macro(s, outer); break;
      case StmtKind::filter_block: case StmtKind::assign_block: case StmtKind::scope:
        visit(s.body, names);
        finish(s.body, names);
        break;
      default: break;
    }
  }

  void inner_loop(Stmt& s, const Names& outer) {
    Names body, otherwise, filter;
    body.parent = otherwise.parent = filter.parent = &outer;
    s.uses_loop = reads(s.body, program_.loop_symbol);
    if (s.uses_loop) body.parameter(program_.loop_symbol);
    visit_target(*s.target, body, true);
    visit(s.body, body);
    finish(s.body, body);
    visit(s.otherwise, otherwise);
    finish(s.otherwise, otherwise);
    Body nothing;
    visit_target(*s.target, filter, true);
    visit(s.filter.get(), filter);
    finish(nothing, filter);
  }

  void inner_macro(Stmt& s, const Names& outer) {
    Names names;
    names.parent = &outer;
    std::set<Symbol> named;                                 // a parameter of a special name takes its place
    for (const Parameter& p : s.parameters) {
      names.parameter(p.symbol);
      named.insert(p.symbol);
    }
    for (const Parameter& p : s.parameters) visit(p.fallback.get(), names);
    visit(s.body, names);
    auto special = [&](Symbol symbol) { return named.count(symbol) == 0 && reads(s.body, symbol); };
    s.uses_caller = special(program_.caller_symbol);
    s.uses_varargs = special(program_.varargs_symbol);
    s.uses_kwargs = special(program_.kwargs_symbol);
    if (s.uses_caller) names.parameter(program_.caller_symbol);
    if (s.uses_varargs) names.parameter(program_.varargs_symbol);
    if (s.uses_kwargs) names.parameter(program_.kwargs_symbol);
    finish(s.body, names);
  }

  // --- whether a name is read anywhere below ---

  static bool reads(const Expr* e, Symbol symbol) {
    if (!e) return false;
    if (e->kind == ExprKind::name && e->symbol == symbol) return true;
    for (const ExprPtr& a : e->args)
      if (reads(a.get(), symbol)) return true;
    for (const auto& [name, a] : e->named)
      if (reads(a.get(), symbol)) return true;
    return false;
  }

  static bool reads(const Body& body, Symbol symbol) {
    for (const StmtPtr& s : body.statements)
      if (reads(*s, symbol)) return true;
    return false;
  }

  static bool reads(const Stmt& s, Symbol symbol) {
    bool target_reads = s.kind == StmtKind::assign && s.target->kind == ExprKind::namespace_target && s.target->symbol == symbol;
    if (target_reads || reads(s.expr.get(), symbol) || reads(s.filter.get(), symbol)) return true;
    for (const auto& [condition, body] : s.branches)
      if (reads(condition.get(), symbol) || reads(body, symbol)) return true;
    for (const Parameter& p : s.parameters)
      if (reads(p.fallback.get(), symbol)) return true;
    return reads(s.body, symbol) || reads(s.otherwise, symbol);
  }

  Program& program_;
  NamesRead read_;
  size_t copied_ = 0;                                       // names, into branches
};

}  // namespace

NamesRead analyse_scopes(Program& program) { return Analysis(program).run(); }

}  // namespace ibid::runtime
