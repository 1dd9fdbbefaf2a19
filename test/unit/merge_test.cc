// Shards of synthetic runs, without an engine: merged, they are the unsharded bundle and rows byte by byte, whatever the cut
// and the order; shards that do not belong together are refused by name.
#include <sys/resource.h>

#include <algorithm>

#include "step/cli.h"
#include "step/manifest.h"
#include "step/outputs.h"
#include "test/catch.h"
#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::step;
using ibid::test::TempFolder;
using ibid::test::error_of;
using ibid::test::mentions;
using ibid::test::read_file;

namespace {

const std::string kStep = "ibid: 1\nmodel: {digest: sha256:" + std::string(64, 'a') +
                          "}\ninput: {format: tsv, id: id}\nprompt: {text: '{{ text }}'}\n"
                          "decoding: {max_tokens: 9, method: sample, samples: 2}\n"
                          "output: {format: tsv, keep: [text], logprobs: 1}\non_error: record\nmax_errors: 1000000\n";

struct Run {
  std::string folder, answer = "yes", salt = "value ";
  uint64_t records = 0;
  std::string step = kStep;

  std::string id(uint64_t i) const { return "r" + std::to_string(i); }
  std::string fields(uint64_t i) const {
    return R"([["id","string",")" + id(i) + R"("],["text","string",")" + salt + std::to_string(i * 7) + R"("]])";
  }
  std::vector<AnswerRecord> answers(uint64_t i) const {
    runtime::AnswerToken token;
    token.id = static_cast<int32_t>(i % 50);
    token.logprob = -0.1f * static_cast<float>(i % 13);
    token.margin = 1.5f;
    token.top = {{static_cast<int32_t>(i % 50), token.logprob}, {51, -3.25f}};
    return {{i % 10 == 9 ? "truncated" : "ok", answer + std::to_string(i), {token}, ""}, {"ok", answer, {token}, ""}};
  }
  std::string input_digest() const {
    Sha256 h;
    for (uint64_t i = 0; i < records; ++i) {
      Digest d = sha256(fields(i));
      h.update({reinterpret_cast<const char*>(d.data()), d.size()});
    }
    return digest_text(h.finish());
  }

  // Writes NAME.tsv, NAME.tar and NAME_mqc.json, of the whole run or of one shard.
  BundleIds write(const std::string& name, std::optional<ShardPart> shard) const {
    Manifest manifest = parse_manifest(step, "step.yaml");
    std::string base = folder + "/" + name;
    Outputs outputs(Args(*find_command("merge"), {"x", "-o", base + ".tsv", "--bundle", base + ".tar", "--mqc", base + "_mqc.json"}), {});
    ShownTokens shown;
    outputs.begin(manifest, {effective_config(manifest), {}, step, {}, shard},
                  [&](int32_t t) { return shown.remember(t, "t" + std::to_string(t)); });
    for (uint64_t i = shard ? shard->first() : 0; i < (shard ? shard->end() : records); ++i) {
      std::vector<AnswerRecord> a = answers(i);
      std::string record = record_leaf(id(i), fields(i), "prompt", {1, 2, 3}, Json()), outcome = outcome_leaf(id(i), a, true);
      Json parsed = Json::parse(record, "t"), empty = Json::parse(outcome, "t");
      outputs.take({record_of(parsed, empty, i, ""), a, 3, false});
      outputs.bundle().add(id(i), fields(i), record, outcome, worst_status(a));
    }
    if (shard) outputs.bundle().set_token_texts(shown.json());
    return outputs.commit();
  }
  std::vector<std::string> cut(uint64_t n, const std::string& prefix = "p") const {
    std::vector<std::string> paths;
    std::string input = input_digest();
    for (uint64_t i = 1; i <= n; ++i) {
      std::string name = prefix + std::to_string(i);
      write(name, ShardPart{i, n, records, input});
      paths.push_back(folder + "/" + name + ".tar");
    }
    return paths;
  }
};

int merge(const TempFolder& dir, std::vector<std::string> words) {
  set_log({LogFormat::text, true, false});
  std::filesystem::create_directories(dir.file("m"));
  for (const char* flag : {"-o", "--bundle", "--mqc"}) {
    words.push_back(flag);
    words.push_back(dir.file(std::string("m/a") + (flag[1] == 'o' ? ".tsv" : flag[2] == 'b' ? ".tar" : "_mqc.json")));
  }
  return find_command("merge")->run(Args(*find_command("merge"), words));
}

bool is_whole(const TempFolder& dir) {
  for (const char* name : {"a.tsv", "a.tar", "a_mqc.json"})
    if (read_file(dir.file(name)).empty() || read_file(dir.file(std::string("m/") + name)) != read_file(dir.file(name))) return false;
  return true;
}

}  // namespace

