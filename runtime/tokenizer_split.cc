// See tokenizer_split.h. A matcher takes the text from where the last piece ended and gives the size of the next piece, never 0.
#include "runtime/tokenizer_split.h"

#include <algorithm>

#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

// A character and its class; size 0 at the end of the text, with no flag set.
struct Char {
  char32_t code = 0;
  unsigned size = 0;
  uint8_t flags = 0;
  bool letter() const { return flags & kLetter; }
  bool number() const { return flags & kNumber; }
  bool space() const { return flags & kSpace; }
  bool other() const { return size && !(flags & (kLetter | kNumber | kSpace)); }   // [^\s\p{L}\p{N}]
  bool newline() const { return code == '\r' || code == '\n'; }
};

struct Text {
  const char* begin;
  const char* end;
  const uint8_t* flags;

  Char at(size_t i) const {
    const char* p = begin + i;
    if (p >= end) return {};
    auto byte = static_cast<unsigned char>(*p);
    if (byte < 0x80) return {byte, 1, flags[byte]};
    Utf8Char c = utf8_at(p, end);
    return {c.code, static_cast<unsigned>(c.size), flags[c.code]};
  }
  size_t size() const { return static_cast<size_t>(end - begin); }
};

template <class In>
size_t skip_while(const Text& text, size_t i, In in) {
  for (Char c = text.at(i); c.size && in(c); c = text.at(i)) i += c.size;
  return i;
}

char32_t lower_ascii(char32_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

// Size of 's 't 'm 'd 're 've 'll at the start of the text, 0 when there is none.
size_t contraction(const Text& text, bool any_case, bool fold_long_s) {
  if (text.at(0).code != '\'') return 0;
  auto letter = [&](Char c) -> char32_t {
    if (any_case && fold_long_s && c.code == 0x17F) return 's';
    return any_case ? lower_ascii(c.code) : c.code;
  };
  Char first = text.at(1);
  char32_t a = letter(first);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 1 + first.size;
  char32_t b = letter(text.at(1 + first.size));
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

// \s+(?!\S)|\s+ for a run of white space that ends at `end`, its last character of `last_size` bytes: all of it before the end of
// the text, else all but the last character, unless that leaves nothing.
size_t space_run(const Text& text, size_t end, size_t last_size) {
  return end == text.size() || end == last_size ? end : end - last_size;
}

size_t match_gpt2(const Text& text) {
  if (size_t n = contraction(text, false, false)) return n;
  Char c = text.at(0);
  size_t lead = c.code == ' ' ? 1 : 0;
  Char body = lead ? text.at(1) : c;
  if (body.letter()) return skip_while(text, lead, [](Char k) { return k.letter(); });
  if (body.number()) return skip_while(text, lead, [](Char k) { return k.number(); });
  if (body.other()) return skip_while(text, lead, [](Char k) { return k.other(); });
  size_t last = 0;
  size_t end = skip_while(text, 0, [&](Char k) { if (k.space()) last = k.size; return k.space(); });
  return space_run(text, end, last);
}

size_t match_llama3(const Text& text, int max_digits, bool fold_long_s) {
  if (size_t n = contraction(text, true, fold_long_s)) return n;
  Char c = text.at(0);
  auto is_letter = [](Char k) { return k.letter(); };
  if (c.letter()) return skip_while(text, 0, is_letter);
  if (!c.newline() && !c.number() && text.at(c.size).letter()) return skip_while(text, c.size, is_letter);
  if (c.number()) {
    int left = max_digits;
    return skip_while(text, 0, [&](Char k) { return k.number() && left-- > 0; });
  }
  size_t lead = c.code == ' ' ? 1 : 0;
  if (text.at(lead).other()) {
    size_t end = skip_while(text, lead, [](Char k) { return k.other(); });
    return skip_while(text, end, [](Char k) { return k.newline(); });
  }
  size_t i = 0, last = 0, behind_newline = 0;
  for (Char k = text.at(0); k.size && k.space(); k = text.at(i)) {
    i += k.size;
    last = k.size;
    if (k.newline()) behind_newline = i;
  }
  return behind_newline ? behind_newline : space_run(text, i, last);
}

// A run of characters that are in the set, or of those that are not: the pieces of an isolating split by [set]+.
template <class In>
size_t match_runs(const Text& text, In in) {
  bool inside = in(text.at(0));
  return skip_while(text, 0, [&](Char k) { return in(k) == inside; });
}

size_t match_each_number(const Text& text) {
  Char c = text.at(0);
  return c.number() ? c.size : skip_while(text, 0, [](Char k) { return !k.number(); });
}

size_t match_digit_triples(const Text& text) {
  auto digit = [&](size_t i) { return i < text.size() && text.begin[i] >= '0' && text.begin[i] <= '9'; };
  auto triple = [&](size_t i) { return digit(i) && digit(i + 1) && digit(i + 2); };
  if (triple(0)) return 3;
  size_t i = 1;
  while (i < text.size() && !triple(i)) ++i;
  return i;
}

bool is_llama_punctuation(Char c) {
  return (c.flags & kPunctuation) ||
         (c.code < 0x80 && std::string_view("$+<=>^~|").find(static_cast<char>(c.code)) != std::string_view::npos);
}

size_t match_before_mark(const Text& text, std::string_view mark) {
  std::string_view all(text.begin, text.size());
  return std::min(all.find(mark, all.starts_with(mark) ? mark.size() : 0), all.size());
}

size_t match(const SplitStage& stage, const Text& text) {
  switch (stage.kind) {
    case SplitStage::Kind::gpt2: return match_gpt2(text);
    case SplitStage::Kind::llama3: return match_llama3(text, stage.max_digits, stage.fold_long_s);
    case SplitStage::Kind::each_number: return match_each_number(text);
    case SplitStage::Kind::number_runs: return match_runs(text, [](Char c) { return c.number(); });
    case SplitStage::Kind::digit_triples: return match_digit_triples(text);
    case SplitStage::Kind::punctuation_runs: return match_runs(text, is_llama_punctuation);
    case SplitStage::Kind::before_mark: return match_before_mark(text, stage.text);
    default: return text.size();                               // prefix and metaspace do not cut
  }
}

std::string with_marks(std::string_view text, std::string_view mark) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (char c : text) {
    if (c == ' ') out += mark; else out += c;
  }
  return out;
}

}  // namespace

std::optional<SplitStage> stage_of_pattern(std::string_view pattern) {
  constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kLlama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kQwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  SplitStage stage;
  if (pattern == kGpt2) return stage;
  stage.kind = SplitStage::Kind::llama3;
  if (pattern == kLlama3) return stage;
  stage.max_digits = 1;
  if (pattern == kQwen2) return stage;
  return std::nullopt;
}

void Splitter::run_stage(size_t index, std::string_view text, bool at_start, const Sink& sink) const {
  if (index == stages.size()) { sink(text); return; }
  const SplitStage& stage = stages[index];
  if (stage.kind == SplitStage::Kind::metaspace) { run_stage(index + 1, with_marks(text, stage.text), at_start, sink); return; }
  if (stage.kind == SplitStage::Kind::prefix) {
    bool wanted = (at_start || stage.where == SplitStage::Where::every_piece) && !text.starts_with(stage.text);
    run_stage(index + 1, wanted ? stage.text + std::string(text) : text, at_start, sink);
    return;
  }
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    size_t size = match(stage, {p, end, char_flags()});
    run_stage(index + 1, {p, size}, at_start && p == text.data(), sink);
    p += size;
  }
}

}  // namespace ibid::runtime::tokenize
