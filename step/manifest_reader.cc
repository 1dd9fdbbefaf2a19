// See manifest_reader.h: from the tree to a Manifest, one function per map of the schema.
#include "step/manifest_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "runtime/json.h"
#include "step/canon.h"
#include "step/digest.h"

namespace ibid::step {
namespace {

using Kind = YamlNode::Kind;

constexpr std::string_view kInputFormats[] = {"jsonl", "csv", "tsv", "text", "fasta", "files"};
constexpr std::string_view kEscapes[] = {"none", "backslash"};
constexpr std::string_view kQuotes[] = {"rfc4180", "none"};
constexpr std::string_view kOutputFormats[] = {"jsonl", "csv", "tsv", "text"};
constexpr std::string_view kRoles[] = {"system", "user", "assistant"};
constexpr std::string_view kMethods[] = {"greedy", "sample"};
constexpr std::string_view kKeeps[] = {"head", "tail"};
constexpr std::string_view kSpecialTokens[] = {"recognise", "refuse"};
constexpr std::string_view kOnErrors[] = {"fail", "record"};
constexpr std::string_view kSemantics[] = {"v1/w16a16", "v1/w8a16"};

constexpr uint64_t kMaxSeed = (uint64_t{1} << 53) - 1;
constexpr size_t kMaxStops = 64, kMaxStopBytes = 1024, kMaxNameBytes = 200;

// Keys that people bring along from elsewhere, and what to do about them here.
struct Foreign { std::string_view path, key, hint; };
constexpr Foreign kForeign[] = {
    {"", "include", "a manifest is one document: keep texts in prompt.files"},
    {"", "includes", "a manifest is one document: keep texts in prompt.files"},
    {"", "join", "join inputs in a step before this one; several INPUTs are read one after another"},
    {"", "joins", "join inputs in a step before this one; several INPUTs are read one after another"},
    {"", "secrets", "a step has no secrets: it runs offline, and all that it reads is archived"},
    {"", "env", "a step does not read the environment"},
    {"input", "path", "name the inputs on the command line: ibid run STEP.yaml INPUT..."},
    {"input", "options", "records carry data, not options: write a second step"},
    {"decoding", "max_new_tokens", "it is called max_tokens here"},
    {"decoding", "n", "it is called samples here"},
    {"decoding", "do_sample", "write  method: sample"},
    {"decoding", "num_ctx", "it is called context here"},
    {"decoding", "max_length", "give max_tokens (the answer) and context (prompt and answer)"},
    {"decoding", "stop_sequences", "it is called stop here"},
};

constexpr char kPin[] = "'ibid pin MODEL' prints it";

template <typename Names>
std::string one_of(const Names& names) {
  std::string out;
  for (size_t i = 0; i < std::size(names); ++i) out.append(i == 0 ? "" : i + 1 < std::size(names) ? ", " : " or ").append(names[i]);
  return out;
}

// A text as an item of [...]: in quotes where YAML could take it for something else.
std::string list_item(const std::string& text) {
  bool plain = !text.empty() && std::isalpha(static_cast<unsigned char>(text.front())) &&
               std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == ' '; });
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) plain = plain && text != word;
  return plain ? text : Json(text).dump();
}

// Reads one map: hands out the values of known keys, complains about types, and at the end about keys that nobody knows.
class MapReader {
 public:
  MapReader(const YamlNode& node, const Position& at, std::string path, std::string_view set_path, std::vector<Problem>& problems)
      : node_(node), at_(at), path_(std::move(path)), problems_(problems) {
    for (const KeySet& set : manifest_key_sets())
      if (set.path == set_path) keys_ = &set.keys;
    IBID_CHECK(keys_);
    if (node.kind != Kind::map) {
      problem(at, (path_.empty() ? "a manifest" : path_) + " must be a map, found " + describe_kind(node.kind),
              path_ == "model" ? kPin : "write its keys below it, indented, each as  key: value");
      return;
    }
    for (const YamlEntry& entry : node.entries) check_known(entry, set_path);
  }

  const YamlEntry* find(std::string_view key) const {
    IBID_CHECK(std::find(keys_->begin(), keys_->end(), key) != keys_->end());
    return node_.find(key);
  }

