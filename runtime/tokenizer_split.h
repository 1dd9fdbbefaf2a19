// Pre-tokenization: cuts text into the pieces that BPE may not join.
//
// Owns: the stages and the known patterns. Must not know: tokens.
//
// 1. The patterns are matched by hand, one function for each that ibid knows; any other pattern text is refused where it is read.
// 2. Stages run in order, each on every piece of the one before, exactly as a Sequence of pre-tokenizers does.
// 3. The pieces of a stage cover its input: nothing is dropped, nothing added but a prefix where the stage says so.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::runtime::tokenize {

struct SplitStage {
  enum class Kind {
    gpt2,                 // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    llama3,               // (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max_digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
    each_number,          // \p{N}, and what lies between
    number_runs,          // \p{N}+, and what lies between
    digit_triples,        // [0-9][0-9][0-9], and what lies between
    punctuation_runs,     // [\p{P}$+<=>^~|]+, and what lies between
    prefix,               // puts `text` before a piece that does not begin with it
    metaspace,            // puts `text` in place of every space
    before_mark,          // cuts before every `text`
  };
  enum class Where { every_piece, start_of_text };

  Kind kind = Kind::gpt2;
  int max_digits = 3;
  bool fold_long_s = true;            // llama3: (?i:'s) matches U+017F too, as Oniguruma has it and llama.cpp has not
  std::string text;
  Where where = Where::every_piece;   // prefix
};

// The stage of a pattern that tokenizer.json writes in a Split; none when ibid does not know it.
std::optional<SplitStage> stage_of_pattern(std::string_view pattern);

class Splitter {
 public:
  std::vector<SplitStage> stages;

  using Sink = std::function<void(std::string_view piece)>;
  // REQUIRES: well-formed UTF-8, not empty. `at_start`: the text is the beginning of the input.
  void run(std::string_view text, bool at_start, const Sink& sink) const { run_stage(0, text, at_start, sink); }

 private:
  void run_stage(size_t stage, std::string_view text, bool at_start, const Sink& sink) const;
};

}  // namespace ibid::runtime::tokenize
