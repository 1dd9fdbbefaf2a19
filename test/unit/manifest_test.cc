// The manifest reader: error texts as golden files, the configuration as a fixed point, limits, side files, the published schema.
//
// test/data/manifest/NAME.yaml with NAME.config is valid and has that canonical configuration; with NAME.expected it is not, and
// the program prints that. IBID_UPDATE_GOLDEN=1 writes both anew.
#include <map>
#include <set>

#include <sys/wait.h>
#include <unistd.h>

#include "step/digest.h"
#include "test/unit/manifest_fixture.h"

using namespace ibid;
using namespace ibid::step;
using namespace ibid::test;

TEST_CASE("every fixture is valid with its configuration, or refused with its text") {
  size_t valid = 0, invalid = 0;
  for (const fs::path& path : fixtures()) {
    const bool expect_valid = fs::exists(fs::path(path).replace_extension(".config"));
    try {
      Manifest manifest = read_manifest(path.string());
      compare_with_golden(fs::path(path).replace_extension(".config"), config_id(manifest) + "\n");
      CHECK(manifest.as_written == slurp(path));
      ++valid;
    } catch (const Error& e) {
      INFO(printed(e));
      CHECK_FALSE(expect_valid);
      CHECK(e.kind == (path.stem() == "side_file_missing" ? ErrorKind::not_found : ErrorKind::bad_data));
      compare_with_golden(fs::path(path).replace_extension(".expected"), printed(e));
      size_t places = 0;
      for (char digit = '1'; digit <= '9'; ++digit) places += count_of(printed(e), path.filename().string() + ":" + digit);
      CHECK(count_of(printed(e), "hint: ") == std::max<size_t>(places, 1));
      ++invalid;
    }
  }
  CHECK(valid >= 4);
  CHECK(invalid >= 20);
}

TEST_CASE("manifest, configuration, manifest, configuration is a fixed point") {
  for (const char* name : {"minimal", "full", "raw", "fasta", "escapes", "quotes"}) {
    INFO(name);
    const Manifest first = read_manifest(folder() + name + ".yaml");
    const std::string config = config_id(first);
    const Manifest second = Manifest::from_config(Json::parse(config, "config"), texts_of(first), "config");
    CHECK(config_id(second) == config);
    CHECK(second.name.empty());
    CHECK(second.model.source.empty());
    CHECK(second.prompt.messages.size() == first.prompt.messages.size());
    CHECK(texts_of(second) == texts_of(first));

    // Frozen, it needs no file, keeps its name and source, and is the same step; freezing again changes nothing.
    const std::string frozen = freeze(first);
    const Manifest thawed = parse_manifest(frozen, "nowhere/frozen.yaml");
    CHECK(config_id(thawed) == config);
    CHECK(thawed.name == first.name);
    CHECK(thawed.model.source == first.model.source);
    CHECK(freeze(thawed) == frozen);
    compare_with_golden(folder() + name + ".frozen", frozen);

    // The configuration itself is a manifest, given its side files.
    if (first.prompt.files.empty()) CHECK(config_id(parse_manifest(config, "config.json")) == config);
  }
}

TEST_CASE("a configuration from a stranger must be exactly one") {
  const Manifest full = read_manifest(folder() + "full.yaml");
  Json config = effective_config(full);
  CHECK_THROWS_AS(Manifest::from_config(config, {}, "config"), Error);
  auto texts = texts_of(full);
  texts["criteria"] += " ";
  CHECK_THROWS_AS(Manifest::from_config(config, texts, "config"), Error);
  CHECK_THROWS_AS(Manifest::from_config(Json::parse("[]", "x"), {}, "config"), Error);
  Json named = config;
  named.set("name", "x");
  CHECK_THROWS_AS(Manifest::from_config(named, texts_of(full), "config"), Error);
  Json without_default = config;
  without_default.set("output", Json::Object{{"format", "csv"}});
  CHECK_THROWS_AS(Manifest::from_config(without_default, texts_of(full), "config"), Error);
}

