// Kept answers: they come back with the same bytes, from a journal that ended anywhere, from a cache that is damaged or shared;
// never a wrong one, and a cache keeps its bound.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <set>

#include "step/cache.h"
#include "step/cli.h"
#include "step/journal.h"
#include "test/catch.h"
#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::step;
using ibid::test::TempFolder;
using ibid::test::error_of;
using ibid::test::mentions;
using ibid::test::read_file;
namespace fs = std::filesystem;

namespace {

const std::string kConfig = "sha256:" + std::string(64, 'c');

Digest key_of(int i) { return sha256("key " + std::to_string(i)); }

AnswerRecord answer(int i, size_t padding = 0) {
  runtime::AnswerToken t;
  t.id = i;
  t.logprob = -0.1f * static_cast<float>(i);
  t.margin = 1e-7f;
  t.top = {{i, t.logprob}, {i + 1, -7.25f}};
  return {i % 3 ? "ok" : "truncated", "answer \"" + std::to_string(i) + "\"\n" + std::string(padding, 'x'), {t, t}, i % 5 ? "" : "why"};
}

bool same(const std::optional<AnswerRecord>& found, int i, size_t padding = 0) {
  return found && answer_json(*found, true) == answer_json(answer(i, padding), true);
}

struct Quiet {
  Quiet() { set_log({LogFormat::text, true, false}); }
} quiet;

Manifest manifest(const std::string& decoding, const std::string& rest = "") {
  return parse_manifest("ibid: 1\nmodel: {digest: sha256:" + std::string(64, 'a') +
                            "}\ninput: {format: text}\nprompt: {text: '{{ text }}'}\ndecoding: {" + decoding + "}\n" + rest,
                        "step.yaml");
}

fs::path only_file(const fs::path& folder) {
  for (const auto& e : fs::recursive_directory_iterator(folder))
    if (e.is_regular_file()) return e.path();
  return {};
}

}  // namespace

TEST_CASE("the key of an answer is of all that the engine sees, and of nothing else") {
  std::vector<int32_t> prompt{1, 2, 3};
  auto key = [&](const std::string& decoding, uint64_t noise, uint32_t sample, const std::string& rest = "") {
    return AnswerKeys(manifest(decoding, rest)).key(prompt, noise, sample);
  };
  const std::string greedy = "max_tokens: 9", sampled = "max_tokens: 9, method: sample";
  CHECK(key(greedy, 1, 0) == key(greedy, 2, 5));       // greedy answers have no noise
  CHECK(key(sampled, 1, 0) == key(sampled + ", samples: 7, seed: 3", 1, 0));
  CHECK(key(greedy, 1, 0) == key(greedy, 1, 0, "on_error: record\nmax_errors: 3\nname: other\noutput: {format: csv}\n"));
  std::set<Digest> keys{key(greedy, 1, 0), key(sampled, 1, 0), key(sampled, 2, 0), key(sampled, 1, 1)};
  for (const char* more : {", temperature: 0.5", ", top_k: 3", ", top_p: 0.5", ", min_p: 0.5"}) keys.insert(key(sampled + more, 1, 0));
  for (const char* more : {", context: 99", ", stop: [x]", ", repetition_penalty: 1.5"}) keys.insert(key(greedy + more, 1, 0));
  keys.insert(key("max_tokens: 8", 1, 0));
  keys.insert(key(greedy, 1, 0, "semantics: v1/w8a16\n"));
  keys.insert(key(greedy, 1, 0, "output: {logprobs: 2}\n"));
  CHECK(keys.size() == 14);
  prompt = {1, 2};
  CHECK(keys.insert(key(greedy, 1, 0)).second);
}

