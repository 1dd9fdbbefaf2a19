// See yaml_tree.h. yaml-cpp's events become a tree; what ibid does not accept is noted on the way.
#include "step/yaml_tree.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "runtime/error.h"
#include "runtime/text_hash.h"

namespace ibid::step {
namespace {

using Kind = YamlNode::Kind;

constexpr const char* kBreaksAlone = "a quoted text of line breaks alone";

struct Stop {};                        // ends the walk after a problem that has been noted

bool is_digits(std::string_view s) { return !s.empty() && s.find_first_not_of("0123456789") == std::string_view::npos; }

// Any number of YAML 1.2's core schema; the reader then insists on JSON's grammar with a better message than "not a number".
bool is_core_number(std::string_view s) {
  if (s.substr(0, 2) == "0x") return s.size() > 2 && s.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
  if (s.substr(0, 2) == "0o") return s.size() > 2 && s.find_first_not_of("01234567", 2) == std::string_view::npos;
  if (s == ".nan" || s == ".NaN" || s == ".NAN") return true;
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  if (s == ".inf" || s == ".Inf" || s == ".INF") return true;
  size_t e = s.find_first_of("eE");
  if (e != std::string_view::npos) {
    std::string_view exponent = s.substr(e + 1);
    if (!exponent.empty() && (exponent[0] == '-' || exponent[0] == '+')) exponent.remove_prefix(1);
    if (!is_digits(exponent)) return false;
    s = s.substr(0, e);
  }
  size_t point = s.find('.');
  if (point == std::string_view::npos) return is_digits(s);
  std::string_view whole = s.substr(0, point), fraction = s.substr(point + 1);
  return (whole.empty() || is_digits(whole)) && (fraction.empty() || is_digits(fraction)) && s.size() > 1;
}

Kind kind_of_plain(std::string_view s) {
  for (std::string_view word : {"true", "True", "TRUE", "false", "False", "FALSE"})
    if (s == word) return Kind::boolean;
  return is_core_number(s) ? Kind::number : Kind::text;
}

constexpr char kNoAlias[] = "aliases are not allowed", kWriteOut[] = "write the value out";

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::shared_ptr<const SourceText>& source, std::vector<Problem>& problems) : source_(source), problems_(problems) {}

