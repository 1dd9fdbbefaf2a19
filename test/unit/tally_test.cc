// What came of the records, counted: exit codes, agreement over samples, and the MultiQC section and versions file made of it.
#include "step/tally.h"

#include "step/cli.h"
#include "step/multiqc.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::step;

namespace {

Manifest manifest(const std::string& rest) {
  return parse_manifest("ibid: 1\nmodel: {digest: sha256:" + std::string(64, 'a') +
                            "}\ninput: {format: text}\nprompt: {text: x}\ndecoding: {max_tokens: 9, method: sample, samples: 3}\n" + rest,
                        "step.yaml");
}

Tally counted(const std::vector<std::vector<AnswerRecord>>& records) {
  Tally tally;
  uint64_t n = 0;
  for (const std::vector<AnswerRecord>& answers : records) {
    Record record;
    record.id = std::to_string(++n);
    tally.count({record, answers, 5, n == 1});
  }
  return tally;
}

AnswerRecord said(const std::string& text, const std::string& status = "ok") {
  return {status, text, {{}, {}}, status == "ok" ? "" : "why"};
}

const std::vector<std::vector<AnswerRecord>> kRecords = {
    {said("a"), said("a"), said("b")},                 // one of three pairs agrees
    {said("c"), said("c", "truncated"), said("c")},    // all three: a cut answer is a response
    {said("", "numeric_error"), said("d"), said("e")}, // two responses, which differ
    {said("", "bad_record")},
};

}  // namespace

TEST_CASE("statuses, tokens and pairs of samples are counted") {
  Tally t = counted(kRecords);
  CHECK(t.records == 4);
  CHECK(t.failed == 3);
  CHECK(t.statuses == std::map<std::string, uint64_t>{{"bad_record", 1}, {"numeric_error", 1}, {"ok", 1}, {"truncated", 1}});
  CHECK(t.prompt_tokens == 20);
  CHECK(t.answer_tokens == 20);
  CHECK(t.prompts_cut == 1);
  CHECK(t.pairs == 7);
  CHECK(t.equal_pairs == 4);
  CHECK(t.failures == std::vector<std::string>{"record 2: truncated: why", "record 3: numeric_error: why", "record 4: bad_record: why"});
}

TEST_CASE("a record has the status of its first answer that is not ok, and twenty failures are listed") {
  for (const auto& [first, second] : {std::pair("truncated", "numeric_error"), {"numeric_error", "truncated"}}) {
    const Tally t = counted({{said("a"), said("b", first), said("c", second)}});
    CHECK(t.statuses == std::map<std::string, uint64_t>{{first, 1}});
    CHECK(t.failures == std::vector<std::string>{std::string("record 1: ") + first + ": why"});
  }
  const Tally t = counted(std::vector<std::vector<AnswerRecord>>(21, {said("", "bad_record")}));
  CHECK(t.failed == 21);
  REQUIRE(t.failures.size() == 20);
  CHECK(t.failures.back() == "record 20: bad_record: why");
}

TEST_CASE("the exit code is what on_error asks for") {
  set_log({LogFormat::text, true, false});
  CHECK(counted({{said("a")}}).report(manifest("")) == kDone);
  CHECK(counted(kRecords).report(manifest("")) == kBadData);
  CHECK(counted(kRecords).report(manifest("on_error: record\nmax_errors: 3\n")) == kDone);
  CHECK(counted(kRecords).report(manifest("on_error: record\nmax_errors: 2\n")) == kBadData);
}

