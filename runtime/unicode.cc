// See unicode.h. Hangul is by arithmetic, all else by the generated tables.
#include "runtime/unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "runtime/json.h"

namespace ibid::runtime {
namespace {

struct Range { char32_t first, last; };
struct CombiningRange { char32_t first, last; uint8_t combining; };
struct Decomposition { char32_t composed, first, second; };   // one step; second is 0 when one character replaces another

#include "runtime/unicode_tables.inc"

constexpr char32_t kCodePoints = 0x110000;
constexpr char32_t kHangulBase = 0xAC00, kLeadBase = 0x1100, kVowelBase = 0x1161, kTailBase = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28;    // tail 0 is "no tail"

// What the generated ranges say, spread out for lookup in one step.
struct Tables {
  std::vector<uint8_t> flags = std::vector<uint8_t>(kCodePoints);
  std::vector<uint8_t> combining = std::vector<uint8_t>(kCodePoints);
  std::vector<Decomposition> pairs;                           // those that compose, ascending by (first, second)

  Tables() {
    mark(kLetterRanges, std::size(kLetterRanges), kLetter);
    mark(kNumberRanges, std::size(kNumberRanges), kNumber);
    mark(kSpaceRanges, std::size(kSpaceRanges), kSpace);
    mark(kWordRanges, std::size(kWordRanges), kWord);
    mark(kPunctuationRanges, std::size(kPunctuationRanges), kPunctuation);
    for (const CombiningRange& r : kCombiningRanges)
      for (char32_t c = r.first; c <= r.last; ++c) {
        combining[c] = r.combining;
        flags[c] |= kUnstable;
      }
    for (char32_t c : kNeverComposed) flags[c] |= kUnstable;
    for (const Decomposition& d : kDecompositions)
      if (d.second && !std::binary_search(std::begin(kNeverComposed), std::end(kNeverComposed), d.composed)) {
        pairs.push_back(d);
        flags[d.second] |= kUnstable;
      }
    for (char32_t c = kVowelBase; c < kVowelBase + kVowels; ++c) flags[c] |= kUnstable;
    for (char32_t c = kTailBase + 1; c < kTailBase + kTails; ++c) flags[c] |= kUnstable;
    std::sort(pairs.begin(), pairs.end(), before);
  }

  static bool before(const Decomposition& a, const Decomposition& b) {
    return a.first != b.first ? a.first < b.first : a.second < b.second;
  }

  void mark(const Range* ranges, size_t count, uint8_t flag) {
    for (size_t i = 0; i < count; ++i)
      for (char32_t c = ranges[i].first; c <= ranges[i].last; ++c) flags[c] |= flag;
  }
};

const Tables& tables() {
  static const Tables built;
  return built;
}

void decompose(char32_t c, std::vector<char32_t>& out) {
  if (c >= kHangulBase && c < kHangulBase + kLeads * kVowels * kTails) {
    char32_t index = c - kHangulBase;
    out.push_back(kLeadBase + index / (kVowels * kTails));
    out.push_back(kVowelBase + index / kTails % kVowels);
    if (index % kTails) out.push_back(kTailBase + index % kTails);
    return;
  }
  const Decomposition* end = std::end(kDecompositions);
  const Decomposition* d = std::lower_bound(std::begin(kDecompositions), end, c,
                                            [](const Decomposition& a, char32_t b) { return a.composed < b; });
  if (d == end || d->composed != c) { out.push_back(c); return; }
  decompose(d->first, out);                                   // ends: a decomposition's parts are older characters
  if (d->second) decompose(d->second, out);
}

// 0 when the two do not compose.
char32_t compose(char32_t a, char32_t b) {
  if (a >= kLeadBase && a < kLeadBase + kLeads && b >= kVowelBase && b < kVowelBase + kVowels)
    return kHangulBase + ((a - kLeadBase) * kVowels + (b - kVowelBase)) * kTails;
  if (a >= kHangulBase && a < kHangulBase + kLeads * kVowels * kTails && (a - kHangulBase) % kTails == 0 && b > kTailBase &&
      b < kTailBase + kTails)
    return a + (b - kTailBase);
  const std::vector<Decomposition>& pairs = tables().pairs;
  auto found = std::lower_bound(pairs.begin(), pairs.end(), Decomposition{0, a, b}, Tables::before);
  return found != pairs.end() && found->first == a && found->second == b ? found->composed : 0;
}

std::vector<char32_t> decomposed(std::string_view text) {
  const std::vector<uint8_t>& combining = tables().combining;
  std::vector<char32_t> out;
  out.reserve(text.size());
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    Utf8Char c = utf8_at(p, end);
    decompose(c.code, out);
    p += c.size;
  }
  for (size_t i = 0; i < out.size(); ++i) {                   // canonical order: each run of combining marks sorted by class
    size_t run = i;
    while (run < out.size() && combining[out[run]]) ++run;
    if (run > i + 1)
      std::stable_sort(out.begin() + static_cast<ptrdiff_t>(i), out.begin() + static_cast<ptrdiff_t>(run),
                       [&](char32_t a, char32_t b) { return combining[a] < combining[b]; });
    if (run > i) i = run - 1;
  }
  return out;
}

// Composes in place: each character with the last starter, unless a mark of the same or a higher class stands between.
void compose_all(std::vector<char32_t>& text) {
  const std::vector<uint8_t>& combining = tables().combining;
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t kept = 0, starter = kNone;
  int last_class = -1;                                        // of what was kept since the starter; -1: nothing
  for (char32_t c : text) {
    int own = combining[c];
    if (starter != kNone && last_class < own) {
      if (char32_t whole = compose(text[starter], c)) { text[starter] = whole; continue; }
    }
    if (own == 0) { starter = kept; last_class = -1; } else { last_class = own; }
    text[kept++] = c;
  }
  text.resize(kept);
}

std::string utf8_of(const std::vector<char32_t>& text) {
  std::string out;
  for (char32_t c : text) append_utf8(out, c);
  return out;
}

std::string composed(std::string_view text) {
  std::vector<char32_t> characters = decomposed(text);
  compose_all(characters);
  return utf8_of(characters);
}

}  // namespace