TEST_CASE("what is not identity does not change the configuration, and what is does") {
  const std::string base = config_id(parse(small("decoding: {max_tokens: 9}\n")));
  auto same = [&](const std::string& text) { return config_id(parse(text)) == base; };
  CHECK(same(small("decoding: {max_tokens: 9}\nname: other\n")));
  CHECK(same(small("decoding:\n  max_tokens: 9   # a comment\n  method: greedy\n  stop: []\n  context: 4096\n")));
  CHECK(same(small("decoding: {max_tokens: 9, repetition_penalty: 1.0}\nsemantics: 'v1/w16a16'\non_error: fail\n")));
  CHECK_FALSE(same(small("decoding: {max_tokens: 8}\n")));
  CHECK_FALSE(same(small("decoding: {max_tokens: 9, stop: [a]}\n")));
  CHECK_FALSE(same(small("decoding: {max_tokens: 9}\nsemantics: v1/w8a16\n")));
  CHECK_FALSE(same(small("decoding: {max_tokens: 9}\noutput: {format: csv}\n")));

  // CRLF is the same YAML, and the same text in a block.
  std::string lf = small("    - assistant: |\n        one\n        two\ndecoding: {max_tokens: 9}\n"), crlf;
  for (char c : lf) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(config_id(parse(crlf)) == config_id(parse(lf)));
}

TEST_CASE("decimals become binary32 at once and are written in one form") {
  auto temperature = [](const std::string& text) {
    const Manifest m = parse(small("decoding: {method: sample, max_tokens: 9, temperature: " + text + "}\n"));
    return std::make_pair(m.decoding.temperature, effective_config(m).at("decoding").at("temperature").lexeme());
  };
  CHECK(temperature("0.7") == std::make_pair(0.7f, std::string("0.7")));
  CHECK(temperature("0.70") == std::make_pair(0.7f, std::string("0.7")));
  CHECK(temperature("7e-1") == std::make_pair(0.7f, std::string("0.7")));
  CHECK(temperature("0.699999988079071") == std::make_pair(0.7f, std::string("0.7")));
  CHECK(temperature("2") == std::make_pair(2.0f, std::string("2")));
  CHECK(temperature("1e1") == std::make_pair(10.0f, std::string("10")));
  // Just above the midpoint of two binary32: through binary64 it would round to the midpoint and then to even, downwards.
  CHECK(temperature("1.00000005960464477540") == std::make_pair(0x1.000002p0f, std::string("1.0000001")));
  CHECK(temperature("1.00000005960464477539") == std::make_pair(1.0f, std::string("1")));
}

TEST_CASE("template arguments survive canonical JSON unchanged") {
  const Manifest m = read_manifest(folder() + "full.yaml");
  CHECK(m.prompt.template_args.dump() == R"({"depth":{"a":2,"b":0.5},"enable_thinking":false,"tools":[]})");
  auto with = [](const std::string& arg) { return complaint(small("  template_args: {a: " + arg + "}\ndecoding: {max_tokens: 9}\n")); };
  for (const char* good : {"1", "-1", "0.25", "1e-7", "9007199254740991", "null", "[1, {b: x}]", "\"1.0\"", "1.5e-3"}) {
    INFO(good);
    CHECK(with(good) == "accepted");
  }
  for (const char* bad : {"1.0", "-0", "1e2", "9007199254740992", "1e400", "0x1F", ".5", ".nan", "+1"}) {
    INFO(bad);
    CHECK(with(bad) != "accepted");
  }
  // The keys of a map in the order of UTF-16, as canonical JSON has them, which is not that of their bytes.
  CHECK(parse(small("  template_args: {a: {\"\\uFB33\": 1, \"\\U0001F600\": 2}}\ndecoding: {max_tokens: 9}\n"))
            .prompt.template_args.dump() == "{\"a\":{\"\xF0\x9F\x98\x80\":2,\"\xEF\xAC\xB3\":1}}");
}

