// The template engine against real templates of released models, rendered by the reference: outputs and errors by ==, a changed
// white space rule as negative control, and mutated templates, which may only ever end in an Error.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/error.h"
#include "runtime/template.h"
#include "runtime/template_eval.h"
#include "runtime/template_parser.h"
#include "runtime/template_scopes.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::runtime;
namespace fs = std::filesystem;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

struct Outcome {
  std::string text;
  bool raised = false;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome(const Template& t, const RenderContext& context) {
  try {
    return {t.render(context), false};
  } catch (const Error& e) {
    return {e.what(), true};
  }
}

struct GoldenCase { std::string name, source; RenderContext context; Outcome expected; };

std::vector<GoldenCase> golden_cases() {
  std::string path = test::data_file("chat-templates/jinja2_golden.json");
  std::vector<GoldenCase> out;
  if (path.empty()) return out;
  Json all = Json::parse(read(path), path);
  for (const Json& c : all.at("cases").items()) {
    GoldenCase g;
    g.name = c.at("template").as_string() + " " + c.at("case").as_string();
    g.source = read(fs::path(path).parent_path() / "llamacpp" / c.at("template").as_string());
    g.context.variables = c.at("context");
    g.context.date = "2025-07-10";
    g.expected = c.find("output") ? Outcome{c.at("output").as_string(), false} : Outcome{c.at("message").as_string(), true};
    out.push_back(std::move(g));
  }
  return out;
}

std::string token(const Json& config, const char* name) {
  const Json* t = config.find(name);
  if (!t || t->is_null()) return "";
  return t->is_string() ? t->as_string() : t->at("content").as_string();
}

std::string chat_template(const fs::path& model, const Json& config, const Json& name) {
  if (fs::exists(model / "chat_template.jinja")) return read(model / "chat_template.jinja");
  const Json& t = config.at("chat_template");
  if (t.is_string()) return t.as_string();
  std::string wanted = name.is_null() ? "default" : name.as_string();
  for (const Json& entry : t.items())
    if (entry.at("name").as_string() == wanted) return entry.at("template").as_string();
  throw Error(ErrorKind::bad_data, model.string(), "no template " + wanted);
}

uint64_t next_random(uint64_t& state) {                // xorshift: the same mutations on every machine
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

std::string mutated(std::string s, uint64_t& state) {
  static const char* const pieces[] = {"{{", "}}", "{%", "%}", "-", "(", ")", "[", "]", "|", "'", "\"", "{% endif %}", "{% endfor %}",
                                       "{% break %}", " is ", " not ", " in ", "9223372036854775807", "*", "//", "%", "none", ".", "::-1",
                                       "[0]", "loop.", "ns.", "\xff", "{% set messages = messages + messages %}", "| list", "| tojson",
                                       "| map('upper')", "| sort", "| join", "\\u"};
  auto pick = [&](size_t n) { return static_cast<size_t>(next_random(state) % std::max<size_t>(n, 1)); };
  for (size_t edits = 1 + pick(4); edits > 0; --edits) {
    size_t at = pick(s.size());
    switch (pick(5)) {
      case 0: s.erase(at, 1 + pick(20)); break;
      case 1: s.insert(at, pieces[pick(std::size(pieces))]); break;
      case 2: if (at < s.size()) s[at] = static_cast<char>(next_random(state)); break;
      case 3: s.insert(pick(s.size()), s.substr(at, pick(200))); break;
      default: s.resize(at); break;
    }
  }
  return s;
}

}  // namespace

TEST_CASE("real chat templates give what Jinja2 gives") {
  std::vector<GoldenCase> cases = golden_cases();
  if (cases.empty()) return;
  int rendered = 0, raised = 0;
  for (const GoldenCase& g : cases) {
    INFO(g.name);
    Outcome got = outcome(Template(g.source, "t", UndefinedIs::empty), g.context);
    CHECK((got == g.expected));
    (got.raised ? raised : rendered) += 1;
  }
  CHECK(rendered == 742);
  CHECK(raised == 74);
}

TEST_CASE("chat prompts give what transformers gives") {
  std::string root = test::data_file("chat-templates/hf-chat-template-corpus");
  if (root.empty()) return;
  int compared = 0;
  for (const auto& model : fs::directory_iterator(root)) {
    if (!model.is_directory()) continue;
    Json config = Json::parse(read(model.path() / "tokenizer_config.json"), "tokenizer_config.json");
    Json meta = Json::parse(read(model.path() / "meta.json"), "meta.json");
    for (const auto& entry : fs::directory_iterator(model.path() / "cases")) {
      INFO(entry.path().string());
      Json c = Json::parse(read(entry.path()), entry.path().string());
      ChatPrompt prompt;
      for (const auto& [name, value] : c.at("input").members()) {
        if (name == "messages") prompt.messages = value;
        else if (name == "add_generation_prompt") prompt.add_generation_prompt = value.as_bool();
        else prompt.template_args.set(name, value);
      }
      prompt.bos_token = token(config, "bos_token");
      prompt.eos_token = token(config, "eos_token");
      if (meta.find("clock_unix_secs")) {
        CHECK(meta.at("clock_unix_secs").as_int() == 1720051200);
        prompt.date = "2024-07-04";
      }
      Template t(chat_template(model.path(), config, c.at("template_name")), "t", UndefinedIs::empty);
      std::string expected = read(model.path() / "expected" / entry.path().stem().concat(".txt"));
      CHECK((render_chat(t, prompt) == expected));
      ++compared;
    }
  }
  CHECK(compared == 35);
}

// The negative control: were the comparison blind, a lexer that forgets trim_blocks or lstrip_blocks would pass it too.
TEST_CASE("a changed white space rule is caught by the real templates") {
  std::vector<GoldenCase> cases = golden_cases();
  if (cases.empty()) return;
  for (auto [rules, wrong_at_least] : {std::pair(WhitespaceRules{true, true}, 0), std::pair(WhitespaceRules{false, true}, 50),
                                       std::pair(WhitespaceRules{true, false}, 50)}) {
    int wrong = 0;
    for (const GoldenCase& g : cases) {
      if (g.expected.raised) continue;
      Program program = parse_template(g.source, "t", 100, rules);
      analyse_scopes(program);
      Interpreter interpreter(program, TemplateLimits(), UndefinedIs::empty, g.context);
      Values variables(program.names.size(), Value::missing());
      for (Symbol s = 0; s < program.names.size(); ++s)
        if (const Json* given = g.context.variables.find(program.names[s])) variables[s] = from_json(*given, interpreter.budget());
      wrong += interpreter.run(std::move(variables)) != g.expected.text;
    }
    if (wrong_at_least == 0) CHECK(wrong == 0);
    CHECK(wrong >= wrong_at_least);
  }
}

TEST_CASE("mutated templates end in text or in an Error") {
  std::vector<GoldenCase> cases = golden_cases();
  if (cases.empty()) return;
  uint64_t state = 0x9E3779B97F4A7C15;
  TemplateLimits limits;
  limits.max_steps = 50000;
  limits.max_output = 1 << 20;
  int texts = 0, refusals = 0, faults = 0;
  for (int round = 0; round < 2000; ++round) {
    const GoldenCase& g = cases[next_random(state) % cases.size()];
    std::string source = mutated(g.source, state);
    try {
      Template t(source, "t", UndefinedIs::empty, limits);
      (outcome(t, g.context).raised ? faults : texts) += 1;
    } catch (const Error& e) {
      CHECK(e.kind == ErrorKind::bad_data);
      ++refusals;
    }
  }
  CHECK(texts + refusals + faults == 2000);
  CHECK(texts > 100);
  CHECK(refusals > 100);
  CHECK(faults > 10);
}
