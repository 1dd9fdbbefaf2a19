// Canonical JSON (RFC 8785): one sequence of bytes for one value, so that a digest of it is an identity.
//
// Owns key order (by UTF-16 code units), the form of numbers (as ECMAScript prints a binary64) and string escapes.
// Must not know what the JSON means.
// 1. Numbers are taken as binary64. One that has no exact meaning there is refused, never rounded in silence: an integer
//    lexeme beyond 2^53 - 1 in magnitude, or a value that overflows.
// 2. canonical(parse(canonical(x))) == canonical(x).
#pragma once
#include <string>
#include <string_view>

#include "runtime/json.h"

namespace ibid::step {

// Errors: bad_data (a number that binary64 cannot carry).
std::string canonical(const Json& value);

// A finite binary64 as ECMAScript's Number::toString prints it. REQUIRES: finite.
std::string canonical_number(double value);

// The shortest decimal that reads back as this binary32, in the same form. REQUIRES: finite.
std::string canonical_number(float value);

// Order of keys: compares as sequences of UTF-16 code units. REQUIRES: valid UTF-8.
bool utf16_less(std::string_view a, std::string_view b);

}  // namespace ibid::step
