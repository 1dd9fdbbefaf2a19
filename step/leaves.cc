// See leaves.h.
#include "step/leaves.h"

#include <charconv>

#include "runtime/error.h"

namespace ibid::step {
namespace {

template <class Range, class Print>
void append_array(std::string& out, const Range& range, Print print) {
  out += '[';
  bool first = true;
  for (const auto& item : range) {
    if (!first) out += ',';
    first = false;
    print(item);
  }
  out += ']';
}

void append_answer(std::string& out, const AnswerRecord& a, bool with_top) {
  out += "{\"status\":";
  append_json_string(out, a.status);
  out += ",\"text\":";
  append_json_string(out, a.text);
  out += ",\"ids\":";
  append_array(out, a.tokens, [&](const runtime::AnswerToken& t) { out += std::to_string(t.id); });
  out += ",\"logprobs\":";
  append_array(out, a.tokens, [&](const runtime::AnswerToken& t) { out += float_text(t.logprob); });
  out += ",\"margins\":";
  append_array(out, a.tokens, [&](const runtime::AnswerToken& t) { out += float_text(t.margin); });
  if (with_top) {
    out += ",\"top\":";
    append_array(out, a.tokens, [&](const runtime::AnswerToken& t) {
      append_array(out, t.top, [&](const kernels::TokenLogprob& l) { out += "[" + std::to_string(l.id) + "," + float_text(l.logprob) + "]"; });
    });
  }
  if (!a.error.empty()) {
    out += ",\"error\":";
    append_json_string(out, a.error);
  }
  out += '}';
}

}  // namespace

std::string float_text(float v) {
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, v);
  IBID_CHECK(error == std::errc());
  return std::string(buffer, end);
}

std::string outcome_leaf(const std::string& id, const std::vector<AnswerRecord>& answers, bool with_top) {
  std::string out = "{\"id\":";
  append_json_string(out, id);
  out += ",\"answers\":";
  append_array(out, answers, [&](const AnswerRecord& a) { append_answer(out, a, with_top); });
  return out + "}";
}

std::string record_leaf(const std::string& id, const std::string& fields_canonical, const std::optional<std::string>& prompt,
                        const std::vector<int32_t>& prompt_ids, const Json& truncated) {
  std::string out = "{\"id\":";
  append_json_string(out, id);
  out += ",\"fields\":" + fields_canonical + ",\"prompt\":";
  if (prompt) {
    append_json_string(out, *prompt);
    out += ",\"prompt_ids\":";
    append_array(out, prompt_ids, [&](int32_t t) { out += std::to_string(t); });
  } else {
    out += "null,\"prompt_ids\":null";
  }
  if (!truncated.is_null()) out += ",\"truncated\":" + truncated.dump();
  return out + "}";
}

std::string leaf_id(const Json& leaf, const std::string& where) {
  const Json* id = leaf.find("id");
  if (!id || !id->is_string()) throw Error(ErrorKind::corrupt, where, "a leaf without an id");
  return id->as_string();
}

std::string worst_status(const Json& outcome, const std::string& where) {
  const Json* answers = outcome.find("answers");
  if (!answers || !answers->is_array()) throw Error(ErrorKind::corrupt, where, "an outcome without answers");
  for (const Json& a : answers->items()) {
    const Json* status = a.find("status");
    if (!status || !status->is_string()) throw Error(ErrorKind::corrupt, where, "an answer without a status");
    if (status->as_string() != "ok") return status->as_string();
  }
  return "ok";
}

}  // namespace ibid::step