  const YamlEntry* require(std::string_view key, const std::string& hint) {
    const YamlEntry* entry = find(key);
    if (!entry && node_.kind == Kind::map) problem(at_, dotted(key) + " is missing", hint);
    return entry;
  }

  std::string dotted(std::string_view key) const { return path_.empty() ? std::string(key) : path_ + "." + std::string(key); }
  void problem(const Position& at, const std::string& what, const std::string& hint) { note(problems_, at, what, hint); }

  bool wants(const YamlEntry& entry, Kind kind, const char* hint = "") {
    if (entry.value.kind == kind) return true;
    std::string advice = hint;
    if (kind == Kind::text && (entry.value.kind == Kind::number || entry.value.kind == Kind::boolean))
      advice = "put it in quotes: \"" + entry.value.text + "\"";
    if (kind == Kind::number && is_json_number(entry.value.text)) advice = "write it without quotes: " + entry.value.text;
    const SourceText* from = entry.value.at.source.get();
    if (kind == Kind::text && entry.value.kind == Kind::map && from && from->name.starts_with("--set "))
      advice = "the value is YAML: put it in quotes of its own, '" + from->name.substr(6) + "=\"...\"'";
    if (kind == Kind::text && begins_template(entry.value.at)) advice = kQuoteTemplate;
    if (kind == Kind::list && entry.key != "messages" && entry.value.kind == Kind::text && entry.value.text.find('\n') == std::string::npos)
      advice = "write  [" + list_item(entry.value.text) + "]";
    problem(entry.value.at, dotted(entry.key) + " must be " + describe_kind(kind) + ", found " + describe_kind(entry.value.kind), advice);
    return false;
  }

  void text(std::string_view key, std::string& out) {
    const YamlEntry* entry = find(key);
    if (entry && wants(*entry, Kind::text)) out = entry->value.text;
  }

  template <typename Enum, size_t n>
  void choice(std::string_view key, const std::string_view (&names)[n], Enum& out) {
    const YamlEntry* entry = find(key);
    if (!entry) return;
    for (size_t i = 0; i < n; ++i)
      if (entry->value.kind == Kind::text && entry->value.text == names[i]) { out = static_cast<Enum>(i); return; }
    std::string hint = did_you_mean(entry->value.text, {names, names + n});
    if (hint.empty()) hint = "write one of these";
    const std::string found = entry->value.text.empty() ? "" : ", found '" + entry->value.text + "'";
    problem(entry->value.at, dotted(key) + " must be " + one_of(names) + found, hint);
  }

  template <typename Int>
  void integer(std::string_view key, uint64_t low, uint64_t high, Int& out) {
    const YamlEntry* entry = find(key);
    if (!entry || !wants(*entry, Kind::number)) return;
    const std::string& s = entry->value.text;
    uint64_t v = 0;
    auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
    const bool whole = is_json_number(s) && err == std::errc() && end == s.data() + s.size();
    if (whole && v >= low && v <= high) { out = static_cast<Int>(v); return; }
    const std::string range = std::to_string(low) + " to " + std::to_string(high);
    problem(entry->value.at, dotted(key) + " must be a whole number from " + range + ", found " + s, "write a number within these bounds");
  }

  // Decimal digits straight to binary32: no binary64 in between that could round twice.
  template <typename Accept>
  void decimal(std::string_view key, Accept accept, const char* range, const char* hint, float& out) {
    const YamlEntry* entry = find(key);
    if (!entry || !wants(*entry, Kind::number)) return;
    const std::string& s = entry->value.text;
    float v = 0;
    auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (is_json_number(s) && err == std::errc() && end == s.data() + s.size() && accept(v)) { out = v; return; }
    problem(entry->value.at, dotted(key) + " must be a number " + range + ", found " + s,
        is_json_number(s) ? hint : "write it like 0.7 or 1e-3");
  }

  template <typename Each>
  void list(std::string_view key, Each each) {
    const YamlEntry* entry = find(key);
    if (!entry || !wants(*entry, Kind::list)) return;
    size_t index = 0;
    for (const YamlNode& item : entry->value.items) each(item, dotted(key) + "[" + std::to_string(index++) + "]");
  }

