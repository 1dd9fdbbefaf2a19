// See template_unicode.h. The tables come from test/tools/template_unicode.py; binary search over runs.
#include "runtime/template_unicode.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "runtime/json.h"

namespace ibid::runtime::text {
namespace {

struct Range { char32_t first, last; };
struct CaseRun { char32_t first, last; int stride, delta; };           // every stride-th code point moves by delta
struct CaseSeveral { char32_t from; std::array<char32_t, 3> to; };     // one becomes up to three; 0 ends the list early

#include "runtime/template_unicode_tables.inc"

// The range that holds c, or null.
template <size_t N>
const Range* range_of(const Range (&table)[N], char32_t c) {
  const Range* found = std::lower_bound(std::begin(table), std::end(table), c, [](const Range& r, char32_t v) { return r.last < v; });
  return found != std::end(table) && found->first <= c ? found : nullptr;
}

template <size_t N>
bool in_ranges(const Range (&table)[N], char32_t c) { return range_of(table, c) != nullptr; }

template <size_t R, size_t S>
void append_case(std::string& out, char32_t c, const CaseRun (&runs)[R], const CaseSeveral (&several)[S]) {
  const CaseSeveral* many = std::lower_bound(std::begin(several), std::end(several), c,
                                             [](const CaseSeveral& m, char32_t v) { return m.from < v; });
  if (many != std::end(several) && many->from == c) {
    for (char32_t to : many->to)
      if (to) append_utf8(out, to);
    return;
  }
  // Runs of stride 2 may interleave, so a match can lie a few entries before the last run that starts at or before c.
  const CaseRun* end = std::upper_bound(std::begin(runs), std::end(runs), c, [](char32_t v, const CaseRun& r) { return v < r.first; });
  for (int back = 0; back < 4 && end != std::begin(runs); ++back) {
    --end;
    if (c <= end->last && (c - end->first) % static_cast<char32_t>(end->stride) == 0) {
      append_utf8(out, static_cast<char32_t>(static_cast<int64_t>(c) + end->delta));
      return;
    }
  }
  append_utf8(out, c);
}

// At least one cased character, and every cased one in the table.
template <size_t N>
bool all_cased_are(std::string_view s, const Range (&table)[N]) {
  bool any = false;
  for (size_t at = 0; at < s.size();) {
    char32_t c = next(s, at);
    bool right = in_ranges(table, c);
    if (!right && is_cased(c)) return false;
    any = any || right;
  }
  return any;
}

void append_upper(std::string& out, char32_t c) { append_case(out, c, kUpper, kUpperSeveral); }
void append_title(std::string& out, char32_t c) { append_case(out, c, kTitle, kTitleSeveral); }

constexpr char32_t kCapitalSigma = 0x3A3;

// A capital sigma that ends a word becomes the final form: cased before it, none after, ignorables skipped on both sides.
// `cased_before` is kept by the caller, so that a text of sigmas stays linear; what follows is looked at here.
void append_lower(std::string& out, std::string_view s, size_t after, char32_t c, bool cased_before) {
  if (c != kCapitalSigma) return append_case(out, c, kLower, kLowerSeveral);
  bool cased_after = false;
  for (size_t at = after; at < s.size();) {
    char32_t following = next(s, at);
    if (in_ranges(kCaseIgnorable, following)) continue;
    cased_after = is_cased(following);
    break;
  }
  append_utf8(out, cased_before && !cased_after ? 0x3C2 : 0x3C3);
}

void note_cased(bool& cased_before, char32_t c) {
  if (!in_ranges(kCaseIgnorable, c)) cased_before = is_cased(c);
}

char32_t previous(std::string_view s, size_t& end) {
  do --end; while (end > 0 && (static_cast<unsigned char>(s[end]) & 0xC0) == 0x80);
  size_t at = end;
  return next(s, at);
}

// Sorted, for sets that are long on purpose.
std::vector<char32_t> characters_of(std::string_view set) {
  std::vector<char32_t> out;
  for (size_t at = 0; at < set.size();) out.push_back(next(set, at));
  std::sort(out.begin(), out.end());
  return out;
}

bool has(const std::vector<char32_t>& set, char32_t c) { return std::binary_search(set.begin(), set.end(), c); }

template <class Drop>
std::string_view strip_left_if(std::string_view s, Drop drop) {
  size_t at = 0;
  while (at < s.size()) {
    size_t after = at;
    if (!drop(next(s, after))) break;
    at = after;
  }
  return s.substr(at);
}

template <class Drop>
std::string_view strip_right_if(std::string_view s, Drop drop) {
  size_t end = s.size();
  while (end > 0) {
    size_t before = end;
    if (!drop(previous(s, before))) break;
    end = before;
  }
  return s.substr(0, end);
}

}  // namespace

char32_t next(std::string_view s, size_t& at) {
  auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(s[i])); };
  char32_t lead = byte(at);
  size_t more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  if (more == 0 || at + more >= s.size()) { ++at; return lead; }       // the second case cannot happen to well-formed text
  char32_t c = lead & (0x3Fu >> more);
  for (size_t i = 1; i <= more; ++i) c = (c << 6) | (byte(at + i) & 0x3F);
  at += more + 1;
  return c;
}

