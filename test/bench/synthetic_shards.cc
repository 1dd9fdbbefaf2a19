// Writes the bundles of a run that never was: as many records and shards as asked for, of believable sizes, without a model. For
// merge_scale.sh, which measures what merge, verify and show cost at a scale that no test machine computes.
//   synthetic_shards FOLDER RECORDS SHARDS PROMPT_TOKENS ANSWER_TOKENS [pieces]
// FOLDER gets step.yaml, input.tsv and part-I.ibid.tar, which with `pieces` are runs over parts of the input instead of shards of it.
// The same arguments give the same bytes.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/random.h"
#include "step/cli.h"
#include "step/manifest.h"
#include "step/outputs.h"

using namespace ibid;
using namespace ibid::step;

namespace {

const std::string kStep = "ibid: 1\nmodel: {digest: sha256:" + std::string(64, 'a') +
                          "}\ninput: {format: tsv, id: id}\nprompt: {text: 'Say what this is. {{ text }}'}\n" +
                          "decoding: {max_tokens: 256}\noutput: {format: tsv}\n";

struct Run {
  std::string folder;
  uint64_t records;
  int prompt_tokens, answer_tokens;

  std::string id(uint64_t i) const { return "REC-" + std::to_string(i + 1); }
  // Words of 2 to 8 letters: with its space, a word is a token and a bit.
  std::string words(runtime::Random& random, int tokens) const {
    std::string out;
    for (int i = 0; i < tokens; ++i) {
      if (i > 0) out += ' ';
      uint64_t r = random.next();
      for (uint64_t n = 2 + r % 5; n > 0; --n, r >>= 5) out += static_cast<char>('a' + (r & 31) % 26);
    }
    return out;
  }
  std::string text(uint64_t i) const {
    runtime::Random random(3 * i + 1);
    return words(random, prompt_tokens * 7 / 10);
  }
  Record record(uint64_t i) const {
    Record r;
    r.index = i;
    r.id = id(i);
    r.fields = {{"id", Json(r.id)}, {"text", Json(text(i))}};
    return r;
  }
  AnswerRecord answer(uint64_t i) const {
    runtime::Random random(3 * i + 2);
    AnswerRecord a{"ok", words(random, answer_tokens * 7 / 10), {}, ""};
    for (int t = 0; t < answer_tokens; ++t) {
      runtime::AnswerToken token;
      token.id = random.below(128000);
      token.logprob = -std::abs(random.uniform(0));
      token.margin = std::abs(random.uniform(3));
      a.tokens.push_back(token);
    }
    return a;
  }
  std::vector<int32_t> prompt_ids(uint64_t i) const {
    runtime::Random random(3 * i + 3);
    std::vector<int32_t> ids;
    for (int t = 0; t < prompt_tokens; ++t) ids.push_back(random.below(128000));
    return ids;
  }

  // input.tsv, and the digest of its records.
  std::string write_input() const {
    OutputFile file(folder + "/input.tsv");
    file.write("id\ttext\n");
    Sha256 digest;
    for (uint64_t i = 0; i < records; ++i) {
      Record r = record(i);
      Digest d = sha256(record_canonical(r));
      digest.update({reinterpret_cast<const char*>(d.data()), d.size()});
      file.write(r.id + "\t" + r.fields[1].value.as_string() + "\n");
    }
    file.commit();
    return digest_text(digest.finish());
  }

  void write_part(const ShardPart& shard, bool piece) const {
    Manifest manifest = parse_manifest(kStep, "step.yaml");
    Outputs outputs(Args(*find_command("merge"),
                         {"x", "-o", "/dev/null", "--bundle", folder + "/part-" + std::to_string(shard.index) + ".ibid.tar"}), {});
    outputs.begin(manifest, {effective_config(manifest), {}, kStep, {}, piece ? std::nullopt : std::optional(shard)},
                  [](int32_t) { return ""; });
    for (uint64_t i = shard.first(); i < shard.end(); ++i) {
      Record r = record(i);
      std::vector<AnswerRecord> answers{answer(i)};
      std::string fields = record_canonical(r);
      std::vector<int32_t> ids = prompt_ids(i);
      outputs.take({r, answers, ids.size(), false});
      outputs.bundle().add(r.id, fields, record_leaf(r.id, fields, "Say what this is. " + r.fields[1].value.as_string(), ids, Json()),
                           outcome_leaf(r.id, answers, false), "ok");
    }
    outputs.commit();
  }
};

}  // namespace

int main(int argc, char** argv) {
  const bool pieces = argc == 7 && std::strcmp(argv[6], "pieces") == 0;
  if (argc != 6 && !pieces) {
    std::fprintf(stderr, "usage: synthetic_shards FOLDER RECORDS SHARDS PROMPT_TOKENS ANSWER_TOKENS [pieces]\n");
    return 2;
  }
  Run run{argv[1], std::strtoull(argv[2], nullptr, 10), std::atoi(argv[4]), std::atoi(argv[5])};
  const uint64_t shards = std::strtoull(argv[3], nullptr, 10);
  try {
    OutputFile step(run.folder + "/step.yaml");
    step.write(kStep);
    step.commit();
    const std::string input = run.write_input();
    for (uint64_t i = 1; i <= shards; ++i) run.write_part({i, shards, run.records, input}, pieces);
  } catch (const Error& e) {
    std::fprintf(stderr, "synthetic_shards: %s: %s\n", e.where.c_str(), e.what());
    return 74;
  }
}
