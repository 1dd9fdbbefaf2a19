// See check_manifest in manifest_reader.h: combinations of keys, templates, and names that the input format fixes.
#include <algorithm>
#include <charconv>
#include <set>

#include "runtime/template.h"
#include "step/manifest_reader.h"

namespace ibid::step {
namespace {

using Kind = YamlNode::Kind;

// What the chat template gets from ibid and from the model; template_args may not replace it.
constexpr std::string_view kChatVariables[] = {"messages", "add_generation_prompt", "bos_token", "eos_token", "strftime_now",
                                               "raise_exception"};

template <typename Names>
bool contains(const Names& names, std::string_view name) { return std::find(std::begin(names), std::end(names), name) != std::end(names); }

class Checker {
 public:
  Checker(const Manifest& manifest, const YamlNode& root, std::vector<Problem>& problems) : m_(manifest), root_(root), problems_(problems) {
    if (m_.input.format == InputFormat::text) fixed_fields_ = {"text"};
    if (m_.input.format == InputFormat::fasta) fixed_fields_ = {"id", "description", "sequence"};
    if (m_.input.format == InputFormat::files) fixed_fields_ = {"name", "text"};
  }

  void run() {
    decoding();
    errors();
    input();
    messages();
    special_tokens();
    template_args();
    templates();
    truncate();
    keep();
  }

 private:
  const YamlNode* node(std::string_view path) const { return node_at(root_, path); }
  // The position of a value; that of the document when it is not written.
  Position at(std::string_view path) const { return node(path) ? node(path)->at : root_.at; }
  Position key_at(std::string_view map_path, std::string_view key) const {
    const YamlNode* map = node(map_path);
    const YamlEntry* entry = map ? map->find(key) : nullptr;
    return entry ? entry->key_at : at(map_path);
  }
  void problem(const Position& where, const std::string& what, const std::string& hint) { note(problems_, where, what, hint); }

  // The nearest of the names, else all of them behind `begin`.
  static std::string which_of(std::string_view word, const std::vector<std::string_view>& names, const std::string& begin) {
    std::string hint = did_you_mean(word, names);
    if (hint.empty())
      for (std::string_view name : names) hint += (hint.empty() ? begin : ", ") + std::string(name);
    return hint;
  }
  // A check that leans on a value makes sense only when that value could be read.
  bool says(std::string_view path, std::string_view text) const { return node(path) && node(path)->text == text; }

  void decoding() {
    const bool greedy = !node("decoding.method") || says("decoding.method", "greedy");
    for (std::string_view key : {"temperature", "top_k", "top_p", "min_p", "seed", "samples"})
      if (greedy && node("decoding." + std::string(key)))
        problem(key_at("decoding", key), "decoding." + std::string(key) + " has no effect on greedy decoding",
            "add  method: sample  or remove " + std::string(key));
    const int answer = m_.decoding.max_tokens, context = m_.decoding.context;
    if (answer >= context)
      problem(at("decoding.max_tokens"), "max_tokens " + std::to_string(answer) + " leaves no room for a prompt in a context of " +
              std::to_string(context), "raise context or lower max_tokens");
  }

  void errors() {
    if (says("on_error", "record") && !node("max_errors"))
      problem(at("on_error"), "on_error: record needs max_errors", "say how many records may fail before the step does");
    if (node("max_errors") && (!node("on_error") || says("on_error", "fail")))
      problem(key_at("", "max_errors"), "max_errors has no effect with on_error: fail", "add  on_error: record  or remove max_errors");
  }

  bool knows_format() const { return node("input.format") && says("input.format", name_of(m_.input.format)); }

  void input() {
    if (!knows_format()) return;
    if (node("input.escapes") && m_.input.format != InputFormat::tsv)
      problem(key_at("input", "escapes"), "escapes belong to format tsv",
              "remove it: csv quotes what it must, and other formats need none");
    if (node("input.quotes") && !is_table(m_.input))
      problem(key_at("input", "quotes"), "quotes belong to formats csv and tsv", "remove it");
    if (!node("input.id")) return;
    const std::string format = name_of(m_.input.format);
    if (m_.input.format == InputFormat::text)
      problem(key_at("input", "id"), "records of format text have no field to be named by", "remove id: lines are numbered");
    else if (!fixed_fields_.empty()) problem(key_at("input", "id"), "records of format " + format + " name themselves", "remove id");
  }

