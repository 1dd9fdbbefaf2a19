// What this program is: version, compiler, numeric flags, semantics. Printed by --version and kept in the run record.
#pragma once
#include <string>

#include "runtime/json.h"

namespace ibid::step {

std::string version_text(bool verbose);               // "ibid X.Y.Z\n"; verbose adds a line per fact
Json version_facts();                                  // object: ibid, semantics, unicode, compiler, numeric_flags, cuda, instruction_set

}  // namespace ibid::step
