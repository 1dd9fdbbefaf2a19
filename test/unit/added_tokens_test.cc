// The search for added tokens: what it finds is what looking at each place finds, and its work is bounded by the text.
#include "runtime/tokenizer_added.h"

#include <algorithm>

#include "test/catch.h"
#include "test/unit/random.h"

using namespace ibid;
using namespace ibid::runtime::tokenize;
using ibid::test::Random;

namespace {

struct Cut {                            // a token, or where text between tokens lies
  int32_t id;
  size_t begin, end;
  bool operator==(const Cut&) const = default;
};

std::vector<Cut> cuts_of(const std::vector<AddedTokens::Part>& parts, std::string_view text) {
  std::vector<Cut> out;
  for (const auto& p : parts) {
    const auto begin = static_cast<size_t>(p.text.data() - text.data());
    out.push_back(p.id >= 0 ? Cut{p.id, 0, 0} : Cut{-1, begin, begin + p.text.size()});
  }
  return out;
}

// Of the characters that the tests use.
bool is_space(std::string_view text, size_t i) { return i < text.size() && text[i] == ' '; }
bool is_word(std::string_view text, size_t i) { return i < text.size() && text[i] != ' ' && text[i] != '-'; }

// The rule, place by place and token by token.
std::vector<Cut> naive(const std::vector<AddedToken>& tokens, std::string_view text, bool recognise_special) {
  std::vector<Cut> out;
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const AddedToken* best = nullptr;
    for (const AddedToken& t : tokens)
      if (text.substr(i).starts_with(t.content) && (!best || best->content.size() < t.content.size())) best = &t;
    if (!best) { ++i; continue; }
    size_t begin = i, end = i + best->content.size();
    // also when it is refused, and when a neighbour swallowed a part of it
    i = end;
    if (best->special && !recognise_special) continue;
    if (best->single_word && ((begin > 0 && is_word(text, begin - 1)) || is_word(text, end))) continue;
    if (best->lstrip) while (begin > done && is_space(text, begin - 1)) --begin;
    if (best->rstrip) while (is_space(text, end)) ++end;
    if (best->lstrip && end <= std::max(begin, done)) continue;        // nothing of it is left: Hugging Face drops an empty piece
    if (done < begin) out.push_back({-1, done, begin});
    out.push_back({best->id, 0, 0});
    done = end;
  }
  if (done < text.size()) out.push_back({-1, done, text.size()});
  return out;
}

std::string random_text(Random& random, int letters, size_t characters) {
  static const char* const kLetters[] = {"a", "b", " ", "-", "\u00e9"};          // of one byte, and of two
  std::string out;
  while (characters-- > 0) out += kLetters[random.below(letters)];
  return out;
}

AddedToken token_of(const std::string& content, int32_t id) {
  AddedToken t;
  t.id = id;
  t.content = content;
  return t;
}

std::vector<AddedToken> random_tokens(Random& random, int letters, int count, int longest) {
  std::vector<AddedToken> out;
  for (int i = 0; i < count; ++i) {
    AddedToken t = token_of(random_text(random, letters, 1 + static_cast<size_t>(random.below(longest))), i);
    if (std::any_of(out.begin(), out.end(), [&](const AddedToken& o) { return o.content == t.content; })) continue;
    t.special = random.below(3) == 0;
    t.single_word = random.below(3) == 0;
    t.lstrip = random.below(3) == 0;
    t.rstrip = random.below(3) == 0;
    out.push_back(t);
  }
  return out;
}

}  // namespace