  Position position(const YAML::Mark& mark) const {
    if (mark.is_null()) return {source_, 0, 0};
    return {source_, static_cast<size_t>(mark.line) + 1, static_cast<size_t>(mark.column)};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ < 2) return;
    note(problems_, position(mark), "a second YAML document", "a step is one document: remove '---' or '...' and what follows");
    throw Stop{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(node(Kind::null, mark, "?", anchor)); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    note(problems_, position(mark), kNoAlias, kWriteOut);
    add(node(Kind::null, mark, "?", YAML::NullAnchor));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    YamlNode scalar = node(tag == "?" ? kind_of_plain(value) : Kind::text, mark, tag, anchor);
    last_scalar_ = mark;
    scalar.text = value;
    const char begin = character_at(scalar.at);
    scalar.literal = tag == "!" && begin == '|';
    // yaml-cpp reads these line breaks as nothing; behind a backslash they are nothing.
    const char second = character_at(scalar.at, 1);
    if (value.empty() && (begin == '"' || begin == '\'') && second != begin && second != '\\')
      note(problems_, scalar.at, kBreaksAlone, "write  \"\\n\"  for a line break, \"\" for nothing");
    if (tag == "?" && value == "<<" && expects_key()) {
      note(problems_, scalar.at, "merge keys are not allowed", "write the keys out");
      merge_ = true;
    }
    add(std::move(scalar));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(node(Kind::list, mark, tag, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(node(Kind::map, mark, tag, anchor));
  }
  void OnMapEnd() override { close(); }

  std::optional<YamlNode> take() { return std::move(root_); }
  Position last_scalar() const { return position(last_scalar_); }

 private:
  struct Level {
    YamlNode node;
    bool has_key = false;              // of a map: the key is there and its value is not
    bool drop = false;                 // the value of a key that cannot be kept
    std::string key;
    Position key_at;
    std::unordered_map<std::string, size_t, TextHash> lines;  // of the keys so far
  };

  char character_at(const Position& at, size_t further = 0) const {
    const std::string_view line = source_->line(at.line);
    return at.byte + further < line.size() ? line[at.byte + further] : '\0';
  }

  YamlNode node(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    YamlNode made;
    made.kind = kind;
    made.at = position(mark);
    if (anchor != YAML::NullAnchor) note(problems_, made.at, "anchors are not allowed", "write the value out where it is needed");
    // "?" is plain, "!" is quoted, a block, or the tag "!" itself, which only the source shows.
    if ((tag != "?" && tag != "!") || (tag == "!" && character_at(made.at) == '!'))
      note(problems_, made.at, "tags are not allowed", "a quoted value is text, a plain 1 a number: no tag is needed");
    return made;
  }

  bool expects_key() const { return !levels_.empty() && levels_.back().node.kind == Kind::map && !levels_.back().has_key; }

  void open(YamlNode made) {
    if (levels_.size() >= static_cast<size_t>(kMaxYamlDepth)) {
      note(problems_, made.at, "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels",
           "a step needs a few: is an indent or a bracket wrong?");
      throw Stop{};
    }
    levels_.push_back({std::move(made), false, false, "", {}, {}});
  }

  void close() {
    YamlNode done = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(done));
  }

  void add(YamlNode done) {
    if (levels_.empty()) { root_ = std::move(done); return; }
    Level& level = levels_.back();
    if (level.node.kind == Kind::list) { level.node.items.push_back(std::move(done)); return; }
    if (!level.has_key) return set_key(level, std::move(done));
    level.has_key = false;
    if (!level.drop) level.node.entries.push_back({std::move(level.key), std::move(level.key_at), std::move(done)});
  }

  void set_key(Level& level, YamlNode key) {
    level.has_key = true;
    level.drop = merge_;
    merge_ = false;
    if (level.drop) return;
    if (key.kind != Kind::text) {
      note(problems_, key.at, std::string("a key must be text, found ") + describe_kind(key.kind),
           key.kind == Kind::map ? kQuoteTemplate : "");
      level.drop = true;
    } else if (auto [first, is_new] = level.lines.emplace(key.text, key.at.line); !is_new) {
      note(problems_, key.at, "duplicate key '" + key.text + "'", "it first stands in line " + std::to_string(first->second));
      level.drop = true;
    }
    level.key = std::move(key.text);
    level.key_at = std::move(key.at);
  }

  std::shared_ptr<const SourceText> source_;
  std::vector<Problem>& problems_;
  std::vector<Level> levels_;
  std::optional<YamlNode> root_;
  YAML::Mark last_scalar_ = YAML::Mark::null_mark();
  int documents_ = 0;
  bool merge_ = false;
};

Position position_of_byte(const std::shared_ptr<const SourceText>& source, size_t offset) {
  size_t line = 1, start = 0;
  for (size_t i = 0; i < offset; ++i)
    if (source->text[i] == '\n') { ++line; start = i + 1; }
  return {source, line, offset - start};
}

// What YAML forbids and yaml-cpp would take, drop or misread (a NUL makes it guess UTF-16, 0x04 is its end of file).
bool has_clean_bytes(const std::shared_ptr<const SourceText>& source, std::vector<Problem>& problems) {
  const std::string& text = source->text;
  auto refuse = [&](size_t offset, const char* what, const char* hint) {
    note(problems, position_of_byte(source, offset), what, hint);
    return false;
  };
  if (text.size() > kMaxYamlBytes) {
    note(problems, Position{source, 0, 0}, "longer than " + std::to_string(kMaxYamlBytes) + " bytes", "keep long texts in side files");
    return false;
  }
  if (text.compare(0, 2, "\xFF\xFE") == 0 || text.compare(0, 2, "\xFE\xFF") == 0)
    return refuse(0, "is UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8");
  if (text.compare(0, 3, "\xEF\xBB\xBF") == 0)
    return refuse(0, "begins with a byte order mark", "save it as UTF-8 without a byte order mark");
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'))
      return refuse(i, "a carriage return inside a line", "end lines with LF");
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F)
      return refuse(i, "a control character", "write it as an escape in double quotes");
  }
  for (size_t line = 1; line <= source->line_count(); ++line)
    if (!is_utf8(source->line(line))) {
      note(problems, Position{source, line, 0}, "this line is not valid UTF-8", "save the file as UTF-8");
      return false;
    }
  return true;
}