TEST_CASE("the MultiQC section has the file's name, the counts and a percentage rounded by whole numbers") {
  BundleIds ids;
  ids.step_id = ids.result_digest = ids.config_id = "sha256:" + std::string(64, 'd');
  Tally t = counted(kRecords);
  Json section = Json::parse(multiqc_section("some/folder/S1_mqc.json", manifest(""), t, ids), "mqc");
  CHECK(section.at("plot_type").as_string() == "table");
  const Json& row = section.at("data").at("S1");
  CHECK(row.at("records").lexeme() == "4");
  CHECK(row.at("ok_share").lexeme() == "25.0");
  CHECK(row.at("truncated").lexeme() == "1");
  CHECK(row.at("overflow").lexeme() == "0");
  CHECK(row.at("refused").lexeme() == "2");            // bad_record and numeric_error
  CHECK_FALSE(row.find("shard"));
  CHECK(row.at("agreement").lexeme() == "57.1");       // 4 of 7
  CHECK(row.at("step").as_string() == std::string(12, 'd'));
  CHECK(row.at("model").as_string() == std::string(12, 'a'));
  for (const auto& [key, value] : row.members()) CHECK(section.at("headers").find(key));
  t.pairs = 3;
  t.equal_pairs = 2;
  CHECK(Json::parse(multiqc_section("x.json", manifest(""), t, ids), "mqc").at("data").at("x").at("agreement").lexeme() == "66.7");
  // Without several samples there is nothing to agree, and without records no share.
  Manifest greedy = manifest("");
  greedy.decoding.samples = 1;
  Json none = Json::parse(multiqc_section("x_mqc.json", greedy, Tally(), ids), "mqc").at("data").at("x");
  CHECK_FALSE(none.find("agreement"));
  CHECK_FALSE(none.find("ok_share"));
  CHECK(none.at("records").lexeme() == "0");
}

TEST_CASE("every record of the MultiQC section is ok, truncated or refused, and a refusal has its reason") {
  BundleIds ids;
  ids.step_id = ids.result_digest = ids.config_id = "sha256:" + std::string(64, 'd');
  auto sum = [](const Json& row, const std::vector<const char*>& keys) {
    uint64_t n = 0;
    for (const char* key : keys) n += std::stoull(row.at(key).lexeme());
    return n;
  };
  Tally t;
  t.statuses = {{"ok", 1}, {"truncated", 2}, {"overflow", 4}, {"template_error", 8}, {"bad_record", 16}, {"numeric_error", 32}};
  t.records = 63;
  Json row = Json::parse(multiqc_section("x_mqc.json", manifest(""), t, ids), "mqc").at("data").at("x");
  CHECK(sum(row, {"ok", "truncated", "refused"}) == 63);
  CHECK(sum(row, {"overflow", "template_error", "bad_record", "numeric_error"}) == std::stoull(row.at("refused").lexeme()));
}

TEST_CASE("a shard's row says which shard it is") {
  BundleIds ids;
  ids.step_id = ids.result_digest = ids.config_id = "sha256:" + std::string(64, 'd');
  ShardPart part{3, 40, 26, ""};
  Json row = Json::parse(multiqc_section("x_mqc.json", manifest(""), counted(kRecords), ids, part), "mqc").at("data").at("x");
  CHECK(row.at("shard").as_string() == "3 of 40");
}

TEST_CASE("all sections have the same headers: MultiQC shows the columns of the last file that it reads") {
  BundleIds ids;
  ids.step_id = ids.result_digest = ids.config_id = "sha256:" + std::string(64, 'd');
  Manifest greedy = manifest("");
  greedy.decoding.samples = 1;
  auto headers = [&](const Manifest& m, const std::optional<ShardPart>& part) {
    return Json::parse(multiqc_section("x_mqc.json", m, counted(kRecords), ids, part), "mqc").at("headers").dump();
  };
  CHECK(headers(greedy, std::nullopt) == headers(manifest(""), ShardPart{3, 40, 26, ""}));
}

TEST_CASE("the versions file names the process and the version") {
  std::string text = versions_yml("NFCORE:IBID_RUN \"x\"");
  CHECK(text.rfind("\"NFCORE:IBID_RUN \\\"x\\\"\":\n    ibid: ", 0) == 0);
  CHECK(text.back() == '\n');
}
