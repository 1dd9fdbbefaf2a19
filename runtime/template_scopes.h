// Which names a template reads from outside, and which begin unset in each of its scopes. Follows Jinja2's own analysis, because
// its results show: a name that a scope assigns anywhere, unconditionally and before reading it, never falls back to the caller's
// variable of that name, not even in an inner scope that stands before the assignment.
#pragma once
#include <set>

#include "runtime/template_ast.h"

namespace ibid::runtime {

struct NamesRead {
  std::set<Symbol> outside;             // looked up outside of the template; functions such as range are among them
  std::set<std::string> files;          // literals in file('name')
};

// Fills Body::unset and the uses_ flags of the statements.
NamesRead analyse_scopes(Program& program);

}  // namespace ibid::runtime