TEST_CASE("special tokens are refused on request alone, which is identity only then") {
  auto with = [](const std::string& line) { return small("  " + line + "\ndecoding: {max_tokens: 9}\n"); };
  const std::string silent = canonical(effective_config(parse(small("decoding: {max_tokens: 9}\n"))));
  const std::string refusing = canonical(effective_config(parse(with("special_tokens: refuse"))));
  CHECK(canonical(effective_config(parse(with("special_tokens: recognise")))) == silent);
  CHECK(refusing != silent);
  CHECK(canonical(effective_config(parse(freeze(parse(with("special_tokens: refuse")))))) == refusing);
  CHECK(complaint(with("special_tokens: escape")).find("prompt.special_tokens must be recognise or refuse, found 'escape'") !=
        std::string::npos);
  const std::string raw = "ibid: 1\nmodel: {digest: " + kDigest +
                          "}\ninput: {format: text}\nprompt: {text: \"{{ text }}\", special_tokens: refuse}\ndecoding: {max_tokens: 9}\n";
  CHECK(complaint(raw).find("cannot be told apart") != std::string::npos);
}

TEST_CASE("what a template has from itself is not asked of the records") {
  auto lint = [](const std::string& content) {
    return complaint("ibid: 1\nmodel: {digest: " + kDigest +
                     "}\ninput: {format: text}\nprompt:\n  date: 2026-11-22\n  messages:\n    - user: |\n" + content +
                     "decoding: {max_tokens: 9}\n");
  };
  CHECK(lint("        {% set ns = namespace(n=0) %}{% for i in range(3) %}{{ loop.index }}{{ i }}{{ ns.n }}{% endfor %}"
             "{{ strftime_now('%Y') }}\n"
             "        {% macro m(a) %}{{ a }}{% endmacro %}{{ m(text) }}{{ dict(a=1) }}{{ none }}{{ true }}\n") == "accepted");
  CHECK(lint("        \xC3\xA9\n        \xC3\xA9\xC3\xA9 {{ txet }}\n") ==
        "ibid: error: step.yaml:9:15: records of format text have no field 'txet'\n"
        "          \xC3\xA9\xC3\xA9 {{ txet }}\n                ^\nibid: hint: did you mean 'text'?\n");
  CHECK(lint("        \xC3\xA9\xC3\xA9 {% nope %}\n").find("step.yaml:8:") != std::string::npos);
}

TEST_CASE("--set changes the tree before it is judged") {
  const std::string base = small("decoding: {max_tokens: 9}\n");
  CHECK(parse(base, {"decoding.max_tokens=10"}).decoding.max_tokens == 10);
  CHECK(parse(base, {"decoding.max_tokens=10", "decoding.max_tokens=11"}).decoding.max_tokens == 11);
  CHECK(parse(base, {"decoding.stop=[\"a\", 'b']"}).decoding.stop == std::vector<std::string>{"a", "b"});
  CHECK(parse(base, {"output.format=csv"}).output.format == OutputFormat::csv);
  CHECK(parse(base, {"prompt.messages.0.user=hi = {{ y }}"}).prompt.messages[0].content == "hi = {{ y }}");
  CHECK(parse(base, {"prompt.messages.0.user=\"C# and rank #1\""}).prompt.messages[0].content == "C# and rank #1");
  CHECK(parse(base, {"prompt.messages.0.user=|\n  # Task\n  {{ y }}"}).prompt.messages[0].content == "# Task\n{{ y }}");
  CHECK(parse(base, {"decoding.stop=[a] # not b"}).decoding.stop == std::vector<std::string>{"a"});
  CHECK(parse(base, {"prompt.files.a.text=\"\""}).prompt.files.at("a").text.empty());
  CHECK(config_id(parse(base, {"decoding.max_tokens=10"})) == config_id(parse(small("decoding: {max_tokens: 10}\n"))));
  CHECK(parse(base, {"decoding.max_tokens=10"}).as_written == base);

  std::string all;
  auto refuse = [&](const std::string& set) { all += "--set " + set + "\n" + complaint(base, {{}, {set}}); };
  for (const char* set : {"decoding.temprature=1", "decodin.max_tokens=1", "decoding.max_tokens=ten", "model.digest=x", "model={}",
                          "prompt.files.a.digest=x", "prompt.files={a: {digest: x}}", "prompt.messages.1.user=x",
                          "prompt.messages.last.user=x", "prompt.messages[0].user=x", "decoding.max_tokens.more=1", "decoding.stop=[",
                          "name=", "name=*a", "name", "a..b=1", "=1", "decoding.max_tokens=1\n---\n2",
                          "prompt.messages.0.user=C# and rank #1 {{ x }}", "prompt.messages.0.user=rank\t#1 {{ x }}"})
    refuse(set);
  CHECK(all.find("accepted") == std::string::npos);
  compare_with_golden(folder() + "sets.expected", all);
}

