// See multiqc.h.
#include "step/multiqc.h"

#include "step/output_file.h"
#include "step/version.h"

namespace ibid::step {
namespace {

// The statuses of records that got no answer, in the order of the columns.
constexpr const char* kRefusals[][3] = {
    {"overflow", "Overflow", "Prompts that do not fit the step's context"},
    {"template_error", "Template errors", "Records from which no prompt could be made"},
    {"bad_record", "Bad records", "Records that could not be read"},
    {"numeric_error", "Numeric errors", "Records on which a value left the range of float32"},
};

std::string row_name(const std::string& path) {
  std::string name = as_utf8(base_name(path));
  for (const char* end : {"_mqc.json", ".json"}) {
    size_t n = std::string_view(end).size();
    if (name.size() > n && name.compare(name.size() - n, n, end) == 0) return name.substr(0, name.size() - n);
  }
  return name;
}

// part / whole in percent with one decimal, rounded half up, by whole numbers.
Json percent(uint64_t part, uint64_t whole) {
  auto tenths = static_cast<uint64_t>((static_cast<unsigned __int128>(part) * 2000 + whole) / (static_cast<unsigned __int128>(whole) * 2));
  return Json::number(std::to_string(tenths / 10) + "." + std::to_string(tenths % 10));
}

// Colours of a cell: green where nothing is wrong, else yellow (warn) or red (fail).
Json::Member coloured(const char* good, int at, const char* level, const char* bad) {
  auto rule = [at](const char* comparison) { return Json(Json::Array{Json::Object{{comparison, at}}}); };
  return {"cond_formatting_rules", Json::Object{{"pass", rule(good)}, {level, rule(bad)}}};
}

// Columns with their headers, and a row. Every step has all headers, because those of a report's last file stand for all; MultiQC
// leaves out a column in which no row has a value.
class Table {
 public:
  void add(const char* key, const char* title, const char* description, const std::optional<Json>& value, Json::Object more = {}) {
    Json::Object header{{"title", title}, {"description", description}};
    for (Json::Member& m : more) header.push_back(std::move(m));
    headers_.emplace_back(key, std::move(header));
    if (value) values_.emplace_back(key, *value);
  }
  void count(const char* key, const char* title, const char* description, const std::optional<uint64_t>& n, Json::Object more = {}) {
    more.insert(more.begin(), {{"format", "{:,.0f}"}, {"min", 0}, {"scale", false}});
    add(key, title, description, n ? std::optional<Json>(*n) : std::nullopt, std::move(more));
  }
  void share(const char* key, const char* title, const char* description, uint64_t part, uint64_t whole, Json::Object more) {
    more.insert(more.begin(), {{"suffix", "%"}, {"format", "{:,.1f}"}, {"min", 0}, {"max", 100}});
    add(key, title, description, whole > 0 ? std::optional<Json>(percent(part, whole)) : std::nullopt, std::move(more));
  }
  Json headers() { return std::move(headers_); }
  Json values() { return std::move(values_); }

 private:
  Json::Object headers_, values_;
};

std::string short_id(const std::string& digest) { return digest.substr(7, 12); }

}  // namespace

std::string multiqc_section(const std::string& path, const Manifest& manifest, const Tally& tally, const BundleIds& ids,
                            const std::optional<ShardPart>& shard) {
  Table t;
  auto statuses = tally.statuses;
  uint64_t refused = 0;
  for (const auto& refusal : kRefusals) refused += statuses[refusal[0]];
  t.count("records", "Records", "Records of the input, or of its shard", tally.records);
  t.share("ok_share", "% Ok", "Share of the records that were answered in full", statuses["ok"], tally.records,
          {{"scale", false}, coloured("eq", 100, "warn", "lt")});
  t.count("ok", "Ok", "Records that were answered in full", statuses["ok"], {{"hidden", true}});
  t.count("truncated", "Truncated", "Records with an answer that the token budget cut", statuses["truncated"],
          {coloured("eq", 0, "warn", "gt")});
  t.count("refused", "Refused", "Records without an answer; hidden columns say why", refused, {coloured("eq", 0, "fail", "gt")});
  for (const auto& [status, title, description] : kRefusals) t.count(status, title, description, statuses[status], {{"hidden", true}});
  t.count("prompts_cut", "Cut inputs", "Prompts for which decoding.truncate cut a field", tally.prompts_cut, {{"hidden", true}});
  t.count("prompt_tokens", "Prompt tokens", "Tokens of all prompts", tally.prompt_tokens);
  t.count("answer_tokens", "Answer tokens", "Tokens of all answers", tally.answer_tokens);
  std::optional<uint64_t> samples;
  if (manifest.decoding.samples > 1) samples = static_cast<uint64_t>(manifest.decoding.samples);
  t.count("samples", "Samples", "Answers per record", samples);
  t.share("agreement", "Agreement", "Pairs of samples of one record with the same response", tally.equal_pairs, tally.pairs,
          {{"scale", "Blues"}});
  std::optional<Json> part;
  if (shard) part = Json(std::to_string(shard->index) + " of " + std::to_string(shard->of));
  t.add("shard", "Shard", "The part of the input that this row counts; the merged row counts all parts", part, {{"scale", false}});
  t.add("model", "Model", "Digest of the model, the head of it", Json(short_id(manifest.model.digest)), {{"scale", false}});
  t.add("config", "Config", "Config id, the head of it: model, prompt and decoding, all of the step but its records",
        Json(short_id(ids.config_id)), {{"scale", false}});
  t.add("step", "Step id", "Step id, the head of it: model, configuration and the whole input", Json(short_id(ids.step_id)),
        {{"scale", false}});
  t.add("result", "Result", "Result digest, the head of it: one step id, or shard of it, has exactly one",
        Json(short_id(ids.result_digest)), {{"scale", false}});
  Json headers = t.headers();
  return Json(Json::Object{{"id", "ibid"},
                           {"section_name", "ibid: LLM steps"},
                           {"description", "Steps that ran a language model over records. One step id has exactly one result digest; "
                                           "<code>ibid rerun</code> tests that."},
                           {"plot_type", "table"},
                           {"pconfig", Json::Object{{"id", "ibid_table"}, {"title", "ibid: LLM steps"}, {"col1_header", "Run"}}},
                           {"headers", std::move(headers)},
                           {"data", Json::Object{{row_name(path), t.values()}}}})
             .dump() +
         "\n";
}

std::string versions_yml(const std::string& process) {
  std::string out;
  append_json_string(out, process);                    // which YAML reads in double quotes
  return out + ":\n    ibid: " + version_facts().at("ibid").as_string() + "\n";
}

}  // namespace ibid::step
