// YAML as ibid accepts it: one document of maps, lists and scalars, each with its position. The only door to yaml-cpp.
//
// Owns the syntax. Must not know what any key means.
// 1. Refused, with a position: anchors, aliases, merge keys, tags, duplicate keys, keys that are not text, a second document,
//    control characters, bytes that are not UTF-8, a byte order mark, nesting deeper than kMaxYamlDepth, a quote that is not closed.
// 2. Plain scalars resolve by YAML 1.2's core schema (so `no` and 2026-11-22 are text); quoted and block scalars are text.
// 3. A scalar keeps its characters: 1.0 and 1 stay different.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/json.h"
#include "step/source_text.h"

namespace ibid::step {

inline constexpr size_t kMaxYamlBytes = size_t{16} << 20;
inline constexpr int kMaxYamlDepth = 64;

struct YamlEntry;

struct YamlNode {
  enum class Kind { null, boolean, number, text, list, map };
  Kind kind = Kind::null;
  Position at;
  std::string text;                    // of a scalar: the characters it stands for
  bool literal = false;                // a '|' block: its lines are source lines
  std::vector<YamlNode> items;         // of a list
  std::vector<YamlEntry> entries;      // of a map, in source order, keys distinct

  const YamlEntry* find(std::string_view key) const;   // null when absent or not a map
  YamlEntry* find(std::string_view key);
};

struct YamlEntry {
  std::string key;
  Position key_at;
  YamlNode value;
};

// A hint for templates without quotes: YAML takes {{ x }} for a map, or cannot read the line at all.
inline constexpr const char* kQuoteTemplate = "put the template in quotes: \"{{ ... }}\"";
bool begins_template(const Position& at);              // "{{" stands there

// "a map", "a list", "a number" ...: what a node is, for messages.
const char* describe_kind(YamlNode::Kind kind);

// Appends everything that is wrong to `problems`; the tree is there whenever the syntax could be followed to the end.
std::optional<YamlNode> parse_yaml(const std::shared_ptr<const SourceText>& source, std::vector<Problem>& problems);

// The same tree from JSON, every node at one position.
YamlNode yaml_from_json(const Json& value, const Position& at);

// Where character `column` (in code points from 1) of line `line` (from 1) of a text node's content stands in the source;
// empty when escapes or folding hide it.
std::optional<Position> position_inside(const YamlNode& text, size_t line, size_t column);

// True for the number grammar of JSON, the only one that manifests may use.
bool is_json_number(std::string_view text);

// YAML text of a JSON value in block style: what `parse_yaml` reads back as the same value.
std::string write_yaml(const Json& value);

}  // namespace ibid::step