  void digest(std::string_view key, std::string& out, const char* hint = "") {
    const YamlEntry* entry = find(key);
    if (!entry || !wants(*entry, Kind::text)) return;
    if (is_digest_text(entry->value.text)) out = entry->value.text;
    else problem(entry->value.at, dotted(key) + " is not a digest: " + digest_complaint(entry->value.text), hint);
  }

 private:
  void check_known(const YamlEntry& entry, std::string_view set_path) {
    for (std::string_view key : *keys_)
      if (entry.key == key) return;
    if (set_path == "output" && entry.key == "schema")
      return problem(entry.key_at, "output.schema (constrained output) is not built yet", "remove it or use a later ibid");
    if (set_path == "output" && entry.key == "aggregate")
      return problem(entry.key_at, "output.aggregate (votes over samples) is not built yet", "remove it or use a later ibid");
    std::string hint;
    for (const Foreign& foreign : kForeign)
      if (foreign.path == set_path && foreign.key == entry.key) hint = foreign.hint;
    if (hint.empty()) hint = did_you_mean(entry.key, *keys_);
    if (hint.empty()) hint = elsewhere(entry.key);
    if (hint.empty()) hint = "there may be " + one_of(*keys_);
    problem(entry.key_at, "unknown key '" + dotted(entry.key) + "'", hint);
  }

  // A key that is right in another map is mostly a slip of indentation.
  static std::string elsewhere(std::string_view key) {
    for (const KeySet& set : manifest_key_sets())
      for (std::string_view known : set.keys)
        if (known == key && set.path.find_first_of("*[") == std::string_view::npos)
          return set.path.empty() ? "'" + std::string(key) + "' stands at the top level"
                                  : "'" + std::string(key) + "' belongs under '" + std::string(set.path) + "'";
    return "";
  }

  const YamlNode& node_;
  Position at_;
  std::string path_;
  const std::vector<std::string_view>* keys_ = nullptr;
  std::vector<Problem>& problems_;
};

void read_model(MapReader map, ModelSpec& out) {
  map.require("digest", kPin);
  map.digest("digest", out.digest, kPin);
  map.text("source", out.source);
}

void read_input(MapReader map, InputSpec& out) {
  map.require("format", "one of " + one_of(kInputFormats));
  map.choice("format", kInputFormats, out.format);
  const YamlEntry* id = map.find("id");
  map.text("id", out.id);
  if (id && id->value.kind == Kind::text && out.id.empty())
    map.problem(id->value.at, "input.id must not be empty", "remove it to number the records");
  map.choice("escapes", kEscapes, out.escapes);
  map.choice("quotes", kQuotes, out.quotes);
}

void read_messages(MapReader& prompt, PromptSpec& out, std::vector<Problem>& problems) {
  prompt.list("messages", [&](const YamlNode& item, const std::string& path) {
    MapReader map(item, item.at, path, "prompt.messages[]", problems);
    if (item.kind != Kind::map) return;
    if (item.entries.size() != 1)
      return map.problem(item.at, path + " must be one role and its text", "begin each message with '- user: ...' of its own");
    for (size_t role = 0; role < std::size(kRoles); ++role) {
      const YamlEntry* entry = map.find(kRoles[role]);
      if (entry && map.wants(*entry, Kind::text)) out.messages.push_back({static_cast<Role>(role), entry->value.text});
    }
  });
}

void read_files(MapReader& prompt, PromptSpec& out, std::vector<Problem>& problems) {
  const YamlEntry* files = prompt.find("files");
  if (!files || !prompt.wants(*files, Kind::map, "write  NAME: {path: FILE, digest: sha256:...}")) return;
  for (const YamlEntry& entry : files->value.entries) {
    const std::string path = "prompt.files." + entry.key;
    MapReader map(entry.value, entry.key_at, path, "prompt.files.*", problems);
    if (entry.key.empty() || entry.key.size() > kMaxNameBytes || entry.key.find_first_of("/\n=") != std::string::npos)
      map.problem(entry.key_at, "a side file's name must be short, on one line and without '/' or '='",
                  "it is a name for templates, such as criteria; where the file lies is its path");
    if (entry.value.kind != Kind::map) continue;
    SideFile file;
    map.text("path", file.path);
    map.digest("digest", file.digest);
    map.text("text", file.text);
    file.inlined = map.find("text") != nullptr;
    if (map.find("path") && map.find("text"))
      map.problem(map.find("text")->key_at, path + " has both a path and a text", "keep one of them");
    out.files.emplace(entry.key, std::move(file));
  }
}

bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

bool is_iso_date(std::string_view s) {
  if (s.size() != 10 || s[4] != '-' || s[7] != '-') return false;
  for (size_t i : {0, 1, 2, 3, 5, 6, 8, 9})
    if (s[i] < '0' || s[i] > '9') return false;
  auto number = [&](size_t from, size_t count) {
    int v = 0;
    for (size_t i = 0; i < count; ++i) v = v * 10 + (s[from + i] - '0');
    return v;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (month == 2 && is_leap(year));
}

// A value for the chat template, in the form in which canonical JSON gives it back: numbers that survive, keys sorted
// (a template can see the order of a nested map, and the config id cannot).
Json template_value(const YamlNode& node, const std::string& path, std::vector<Problem>& problems) {
  switch (node.kind) {
    case Kind::null: return Json();
    case Kind::boolean: return Json(node.text == "true" || node.text == "True" || node.text == "TRUE");
    case Kind::text: return Json(node.text);
    case Kind::number: {
      std::string form;
      if (is_json_number(node.text)) {
        try { form = canonical(Json::number(node.text)); } catch (const Error&) {}
      }
      const bool looks_whole = form.find_first_of(".e") == std::string::npos;
      const bool is_whole = node.text.find_first_of(".eE") == std::string::npos;
      if (!form.empty() && looks_whole == is_whole && node.text != "-0") return Json::number(form);
      note(problems, node.at, path + ": the number " + node.text + " has no canonical form that a template would print alike",
                          "write a whole number below 2^53, a fraction like 0.5, or text in quotes");
      return Json();
    }
    case Kind::list: {
      Json::Array items;
      for (const YamlNode& item : node.items)
        items.push_back(template_value(item, path + "[" + std::to_string(items.size()) + "]", problems));
      return Json(std::move(items));
    }
    case Kind::map: break;
  }
  Json::Object members;
  for (const YamlEntry& entry : node.entries)
    members.emplace_back(entry.key, template_value(entry.value, path + "." + entry.key, problems));
  std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return utf16_less(a.first, b.first); });
  return Json(std::move(members));
}

void read_prompt(MapReader map, PromptSpec& out, std::vector<Problem>& problems) {
  const YamlEntry* messages = map.find("messages");
  const YamlEntry* text = map.find("text");
  if (messages && text)
    map.problem(text->key_at, "prompt has both messages and text", "text is the raw prompt without a chat template; keep one");
  if (!messages && !text) map.require("messages", "give messages, or text for a raw prompt without a chat template");
  read_messages(map, out, problems);
  if (messages && messages->value.kind == Kind::list && messages->value.items.empty())
    map.problem(messages->value.at, "prompt.messages is empty", "write at least  - user: ...");
  if (text && map.wants(*text, Kind::text)) out.text = text->value.text;
  read_files(map, out, problems);
  if (const YamlEntry* date = map.find("date"); date && map.wants(*date, Kind::text)) {
    if (is_iso_date(date->value.text)) out.date = date->value.text;
    else map.problem(date->value.at, "prompt.date must be a day like 2026-11-22, found '" + date->value.text + "'",
                     "year, month and day of the calendar: what strftime_now says");
  }
  map.choice("special_tokens", kSpecialTokens, out.special_tokens);
  if (const YamlEntry* args = map.find("template_args"); args && map.wants(*args, Kind::map))
    out.template_args = template_value(args->value, "prompt.template_args", problems);
}

