// A bundle as one self-contained page for people: no script, no link, nothing fetched.
#pragma once
#include "step/bundle.h"

namespace ibid::step {

// The first `limit` records, each proved against the bundle's roots. Everything from outside is escaped.
void write_html(const Bundle& bundle, uint64_t limit, OutputFile& out);

}  // namespace ibid::step
