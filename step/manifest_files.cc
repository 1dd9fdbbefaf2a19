// See load_side_files in manifest_reader.h: where the texts of side files come from, and that they are the right ones.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "step/digest.h"
#include "step/manifest_reader.h"

namespace ibid::step {
namespace {

constexpr size_t kMaxSideFileBytes = size_t{16} << 20;

std::optional<std::string> read_side_file(const std::string& path, Problem& problem) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) {
    problem.what = "cannot open " + path + ": " + std::strerror(errno);
    problem.missing_file = unopened(errno) == ErrorKind::not_found;
    return std::nullopt;
  }
  std::string text;
  char buffer[1 << 16];
  while (size_t got = std::fread(buffer, 1, sizeof buffer, file.get())) {
    text.append(buffer, got);
    if (text.size() > kMaxSideFileBytes) {
      problem.what = path + " is longer than " + std::to_string(kMaxSideFileBytes) + " bytes";
      problem.hint = "a side file is part of every prompt; feed long data as input records";
      return std::nullopt;
    }
  }
  if (std::ferror(file.get())) {
    problem.what = "cannot read " + path + ": " + std::strerror(errno);
    return std::nullopt;
  }
  return text;
}

// Relative to the folder of the manifest's path as given: engines stage symbolic links, and what they point at is elsewhere.
std::string beside(const std::string& manifest_path, const std::string& path) {
  const size_t slash = manifest_path.rfind('/');
  if (path.front() == '/' || slash == std::string::npos) return path;
  return manifest_path.substr(0, slash + 1) + path;
}

// Reads and verifies one side file; everything that can be said about it is one problem.
bool load(const std::string& name, SideFile& file, const YamlEntry& entry, const SideFileSource& text_of, Problem& problem) {
  const YamlEntry* digest = entry.value.find("digest");
  problem.at = entry.key_at;
  if (!file.inlined) {
    std::optional<std::string> text = text_of(name, file, problem);
    if (!text) return false;
    file.text = std::move(*text);
  }
  if (!is_utf8(file.text)) {
    problem.what = "side file '" + name + "' is not valid UTF-8";
    problem.hint = "save it as UTF-8";
    return false;
  }
  const std::string found = digest_of(file.text);
  if (!digest && !file.inlined) {
    problem.what = "side file '" + name + "' has no digest";
    problem.hint = "add  digest: " + found;
    return false;
  }
  if (digest && !file.digest.empty() && file.digest != found) {
    problem.at = digest->value.at;
    problem.what = "side file '" + name + "' is not the one that this digest names";
    problem.hint = "if the change is meant, write  digest: " + found;
    return false;
  }
  file.digest = found;
  return true;
}

}  // namespace

void load_side_files(Manifest& manifest, const YamlNode& root, const SideFileSource& text_of, std::vector<Problem>& problems) {
  const YamlNode* files = node_at(root, "prompt.files");
  std::map<std::string_view, const YamlEntry*> entries;
  if (files)
    for (const YamlEntry& entry : files->entries) entries.emplace(entry.key, &entry);
  for (auto& [name, file] : manifest.prompt.files) {
    auto entry = entries.find(name);
    IBID_CHECK(entry != entries.end());
    Problem problem;
    if (!load(name, file, *entry->second, text_of, problem)) problems.push_back(std::move(problem));
  }
}

SideFileSource disk_source(const Manifest& manifest, const std::string& manifest_path,
                           const std::vector<std::pair<std::string, std::string>>& file_options) {
  std::vector<std::string_view> names;
  for (const auto& [name, file] : manifest.prompt.files) names.push_back(name);
  std::map<std::string, std::string> places;
  for (const auto& [name, path] : file_options) {
    const std::string where = "--file " + name + "=" + path;
    if (!manifest.prompt.files.count(name))
      throw Error(ErrorKind::usage, where, "the manifest has no side file '" + name + "'",
                  names.empty() ? "its side files are under prompt.files, and there are none" : "prompt.files has the names");
    if (manifest.prompt.files.at(name).inlined)
      throw Error(ErrorKind::usage, where, "the text of side file '" + name + "' stands in the manifest",
          "remove the option, or the text from the manifest");
    if (path.empty()) throw Error(ErrorKind::usage, where, "no path is given", "write --file NAME=PATH");
    if (!places.emplace(name, path).second)
      throw Error(ErrorKind::usage, where, "side file '" + name + "' is given twice", "remove one of them");
  }
  return [manifest_path, places](const std::string& name, SideFile& file, Problem& problem) -> std::optional<std::string> {
    auto place = places.find(name);
    problem.hint = "is the path that --file gives right?";
    if (place != places.end()) return read_side_file(file.read_from = place->second, problem);
    problem.hint = "give its place with  --file " + name + "=PATH";
    if (!file.path.empty()) return read_side_file(file.read_from = beside(manifest_path, file.path), problem);
    problem.what = "side file '" + name + "' has neither a path nor a text";
    return std::nullopt;
  };
}

}  // namespace ibid::step