  void messages() {
    if (!m_.prompt.messages.empty() && m_.prompt.messages.back().role == Role::system)
      problem(at("prompt.messages." + std::to_string(m_.prompt.messages.size() - 1)), "the last message is a system message",
              "end with a user message, or with an assistant message that the answer continues");
  }

  void special_tokens() {
    if (m_.prompt.text && m_.prompt.special_tokens == SpecialTokens::refuse)
      problem(key_at("prompt", "special_tokens"), "a raw text writes special tokens itself: its own and a record's cannot be told apart",
              "write prompt.messages, or remove special_tokens");
  }

  void template_args() {
    const YamlNode* args = node("prompt.template_args");
    if (!args) return;
    if (m_.prompt.text)
      problem(key_at("prompt", "template_args"), "template_args go to the chat template, and a raw text has none", "remove them");
    for (const YamlEntry& entry : args->entries)
      if (contains(kChatVariables, entry.key))
        problem(entry.key_at, "template_args cannot replace '" + entry.key + "'", "ibid and the model set it");
  }

  void templates() {
    if (const YamlNode* text = node("prompt.text"); text && text->kind == Kind::text) check_template(*text, "prompt.text");
    const YamlNode* list = node("prompt.messages");
    for (size_t i = 0; list && i < list->items.size(); ++i)
      for (const YamlEntry& entry : list->items[i].entries)
        if (entry.value.kind == Kind::text) check_template(entry.value, "prompt.messages[" + std::to_string(i) + "]." + entry.key);
  }

  void check_template(const YamlNode& text, const std::string& name) {
    std::optional<runtime::Template> compiled;
    try {
      compiled.emplace(text.text, name, runtime::UndefinedIs::an_error);
    } catch (const Error& e) {
      templates_compile_ = false;
      return template_error(text, e);
    }
    std::vector<std::string_view> files;
    for (const auto& [file_name, file] : m_.prompt.files) files.push_back(file_name);
    for (const std::string& file : compiled->file_names())
      if (!m_.prompt.files.count(file))
        problem(word_in(text, file), "prompt.files has no '" + file + "'",
            files.empty() ? "add  files: {" + file + ": {path: ..., digest: ...}}" : which_of(file, files, "it has "));
    for (const std::string& variable : compiled->free_variables()) {
      variables_.insert(variable);
      if (knows_format() && !fixed_fields_.empty() && !contains(fixed_fields_, variable))
        no_such_field(word_in(text, variable), variable);
    }
  }

  void no_such_field(const Position& where, const std::string& name) {
    problem(where, std::string("records of format ") + name_of(m_.input.format) + " have no field '" + name + "'",
            which_of(name, fixed_fields_, "they have "));
  }

  // For {{ my column }} and {{ Größe }}: the parser stopped behind "{{" and words alone,
  // at one more word or a letter that is not ASCII. Else "".
  static std::string hint_on_names(std::string_view text, size_t line, size_t column, std::string_view what) {
    constexpr std::string_view kCharacter = "unexpected character '";
    for (; line > 1 && text.find('\n') != std::string_view::npos; --line) text.remove_prefix(text.find('\n') + 1);
    const std::string_view before = text.substr(0, column > 0 ? column - 1 : 0);
    const size_t open = before.rfind("{{");
    if (open == std::string_view::npos ||
        !std::all_of(before.begin() + static_cast<std::ptrdiff_t>(open) + 2, before.end(), [](char c) { return c == ' ' || is_word(c); }))
      return "";
    const bool letter = what.starts_with(kCharacter) && is_word(before.back()) &&
                        static_cast<unsigned char>(what[kCharacter.size()]) >= 0x80;
    return letter || what.starts_with("expected '}}', found '")
               ? "a field is one word of ASCII letters, digits and _: rename a column that is not"
               : "";
  }