TEST_CASE("a journal is read back up to its torn tail, wherever it was torn, and goes on from there") {
  TempFolder dir;
  std::string path = dir.file(".a.ibid-journal");
  std::vector<uint64_t> ends;
  {
    Journal journal(path, kConfig, true);
    ends.push_back(fs::file_size(path));
    for (int i = 0; i < 4; ++i) {
      journal.keep(key_of(i), answer(i));
      ends.push_back(fs::file_size(path));
    }
  }
  std::string whole = read_file(path);
  for (size_t n = 0; n <= whole.size(); ++n) {
    dir.write(".a.ibid-journal", whole.substr(0, n));
    int sound = 0;
    while (sound < 4 && n >= ends[static_cast<size_t>(sound) + 1]) ++sound;
    Journal journal(path, kConfig, true);
    INFO(n << " bytes");
    CHECK(journal.known() == static_cast<uint64_t>(sound));
    for (int i = 0; i < 4; ++i) CHECK((i < sound ? same(journal.find(key_of(i)), i) : !journal.find(key_of(i))));
    journal.keep(key_of(9), answer(9));
    Journal next(path, kConfig, true);
    CHECK(next.known() == static_cast<uint64_t>(sound) + 1);
    CHECK(same(next.find(key_of(9)), 9));
  }
  // A flipped bit anywhere: the answers before it are found, those behind it are not, and none is wrong.
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    dir.write(".a.ibid-journal", bad);
    Journal journal(path, kConfig, true);
    INFO("byte " << at);
    for (int i = 0; i < 4; ++i)
      CHECK((at >= ends[static_cast<size_t>(i) + 1] ? same(journal.find(key_of(i)), i) : !journal.find(key_of(i))));
  }
}

TEST_CASE("a journal of another step is not used and comes back with its own, a link is not followed, and a whole run leaves none") {
  TempFolder dir;
  std::string path = Journal::path_beside(dir.file("a.tsv"));
  CHECK(path == dir.file(".a.tsv.ibid-journal"));
  Journal(path, kConfig, true).keep(key_of(1), answer(1));
  CHECK(same(Journal(path, kConfig, true).find(key_of(1)), 1));
  CHECK_FALSE(Journal(path, "sha256:" + std::string(64, 'd'), true).find(key_of(1)));
  auto files = [&] { return std::distance(fs::directory_iterator(dir.file("")), fs::directory_iterator()); };
  CHECK(files() == 1);                                 // set aside
  CHECK_FALSE(fs::exists(path));
  CHECK(same(Journal(path, kConfig, true).find(key_of(1)), 1));
  CHECK(files() == 1);
  CHECK(fs::exists(path));
  Journal(path, kConfig, true).remove();
  CHECK_FALSE(fs::exists(path));
  dir.write("precious", "precious");
  fs::create_symlink(dir.file("precious"), path);
  CHECK(mentions(error_of([&] { Journal journal(path, kConfig, true); }), "cannot open the journal"));
  CHECK(read_file(dir.file("precious")) == "precious");
}

TEST_CASE("every output that can be has a journal of its own, and one that is set aside, however long its name is") {
  for (size_t length : {228u, 229u, 241u, 242u, 255u}) {
    TempFolder dir;
    const std::string name(length - 1, 'a');
    INFO("a name of " << length << " bytes");
    auto files = [&] { return std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()); };
    const std::string path = Journal::path_beside(dir.file(name + "1")), other = Journal::path_beside(dir.file(name + "2"));
    CHECK((path == dir.file("." + name + "1.ibid-journal")) == (length <= 241));
    CHECK(path.ends_with(".ibid-journal"));
    Journal(path, kConfig, true).keep(key_of(1), answer(1));
    CHECK_FALSE(Journal(other, kConfig, true).find(key_of(1)));
    CHECK(files() == 1);
    CHECK_FALSE(Journal(path, "sha256:" + std::string(64, 'd'), true).find(key_of(1)));
    CHECK_FALSE(fs::exists(path));
    CHECK(files() == 1);
    CHECK(same(Journal(path, kConfig, true).find(key_of(1)), 1));
  }
}

TEST_CASE("a full disk is an io error, and what was journalled before is there") {
  TempFolder dir;
  std::string path = dir.file(".a.ibid-journal");
  signal(SIGXFSZ, SIG_IGN);
  int status = 0;
  if (fork() == 0) {                                   // the limit on the size of files stands in for a small disk
    rlimit limit{3000, 3000};
    setrlimit(RLIMIT_FSIZE, &limit);
    Journal journal(path, kConfig, true);
    int i = 0;
    try {
      for (; i < 1000; ++i) journal.keep(key_of(i), answer(i));
    } catch (const Error& e) {
      _exit(e.kind == ErrorKind::io ? i : 255);
    }
    _exit(254);
  }
  wait(&status);
  int kept = WEXITSTATUS(status);
  CHECK((kept > 3 && kept < 100));
  Journal journal(path, kConfig, true);
  CHECK(journal.known() == static_cast<uint64_t>(kept));
  CHECK(same(journal.find(key_of(kept - 1)), kept - 1));
}

