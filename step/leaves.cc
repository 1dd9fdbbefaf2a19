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

Error malformed(const std::string& where, const std::string& what) { return Error(ErrorKind::corrupt, where, what); }

const Json& member(const Json& object, const char* key, const std::string& where) {
  const Json* value = object.find(key);
  if (!value) throw malformed(where, std::string("a leaf without ") + key);
  return *value;
}

const Json::Array& items_of(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_array()) throw malformed(where, std::string(key) + " is not a list");
  return value.items();
}

const std::string& text_of(const Json& value, const std::string& where) {
  if (!value.is_string()) throw malformed(where, "a leaf with something else where a text belongs");
  return value.as_string();
}

int32_t token_of(const Json& value, const std::string& where) {
  int32_t id = -1;
  if (value.is_number()) {
    const std::string& text = value.lexeme();
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error == std::errc() && end == text.data() + text.size() && id >= 0) return id;
  }
  throw malformed(where, "a token id that is none");
}

// Only the form that float_text writes, so that writing it again gives the same bytes.
float float_of(const Json& value, const std::string& where) {
  float v = 0;
  if (value.is_number()) {
    const std::string& text = value.lexeme();
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (error == std::errc() && end == text.data() + text.size() && float_text(v) == text) return v;
  }
  throw malformed(where, "a number that ibid does not write");
}

Json value_of(const std::string& lexeme, const std::string& where) {
  try {
    return Json::parse(lexeme, where);
  } catch (const Error& e) {
    throw malformed(where, std::string("a field whose text is not of its kind: ") + e.what());
  }
}

}  // namespace

std::string answer_title(size_t index, size_t count) {
  return count > 1 ? "answer " + std::to_string(index + 1) + " of " + std::to_string(count) : "answer";
}

std::string shown_field(const Json& field) {
  const std::string& kind = field.items().at(1).as_string();
  return kind == "true" || kind == "false" || kind == "null" ? kind : field.items().at(2).as_string();
}

bool is_status(const std::string& s) {
  for (const char* known : {"ok", "truncated", "overflow", "template_error", "bad_record", "numeric_error"})
    if (s == known) return true;
  return false;
}

std::string answer_json(const AnswerRecord& a, bool with_top) {
  std::string out = "{\"status\":";
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
      append_array(out, t.top,
                   [&](const kernels::TokenLogprob& l) { out += "[" + std::to_string(l.id) + "," + float_text(l.logprob) + "]"; });
    });
  }
  if (!a.error.empty()) {
    out += ",\"error\":";
    append_json_string(out, a.error);
  }
  return out + '}';
}

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
  append_array(out, answers, [&](const AnswerRecord& a) { out += answer_json(a, with_top); });
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

AnswerRecord answer_of(const Json& answer, const std::string& where) {
  AnswerRecord a{text_of(member(answer, "status", where), where), text_of(member(answer, "text", where), where), {}, ""};
  if (!is_status(a.status)) throw malformed(where, "an unknown status: " + a.status);
  if (const Json* error = answer.find("error")) a.error = text_of(*error, where);
  const Json::Array &ids = items_of(answer, "ids", where), &logprobs = items_of(answer, "logprobs", where);
  const Json::Array& margins = items_of(answer, "margins", where);
  const Json::Array* top = answer.find("top") ? &items_of(answer, "top", where) : nullptr;
  if (logprobs.size() != ids.size() || margins.size() != ids.size() || (top && top->size() != ids.size()))
    throw malformed(where, "an answer whose lists differ in length");
  for (size_t i = 0; i < ids.size(); ++i) {
    runtime::AnswerToken t;
    t.id = token_of(ids[i], where);
    t.logprob = float_of(logprobs[i], where);
    t.margin = float_of(margins[i], where);
    if (top && !(*top)[i].is_array()) throw malformed(where, "alternatives that are not a list");
    for (size_t k = 0; top && k < (*top)[i].items().size(); ++k) {
      const Json& pair = (*top)[i].items()[k];
      if (!pair.is_array() || pair.items().size() != 2) throw malformed(where, "an alternative that is not [id, log-probability]");
      t.top.push_back({token_of(pair.items()[0], where), float_of(pair.items()[1], where)});
    }
    a.tokens.push_back(std::move(t));
  }
  return a;
}

std::vector<AnswerRecord> answers_of(const Json& outcome, const std::string& where) {
  std::vector<AnswerRecord> answers;
  for (const Json& a : items_of(outcome, "answers", where)) answers.push_back(answer_of(a, where));
  return answers;
}

Record record_of(const Json& record, const Json& outcome, uint64_t number, const std::string& where) {
  Record r;
  r.index = number;
  r.id = leaf_id(record, where);
  for (const Json& f : items_of(record, "fields", where)) {
    if (!f.is_array() || f.items().size() != 3) throw malformed(where, "a field that is not [name, kind, lexeme]");
    const std::string &name = text_of(f.items()[0], where), &kind = text_of(f.items()[1], where), &lexeme = text_of(f.items()[2], where);
    if (kind == "bad_record") r.raw = lexeme;
    else r.fields.push_back({name, kind == "string" ? Json(lexeme) : value_of(kind == "number" || kind == "json" ? lexeme : kind, where)});
  }
  const Json::Array& answers = items_of(outcome, "answers", where);
  const Json* status = answers.empty() ? nullptr : answers[0].find("status");
  if (status && status->is_string() && status->as_string() == "bad_record") r.problem = text_of(member(answers[0], "error", where), where);
  return r;
}

void require_leaves(const Json& record, const Json& outcome, const std::string& where) {
  (void)record_of(record, outcome, 0, where);
  (void)answers_of(outcome, where);
  const Json &prompt = member(record, "prompt", where), &ids = member(record, "prompt_ids", where);
  if (prompt.is_null() && ids.is_null()) return;
  (void)text_of(prompt, where);
  for (const Json& id : items_of(record, "prompt_ids", where)) (void)token_of(id, where);
}

std::string leaf_id(const Json& leaf, const std::string& where) {
  const Json* id = leaf.find("id");
  if (!id || !id->is_string()) throw Error(ErrorKind::corrupt, where, "a leaf without an id");
  return id->as_string();
}

std::string worst_status(const std::vector<AnswerRecord>& answers) {
  for (const AnswerRecord& a : answers)
    if (a.status != "ok") return a.status;
  return "ok";
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
