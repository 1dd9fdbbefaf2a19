// See record_check.h.
#include "step/record_check.h"

#include <algorithm>

namespace ibid::step {
namespace {

// The record leaf again, from what it says: the same bytes, if it says no more and no less than ibid does.
std::string record_leaf_again(const Json& record, const Record& said) {
  std::optional<std::string> prompt;
  std::vector<int32_t> ids;
  if (!record.at("prompt").is_null())
    for (const Json& id : record.at("prompt_ids").items()) ids.push_back(static_cast<int32_t>(id.as_int()));
  if (!ids.empty()) prompt = record.at("prompt").as_string();
  Json cut;
  if (const Json* t = record.find("truncated"))
    cut = Json::Object{{"kept_bytes", t->at("kept_bytes").as_int()}, {"total_bytes", t->at("total_bytes").as_int()}};
  return record_leaf(said.id, record_canonical(said), prompt, ids, cut);
}

}  // namespace

void RecordCheck::check(const ProvedRecord& r, const std::string& path) {
  const std::string where = "record " + std::to_string(r.number + 1) + " (" + r.id + ")";
  try {
    check_leaves(r, where, [&](const std::string& what) { throw Error(ErrorKind::corrupt, path, where + " " + what); });
  } catch (const Error& e) {
    if (e.kind != ErrorKind::bad_data) throw;
    throw Error(ErrorKind::corrupt, path, where + " is damaged: " + e.what());
  }
}

void RecordCheck::check_leaves(const ProvedRecord& r, const std::string& where, const std::function<void(const std::string&)>& fail) {
  Record said = record_of(r.record, r.outcome, r.number, where), is = records_.take(r, where);
  if (is.id != r.id) fail("is called " + is.id + " by its fields");
  if (said.problem && !is.problem) fail("is kept as a bad record, and nothing is wrong with its fields");
  if (said.problem != is.problem && !is_old_reason(said.problem.value_or(""), is.problem.value_or("")))
    fail("is a bad record for another reason than the bundle says: " + is.problem.value_or("none"));
  if (record_leaf_again(r.record, said) != r.record_text) fail("has a record leaf in a form that ibid does not write");
  const size_t answers = r.outcome.at("answers").items().size();
  const size_t due = r.record.at("prompt").is_null() ? 1 : static_cast<size_t>(manifest_.decoding.samples);
  if (answers != due) fail("has " + std::to_string(answers) + " answers, not " + std::to_string(due));
  const std::vector<AnswerRecord> given = answers_of(r.outcome, where);
  if (outcome_leaf(r.id, given, manifest_.output.logprobs > 0) != r.outcome_text) fail("has an outcome in a form that ibid does not write");
  for (const AnswerRecord& a : given)
    if (std::string odd = oddity(a, !r.record.at("prompt").is_null()); !odd.empty())
      fail("has an answer of status " + a.status + " " + odd);
  if (const Json* t = r.record.find("truncated"); t && !could_be_cut(said, t->at("kept_bytes").as_int(), t->at("total_bytes").as_int()))
    fail("is cut, and its fields or the step say otherwise");
}

// "N fields where the header has M", as bundles from before 26 November 2026 say where ibid now says "N fields where the header has another
// number": M is one number in all of a bundle, and not N.
bool RecordCheck::is_old_reason(const std::string& said, const std::string& is) {
  constexpr std::string_view kAnother = "another number", kOldWords = " fields where the header has ";
  const std::string count = is.substr(0, is.find(' ')), begin = count + std::string(kOldWords);
  if (!is.ends_with(kAnother) || !said.starts_with(begin)) return false;
  const std::string width = said.substr(begin.size());
  if (width.empty() || width[0] == '0' || width.size() > 7 || width == count || width.find_first_not_of("0123456789") != std::string::npos)
    return false;
  if (header_width_.empty()) header_width_ = width;
  return width == header_width_;
}

// What an answer of its status does not have (leaves.h, 2); empty: all is as it should be.
std::string RecordCheck::oddity(const AnswerRecord& a, bool prompted) const {
  const bool unasked = a.status == "bad_record" || a.status == "template_error", whole = a.status == "ok" || a.status == "truncated";
  if (prompted == unasked) return prompted ? "and a prompt" : "without a prompt";
  if (whole != a.error.empty()) return whole ? "and an error" : "without an error";
  if (whole && a.tokens.empty()) return "without tokens";
  if (!whole && a.status != "numeric_error" && !(a.tokens.empty() && a.text.empty())) return "and a text";
  if (std::any_of(a.tokens.begin(), a.tokens.end(), [](const runtime::AnswerToken& t) { return t.margin < 0; }))
    return "and a margin below zero";
  return a.tokens.size() > static_cast<size_t>(manifest_.decoding.max_tokens) ? "and more tokens than the step allows" : "";
}

bool RecordCheck::could_be_cut(const Record& said, int64_t kept, int64_t total) const {
  const Json variables = said.variables();
  const Json* value = manifest_.decoding.truncate ? variables.find(manifest_.decoding.truncate->field) : nullptr;
  return value && value->is_string() && kept >= 0 && kept < total && static_cast<uint64_t>(total) == value->as_string().size();
}

}  // namespace ibid::step
