// What the tests of manifests share: the golden files of test/data/manifest, a small manifest, and what the program says of one.
#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "step/canon.h"
#include "step/manifest.h"
#include "step/manifest_reader.h"
#include "test/catch.h"

namespace ibid::test {

using namespace ibid::step;
namespace fs = std::filesystem;

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline std::string folder() { return source_dir() + "/test/data/manifest/"; }

// As step/main prints it, with the folder taken out of the paths.
inline std::string printed(const Error& e) {
  std::string text = "ibid: error: " + (e.where.empty() ? "" : e.where + ": ") + e.what() + "\n";
  if (!e.hint.empty()) text += "ibid: hint: " + e.hint + "\n";
  for (size_t at = text.find(folder()); at != std::string::npos; at = text.find(folder())) text.erase(at, folder().size());
  return text;
}

inline std::vector<fs::path> fixtures() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder()))
    if (entry.path().extension() == ".yaml") out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

inline void compare_with_golden(const fs::path& path, const std::string& text) {
  if (std::getenv("IBID_UPDATE_GOLDEN")) std::ofstream(path, std::ios::binary) << text;
  INFO(path.filename());
  CHECK(text == slurp(path));
}

inline size_t count_of(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

inline std::string config_id(const Manifest& manifest) { return canonical(effective_config(manifest)); }

inline std::map<std::string, std::string> texts_of(const Manifest& manifest) {
  std::map<std::string, std::string> texts;
  for (const auto& [name, file] : manifest.prompt.files) texts[name] = file.text;
  return texts;
}

inline const std::string kDigest = "sha256:" + std::string(64, 'a');

// A small valid manifest with `extra` lines at its end.
inline std::string small(const std::string& extra = "") {
  return "ibid: 1\nmodel: {digest: " + kDigest + "}\ninput: {format: jsonl}\nprompt:\n  messages:\n    - user: hello {{ x }}\n" + extra;
}

inline Manifest parse(const std::string& text, const std::vector<std::string>& sets = {}) {
  return parse_manifest(text, "step.yaml", {{}, sets});
}

inline std::string complaint(const std::string& text, const ManifestOptions& options = {}) {
  try {
    parse_manifest(text, "step.yaml", options);
  } catch (const Error& e) {
    return printed(e);
  }
  return "accepted";
}

// The tree as plain JSON; nullopt when a number is not one that JSON can write.
inline std::optional<Json> json_of(const YamlNode& node) {
  using Kind = YamlNode::Kind;
  if (node.kind == Kind::boolean) return Json(node.text[0] == 't' || node.text[0] == 'T');
  if (node.kind == Kind::text) return Json(node.text);
  if (node.kind == Kind::number) return is_json_number(node.text) ? std::optional(Json::number(node.text)) : std::nullopt;
  if (node.kind == Kind::list) {
    Json::Array items;
    for (const YamlNode& item : node.items) {
      std::optional<Json> value = json_of(item);
      if (!value) return std::nullopt;
      items.push_back(*value);
    }
    return Json(items);
  }
  if (node.kind != Kind::map) return Json();
  Json::Object members;
  for (const YamlEntry& entry : node.entries) {
    std::optional<Json> value = json_of(entry.value);
    if (!value) return std::nullopt;
    members.emplace_back(entry.key, *value);
  }
  return Json(members);
}

inline std::optional<YamlNode> tree_of(const std::string& text, std::vector<Problem>& problems) {
  return parse_yaml(std::make_shared<const SourceText>("x.yaml", text), problems);
}

}  // namespace ibid::test