  // where is "NAME:line:column"; a place in the manifest when the scalar's lines are the manifest's own.
  void template_error(const YamlNode& text, const Error& e) {
    size_t numbers[2] = {0, 0};
    std::string_view where = e.where;
    for (size_t* n : {&numbers[1], &numbers[0]}) {
      const size_t colon = where.rfind(':');
      if (colon == std::string_view::npos) break;
      std::from_chars(where.data() + colon + 1, where.data() + where.size(), *n);
      where = where.substr(0, colon);
    }
    std::optional<Position> inside = position_inside(text, numbers[0], numbers[1]);
    std::string what = std::string("bad template: ") + e.what();
    if (!inside && numbers[0])
      what += " (line " + std::to_string(numbers[0]) + ", column " + std::to_string(numbers[1]) + " of the template)";
    std::string hint = e.hint.empty() ? hint_on_names(text.text, numbers[0], numbers[1], e.what()) : e.hint;
    if (hint.empty()) hint = "runtime/TEMPLATES.md, in packages TEMPLATES.md, says what a template may hold";
    problem(inside.value_or(text.at), what, hint);
  }

  // Where a name first stands as a whole word between {{ }} or {% %}; the text's own position when that cannot be told.
  static Position word_in(const YamlNode& text, std::string_view word) {
    const std::string& s = text.text;
    for (size_t open = s.find('{'); open != std::string::npos && open + 1 < s.size(); open = s.find('{', open + 1)) {
      if (s[open + 1] != '{' && s[open + 1] != '%') continue;
      const size_t close = std::min(s.find(s[open + 1] == '{' ? "}}" : "%}", open + 2), s.size());
      for (size_t at = s.find(word, open + 2); at < close; at = s.find(word, at + 1)) {
        const size_t end = at + word.size();
        if (is_word(s[at - 1]) || (end < s.size() && is_word(s[end]))) continue;
        const size_t line_start = s.rfind('\n', at) == std::string::npos ? 0 : s.rfind('\n', at) + 1;
        const auto line = static_cast<size_t>(std::count(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1;
        const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
        const auto from = s.begin() + static_cast<std::ptrdiff_t>(line_start), to = s.begin() + static_cast<std::ptrdiff_t>(at);
        const auto column = static_cast<size_t>(to - from - std::count_if(from, to, continues)) + 1;
        return position_inside(text, line, column).value_or(text.at);
      }
    }
    return text.at;
  }

  void truncate() {
    if (!m_.decoding.truncate || m_.decoding.truncate->field.empty()) return;
    const TruncateSpec& spec = *m_.decoding.truncate;
    std::vector<std::string_view> names(variables_.begin(), variables_.end());
    if (templates_compile_ && !variables_.count(spec.field))
      problem(at("decoding.truncate.field"), "no message uses the field '" + spec.field + "'", which_of(spec.field, names, "they use "));
    if (spec.tokens >= m_.decoding.context)
      problem(at("decoding.truncate.tokens"), "a field of " + std::to_string(spec.tokens) + " tokens does not fit a context of " +
              std::to_string(m_.decoding.context), "allow it fewer tokens, or write a larger context");
  }

  void keep() {
    const YamlNode* list = node("output.keep");
    if (!list) return;
    if (m_.output.format == OutputFormat::text && says("output.format", "text") && !list->items.empty())
      return problem(key_at("output", "keep"), "output of format text has no columns to keep", "remove keep, or write  format: jsonl");
    for (const YamlNode& item : list->items) {
      if (contains(kOutputNames, item.text))
        problem(item.at, "'" + item.text + "' is a column of the output itself",
            "rename the field in a step before this one, or do not keep it");
      else if (knows_format() && !fixed_fields_.empty() && item.kind == Kind::text && !contains(fixed_fields_, item.text))
        no_such_field(item.at, item.text);
    }
  }

  const Manifest& m_;
  const YamlNode& root_;
  std::vector<Problem>& problems_;
  std::vector<std::string_view> fixed_fields_;         // of the input format; empty: the data decide
  std::set<std::string, std::less<>> variables_;       // read by any template
  bool templates_compile_ = true;
};

}  // namespace

bool reads_fields(const Manifest& manifest) {
  std::vector<std::string> texts;
  if (manifest.prompt.text) texts.push_back(*manifest.prompt.text);
  for (const Message& message : manifest.prompt.messages) texts.push_back(message.content);
  return std::any_of(texts.begin(), texts.end(), [](const std::string& text) {
    return !runtime::Template(text, "", runtime::UndefinedIs::an_error).free_variables().empty();
  });
}

void check_manifest(const Manifest& manifest, const YamlNode& root, std::vector<Problem>& problems) {
  Checker(manifest, root, problems).run();
}

}  // namespace ibid::step
