// See tokenizer_added.h. The sorted list is the trie: each further byte narrows a range of it.
#include "runtime/tokenizer_added.h"

#include <algorithm>

#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

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
  while (i < text.size() && (flags_at(text, i) & kSpace)) i += static_cast<size_t>(utf8_at(text.data() + i, text.data() + text.size()).size);
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

void AddedTokens::set(std::vector<AddedToken> tokens) {
  tokens_ = std::move(tokens);
  std::sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  size_t i = 0;
  for (size_t byte = 0; byte < 256; ++byte) {
    first_[byte] = i;
    while (i < tokens_.size() && static_cast<unsigned char>(tokens_[i].content[0]) == byte) ++i;
  }
  first_[256] = i;
}

const AddedToken* AddedTokens::longest_at(std::string_view text) const {
  auto byte = static_cast<unsigned char>(text[0]);
  const AddedToken* low = tokens_.data() + first_[byte];
  const AddedToken* high = tokens_.data() + first_[byte + 1];
  const AddedToken* best = nullptr;
  for (size_t depth = 1; low < high; ++depth) {
    if (low->content.size() == depth) best = low++;           // the shortest of a common prefix sorts first
    if (depth == text.size()) break;
    auto wanted = static_cast<unsigned char>(text[depth]);
    auto at_depth = [depth](const AddedToken& t) { return static_cast<unsigned char>(t.content[depth]); };
    low = std::lower_bound(low, high, wanted, [&](const AddedToken& t, unsigned char b) { return at_depth(t) < b; });
    high = std::upper_bound(low, high, wanted, [&](unsigned char b, const AddedToken& t) { return b < at_depth(t); });
  }
  return best;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool recognise_special) const {
  std::vector<Part> parts;
  if (tokens_.empty()) return text.empty() ? parts : std::vector<Part>{{text, -1}};
  size_t done = 0;                                            // everything before is in parts
  size_t behind = 0;                                          // up to here rstrip has seen white space: none is looked at twice
  for (size_t i = 0; i < text.size();) {
    const AddedToken* token = longest_at(text.substr(i));
    if (!token) { ++i; continue; }
    size_t begin = i, end = i + token->content.size();
    i = end;
    if (token->special && !recognise_special) continue;
    if (token->single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token->lstrip) begin = begin < done ? done : done + before_spaces_at_end(text.substr(done, begin - done));
    if (token->rstrip) end = behind = end < behind ? behind : end + spaces_at_start(text.substr(end));
    if (done < begin) parts.push_back({text.substr(done, begin - done), -1});
    parts.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done), -1});
  return parts;
}

}  // namespace ibid::runtime::tokenize
