// The manifest reader on YAML as such: quotes, ends of documents, the YAML test suite, mutations, any text, hostile depth and length.
#include <cstdint>
#include <set>

#include "step/digest.h"
#include "test/unit/manifest_fixture.h"

using namespace ibid;
using namespace ibid::step;
using namespace ibid::test;

namespace {

// The positions and words of what is wrong, one line each.
std::string syntax_problems(const std::string& text) {
  std::vector<Problem> problems;
  tree_of(text, problems);
  std::string out;
  for (const Problem& p : problems) out += place_of(p.at) + ": " + p.what + "\n";
  return out;
}

// splitmix64: the same mutations on every machine.
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  size_t below(size_t n) { return static_cast<size_t>(next() % n); }
};

// Where yaml-cpp 0.7 departs from YAML 1.2, all in what white space at the edge of a multi-line scalar means: a tab before a continued
// line, a block of blank lines only, a last line of spaces without its end.
const std::set<std::string> kYamlCppDiffers = {"DK95/01", "JEF9/02", "L24T/01"};

}  // namespace

TEST_CASE("a quote that is not closed behind more brackets than a manifest may nest") {
  CHECK(complaint("ibid: 1\nmodel: " + std::string(200, '[') + "\"open\n...\n", {}).find("accepted") == std::string::npos);
}

TEST_CASE("a quote that is not closed is refused where it begins") {
  for (const char* end : {"", "\n", "\nb: 1\n", "\n\n  c\n...\n", "\n---\nd: \"e\"\n"}) {
    INFO(end);
    CHECK(syntax_problems(std::string("a:\n  b: \"x {{ y }}") + end) == "x.yaml:2:6: this quote is not closed\n");
    CHECK(syntax_problems(std::string("a:\r\n  b: 'it''s") + end) == "x.yaml:2:6: this quote is not closed\n");
    CHECK(syntax_problems(std::string("a: 1\nb: [{\xC3\xA9: \"x\", c: \"y") + end) == "x.yaml:2:17: this quote is not closed\n");
    CHECK(syntax_problems(std::string("\"x") + end) == "x.yaml:1:1: this quote is not closed\n");
  }
  CHECK(syntax_problems("a: \"") == "x.yaml:1:4: this quote is not closed\n");
  CHECK(syntax_problems("a: \"b\\") == "x.yaml:1:4: this quote is not closed\n");
  CHECK(complaint(small("decoding: {max_tokens: 9}\nname: \"x\non_error: record\n")).find("step.yaml:8:7: this quote is not closed\n") !=
        std::string::npos);
  // What else is wrong keeps its place and its words.
  CHECK(syntax_problems("a: [1\nb: 'c'\n").find("quote") == std::string::npos);
  CHECK(syntax_problems("a: 'b' c\n") == "x.yaml:1:8: bad YAML: end of map not found\n");
}

TEST_CASE("how a document ends changes no value") {
  auto value = [](const std::string& text) {
    std::vector<Problem> problems;
    std::optional<YamlNode> tree = tree_of(text, problems);
    return tree && problems.empty() ? json_of(*tree)->dump() : "refused";
  };
  const std::pair<const char*, const char*> cases[] = {
      {"a: |\n  b", R"({"a":"b"})"}, {"a: |\n  b\n", R"({"a":"b\n"})"}, {"a: |\n  b\n\n", R"({"a":"b\n"})"}, {"a: |+\n  b", R"({"a":"b"})"},
      {"a: |+\n  b\n", R"({"a":"b\n"})"}, {"a: |+\n  b\n\n", R"({"a":"b\n\n"})"}, {"a: |-\n  b", R"({"a":"b"})"},
      {"a: >\n  b\n  c", R"({"a":"b c"})"}, {"a: |\n  b\n...\n", R"({"a":"b\n"})"}, {"a: |+\n  b\n...", R"({"a":"b\n"})"},
      {"---\na: \"b\"\n...\n", R"({"a":"b"})"}, {"a: |\n  \"b\n", R"({"a":"\"b\n"})"}, {"a: it's\n", R"({"a":"it's"})"},
      {"a: b # \"c", R"({"a":"b"})"}, {"a: 'b'", R"({"a":"b"})"}, {"a: b\n---\nc: d\n", "refused"}, {"a: b\n...\n", R"({"a":"b"})"}};
  for (const auto& [text, meant] : cases) {
    INFO(text);
    CHECK(value(text) == meant);
  }
}