int64_t length(std::string_view s) {
  return std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

bool is_ascii(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

size_t byte_offset(std::string_view s, int64_t characters) {
  size_t at = 0;
  while (characters > 0 && at < s.size()) {
    do ++at; while (at < s.size() && (static_cast<unsigned char>(s[at]) & 0xC0) == 0x80);
    --characters;
  }
  return at;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) { return c < 0x7F ? c >= 0x20 : !in_ranges(kNotPrintable, c); }
bool is_cased(char32_t c) { return in_ranges(kUppercase, c) || in_ranges(kLowercase, c) || in_ranges(kTitlecase, c); }

// Each of the table's runs is one or more times '0' to '9'.
int decimal(char32_t c) {
  const Range* found = range_of(kDecimal, c);
  return found ? static_cast<int>((c - found->first) % 10) : -1;
}

bool is_upper(std::string_view s) { return all_cased_are(s, kUppercase); }
bool is_lower(std::string_view s) { return all_cased_are(s, kLowercase); }

std::string upper(std::string_view s) {
  std::string out;
  for (size_t at = 0; at < s.size();) append_upper(out, next(s, at));
  return out;
}

std::string lower(std::string_view s) {
  std::string out;
  bool cased_before = false;
  for (size_t at = 0; at < s.size();) {
    char32_t c = next(s, at);
    append_lower(out, s, at, c, cased_before);
    note_cased(cased_before, c);
  }
  return out;
}

std::string title(std::string_view s) {
  std::string out;
  bool cased_before = false, in_word = false;
  for (size_t at = 0; at < s.size();) {
    char32_t c = next(s, at);
    if (in_word) append_lower(out, s, at, c, cased_before);
    else append_title(out, c);
    in_word = is_cased(c);
    note_cased(cased_before, c);
  }
  return out;
}

std::string capitalize(std::string_view s) {
  std::string out;
  bool cased_before = false;
  for (size_t at = 0; at < s.size();) {
    bool first = at == 0;
    char32_t c = next(s, at);
    if (first) append_title(out, c);
    else append_lower(out, s, at, c, cased_before);
    note_cased(cased_before, c);
  }
  return out;
}

std::string_view strip_left(std::string_view s) { return strip_left_if(s, is_space); }
std::string_view strip_right(std::string_view s) { return strip_right_if(s, is_space); }
std::string_view strip_left(std::string_view s, std::string_view set) {
  return strip_left_if(s, [set = characters_of(set)](char32_t c) { return has(set, c); });
}
std::string_view strip_right(std::string_view s, std::string_view set) {
  return strip_right_if(s, [set = characters_of(set)](char32_t c) { return has(set, c); });
}

std::vector<std::string_view> lines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> out;
  size_t start = 0;
  for (size_t at = 0; at < s.size();) {
    size_t end = at;
    char32_t c = next(s, at);
    bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!ends) continue;
    if (c == '\r' && at < s.size() && s[at] == '\n') ++at;
    out.push_back(s.substr(start, (keep_ends ? at : end) - start));
    start = at;
  }
  if (start < s.size()) out.push_back(s.substr(start));
  return out;
}

// Knuth, Morris and Pratt for needles long enough to be made quadratic on purpose; the library's search for the others.
size_t find(std::string_view haystack, std::string_view needle, size_t from) {
  if (needle.size() <= 16) return haystack.find(needle, from);
  if (from > haystack.size() || needle.size() > haystack.size() - from) return std::string_view::npos;
  std::vector<size_t> border(needle.size(), 0);
  for (size_t i = 1, k = 0; i < needle.size(); ++i) {
    while (k > 0 && needle[i] != needle[k]) k = border[k - 1];
    if (needle[i] == needle[k]) ++k;
    border[i] = k;
  }
  for (size_t i = from, k = 0; i < haystack.size(); ++i) {
    while (k > 0 && haystack[i] != needle[k]) k = border[k - 1];
    if (haystack[i] == needle[k]) ++k;
    if (k == needle.size()) return i + 1 - k;
  }
  return std::string_view::npos;
}

}  // namespace ibid::runtime::text
