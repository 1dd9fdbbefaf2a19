// See rows.h.
#include "step/rows.h"

#include "runtime/error.h"
#include "runtime/json.h"

namespace ibid::step {
namespace {

std::string escaped(const std::string& text, bool tabs) {
  std::string out;
  for (char c : text) {
    if (c == '\\') out += "\\\\";
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t' && tabs) out += "\\t";
    else out += c;
  }
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string joined(const std::vector<std::string>& cells, char separator) {
  std::string out;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i) out += separator;
    out += cells[i];
  }
  return out + "\n";
}

}  // namespace

bool has_response(const AnswerRecord& a) { return a.status == "ok" || a.status == "truncated"; }

std::string shown_token(std::string_view bytes) { return is_utf8(bytes) ? std::string(bytes) : "\xEF\xBF\xBD"; }

ShownTokens::ShownTokens(const std::string& json, const std::string& where) {
  try {
    const Json parsed = Json::parse(json, where);
    for (const Json& pair : parsed.items()) {
      int64_t id = pair.items().at(0).as_int();
      if (pair.items().size() != 2 || id < 0 || id > INT32_MAX) throw Error(ErrorKind::bad_data, where, "an entry that is not [id, text]");
      texts_[static_cast<int32_t>(id)] = pair.items()[1].as_string();
    }
  } catch (const std::exception& e) {
    throw Error(ErrorKind::corrupt, where, std::string("damaged token texts: ") + e.what());
  }
}

std::string ShownTokens::remember(int32_t id, std::string text) { return texts_.emplace(id, std::move(text)).first->second; }

const std::string& ShownTokens::text(int32_t id, const std::string& where) const {
  auto found = texts_.find(id);
  if (found == texts_.end()) throw Error(ErrorKind::corrupt, where, "the text of token " + std::to_string(id) + " is missing");
  return found->second;
}

std::string ShownTokens::json() const {
  Json::Array pairs;
  for (const auto& [id, text] : texts_) pairs.push_back(Json::Array{static_cast<int64_t>(id), text});
  return Json(std::move(pairs)).dump();
}

RowWriter::RowWriter(OutputFile& out, const Manifest& manifest, TokenText token_text)
    : out_(out), manifest_(manifest), token_text_(std::move(token_text)) {
  OutputFormat f = manifest.output.format;
  if (f != OutputFormat::csv && f != OutputFormat::tsv) return;
  std::vector<std::string> names = columns();
  for (std::string& n : names) n = cell(n);
  out_.write(joined(names, f == OutputFormat::csv ? ',' : '\t'));
}

std::vector<std::string> RowWriter::columns() const {
  std::vector<std::string> names{"id"};
  names.insert(names.end(), manifest_.output.keep.begin(), manifest_.output.keep.end());
  if (manifest_.decoding.samples > 1) names.push_back("sample_index");
  for (const char* n : {"status", "response", "error"}) names.push_back(n);
  if (manifest_.output.logprobs > 0) names.push_back("logprobs");
  return names;
}

std::string RowWriter::cell(const std::string& text) const {
  if (manifest_.output.format == OutputFormat::csv) return text.find_first_of(",\"\r\n") == std::string::npos ? text : quoted(text);
  return text.starts_with('"') ? quoted(escaped(text, true)) : escaped(text, true);
}

void RowWriter::write(const Record& record, const std::vector<AnswerRecord>& answers) {
  for (size_t s = 0; s < answers.size(); ++s) {
    switch (manifest_.output.format) {
      case OutputFormat::jsonl: out_.write(json_row(record, answers[s], s)); break;
      case OutputFormat::text: out_.write(escaped(answers[s].text, false) + "\n"); break;
      case OutputFormat::csv:
      case OutputFormat::tsv: out_.write(delimited_row(record, answers[s], s)); break;
    }
  }
}

std::string RowWriter::logprobs_json(const AnswerRecord& a) const {
  Json::Array tokens;
  for (const runtime::AnswerToken& t : a.tokens) {
    Json::Array top;
    for (const kernels::TokenLogprob& l : t.top)
      top.push_back(Json::Object{{"id", static_cast<int64_t>(l.id)}, {"token", token_text_(l.id)},
                                 {"logprob", Json::number(float_text(l.logprob))}});
    tokens.push_back(Json::Object{{"id", static_cast<int64_t>(t.id)}, {"token", token_text_(t.id)},
                                  {"logprob", Json::number(float_text(t.logprob))}, {"top", std::move(top)}});
  }
  return Json(std::move(tokens)).dump();
}

std::string RowWriter::json_row(const Record& record, const AnswerRecord& a, size_t sample) const {
  std::string out = "{\"id\":";
  append_json_string(out, record.id);
  auto member = [&](const std::string& name, const std::string& json) {
    out += ',';
    append_json_string(out, name);
    out += ':' + json;
  };
  for (const std::string& name : manifest_.output.keep) {
    const Json* value = record.find(name);
    member(name, value ? value->dump() : "null");
  }
  if (manifest_.decoding.samples > 1) member("sample_index", std::to_string(sample));
  member("status", Json(a.status).dump());
  member("response", has_response(a) ? Json(a.text).dump() : "null");
  if (!a.error.empty()) member("error", Json(a.error).dump());
  if (manifest_.output.logprobs > 0) member("logprobs", logprobs_json(a));
  return out + "}\n";
}

std::string RowWriter::delimited_row(const Record& record, const AnswerRecord& a, size_t sample) const {
  std::vector<std::string> cells{record.id};
  for (const std::string& name : manifest_.output.keep) {
    const Json* value = record.find(name);
    cells.push_back(value ? field_text(*value) : "");
  }
  if (manifest_.decoding.samples > 1) cells.push_back(std::to_string(sample));
  cells.push_back(a.status);
  cells.push_back(has_response(a) ? a.text : "");
  cells.push_back(a.error);
  if (manifest_.output.logprobs > 0) cells.push_back(logprobs_json(a));
  for (std::string& c : cells) c = cell(c);
  return joined(cells, manifest_.output.format == OutputFormat::csv ? ',' : '\t');
}

}  // namespace ibid::step
