// See manifest.h: the stages in order, and the way back from a Manifest to its configuration and to YAML.
#include "step/manifest.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "step/canon.h"
#include "step/manifest_reader.h"

namespace ibid::step {
namespace {

constexpr size_t kMaxShownProblems = 50;

bool stands_before(const Problem& a, const Problem& b) {
  if (a.at.source != b.at.source) return false;        // sources keep the order in which they were read
  return a.at.line != b.at.line ? a.at.line < b.at.line : a.at.byte < b.at.byte;
}

ErrorKind kind_of(const std::vector<Problem>& problems) {
  const bool only_missing = std::all_of(problems.begin(), problems.end(), [](const Problem& p) { return p.missing_file; });
  return only_missing ? ErrorKind::not_found : ErrorKind::bad_data;
}

std::string where_of(const std::string& name, const std::vector<Problem>& problems) {
  std::string place = problems.size() == 1 ? place_of(problems[0].at) : "";
  return place.empty() ? name : place;
}

std::string text_of(const std::vector<Problem>& problems) {
  if (problems.size() == 1) {
    std::string text = problems[0].what + "\n" + excerpt_of(problems[0].at);
    text.pop_back();
    return text;
  }
  std::string text = std::to_string(problems.size()) + " things are wrong with the manifest";
  for (size_t i = 0; i < problems.size() && i < kMaxShownProblems; ++i) text.append("\n").append(describe(problems[i]));
  if (problems.size() > kMaxShownProblems)
    text.append("\nand ").append(std::to_string(problems.size() - kMaxShownProblems)).append(" more\n");
  text.pop_back();
  return text;
}

[[noreturn]] void refuse(const std::string& name, std::vector<Problem> problems, const SourceText* first) {
  // Problems of the file first, by position; then those of each --set in turn.
  std::stable_partition(problems.begin(), problems.end(), [first](const Problem& p) { return p.at.source.get() == first; });
  auto begin = problems.begin();
  while (begin != problems.end()) {
    auto end = std::find_if(begin, problems.end(), [&](const Problem& p) { return p.at.source != begin->at.source; });
    std::stable_sort(begin, end, stands_before);
    begin = end;
  }
  throw ManifestError(name, std::move(problems));
}

// Stages 2 to 5 over a tree; used for YAML from disk and for configurations from bundles alike.
Manifest manifest_of(const YamlNode& root, const std::string& name, std::vector<Problem> problems,
                     const std::function<SideFileSource(const Manifest&)>& side_files) {
  const SourceText* source = root.at.source.get();
  if (!passes_version_gate(root, problems)) refuse(name, {problems.back()}, source);
  Manifest manifest = read_tree(root, problems);
  load_side_files(manifest, root, side_files(manifest), problems);
  check_manifest(manifest, root, problems);
  if (!problems.empty()) refuse(name, std::move(problems), source);
  return manifest;
}

// All stages, from the text on.
Manifest from_yaml(std::string_view text, const std::string& name, const std::vector<std::string>& sets,
                   const std::function<SideFileSource(const Manifest&)>& side_files) {
  auto source = std::make_shared<const SourceText>(name, std::string(text));
  std::vector<Problem> problems;
  std::optional<YamlNode> root = parse_yaml(source, problems);
  if (!root) refuse(name, std::move(problems), source.get());
  apply_sets(*root, sets, problems);
  Manifest manifest = manifest_of(*root, name, std::move(problems), side_files);
  manifest.as_written = text;
  return manifest;
}

// Side files whose texts are at hand, by name. `texts` outlives it.
SideFileSource source_of(const std::map<std::string, std::string>& texts) {
  return [&texts](const std::string& name, const SideFile&, Problem& problem) -> std::optional<std::string> {
    auto found = texts.find(name);
    if (found != texts.end()) return found->second;
    problem.what = "the text of side file '" + name + "' is missing";
    return std::nullopt;
  };
}

std::string read_text(const std::string& path) {
  if (path == "-") throw Error(ErrorKind::usage, path, "a step is read from a file, not from standard input", "name the file");
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw Error(unopened(errno), path, std::string("cannot open: ") + std::strerror(errno));
  std::string text;
  char buffer[1 << 16];
  size_t got = 0;
  while (text.size() <= kMaxYamlBytes && (got = std::fread(buffer, 1, sizeof buffer, file.get())) > 0) text.append(buffer, got);
  if (std::ferror(file.get()) && errno == EISDIR) throw Error(ErrorKind::bad_data, path, "is a folder, not a file");
  if (std::ferror(file.get())) throw Error(ErrorKind::io, path, std::string("cannot read: ") + std::strerror(errno));
  return text;
}

// Files that people name in a manifest's place, known by their first bytes. Errors: bad_data.
void refuse_archive(std::string_view text, const std::string& path) {
  if (text.substr(0, 2) == "\x1F\x8B" || text.substr(0, 4) == "\x28\xB5\x2F\xFD")
    throw Error(ErrorKind::bad_data, path, "this is compressed data, not a step", "unpack it");
  if (text.size() >= 512 && text.substr(257, 6) == std::string_view("ustar\0", 6))
    throw Error(ErrorKind::bad_data, path, "this is a bundle, not a step",
                "'ibid show " + path + "' prints its configuration, 'ibid rerun " + path + "' runs it again");
}

Json strings(const std::vector<std::string>& texts) {
  Json::Array items;
  for (const std::string& text : texts) items.emplace_back(text);
  return Json(std::move(items));
}

Json decimal(float value) { return Json::number(canonical_number(value)); }

Json prompt_config(const PromptSpec& prompt) {
  Json out = Json::Object{};
  if (prompt.text) {
    out.set("text", *prompt.text);
  } else {
    Json::Array messages;
    for (const Message& message : prompt.messages) messages.push_back(Json::Object{{name_of(message.role), message.content}});
    out.set("messages", std::move(messages));
  }
  Json::Object files;
  for (const auto& [name, file] : prompt.files) files.emplace_back(name, Json::Object{{"digest", file.digest}});
  out.set("files", std::move(files));
  if (!prompt.date.empty()) out.set("date", prompt.date);
  // later than 0.1: absent means recognise
  if (prompt.special_tokens != SpecialTokens::recognise) out.set("special_tokens", name_of(prompt.special_tokens));
  if (!prompt.text) out.set("template_args", prompt.template_args);
  return out;
}

Json decoding_config(const DecodingSpec& decoding) {
  Json out = Json::Object{{"method", name_of(decoding.method)}};
  if (decoding.method == Method::sample) {
    out.set("temperature", decimal(decoding.temperature));
    out.set("top_k", decoding.top_k);
    out.set("top_p", decimal(decoding.top_p));
    out.set("min_p", decimal(decoding.min_p));
    out.set("seed", decoding.seed);
    out.set("samples", decoding.samples);
  }
  out.set("repetition_penalty", decimal(decoding.repetition_penalty));
  out.set("max_tokens", decoding.max_tokens);
  out.set("context", decoding.context);
  if (const auto& cut = decoding.truncate)
    out.set("truncate", Json::Object{{"field", cut->field}, {"keep", name_of(cut->keep)}, {"tokens", cut->tokens}});
  out.set("stop", strings(decoding.stop));
  return out;
}

}  // namespace

ManifestError::ManifestError(const std::string& name, std::vector<Problem> all)
    : Error(kind_of(all), where_of(name, all), text_of(all), all.size() == 1 ? all[0].hint : ""), problems(std::move(all)) {}

Manifest read_manifest(const std::string& path, const ManifestOptions& options) {
  const std::string text = read_text(path);
  refuse_archive(text, path);
  return parse_manifest(text, path, options);
}

Manifest parse_manifest(std::string_view text, const std::string& path, const ManifestOptions& options) {
  return from_yaml(text, path, options.sets, [&](const Manifest& m) { return disk_source(m, path, options.files); });
}

Manifest Manifest::from_written(std::string_view text, const std::map<std::string, std::string>& texts, const std::string& where) {
  return from_yaml(text, where, {}, [&](const Manifest&) { return source_of(texts); });
}

Manifest Manifest::from_config(const Json& config, const std::map<std::string, std::string>& texts, const std::string& where) {
  auto source = std::make_shared<const SourceText>(where, "");
  Manifest manifest = manifest_of(yaml_from_json(config, {source, 0, 0}), where, {}, [&](const Manifest&) { return source_of(texts); });
  // Anything else would be run under another config id than the one it came with.
  if (canonical(effective_config(manifest)) != canonical(config))
    throw Error(ErrorKind::bad_data, where, "not an effective configuration: defaults are missing, or a number is not canonical");
  return manifest;
}

Json effective_config(const Manifest& manifest) {
  Json out = Json::Object{{"ibid", 1}};
  out.set("model", Json::Object{{"digest", manifest.model.digest}});
  Json input = Json::Object{{"format", name_of(manifest.input.format)}};
  if (!manifest.input.id.empty()) input.set("id", manifest.input.id);
  if (manifest.input.escapes != Escapes::none) input.set("escapes", name_of(manifest.input.escapes));
  if (manifest.input.quotes != Quotes::rfc4180) input.set("quotes", name_of(manifest.input.quotes));
  out.set("input", std::move(input));
  out.set("prompt", prompt_config(manifest.prompt));
  out.set("decoding", decoding_config(manifest.decoding));
  const OutputSpec& output = manifest.output;
  out.set("output", Json::Object{{"format", name_of(output.format)}, {"keep", strings(output.keep)}, {"logprobs", output.logprobs}});
  out.set("on_error", name_of(manifest.on_error));
  if (manifest.on_error == OnError::record) out.set("max_errors", manifest.max_errors);
  out.set("semantics", name_of(manifest.semantics));
  return out;
}

std::string freeze(const Manifest& manifest) {
  Json config = effective_config(manifest);
  Json out = Json::Object{{"ibid", 1}};
  if (!manifest.name.empty()) out.set("name", manifest.name);
  for (auto& [key, value] : config.members()) out.set(key, value);
  if (!manifest.model.source.empty()) {
    Json model = config.at("model");
    model.set("source", manifest.model.source);
    out.set("model", std::move(model));
  }
  // Keys that came later than 0.1 and are absent from the configuration when they say nothing.
  Json input = config.at("input"), prompt = config.at("prompt");
  if (manifest.input.format == InputFormat::tsv) input.set("escapes", name_of(manifest.input.escapes));
  if (is_table(manifest.input)) input.set("quotes", name_of(manifest.input.quotes));
  if (!manifest.prompt.text) prompt.set("special_tokens", name_of(manifest.prompt.special_tokens));
  out.set("input", std::move(input));
  Json files = Json::Object{};
  for (const auto& [name, file] : manifest.prompt.files) files.set(name, Json::Object{{"digest", file.digest}, {"text", file.text}});
  prompt.set("files", std::move(files));
  out.set("prompt", std::move(prompt));
  return write_yaml(out);
}

}  // namespace ibid::step