TEST_CASE("shards merge to the unsharded bundle, at every cut of the segments and in any order") {
  TempFolder dir;
  // 2 * 8192: the border of 2 shards is one of segments; 17000: none is; 8193: one record beyond; 5: more shards than records.
  for (auto [records, cuts] : {std::pair<uint64_t, std::vector<uint64_t>>{2 * 8192, {2}}, {17000, {3}}, {8193, {1, 3}},
                               {5, {1, 2, 5, 7}}, {0, {1, 3}}}) {
    Run run{dir.path()};
    run.records = records;
    run.write("a", std::nullopt);
    for (uint64_t n : cuts) {
      INFO(records << " records in " << n);
      std::vector<std::string> paths = run.cut(n);
      for (const std::string& path : paths) {
        Bundle shard(path);
        CHECK(shard.shard()->of == n);
        CHECK(shard.verify().empty());
      }
      std::reverse(paths.begin(), paths.end());
      std::rotate(paths.begin(), paths.begin() + static_cast<long>(n / 2), paths.end());
      CHECK(merge(dir, paths) == 0);
      CHECK(is_whole(dir));
    }
  }
  // The control: other answers to the same input give another bundle.
  Run other{dir.path(), "no"};
  other.records = 5;
  Run run{dir.path()};
  run.records = 5;
  run.write("a", std::nullopt);
  CHECK(merge(dir, other.cut(2)) == 0);
  CHECK_FALSE(is_whole(dir));
}

TEST_CASE("a record of a shard is found by its id and proved") {
  TempFolder dir;
  Run run{dir.path()};
  run.records = 20000;
  run.cut(3);
  Bundle shard(dir.file("p2.tar"));
  CHECK(shard.first() == 6667);
  CHECK(shard.segment_count() == 2);
  std::optional<Bundle::Found> found = shard.find("r9000");
  REQUIRE(found);
  CHECK(found->number == 9000);
  CHECK_FALSE(shard.find("r6666"));
  CHECK(BundleCursor(shard).at(13333).id == "r13333");
}

TEST_CASE("missing, doubled and foreign shards are refused by name, and nothing is written") {
  TempFolder dir;
  Run run{dir.path()};
  run.records = 100;
  std::vector<std::string> p = run.cut(4);
  auto refusal = [&](std::vector<std::string> paths) { return error_of([&] { merge(dir, paths); }); };
  CHECK(refusal({p[0], p[1], p[3]}) == "ibid merge: shards are missing:\n  shard 3 of 4: records 51 to 75 of 100");
  CHECK(mentions(refusal({p[1]}), "\n  shard 1 of 4: records 1 to 25 of 100\n  shard 3 of 4: records 51 to 75 of 100"
                                  "\n  shard 4 of 4: records 76 to 100 of 100"));
  std::filesystem::copy_file(p[2], dir.file("again.tar"));
  std::string doubled = refusal({p[0], p[1], p[2], p[3], dir.file("again.tar")});
  CHECK(mentions(doubled, "is shard 3 of 4, and so is"));
  CHECK(mentions(doubled, "again.tar"));
  std::vector<std::string> five = run.cut(5, "five");
  CHECK(refusal({p[0], p[1], five[2], p[3]}) == five[2] + ": is shard 3 of 5, not of 4 (compared with " + p[0] + ")");
  run.write("a", std::nullopt);
  CHECK(refusal({p[0], dir.file("a.tar")}) == dir.file("a.tar") + ": is a whole bundle, not a shard");
  Run input = run, step = run;
  input.salt = "other ";
  step.step += "semantics: v1/w8a16\n";
  CHECK(mentions(refusal({p[0], p[1], input.cut(4, "input")[2], p[3]}), "input3.tar: is a shard of another input"));
  CHECK(mentions(refusal({p[0], p[1], step.cut(4, "step")[2], p[3]}), "step3.tar: is a shard of another step"));
  CHECK(std::filesystem::is_empty(dir.file("m")));
  CHECK(merge(dir, p) == 0);                           // the control
}