void read_truncate(MapReader map, TruncateSpec& out) {
  map.require("field", "the field whose text may be cut");
  map.text("field", out.field);
  if (const YamlEntry* field = map.find("field"); field && field->value.kind == Kind::text && out.field.empty())
    map.problem(field->value.at, "decoding.truncate.field must not be empty", "the name of a field that a message uses");
  map.require("keep", "head or tail");
  map.choice("keep", kKeeps, out.keep);
  map.require("tokens", "how many tokens of the field are kept");
  map.integer("tokens", 1, 1 << 20, out.tokens);
}

void read_stop(MapReader& map, std::vector<std::string>& out) {
  map.list("stop", [&](const YamlNode& item, const std::string& path) {
    const std::string& text = item.text;
    if (item.kind != Kind::text || text.empty() || text.size() > kMaxStopBytes)
      map.problem(item.at, path + " must be text of 1 to " + std::to_string(kMaxStopBytes) + " bytes",
          item.kind == Kind::number ? "put it in quotes" : "remove it, or shorten it");
    else if (std::find(out.begin(), out.end(), text) != out.end())
      map.problem(item.at, path + " repeats an earlier stop text", "remove it");
    else if (out.size() == kMaxStops) map.problem(item.at, "more than " + std::to_string(kMaxStops) + " stop texts", "remove the rest");
    else out.push_back(text);
  });
}

void read_decoding(MapReader map, DecodingSpec& out, std::vector<Problem>& problems) {
  map.choice("method", kMethods, out.method);
  map.decimal("temperature", [](float v) { return v >= 0.001f && v <= 100; }, "from 0.001 to 100",
      "for no randomness write  method: greedy", out.temperature);
  map.integer("top_k", 0, 1 << 20, out.top_k);
  map.decimal("top_p", [](float v) { return v > 0 && v <= 1; }, "above 0, up to 1", "1 turns it off", out.top_p);
  map.decimal("min_p", [](float v) { return v >= 0 && v < 1; }, "from 0, below 1", "0 turns it off", out.min_p);
  map.decimal("repetition_penalty", [](float v) { return v >= 0.1f && v <= 10; }, "from 0.1 to 10", "1 turns it off",
              out.repetition_penalty);
  map.integer("seed", 0, kMaxSeed, out.seed);
  map.integer("samples", 1, 10'000, out.samples);
  map.require("max_tokens", "the most tokens that an answer may have");
  map.integer("max_tokens", 1, 1 << 20, out.max_tokens);
  map.integer("context", 2, 1 << 20, out.context);
  read_stop(map, out.stop);
  if (const YamlEntry* truncate = map.find("truncate"))
    read_truncate(MapReader(truncate->value, truncate->key_at, "decoding.truncate", "decoding.truncate", problems), out.truncate.emplace());
}

void read_output(MapReader map, OutputSpec& out) {
  map.choice("format", kOutputFormats, out.format);
  map.integer("logprobs", 0, 20, out.logprobs);
  std::set<std::string_view> names;
  map.list("keep", [&](const YamlNode& item, const std::string& path) {
    if (item.kind != Kind::text || item.text.empty())
      return map.problem(item.at, path + " must be the name of an input field", "write  keep: [sample, lane]");
    if (!names.insert(item.text).second)
      return map.problem(item.at, path + " names '" + item.text + "' again", "remove it");
    out.keep.push_back(item.text);
  });
}

}  // namespace

const char* name_of(InputFormat format) { return kInputFormats[static_cast<size_t>(format)].data(); }
const char* name_of(Escapes escapes) { return kEscapes[static_cast<size_t>(escapes)].data(); }
const char* name_of(Quotes quotes) { return kQuotes[static_cast<size_t>(quotes)].data(); }
const char* name_of(OutputFormat format) { return kOutputFormats[static_cast<size_t>(format)].data(); }
const char* name_of(Role role) { return kRoles[static_cast<size_t>(role)].data(); }
const char* name_of(Method method) { return kMethods[static_cast<size_t>(method)].data(); }
const char* name_of(SpecialTokens special_tokens) { return kSpecialTokens[static_cast<size_t>(special_tokens)].data(); }
const char* name_of(Keep keep) { return kKeeps[static_cast<size_t>(keep)].data(); }
const char* name_of(OnError on_error) { return kOnErrors[static_cast<size_t>(on_error)].data(); }
const char* name_of(Semantics semantics) { return kSemantics[static_cast<size_t>(semantics)].data(); }