TEST_CASE("added tokens: what is found is what looking at each place finds") {
  Random random(1);
  int found = 0;
  for (int round = 0; round < 20'000; ++round) {
    const int letters = 1 + random.below(5);
    const std::vector<AddedToken> tokens = random_tokens(random, letters, random.below(12), 1 + random.below(7));
    AddedTokens added;
    added.set(tokens);
    for (int i = 0; i < 4; ++i) {
      const std::string text = random_text(random, letters, static_cast<size_t>(random.below(40)));
      for (bool recognise : {true, false}) {
        const std::vector<Cut> cuts = cuts_of(added.split(text, recognise), text);
        REQUIRE(cuts == naive(tokens, text, recognise));
        found += static_cast<int>(cuts.size());
      }
    }
  }
  CHECK(found > 200'000);
}

TEST_CASE("added tokens: the longest ones, and texts of many windows") {
  Random random(2);
  for (int round = 0; round < 12; ++round) {
    const int letters = 1 + round % 2;
    std::vector<AddedToken> tokens = random_tokens(random, letters, 4, 5);
    for (size_t length : {size_t{255}, kMaxAddedBytes - 1, kMaxAddedBytes})
      for (const char* last : {"a", "b", "-"})
        tokens.push_back(token_of(std::string(length - 1, 'a') + last, static_cast<int32_t>(tokens.size()) + 100));
    if (round % 3) std::erase_if(tokens, [](const AddedToken& t) { return t.content.size() < 100; });
    std::string text;
    while (text.size() < 300'000) text += std::string(static_cast<size_t>(random.below(3'000)), 'a') + "ab-"[random.below(3)];
    AddedTokens added;
    added.set(tokens);
    CHECK(cuts_of(added.split(text, true), text) == naive(tokens, text, true));
  }
}

TEST_CASE("added tokens: the work is in proportion to the text, whatever the tokens are") {
  // Beginnings and ends without the last or the first byte: tokens that nearly match at each place.
  const std::string as(kMaxAddedBytes - 1, 'a');
  std::vector<AddedToken> tokens;
  for (int i = 0; i < 64; ++i) {
    const std::string other(1, static_cast<char>('b' + i % 16)), middle = as.substr(static_cast<size_t>(i) * 4);
    tokens.push_back(token_of(middle + other + "1", i));
    tokens.push_back(token_of(other + "2" + middle, 100 + i));
    tokens.push_back(token_of(middle + other + middle.substr(0, kMaxAddedBytes - middle.size() - 1), 200 + i));
    tokens.push_back(token_of(middle + "bc" + std::string(static_cast<size_t>(i), 'a') + "3", 300 + i));
  }
  std::erase_if(tokens, [](const AddedToken& t) { return t.content.size() > kMaxAddedBytes; });
  AddedTokens added;
  added.set(tokens);
  const std::string text(size_t{32} << 20, 'a');                       // place by place, some 10^10 steps a token
  uint64_t steps = 0;
  CHECK(added.split(text, true, &steps).size() == 1);
  CHECK(steps >= text.size());
  CHECK(steps < text.size() * 5 / 2);
}

TEST_CASE("added tokens: one of the longest is found wherever a window ends") {
  const std::string token(kMaxAddedBytes, 'a');
  AddedTokens added;
  added.set({token_of(token, 7)});
  for (size_t before : {size_t{65'024}, size_t{65'025}, size_t{65'535}, size_t{65'536}, size_t{131'071}}) {
    const std::string text = std::string(before, 'x') + token + "x";
    CHECK(cuts_of(added.split(text, true), text) == std::vector<Cut>{{-1, 0, before}, {7, 0, 0}, {-1, before + token.size(), text.size()}});
  }
}

TEST_CASE("added tokens: what the token before has swallowed is none, as Hugging Face's tokenizers 0.23 have it") {
  std::vector<AddedToken> tokens{token_of("<x>", 2), token_of(" ", 1)};
  tokens[0].rstrip = tokens[1].lstrip = tokens[1].rstrip = true;
  AddedTokens added;
  added.set(tokens);
  CHECK(cuts_of(added.split("<x> a", true), "<x> a") == std::vector<Cut>{{2, 0, 0}, {-1, 4, 5}});
  CHECK(cuts_of(added.split("    ", true), "    ") == std::vector<Cut>{{1, 0, 0}});
}