TEST_CASE("shards that lie about their place or their input are found") {
  TempFolder dir;
  Run run{dir.path()};
  run.records = 100;
  std::vector<std::string> p = run.cut(2);
  // A second half with other records, but with the claims of the first one's input.
  Run forged = run;
  forged.salt = "forged ";
  forged.write("forged", ShardPart{2, 2, 100, run.input_digest()});
  CHECK(Bundle(dir.file("forged.tar")).verify().empty());   // consistent in itself
  CHECK(mentions(error_of([&] { merge(dir, {p[0], dir.file("forged.tar")}); }), "do not give the input digest that they claim"));
  // The same blobs under the artifact type of a whole bundle.
  TarFile tar(p[0]);
  OutputFile out(dir.file("bad.tar"));
  TarWriter writer(out);
  auto replace = [](std::string& text, const std::string& from, const std::string& to) { text.replace(text.find(from), from.size(), to); };
  std::string old_manifest, new_manifest;
  for (const TarEntry& e : tar.entries()) {
    std::string bytes = tar.read(e, 0, e.size), name = e.name;
    if (mentions(bytes, "\"layers\"")) {
      old_manifest = bytes;
      replace(bytes, "vnd.ibid.shard.v1", "vnd.ibid.bundle.v1");
      new_manifest = bytes;
      name = "blobs/sha256/" + sha256_hex(bytes);
    }
    if (name == "index.json") {
      replace(bytes, "vnd.ibid.shard.v1", "vnd.ibid.bundle.v1");
      replace(bytes, sha256_hex(old_manifest), sha256_hex(new_manifest));
      replace(bytes, "\"size\":" + std::to_string(old_manifest.size()), "\"size\":" + std::to_string(new_manifest.size()));
    }
    writer.add(name, bytes);
  }
  writer.finish();
  out.commit();
  CHECK(mentions(error_of([&] { Bundle bundle(dir.file("bad.tar")); }), "disagree on whether it is a shard"));
  // Damage of every blob is found by merge too.
  std::string good = read_file(p[1]);
  const std::vector<TarEntry> entries = TarFile(p[1]).entries();
  for (const TarEntry& e : entries) {
    if (e.name == "oci-layout" || e.name == "blobs/sha256/" + sha256_hex(kStep)) continue;   // merge takes neither from the second shard
    std::string bad = good;
    bad[e.offset + e.size / 2] = static_cast<char>(bad[e.offset + e.size / 2] ^ 1);
    dir.write("damaged.tar", bad);
    INFO(e.name);
    CHECK(error_of([&] { merge(dir, {p[0], dir.file("damaged.tar")}); }) != "");
  }
}

TEST_CASE("60,000 records merge in bounded memory") {
  TempFolder dir;
  Run run{dir.path()};
  run.records = 60000;
  std::vector<std::string> paths = run.cut(3);
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  CHECK(merge(dir, paths) == 0);
  getrusage(RUSAGE_SELF, &after);
  CHECK((after.ru_maxrss - before.ru_maxrss) / 1024 < 32);   // MiB
}
