// See source_text.h.
#include "step/source_text.h"

#include <algorithm>
#include <numeric>

#include "runtime/json.h"

namespace ibid::step {
namespace {

constexpr size_t kExcerptColumns = 100;
constexpr size_t kLeadColumns = 60;                    // of a cut line, what stays in front of the caret

// Format characters that take no column or turn the line round: byte order mark, line separators, direction marks.
bool is_invisible(std::string_view c) {
  if (c == "\xEF\xBB\xBF" || c == "\xD8\x9C") return true;
  return c.size() == 3 && ((c >= "\xE2\x80\x8B" && c <= "\xE2\x80\x8F") || (c >= "\xE2\x80\xA8" && c <= "\xE2\x80\xAE") ||
                           (c >= "\xE2\x81\xA0" && c <= "\xE2\x81\xAF"));
}

// One terminal column per element: code points, with everything unprintable as '?' and tabs as blanks.
std::vector<std::string> columns_of(std::string_view line) {
  std::vector<std::string> columns;
  for (size_t i = 0; i < line.size();) {
    const auto c = static_cast<unsigned char>(line[i]);
    const size_t length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    std::string_view one = line.substr(i, length);
    if (c == '\t') columns.emplace_back(" ");
    else if (c < 0x20 || c == 0x7F || !is_utf8(one)) { columns.emplace_back("?"); one = line.substr(i, 1); }
    else if (c == 0xC2 && static_cast<unsigned char>(one[1]) < 0xA0) columns.emplace_back("?");   // C1 controls
    else if (is_invisible(one)) columns.emplace_back("?");
    else columns.emplace_back(one);
    i += one.size();
  }
  return columns;
}

size_t column_of(const Position& at) { return columns_of(at.source->line(at.line).substr(0, at.byte)).size(); }

// Edit distance in which swapping two neighbours is one step (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last, last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

SourceText::SourceText(std::string source_name, std::string source_text) : name(std::move(source_name)), text(std::move(source_text)) {
  starts_.push_back(0);
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\n') starts_.push_back(i + 1);
}

std::string_view SourceText::line(size_t number) const {
  if (number < 1 || number > starts_.size()) return {};
  const size_t from = starts_[number - 1];
  size_t to = number < starts_.size() ? starts_[number] - 1 : text.size();
  if (to > from && text[to - 1] == '\r') --to;
  return std::string_view(text).substr(from, to - from);
}

std::string place_of(const Position& at) {
  if (!at.source) return "";
  if (at.line == 0) return at.source->name;
  return at.source->name + ":" + std::to_string(at.line) + ":" + std::to_string(column_of(at) + 1);
}

std::string excerpt_of(const Position& at) {
  if (!at.source || at.line == 0 || at.line > at.source->line_count()) return "";
  std::vector<std::string> columns = columns_of(at.source->line(at.line));
  size_t caret = std::min(column_of(at), columns.size());
  const bool cut_front = columns.size() > kExcerptColumns && caret > kLeadColumns;
  const size_t from = cut_front ? caret - kLeadColumns : 0;
  const size_t to = std::min(columns.size(), from + kExcerptColumns);
  const std::string lead = cut_front ? "  ..." : "  ";
  std::string out = lead;
  for (size_t i = from; i < to; ++i) out += columns[i];
  if (to < columns.size()) out += "...";
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out.append("\n").append(lead.size() + caret - from, ' ').append("^\n");
}

void note(std::vector<Problem>& problems, Position at, std::string what, std::string hint) {
  Problem& problem = problems.emplace_back();
  problem.at = std::move(at);
  problem.what = std::move(what);
  problem.hint = hint.empty() ? "manifests/README.md, in packages STEP.md, says what may stand here" : std::move(hint);
}

std::string describe(const Problem& problem) {
  std::string place = place_of(problem.at);
  std::string out = (place.empty() ? "" : place + ": ") + problem.what + "\n" + excerpt_of(problem.at);
  if (!problem.hint.empty()) out += "  hint: " + problem.hint + "\n";
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.size() > 64) return "";
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (std::string_view candidate : candidates) {
    size_t distance = edit_distance(lower_case(word), lower_case(candidate));
    if (distance < best_distance && distance < candidate.size()) { best = candidate; best_distance = distance; }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string best = nearest(word, candidates);
  return best.empty() ? "" : "did you mean '" + best + "'?";
}

}  // namespace ibid::step
