// A text that people wrote and that errors point into: positions, excerpts with a caret, "did you mean".
//
// Owns how a problem looks on the terminal. Must not know YAML or what a manifest is.
// 1. Lines and columns are counted from 1; a column counts code points, so that a caret stands under its character.
// 2. What is printed holds no control character and no invalid UTF-8, whatever the text holds; long lines are cut around
//    the caret.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::step {

struct SourceText {
  SourceText(std::string source_name, std::string source_text);
  std::string_view line(size_t number) const;          // 1-based, without its line break; "" past the end
  size_t line_count() const { return starts_.size(); }

  std::string name;                                    // "step.yaml", "--set decoding.seed"
  std::string text;

 private:
  std::vector<size_t> starts_;                         // byte offset of each line
};

struct Position {
  std::shared_ptr<const SourceText> source;            // null: nowhere in particular
  size_t line = 0;                                     // 1-based; 0: the source as a whole
  size_t byte = 0;                                     // 0-based offset within the line
};

// "step.yaml:12:3", "step.yaml" for a whole source, "" for nowhere.
std::string place_of(const Position& at);

// The source line and a caret under the position, each ending in a line break; "" when there is no line.
std::string excerpt_of(const Position& at);

struct Problem {
  Position at;
  std::string what;
  std::string hint;                                    // what next
  bool missing_file = false;                           // the world lacks a file; everything else is wrong as written
};

// hint: "" for the page that describes the manifest.
void note(std::vector<Problem>& problems, Position at, std::string what, std::string hint);

// place: what / excerpt / hint, as one block that ends in a line break.
std::string describe(const Problem& problem);

// What names in templates are made of.
inline bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// ASCII letters alone.
std::string lower_case(std::string_view text);

// The candidate nearest to `word` when it is near enough to be a slip of the pen, whatever its case, else "". Ties go to the first.
std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates);

// "did you mean 'temperature'?" or ""
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace ibid::step