TEST_CASE("a cache gives back what it keeps, and nothing that is damaged or of another key") {
  TempFolder dir;
  Cache cache(dir.file("cache"), kDefaultCache, true);
  CHECK_FALSE(cache.find(key_of(1)));
  cache.keep(key_of(1), answer(1));
  CHECK(same(cache.find(key_of(1)), 1));
  CHECK_FALSE(Cache(dir.file("cache"), kDefaultCache, false).find(key_of(1)));   // a form that this step does not write
  fs::path file = only_file(dir.file("cache"));
  std::string whole = read_file(file);
  auto put = [&](const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; };
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    put(at % 2 ? bad : whole.substr(0, at));
    CHECK_FALSE(cache.find(key_of(1)));
  }
  put(seal(key_of(2), answer(2), true));               // sound, in the wrong place
  CHECK_FALSE(cache.find(key_of(1)));
  std::string forged = seal(key_of(1), {"fine", "x", {}, ""}, true);   // sealed, but of no known status
  put(forged);
  CHECK_FALSE(cache.find(key_of(1)));
  cache.keep(key_of(1), answer(1));                    // healed
  CHECK(same(cache.find(key_of(1)), 1));
  fs::remove(file);
  fs::create_symlink("/dev/zero", file);
  CHECK_FALSE(cache.find(key_of(1)));
  CHECK(mentions(error_of([&] { Cache none(dir.file("no/such/folder"), kDefaultCache, true); }), "cannot make the cache"));
}

TEST_CASE("a cache keeps its bound, and what was used last stays") {
  TempFolder dir;
  const std::string folder = dir.file("cache");
  auto path = [&](int k) { return folder + "/ibid-answers-1/" + hex(key_of(k)).substr(0, 2) + "/" + hex(key_of(k)).substr(2); };
  auto bytes = [&] {                                   // an entry costs a block of 4 KiB
    uint64_t sum = 0;
    for (const auto& e : fs::recursive_directory_iterator(folder)) sum += e.is_regular_file() ? 4096 : 0;
    return sum;
  };
  constexpr int kAnswers = 8000, kMore = 1500;         // twice what fits, then some more
  Cache cache(folder, kSmallestCache, true);
  for (int k = 0; k < kAnswers; ++k) cache.keep(key_of(k), answer(k));
  CHECK(bytes() <= kSmallestCache + kSmallestCache / 8);
  CHECK(bytes() >= kSmallestCache / 2);
  // All that is left gets old; a hundred of them are used once more.
  std::vector<int> left;
  for (int k = 0; k < kAnswers; ++k)
    if (fs::exists(path(k))) {
      left.push_back(k);
      fs::last_write_time(path(k), fs::file_time_type::clock::now() - std::chrono::hours(48));
    }
  REQUIRE(left.size() > 2000);
  for (int i = 0; i < 100; ++i) CHECK(same(cache.find(key_of(left[static_cast<size_t>(i)])), left[static_cast<size_t>(i)]));
  for (int k = 0; k < kMore; ++k) cache.keep(key_of(kAnswers + k), answer(k));
  CHECK(bytes() <= kSmallestCache + kSmallestCache / 8);
  int used = 0, unused = 0;
  for (size_t i = 0; i < 100; ++i) used += fs::exists(path(left[i]));
  for (size_t i = 100; i < 200; ++i) unused += fs::exists(path(left[i]));
  CHECK(used >= 95);
  CHECK(unused < 85);
}

TEST_CASE("many processes on one cache: no torn entry is ever seen") {
  TempFolder dir;
  std::vector<pid_t> children;
  for (int p = 0; p < 4; ++p) {
    pid_t pid = fork();
    if (pid == 0) {
      Cache cache(dir.file("cache"), kSmallestCache, true);
      int wrong = 0;
      for (int round = 0; round < 20; ++round)
        for (int i = 0; i < 50; ++i) {
          int k = (i * 7 + p * 13) % 50;
          std::optional<AnswerRecord> found = cache.find(key_of(k));
          if (found) wrong += !same(found, k, 9000);
          else cache.keep(key_of(k), answer(k, 9000));
          if ((i + p) % 10 == 0) cache.keep(key_of(k), answer(k, 9000));
        }
      _exit(wrong > 250 ? 250 : wrong);
    }
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
  Cache cache(dir.file("cache"), kSmallestCache, true);
  for (int k = 0; k < 50; ++k) CHECK(same(cache.find(key_of(k)), k, 9000));
  for (const auto& e : fs::recursive_directory_iterator(dir.file("cache"))) CHECK(e.path().filename().string().rfind(".tmp", 0) != 0);
}
