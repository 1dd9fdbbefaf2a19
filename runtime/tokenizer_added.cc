// See tokenizer_added.h.
#include "runtime/tokenizer_added.h"

#include <algorithm>

#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

constexpr size_t kWindow = size_t{1} << 16;                   // bytes of text whose tokens are known at a time

// Where the last character of the text begins. REQUIRES: not empty.
size_t last_character(std::string_view text) {
  size_t i = text.size() - 1;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;
  return i;
}

uint8_t flags_at(std::string_view text, size_t i) {
  return char_flags()[utf8_at(text.data() + i, text.data() + text.size()).code];
}

bool starts_with_word(std::string_view text) { return !text.empty() && (flags_at(text, 0) & kWord); }
bool ends_with_word(std::string_view text) { return !text.empty() && (flags_at(text, last_character(text)) & kWord); }

size_t spaces_at_start(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && (flags_at(text, i) & kSpace))
    i += static_cast<size_t>(utf8_at(text.data() + i, text.data() + text.size()).size);
  return i;
}

size_t before_spaces_at_end(std::string_view text) {
  while (!text.empty()) {
    size_t i = last_character(text);
    if (!(flags_at(text, i) & kSpace)) break;
    text = text.substr(0, i);
  }
  return text.size();
}

}  // namespace

// Breadth first: each end of `length` bytes gives those that are one byte longer. The states of shorter ends, to which a fallback
// leads, are complete by then.
void AddedTokens::set(std::vector<AddedToken> tokens) {
  tokens_ = std::move(tokens);
  std::sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return std::lexicographical_compare(a.content.rbegin(), a.content.rend(), b.content.rbegin(), b.content.rend(),
                                        [](unsigned char x, unsigned char y) { return x < y; });
  });
  states_ = {{1, 0, -1, 0}};
  last_ = {};
  uint64_t steps = 0;
  struct Range { uint32_t low, high; };                       // [low, high) of tokens_: those that have this end
  std::vector<Range> ends{{0, static_cast<uint32_t>(tokens_.size())}}, longer;
  uint32_t state = 0;                                         // of the end at hand; a round makes the states of ends one byte longer
  for (size_t length = 0; !ends.empty(); ++length, ends.swap(longer), longer.clear())
    for (auto [low, high] : ends) {
      states_[state].children = static_cast<uint32_t>(states_.size());
      if (low < high && tokens_[low].content.size() == length) ++low;      // this end itself, which sorts first
      while (low < high) {
        auto before = [length](const AddedToken& t) { return static_cast<unsigned char>(t.content[t.content.size() - 1 - length]); };
        const unsigned char byte = before(tokens_[low]);
        const auto same_end = std::find_if(tokens_.begin() + low, tokens_.begin() + high,
                                           [&](const AddedToken& t) { return before(t) != byte; });
        const auto child = static_cast<uint32_t>(states_.size()), fallback = length == 0 ? 0 : next(states_[state].fallback, byte, steps);
        const bool whole = tokens_[low].content.size() == length + 1;
        states_.push_back({0, fallback, whole ? static_cast<int32_t>(low) : states_[fallback].longest, byte});
        if (length == 0) last_[byte] = child;
        longer.push_back({low, static_cast<uint32_t>(same_end - tokens_.begin())});
        low = longer.back().high;
      }
      ++state;
    }
  states_.push_back({state, 0, -1, 0});
}

// Amortised two steps: each fallback is shorter, each byte makes the state longer by one at most.
uint32_t AddedTokens::next(uint32_t state, unsigned char byte, uint64_t& steps) const {
  for (;; state = states_[state].fallback) {
    ++steps;
    if (state == 0) return last_[byte];
    const auto end = states_.begin() + states_[state + 1].children;
    const auto child = std::lower_bound(states_.begin() + states_[state].children, end, byte,
                                        [](const State& s, unsigned char b) { return s.byte < b; });
    if (child != end && child->byte == byte) return static_cast<uint32_t>(child - states_.begin());
  }
}

// The longest token that begins at each of the first found.size() bytes.
void AddedTokens::find(std::string_view text, std::vector<int32_t>& found, uint64_t& steps) const {
  uint32_t state = 0;
  for (size_t i = std::min(text.size(), found.size() + kMaxAddedBytes - 1); i-- > 0;) {
    state = next(state, static_cast<unsigned char>(text[i]), steps);
    if (i < found.size()) found[i] = states_[state].longest;
  }
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool recognise_special, uint64_t* steps) const {
  std::vector<Part> parts;
  if (tokens_.empty()) return text.empty() ? parts : std::vector<Part>{{text, -1}};
  size_t done = 0;                                            // everything before is in parts
  size_t behind = 0;                                          // up to here rstrip has seen white space: none is looked at twice
  std::vector<int32_t> found;
  uint64_t taken = 0;
  for (size_t i = 0, window = 0; i < text.size();) {
    if (i >= window + found.size()) {
      window = i;
      found.resize(std::min(kWindow, text.size() - i));
      find(text.substr(i), found, taken);
    }
    if (found[i - window] < 0) { ++i; continue; }
    const AddedToken* token = &tokens_[static_cast<size_t>(found[i - window])];
    size_t begin = i, end = i + token->content.size();
    i = end;
    if (token->special && !recognise_special) continue;
    if (token->single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token->lstrip) begin = begin < done ? done : done + before_spaces_at_end(text.substr(done, begin - done));
    if (token->rstrip) end = behind = end < behind ? behind : end + spaces_at_start(text.substr(end));
    if (token->lstrip && end <= begin) continue;       // white space that the token before has taken already
    if (done < begin) parts.push_back({text.substr(done, begin - done), -1});
    parts.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done), -1});
  if (steps) *steps += taken;
  return parts;
}

}  // namespace ibid::runtime::tokenize
