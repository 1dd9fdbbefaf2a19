// Differences in words: of configurations every field, of records the first cause, of answers the first sample and token at which they
// part, with the margins that were at stake there. Shared by diff and rerun.
// Must not know bundles, nor what a difference means for the exit code.
#pragma once
#include <functional>
#include <string>

#include "step/leaves.h"

namespace ibid::step {

// What is seen of an answer without asking for more: its status and its text.
std::string shown_of(const Json& answer);

// First difference of two outcome leaves, in words that name left ("archived") and right ("now"); "" when they are equal. An answer whose
// status or text differs comes before one that differs in tokens or numbers alone.
std::string first_difference(const Json& left, const Json& right, const std::string& left_name, const std::string& right_name,
                             const TokenText& token_text);

// Differences of two JSON values as "path: left -> right" lines, every differing leaf; for configurations.
void list_differences(const Json& left, const Json& right, const std::string& path, const std::function<void(const std::string&)>& line);

// Differences of two record leaves (require_leaves): the fields by name, else the prompt, else its tokens:
// the others follow from the first.
void list_record_differences(const Json& left, const Json& right, const std::function<void(const std::string&)>& line);

}  // namespace ibid::step
