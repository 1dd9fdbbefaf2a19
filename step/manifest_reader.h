// The inside of manifest.h: the stages that a manifest passes through, each adding to one list of problems.
//
// Owns nothing; the stages live in manifest_sets.cc, manifest_reader.cc, manifest_files.cc and manifest_check.cc, and
// manifest.cc strings them together. No other code includes this file but their tests.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "step/manifest.h"
#include "step/yaml_tree.h"

namespace ibid::step {

// The keys of one map of the schema; "*" in a path stands for any key, "[]" for the items of a list. The published JSON
// Schema has the same sets (a test compares them).
struct KeySet {
  std::string_view path;               // "", "prompt.files.*", "prompt.messages[]"
  std::vector<std::string_view> keys;
};
const std::vector<KeySet>& manifest_key_sets();

// Stage 1: --set options, in order. Errors: usage when one has no '='; everything else is a problem.
void apply_sets(YamlNode& root, const std::vector<std::string>& sets, std::vector<Problem>& problems);

// Stage 2: `ibid: 1`, before anything else is judged. False: a problem was added and nothing else should be said.
bool passes_version_gate(const YamlNode& root, std::vector<Problem>& problems);

// Stage 3: the tree becomes a Manifest; keys, types and ranges. What is wrong keeps its default.
Manifest read_tree(const YamlNode& root, std::vector<Problem>& problems);

// Stage 4: texts of side files. `text_of` is asked for those that are not inlined: it returns the bytes and sets the file's read_from, or
// fills the problem's what, hint and missing_file.
using SideFileSource = std::function<std::optional<std::string>(const std::string& name, SideFile& file, Problem& problem)>;
void load_side_files(Manifest& manifest, const YamlNode& root, const SideFileSource& text_of, std::vector<Problem>& problems);

// The source that reads from disk: --file first, else the path against the folder of `manifest_path` as given.
// Errors: usage (--file names a file that the manifest does not have, or that is inlined).
SideFileSource disk_source(const Manifest& manifest, const std::string& manifest_path,
                           const std::vector<std::pair<std::string, std::string>>& file_options);

// Stage 5: what no key alone can tell: combinations, templates, fields that the input format fixes.
void check_manifest(const Manifest& manifest, const YamlNode& root, std::vector<Problem>& problems);

// The node of a dotted path ("prompt.messages.0.user"), null when absent.
const YamlNode* node_at(const YamlNode& root, std::string_view path);

// What is wrong with a text that should be a digest. REQUIRES: !is_digest_text(text).
std::string digest_complaint(std::string_view text);

}  // namespace ibid::step