TEST_CASE("the YAML test suite raises nothing but errors, and what is accepted means what the suite says") {
  const std::string suite = test::data_file("yaml-test-suite/data");
  if (suite.empty()) return;
  size_t documents = 0, compared = 0;
  std::string differing;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(suite))
    if (entry.path().filename() == "in.yaml" && entry.is_regular_file()) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    ++documents;
    const std::string text = slurp(path);
    CHECK_THROWS_AS(parse_manifest(text, "x.yaml"), Error);
    std::vector<Problem> problems;
    std::optional<YamlNode> tree = tree_of(text, problems);
    CHECK((tree || !problems.empty()));
    if (!tree || !problems.empty()) continue;
    const fs::path expected = path.parent_path() / "in.json";
    std::optional<Json> found = json_of(*tree);
    if (!found || !fs::exists(expected)) continue;
    std::optional<Json> meant;
    try {
      meant = Json::parse(slurp(expected), "in.json");
    } catch (const Error&) {
      continue;                                        // several values, or none
    }
    ++compared;
    const std::string name = fs::relative(path.parent_path(), suite).string();
    if (canonical(*found) != canonical(*meant) && !kYamlCppDiffers.count(name)) differing += name + " ";
  }
  CHECK(documents > 300);
  CHECK(compared > 100);
  CHECK(differing == "");
}

TEST_CASE("mutated manifests raise nothing but errors, and survivors keep their fixed point") {
  std::vector<std::string> seeds;
  for (const fs::path& path : fixtures())
    for (int copies = fs::exists(fs::path(path).replace_extension(".config")) ? 20 : 1; copies > 0; --copies) seeds.push_back(slurp(path));
  Random random{20261122};
  const std::string spice = "{}[]:,-?&*!|>'\"%@`#\n\t \\~<=.0123456789\x80\xff";
  size_t refused = 0, accepted = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text = seeds[random.below(seeds.size())];
    for (size_t edits = 1 + random.below(2); edits > 0 && !text.empty(); --edits) {
      const size_t at = random.below(text.size());
      switch (random.below(4)) {
        case 0: text[at] = spice[random.below(spice.size())]; break;
        case 1: text.erase(at, 1 + random.below(12)); break;
        case 2: text.insert(at, 1, spice[random.below(spice.size())]); break;
        default: text.insert(at, text.substr(random.below(text.size()), random.below(40)));
      }
    }
    try {
      const Manifest manifest = parse_manifest(text, folder() + "x.yaml");
      const std::string config = config_id(manifest);
      if (config_id(Manifest::from_config(Json::parse(config, "config"), texts_of(manifest), "config")) != config) FAIL(text);
      if (config_id(parse_manifest(freeze(manifest), "frozen")) != config) FAIL(freeze(manifest));
      ++accepted;
    } catch (const Error& e) {
      if (e.kind == ErrorKind::internal) FAIL(printed(e) << text);
      ++refused;
    }
  }
  CHECK(refused > 200);
  CHECK(accepted > 50);
}

TEST_CASE("any text survives freezing") {
  Random random{7};
  const std::vector<std::string> bits = {"\n", " ", "\t", "a", "- ", "# ", ": ", "\"", "'", "\\", "|", ">", "---", "...", "%", "\r", "\r\n",
                                         "\x01", "\x7f", "\xC2\x85", "\xE2\x80\xA8", "\xEF\xBB\xBF", "\xF0\x9F\x98\x80", "é", "true",
                                         "null", "~", "1", "key", "\n\n", "  x", std::string(1, '\0')};
  Manifest manifest = parse(small("decoding: {max_tokens: 9}\n"));
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t n = random.below(8); n > 0; --n) text += bits[random.below(bits.size())];
    manifest.prompt.messages[0].content = text;
    manifest.prompt.files["f"] = {true, "", digest_of(text), text};
    const std::string frozen = freeze(manifest);
    Manifest thawed;
    try {
      thawed = parse_manifest(frozen, "frozen");
    } catch (const Error& e) {
      FAIL(printed(e) << frozen);
    }
    if (thawed.prompt.messages[0].content != text || thawed.prompt.files["f"].text != text) FAIL(frozen);
  }
}

TEST_CASE("hostile YAML is refused in bounded time and depth") {
  for (const char* open : {"[", "{a: ", "- ", "{? "}) {
    std::string deep;
    for (int i = 0; i < 3000; ++i) deep += open;
    INFO(open);
    CHECK(complaint(deep) != "accepted");
  }
  CHECK(complaint(std::string(kMaxYamlBytes + 1, ' ')).find("longer than") != std::string::npos);
  CHECK(complaint("") == "ibid: error: step.yaml: holds no YAML document\nibid: hint: is it empty, or all comments?\n");
  CHECK(complaint(std::string("ibid: 1\0", 8)).find("control character") != std::string::npos);
  CHECK(complaint("ibid: \x04 1").find("control character") != std::string::npos);
}