TEST_CASE("a limit holds for the last value that is allowed, and for the first that is not") {
  const std::string base = small("decoding: {max_tokens: 9, method: sample}\non_error: record\nmax_errors: 1\n");
  auto quoted = [](size_t n) { return "\"" + std::string(n, 'x') + "\""; };
  auto stops = [](int n) {
    std::string list;
    for (int i = 0; i < n; ++i) list += (i ? ", s" : "[s") + std::to_string(i);
    return list + "]";
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> good = {
      {"decoding.temperature", {"0.001", "100"}}, {"decoding.top_k", {"0", "1048576"}}, {"decoding.top_p", {"1e-30", "1"}},
      {"decoding.min_p", {"0", "0.9999999"}}, {"decoding.repetition_penalty", {"0.1", "10"}}, {"decoding.seed", {"0", "9007199254740991"}},
      {"decoding.samples", {"1", "10000"}}, {"decoding.context", {"1048576"}}, {"decoding.stop", {"[" + quoted(1024) + "]", stops(64)}},
      {"output.logprobs", {"0", "20"}}, {"max_errors", {"0", "9007199254740991"}}, {"name", {quoted(200)}},
      {"prompt.files", {"{" + quoted(200) + ": {text: x}}"}}, {"prompt.date", {"2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"}},
      {"output.keep", {"[x, y]"}}};
  const std::vector<std::pair<std::string, std::vector<std::string>>> bad = {
      {"decoding.temperature", {"0.000999", "100.00001"}}, {"decoding.top_k", {"-1", "1048577"}}, {"decoding.top_p", {"0", "1.0000001"}},
      {"decoding.min_p", {"-0.1", "1"}}, {"decoding.repetition_penalty", {"0.0999999", "10.000001"}},
      {"decoding.seed", {"-1", "9007199254740992"}}, {"decoding.samples", {"0", "10001"}}, {"decoding.context", {"1", "1048577"}},
      {"decoding.stop", {"[" + quoted(1025) + "]", stops(65), "[a, a]"}}, {"output.logprobs", {"-1", "21"}},
      {"max_errors", {"-1", "9007199254740992"}}, {"name", {quoted(201)}},
      {"prompt.files", {"{" + quoted(201) + ": {text: x}}", "{a=b: {text: x}}", "{a/b: {text: x}}"}},
      {"prompt.date", {"2023-02-29", "1900-02-29", "2026-04-31", "2026-00-01", "2026-13-01", "2026-01-00", "0000-12-31"}},
      {"output.keep", {"[x, x]"}}};
  for (const auto& [key, values] : good)
    for (const std::string& value : values) {
      INFO(key << "=" << value);
      CHECK(complaint(base, {{}, {key + "=" + value}}) == "accepted");
    }
  std::string all;
  for (const auto& [key, values] : bad)
    for (const std::string& value : values) all += complaint(base, {{}, {key + "=" + value}});
  CHECK(all.find("accepted") == std::string::npos);
  compare_with_golden(folder() + "limits.expected", all);
}

TEST_CASE("problems stand in the order of the file, those of --set behind them, and no more than fifty") {
  auto lines = [](int n) {
    std::string keys;
    for (int i = 0; i < n; ++i) keys += "zz" + std::to_string(i) + ": 1\n";
    return complaint(small("decoding: {max_tokens: 9}\n" + keys), {{}, {}});
  };
  for (int n : {50, 51}) {
    const std::string said = lines(n), more = "\nand 1 more\n";
    CHECK(said.find("step.yaml: " + std::to_string(n) + " things are wrong with the manifest\n") != std::string::npos);
    CHECK(said.find("'zz49'") != std::string::npos);
    CHECK(said.find("'zz50'") == std::string::npos);
    CHECK(said.ends_with(more) == (n == 51));
  }
  const std::string both = complaint(small("decoding: {max_tokens: 9}\nbogus: 1\n"), {{}, {"name=["}});
  REQUIRE(both.find("--set name") != std::string::npos);
  CHECK(both.find("'bogus'") < both.find("--set name"));
}

TEST_CASE("a template that does not compile is one problem, and a name is found as a word of its own") {
  auto with = [](const std::string& text, const std::string& format, const std::string& truncate) {
    return complaint("ibid: 1\nmodel: {digest: " + kDigest + "}\ninput: {format: " + format + "}\nprompt: {text: \"" + text +
                     "\"}\ndecoding: {max_tokens: 9" + truncate + "}\n");
  };
  const std::string cut = ", truncate: {field: b, keep: head, tokens: 5}";
  CHECK(with("{{ a }}", "jsonl", cut).find("no message uses the field 'b'") != std::string::npos);
  const std::string broken = with("{{ a", "jsonl", cut);
  CHECK(broken.find("bad template") != std::string::npos);
  CHECK(broken.find("no message uses") == std::string::npos);
  CHECK(with("{{ text }} {{ ext }}", "text", "").find("step.yaml:4:31: records of format text have no field 'ext'") != std::string::npos);
}

TEST_CASE("--file says where a side file lies") {
  const std::string text = slurp(folder() + "criteria.md");
  const std::string yaml = small("  files: {c: {digest: " + digest_of(text) + "}, i: {text: x}}\ndecoding: {max_tokens: 9}\n");
  CHECK(parse_manifest(yaml, "step.yaml", {{{"c", folder() + "criteria.md"}}, {}}).prompt.files.at("c").text == text);
  std::string all = complaint(yaml);
  all += complaint(yaml, {{{"c", folder() + "minimal.yaml"}}, {}});
  all += complaint(yaml, {{{"c", folder() + "absent"}}, {}});
  all += complaint(yaml, {{{"C", folder() + "criteria.md"}}, {}});
  all += complaint(yaml, {{{"i", folder() + "criteria.md"}}, {}});
  all += complaint(yaml, {{{"c", ""}}, {}});
  all += complaint(yaml, {{{"c", "x"}, {"c", "y"}}, {}});
  CHECK(all.find("accepted") == std::string::npos);
  compare_with_golden(folder() + "file_options.expected", all);
}

TEST_CASE("a side file is text, and has 16 MiB at most") {
  const fs::path file = fs::temp_directory_path() / ("ibid-side-file-test-" + std::to_string(::getpid()));
  auto with = [&](const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
    std::string said = complaint(small("  files: {c: {digest: " + digest_of(text) + "}}\ndecoding: {max_tokens: 9}\n"),
                                 {{{"c", file.string()}}, {}});
    if (const size_t at = said.find(file.string()); at != std::string::npos) said.replace(at, file.string().size(), "FILE");
    return said;
  };
  CHECK(with(std::string(16 << 20, 'x')) == "accepted");
  CHECK(with(std::string((16 << 20) + 1, 'x')).find("FILE is longer than 16777216 bytes\n") != std::string::npos);
  CHECK(with("\xC3").find("side file 'c' is not valid UTF-8\n") != std::string::npos);
  fs::remove(file);
}

TEST_CASE("a side file resolves beside the manifest as given, links not followed") {
  const fs::path scratch = fs::temp_directory_path() / ("ibid-manifest-test-" + std::to_string(::getpid()));
  fs::create_directories(scratch / "store");
  fs::create_directories(scratch / "work");
  const std::string yaml = small("  files: {c: {path: c.md, digest: " + digest_of("staged") + "}}\ndecoding: {max_tokens: 9}\n");
  std::ofstream(scratch / "store/step.yaml") << yaml;
  std::ofstream(scratch / "store/c.md") << "stored";
  std::ofstream(scratch / "work/c.md") << "staged";
  fs::create_symlink(scratch / "store/step.yaml", scratch / "work/step.yaml");
  CHECK(read_manifest((scratch / "work/step.yaml").string()).prompt.files.at("c").text == "staged");
  CHECK_THROWS_AS(read_manifest((scratch / "store/step.yaml").string()), ManifestError);
  std::ofstream(scratch / "work/whole.yaml") << small("  files: {c: {path: " + (scratch / "store/c.md").string() +
                                                      ", digest: " + digest_of("stored") + "}}\ndecoding: {max_tokens: 9}\n");
  CHECK(read_manifest((scratch / "work/whole.yaml").string()).prompt.files.at("c").text == "stored");
  for (const char* packed : {"\x1F\x8B\x08", "\x28\xB5\x2F\xFD"}) {
    std::ofstream(scratch / "work/packed.yaml") << packed;
    std::string said;
    try {
      read_manifest((scratch / "work/packed.yaml").string());
    } catch (const Error& e) {
      said = e.what();
    }
    CHECK(said == "this is compressed data, not a step");
  }
  CHECK_THROWS_AS(read_manifest((scratch / "none.yaml").string()), Error);
  CHECK_THROWS_AS(read_manifest((scratch / "store").string()), Error);
  fs::remove_all(scratch);
}

namespace {
// The properties of the schema at a path of manifest_key_sets().
const Json& schema_of(const Json& schema, std::string_view path) {
  const Json* at = &schema;
  while (true) {
    if (const Json* ref = at->find("$ref")) at = &schema.at("$defs").at(ref->as_string().substr(8));
    if (path.empty()) return *at;
    const bool list = path.substr(0, 2) == "[]";
    const size_t end = list ? 2 : std::min(path.find_first_of(".["), path.size());
    const std::string_view part = path.substr(0, end);
    at = list ? &at->at("items") : part == "*" ? &at->at("additionalProperties") : &at->at("properties").at(part);
    path.remove_prefix(end);
    if (!path.empty() && path[0] == '.') path.remove_prefix(1);
  }
}

}  // namespace

TEST_CASE("the first errors that people make have a hint") {
  auto user = [](const std::string& text) {
    return complaint(std::string(small()).replace(small().find("hello {{ x }}"), 13, text) + "decoding: {max_tokens: 9}\n");
  };
  auto says = [](const std::string& all, const std::string& what, const std::string& hint) {
    INFO(all);
    CHECK(all.find(what) != std::string::npos);
    CHECK(all.find("hint: " + hint + "\n") != std::string::npos);
  };
  CHECK(user("'{{ x }}'") == "accepted");
  const std::string quotes = kQuoteTemplate;
  says(user("{{ x }}"), "prompt.messages[0].user must be text, found a map", quotes);
  says(user("{{ x }} more"), "a key must be text, found a map", quotes);
  says(user("Annotate: {{ x }}"), "illegal map value", quotes);
  says(user("{% if x %}a{% endif %}"), "unknown token", quotes);
  says(user("Annotate: this"), "illegal map value", "a text that holds ': ' goes in quotes");
  const std::string ends = "the quote ends before this: inside ";
  says(user("\"{{ x[\"a\"] }}\""), "end of map not found", ends + "double quotes use single ones");
  says(user("'{{ x['a'] }}'"), "end of map not found", ends + "single quotes use double ones");
  says(complaint("ibid: 1\nmodel:\n\tdigest: x\n"), "step.yaml:3:", "YAML indents by spaces, and this line begins with a tab");
  says(complaint(small("decoding: {max_tokens: 9}\noutput: {keep: a b}\n")), "output.keep must be a list, found text", "write  [a b]");
  says(complaint(small("decoding: {max_tokens: 9}\noutput: {keep: \"a, b\"}\n")), "output.keep must be a list, found text",
       "write  [\"a, b\"]");
  const std::string pin = "'ibid pin MODEL' prints it";
  auto model = [](const std::string& value) {
    return complaint("ibid: 1\nmodel: " + value + small().substr(small().find("\ninput")) + "decoding: {max_tokens: 9}\n");
  };
  says(model("{digest: 'sha256:...'}"), "model.digest is not a digest", pin);
  says(model("{source: x}"), "model.digest is missing", pin);
  says(model("x.gguf"), "model must be a map, found text", pin);
  says(model(""), "model must be a map, found nothing", pin);
  const std::string breaks = "a quoted text of line breaks alone", written = "write  \"\\n\"  for a line break, \"\" for nothing";
  for (const char* text : {"'\n\n  '", "\"\n\n\n  \""}) says(user(text), breaks, written);
  CHECK(user("\"{{ x }}\"\n    - assistant: \"\\\n      \"") == user("\"{{ x }}\"\n    - assistant: \"\""));
  const std::string both = user("'\n\n  '\nname: \"open");
  CHECK((count_of(both, breaks) == 1 && count_of(both, "this quote is not closed") == 1));
  CHECK(user("'{{ x }}\n\n  '") == "accepted");
  CHECK(user("\"{{ x }}\"\n    - assistant: ''") == user("\"{{ x }}\"\n    - assistant: \"\""));
  says(user("["), "bad YAML", "does a bracket, a quote or an indent not fit, here or before?");
  says(complaint(small("decoding: {max_tokens: \"9\"}\n")), "must be a number, found text", "write it without quotes: 9");
  says(complaint(small("decoding: {max_tokens: 9, truncate: {field: \"\", keep: head, tokens: 1}}\n")),
       "decoding.truncate.field must not be empty", "the name of a field that a message uses");
}

TEST_CASE("the published schema has the keys of the reader") {
  const Json schema = Json::parse(slurp(test::source_dir() + "/manifests/step.schema.json"), "step.schema.json");
  for (const KeySet& set : manifest_key_sets()) {
    INFO(set.path);
    std::set<std::string> in_schema, in_reader(set.keys.begin(), set.keys.end());
    const Json& node = schema_of(schema, set.path);
    for (const auto& [key, value] : node.at("properties").members()) in_schema.insert(key);
    CHECK(in_schema == in_reader);
    CHECK(node.at("additionalProperties").as_bool() == false);
  }
  std::set<std::string> columns(std::begin(kOutputNames), std::end(kOutputNames)), excluded;
  for (const Json& name : schema.at("$defs").at("output").at("properties").at("keep").at("items").at("not").at("enum").items())
    excluded.insert(name.as_string());
  CHECK(columns == excluded);
}

TEST_CASE("the published schema accepts and refuses the fixtures as the reader does") {
  // Wrong in ways that a schema cannot see: YAML itself, digests of files, templates, sums of numbers.
  const std::set<std::string> beyond = {"duplicates", "two_documents", "templates", "template_in_quotes", "side_file_missing"};
  const fs::path scratch = fs::temp_directory_path() / ("ibid-schema-test-" + std::to_string(::getpid()));
  fs::create_directories(scratch);
  size_t written = 0;
  for (const fs::path& path : fixtures()) {
    std::vector<Problem> problems;
    std::optional<YamlNode> tree = tree_of(slurp(path), problems);
    std::optional<Json> json = tree && problems.empty() ? json_of(*tree) : std::nullopt;
    if (!json || beyond.count(path.stem())) continue;
    const bool valid = fs::exists(fs::path(path).replace_extension(".config"));
    std::ofstream(scratch / (path.stem().string() + ".json")) << Json(Json::Object{{"valid", valid}, {"manifest", *json}}).dump();
    ++written;
  }
  CHECK(written >= 12);
  const char* python = std::getenv("IBID_PYTHON");
  const std::string command = std::string(python ? python : "python3") + " '" + test::source_dir() + "/test/unit/step_schema_check.py' '" +
                              test::source_dir() + "/manifests/step.schema.json' '" + scratch.string() + "'";
  const int status = std::system(command.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) std::printf("SKIPPED: this Python has no jsonschema (IBID_PYTHON names another)\n");
  else CHECK(status == 0);
  fs::remove_all(scratch);
}