const std::vector<KeySet>& manifest_key_sets() {
  static const std::vector<KeySet> sets = {
      {"", {"ibid", "name", "model", "input", "prompt", "decoding", "output", "on_error", "max_errors", "semantics"}},
      {"model", {"digest", "source"}},
      {"input", {"format", "id", "escapes", "quotes"}},
      {"prompt", {"messages", "text", "files", "date", "special_tokens", "template_args"}},
      {"prompt.messages[]", {"system", "user", "assistant"}},
      {"prompt.files.*", {"path", "digest", "text"}},
      {"decoding", {"method", "temperature", "top_k", "top_p", "min_p", "seed", "samples", "repetition_penalty", "max_tokens",
          "context", "truncate", "stop"}},
      {"decoding.truncate", {"field", "keep", "tokens"}},
      {"output", {"format", "keep", "logprobs"}},
  };
  return sets;
}

bool passes_version_gate(const YamlNode& root, std::vector<Problem>& problems) {
  if (root.kind != Kind::map) {
    note(problems, root.at, std::string("a manifest must be a map, found ") + describe_kind(root.kind),
         "a step begins with  ibid: 1; on the command line it stands before its inputs");
    return false;
  }
  const YamlEntry* version = root.find("ibid");
  if (!version) note(problems, root.at, "this is not an ibid manifest: the key 'ibid' is missing", "add  ibid: 1");
  else if (version->value.kind != Kind::number || version->value.text != "1")
    note(problems, version->value.at, "this manifest is of format '" + version->value.text + "', and this ibid reads format 1",
                        "write  ibid: 1  or use a later ibid");
  else return true;
  return false;
}

Manifest read_tree(const YamlNode& root, std::vector<Problem>& problems) {
  Manifest manifest;
  MapReader map(root, root.at, "", "", problems);
  map.text("name", manifest.name);
  if (manifest.name.size() > kMaxNameBytes || manifest.name.find('\n') != std::string::npos)
    map.problem(map.find("name")->value.at, "name must be one line of at most " + std::to_string(kMaxNameBytes) + " bytes",
                "a comment has room for the rest");
  auto inside = [&](const YamlEntry& entry) { return MapReader(entry.value, entry.key_at, entry.key, entry.key, problems); };
  if (auto* entry = map.require("model", "add  model: {digest: sha256:...}; ibid pin prints it"))
    read_model(inside(*entry), manifest.model);
  if (auto* entry = map.require("input", "add  input: {format: jsonl}")) read_input(inside(*entry), manifest.input);
  if (auto* entry = map.require("prompt", "add  prompt: {messages: [...]}")) read_prompt(inside(*entry), manifest.prompt, problems);
  if (auto* entry = map.require("decoding", "add  decoding: {max_tokens: 200}")) read_decoding(inside(*entry), manifest.decoding, problems);
  if (auto* entry = map.find("output")) read_output(inside(*entry), manifest.output);
  map.choice("on_error", kOnErrors, manifest.on_error);
  map.integer("max_errors", 0, kMaxSeed, manifest.max_errors);
  map.choice("semantics", kSemantics, manifest.semantics);
  return manifest;
}

std::string digest_complaint(std::string_view text) {
  if (text.substr(0, 7) != "sha256:") return "it must begin with 'sha256:'";
  if (text.size() != 71) return "'sha256:' is followed by " + std::to_string(text.size() - 7) + " characters and not by 64";
  return "after 'sha256:' stand 64 of 0-9 and a-f, in lower case";
}

const YamlNode* node_at(const YamlNode& root, std::string_view path) {
  const YamlNode* node = &root;
  while (node && !path.empty()) {
    std::string_view part = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (node->kind == Kind::list) {
      size_t index = 0;
      auto [end, err] = std::from_chars(part.data(), part.data() + part.size(), index);
      node = err == std::errc() && end == part.data() + part.size() && index < node->items.size() ? &node->items[index] : nullptr;
    } else {
      const YamlEntry* entry = node->find(part);
      node = entry ? &entry->value : nullptr;
    }
  }
  return node;
}

}  // namespace ibid::step
