// What a bundle keeps of each record: the record leaf (input and prompt) and the outcome leaf (answers), as JSON lines.
//
//   record   {"id":..,"fields":[[name,kind,lexeme],..],"prompt":..|null,"prompt_ids":[..]|null,
//             "truncated":{"kept_bytes":..,"total_bytes":..}?}
//   outcome  {"id":..,"answers":[{"status":..,"text":..,"ids":[..],"logprobs":[..],"margins":[..],"top":[[[id,logprob],..],..]?,
//             "error":..?},..]}
// 1. The bytes are a function of the step alone: strings as RFC 8785 has them, no blanks; a float is the shortest decimal that reads back
//    to the same float32, plain or as d.de-07, whichever is shorter, and plain when neither is. Margins, none below zero:
//    kernels/NUMERICS.md, 11.8. `top` stands in all answers of a step with logprobs.
// 2. Keys stand in the order above; what is absent is left out (truncated, top, error) or null: a bad_record and a template_error have no
//    prompt and one answer; all others have a prompt of tokens and `samples` answers, whose lists are of one length. An answer that is ok
//    or truncated has at least one token, at most max_tokens, and no error;
//    any other has an error, and text and tokens only as a numeric_error, from before it.
// 3. `truncated` stands where the step's field was cut: how many bytes of its text were kept, fewer than it has.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/engine.h"
#include "runtime/json.h"
#include "step/records.h"

namespace ibid::step {

// What people are shown of a leaf's [name, kind, lexeme]: true, false and null have no lexeme.
std::string shown_field(const Json& field);

// "answer", or "answer 2 of 4".
std::string answer_title(size_t index, size_t count);

// One answer to one record: what the engine gave, or why there is none.
struct AnswerRecord {
  std::string status;                                  // ok, truncated, overflow, template_error, bad_record, numeric_error
  std::string text;
  std::vector<runtime::AnswerToken> tokens;
  std::string error;                                   // why, when there is no answer
};

bool is_status(const std::string& word);

// What a token id looks like; may return "" when no tokenizer is at hand.
using TokenText = std::function<std::string(int32_t id)>;

std::string float_text(float v);                       // shortest decimal that parses back to v; integers without ".0"
std::string answer_json(const AnswerRecord& answer, bool with_top);
std::string outcome_leaf(const std::string& id, const std::vector<AnswerRecord>& answers, bool with_top);
std::string record_leaf(const std::string& id, const std::string& fields_canonical, const std::optional<std::string>& prompt,
                        const std::vector<int32_t>& prompt_ids, const Json& truncated);

// And back from leaves, which are not trusted; errors: corrupt. What is written again has the same bytes.
AnswerRecord answer_of(const Json& answer, const std::string& where);
std::vector<AnswerRecord> answers_of(const Json& outcome, const std::string& where);
// The record with its id, fields and, where its outcome says that it could not be read, its problem; `number` is its index.
Record record_of(const Json& record, const Json& outcome, uint64_t number, const std::string& where);
// That both leaves are of a form in which their parts can be taken; errors: corrupt.
void require_leaves(const Json& record, const Json& outcome, const std::string& where);

// The parts of leaves that checks need; errors: corrupt.
std::string leaf_id(const Json& leaf, const std::string& where);
std::string worst_status(const Json& outcome, const std::string& where);     // of its answers: the first that is not ok, else ok
std::string worst_status(const std::vector<AnswerRecord>& answers);

}  // namespace ibid::step
