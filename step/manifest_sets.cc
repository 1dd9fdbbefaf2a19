// See apply_sets in manifest_reader.h: --set reaches into the tree before anything is judged, so that a value from the command
// line is checked, and counted into the identity, as if it stood in the file.
#include <algorithm>
#include <charconv>

#include "step/manifest_reader.h"

namespace ibid::step {
namespace {

using Kind = YamlNode::Kind;

bool holds_digest(const YamlNode& node) {
  if (node.find("digest")) return true;
  for (const YamlEntry& entry : node.entries)
    if (holds_digest(entry.value)) return true;
  for (const YamlNode& item : node.items)
    if (holds_digest(item)) return true;
  return false;
}

std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts(1);
  for (char c : key) {
    if (c == '.') parts.emplace_back();
    else parts.back() += c;
  }
  for (const std::string& part : parts)
    if (part.empty()) throw Error(ErrorKind::usage, "--set " + key, "an empty name in the key", "write it like --set decoding.seed=7");
  return parts;
}

// The child that a part of the key names; in a map it is made when absent (an unknown key is then reported with all others).
// Null after a problem.
YamlNode* child(YamlNode& node, const std::string& part, const Position& at, std::vector<Problem>& problems) {
  if (node.kind == Kind::null) node.kind = Kind::map;
  if (node.kind == Kind::map) {
    if (YamlEntry* entry = node.find(part)) return &entry->value;
    const size_t bracket = part.find('[');             // as messages write it
    if (bracket != std::string::npos && part.back() == ']' && node.find(part.substr(0, bracket))) {
      note(problems, at, "'" + part + "' is no key",
           "an item is a part of its own: " + part.substr(0, bracket) + "." + part.substr(bracket + 1, part.size() - bracket - 2));
      return nullptr;
    }
    node.entries.push_back({part, at, {}});
    node.entries.back().value.at = at;
    return &node.entries.back().value;
  }
  if (node.kind == Kind::list) {
    size_t index = 0;
    auto [end, err] = std::from_chars(part.data(), part.data() + part.size(), index);
    if (err == std::errc() && end == part.data() + part.size() && index < node.items.size()) return &node.items[index];
    note(problems, at, "'" + part + "' is not the number of an item",
         "items count from 0, and there are " + std::to_string(node.items.size()));
    return nullptr;
  }
  note(problems, at, std::string("'") + part + "' cannot be looked up in " + describe_kind(node.kind),
       "look at the manifest's keys above it");
  return nullptr;
}

// Whether a comment ends the value, a plain scalar: the line was meant to be all of it.
bool is_cut(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos || std::string_view("\"'|>[{&!*").find(text[first]) != std::string_view::npos ||
      text.find('\n') != std::string_view::npos)
    return false;
  return text.find(" #", first) != std::string_view::npos || text.find("\t#", first) != std::string_view::npos;
}

void apply_set(YamlNode& root, const std::string& option, std::vector<Problem>& problems) {
  const size_t equals = option.find('=');
  if (equals == std::string::npos)
    throw Error(ErrorKind::usage, "--set " + option, "expected key=value", "write it like --set decoding.seed=7");
  const std::string key = option.substr(0, equals);
  auto source = std::make_shared<const SourceText>("--set " + key, option.substr(equals + 1));
  const Position at{source, 0, 0};

  std::optional<YamlNode> value;
  const size_t begin = source->text.find_first_not_of(" \t\n");
  if (begin != std::string::npos && (source->text.compare(begin, 2, "{{") == 0 || source->text.compare(begin, 2, "{%") == 0))
    return note(problems, at, "a template without quotes is a map to YAML", "write  --set '" + key + "=\"{{ ... }}\"'");
  if (source->text.empty()) note(problems, at, "the value is empty", "for an empty text write  --set '" + key + "=\"\"'");
  else value = parse_yaml(source, problems);
  if (!value) return;
  if (value->items.empty() && value->entries.empty() && is_cut(source->text))
    return note(problems, at, "the value ends before '#', where YAML has a comment", "put it in quotes: --set '" + key + "=\"...\"'");

  const std::vector<std::string> parts = parts_of(key);
  const YamlNode* old = node_at(root, key);
  if (std::find(parts.begin(), parts.end(), "digest") != parts.end() || holds_digest(*value) || (old && holds_digest(*old)))
    return note(problems, at, "--set cannot touch a digest", "a digest says what the author checked: edit the manifest");
  YamlNode* node = &root;
  for (const std::string& part : parts)
    if (node) node = child(*node, part, at, problems);
  if (!node) return;
  *node = std::move(*value);
}

}  // namespace

void apply_sets(YamlNode& root, const std::vector<std::string>& sets, std::vector<Problem>& problems) {
  for (const std::string& option : sets) apply_set(root, option, problems);
}

}  // namespace ibid::step