// What people mostly meant where yaml-cpp could not go on.
std::string syntax_hint(const Position& at, const std::string& message) {
  if (!at.source || at.line == 0) return "a value with signs of YAML, such as [ or {, goes in quotes";
  const std::string_view line = at.source->line(at.line), before = line.substr(0, at.byte);
  const size_t text = std::min(line.find_first_not_of(" \t"), line.size()), quote = line.find_first_of("\"'");
  if (line.substr(0, text).find('\t') != std::string_view::npos) return "YAML indents by spaces, and this line begins with a tab";
  if (quote != std::string_view::npos && std::count(before.begin(), before.end(), line[quote]) > 1)
    return line[quote] == '"' ? "the quote ends before this: inside double quotes use single ones"
                              : "the quote ends before this: inside single quotes use double ones";
  if (line.find("{{") != std::string_view::npos || line.find("{%") != std::string_view::npos) return kQuoteTemplate;
  if (message == YAML::ErrorMsg::MAP_VALUE) return "a text that holds ': ' goes in quotes";
  return "does a bracket, a quote or an indent not fit, here or before?";
}

void walk(const std::string& text, TreeBuilder& builder) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  while (parser.HandleNextDocument(builder)) {}
}

// Notes the quote that is open where the document ends, if one is. YAML forbids that, and yaml-cpp takes the rest of the text for its
// value. Found in a copy, for the end of a document, in which no quote may be, would add a line break to a last block's value.
bool has_open_quote(const std::shared_ptr<const SourceText>& source, std::vector<Problem>& problems) {
  std::vector<Problem> ignored;
  TreeBuilder to_end(source, ignored), to_quote(source, ignored);
  std::string text = source->text + "\n...\n";
  int lines = 0;
  try {
    walk(text, to_end);
    return false;
  } catch (const Stop&) {
    return false;
  } catch (const YAML::Exception& e) {
    if (e.msg != YAML::ErrorMsg::DOC_IN_SCALAR) return false;
    lines = e.mark.line;
  }
  size_t end = 0;
  for (int i = 0; i < lines; ++i) end = text.find('\n', end) + 1;
  try {
    walk(text.substr(0, end), to_quote);               // the open quote comes out as the last scalar
  } catch (const YAML::Exception&) {                   // a bracket that it leaves open
  } catch (const Stop&) {
  }
  const Position open = to_quote.last_scalar();
  // A quote with nothing but line breaks up to the end was taken for a text of its own.
  if (!problems.empty() && problems.back().what == kBreaksAlone && problems.back().at.line == open.line &&
      problems.back().at.byte == open.byte)
    problems.pop_back();
  note(problems, open, "this quote is not closed",
      "all up to line " + std::to_string(lines) + ", where the document ends, is its text: close it where the text ends");
  return true;
}

}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const {
  for (const YamlEntry& entry : entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

YamlEntry* YamlNode::find(std::string_view key) { return const_cast<YamlEntry*>(std::as_const(*this).find(key)); }

bool begins_template(const Position& at) {
  return at.source && at.line > 0 && at.source->line(at.line).substr(0, at.byte + 2).ends_with("{{");
}

const char* describe_kind(YamlNode::Kind kind) {
  static const char* const names[] = {"nothing", "true or false", "a number", "text", "a list", "a map"};
  return names[static_cast<size_t>(kind)];
}

std::optional<YamlNode> parse_yaml(const std::shared_ptr<const SourceText>& source, std::vector<Problem>& problems) {
  if (!has_clean_bytes(source, problems)) return std::nullopt;
  TreeBuilder builder(source, problems);
  try {
    walk(source->text, builder);
    if (has_open_quote(source, problems)) return std::nullopt;
  } catch (const Stop&) {
    return std::nullopt;
  } catch (const YAML::Exception& e) {
    if (has_open_quote(source, problems)) return std::nullopt;
    // An alias without its anchor is an alias; and the library's words for it are not the same in all its versions.
    if (e.msg.starts_with(YAML::ErrorMsg::UNKNOWN_ANCHOR)) note(problems, builder.position(e.mark), kNoAlias, kWriteOut);
    else note(problems, builder.position(e.mark), "bad YAML: " + e.msg, syntax_hint(builder.position(e.mark), e.msg));
    return std::nullopt;
  }
  std::optional<YamlNode> root = builder.take();
  if (!root) note(problems, Position{source, 0, 0}, "holds no YAML document", "is it empty, or all comments?");
  return root;
}

YamlNode yaml_from_json(const Json& value, const Position& at) {
  YamlNode node;
  node.at = at;
  if (value.is_bool()) { node.kind = Kind::boolean; node.text = value.as_bool() ? "true" : "false"; }
  else if (value.is_number()) { node.kind = Kind::number; node.text = value.lexeme(); }
  else if (value.is_string()) { node.kind = Kind::text; node.text = value.as_string(); }
  else if (value.is_array()) {
    node.kind = Kind::list;
    for (const Json& item : value.items()) node.items.push_back(yaml_from_json(item, at));
  } else if (value.is_object()) {
    node.kind = Kind::map;
    for (const auto& [key, member] : value.members()) node.entries.push_back({key, at, yaml_from_json(member, at)});
  }
  return node;
}

std::optional<Position> position_inside(const YamlNode& text, size_t line, size_t column) {
  if (!text.at.source || text.at.line == 0 || line == 0 || column == 0) return std::nullopt;
  size_t start = 0;
  for (size_t l = 1; l < line; ++l) {
    start = text.text.find('\n', start);
    if (start == std::string::npos) return std::nullopt;
    ++start;
  }
  std::string_view content = std::string_view(text.text).substr(start);
  content = content.substr(0, content.find('\n'));
  size_t byte = 0;
  for (; column > 1 && byte < content.size(); --column)
    do ++byte; while (byte < content.size() && (static_cast<unsigned char>(content[byte]) & 0xC0) == 0x80);
  if (text.literal) {
    std::string_view whole = text.at.source->line(text.at.line + line);
    if (whole.size() < content.size() || whole.substr(whole.size() - content.size()) != content) return std::nullopt;
    return Position{text.at.source, text.at.line + line, whole.size() - content.size() + byte};
  }
  std::string_view rest = text.at.source->line(text.at.line);
  rest = rest.substr(std::min(rest.size(), text.at.byte));
  const size_t quote = !rest.empty() && (rest[0] == '"' || rest[0] == '\'') ? 1 : 0;
  if (line != 1 || text.text.size() != content.size() || rest.substr(quote, content.size()) != content) return std::nullopt;
  return Position{text.at.source, text.at.line, text.at.byte + quote + byte};
}

bool is_json_number(std::string_view s) {
  if (!s.empty() && s[0] == '-') s.remove_prefix(1);
  const size_t e = s.find_first_of("eE");
  std::string_view mantissa = s.substr(0, e);
  const size_t point = mantissa.find('.');
  std::string_view whole = mantissa.substr(0, point);
  if (!is_digits(whole) || (whole.size() > 1 && whole[0] == '0')) return false;
  if (point != std::string_view::npos && !is_digits(mantissa.substr(point + 1))) return false;
  if (e == std::string_view::npos) return true;
  std::string_view exponent = s.substr(e + 1);
  if (!exponent.empty() && (exponent[0] == '-' || exponent[0] == '+')) exponent.remove_prefix(1);
  return is_digits(exponent);
}

}  // namespace ibid::step