const char* unicode_tables_version() { return kUnicodeVersion; }

const uint8_t* char_flags() {
  static const uint8_t* const flags = tables().flags.data();
  return flags;
}

Utf8Char utf8_at(const char* p, const char* end) {
  auto byte = [p](int i) { return static_cast<unsigned char>(p[i]); };
  unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xC2 || lead > 0xF4) return {0xFFFD, 1};
  int size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;   // of the second byte: no overlong form,
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;  // no surrogate, nothing past U+10FFFF
  char32_t code = lead & (0x7Fu >> size);
  for (int i = 1; i < size; ++i) {
    if (end - p <= i || byte(i) < low || byte(i) > high) return {0xFFFD, i};
    code = code << 6 | (byte(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code, size};
}

std::string replace_malformed(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    Utf8Char c = utf8_at(p, end);
    append_utf8(out, c.code);
    p += c.size;
  }
  return out;
}

size_t incomplete_tail(std::string_view text) {
  const char* end = text.data() + text.size();
  for (size_t n = 1; n <= 3 && n <= text.size(); ++n) {
    const char* p = end - n;
    unsigned lead = static_cast<unsigned char>(*p);
    if ((lead & 0xC0) == 0x80) continue;
    size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
    bool good_so_far = lead <= 0xF4 && utf8_at(p, end).size == static_cast<int>(n);
    return n < wanted && good_so_far ? n : 0;
  }
  return 0;
}

std::string to_nfd(std::string_view text) { return utf8_of(decomposed(text)); }

// Nothing crosses the place before a stable character, so only unstable runs, each with the character before it, need work.
std::string to_nfc(std::string_view text) {
  const uint8_t* flags = char_flags();
  const char* end = text.data() + text.size();
  auto at = [&](size_t i) { return utf8_at(text.data() + i, end); };
  std::string out;
  out.reserve(text.size());
  size_t done = 0, last_stable = 0;
  for (size_t i = 0; i < text.size();) {
    Utf8Char c = at(i);
    if (!(flags[c.code] & kUnstable)) {
      last_stable = i;
      i += static_cast<size_t>(c.size);
      continue;
    }
    for (; i < text.size() && (flags[c.code] & kUnstable); c = i < text.size() ? at(i) : c) i += static_cast<size_t>(c.size);
    out.append(text, done, last_stable - done);
    out += composed(text.substr(last_stable, i - last_stable));
    done = last_stable = i;
  }
  return out.append(text, done);
}

}  // namespace ibid::runtime
