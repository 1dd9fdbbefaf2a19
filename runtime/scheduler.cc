// See scheduler.h.
#include "runtime/scheduler.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"

namespace ibid::runtime {

using kernels::kBlock;

Scheduler::Scheduler(KvPages& pages, const SchedulerLimits& limits)
    : pages_(pages), limits_(limits), table_(static_cast<size_t>(limits.max_sequences) * limits.max_pages, 0) {
  running_.reserve(limits.max_sequences);
  for (int slot = limits.max_sequences - 1; slot >= 0; slot--) free_slots_.push_back(slot);
}

void Scheduler::submit(Sequence* s) {
  IBID_CHECK(s->prompt >= 1 && s->limit > s->prompt && static_cast<int>(s->tokens.size()) == s->prompt);
  IBID_CHECK(pages_for(s->limit - 1) <= std::min(limits_.max_pages, pages_.count()));
  waiting_.push_back(s);
}

bool Scheduler::plan(Step& step) {
  step.token.clear(), step.position.clear(), step.slot.clear();
  step.wanted.clear(), step.parts.clear(), step.copies.clear();
  admit(step);
  for (Sequence* s : running_) {
    if (s->computed >= s->prompt) add_rows(*s, static_cast<int>(s->tokens.size()) - s->computed, step);
  }
  int room = std::max(1, limits_.max_rows - step.rows());
  for (Sequence* s : running_) {
    if (s->computed >= s->prompt || room == 0) continue;
    const int rows = std::min(room, s->prompt - s->computed);
    add_rows(*s, rows, step);
    room -= rows;
  }
  return step.rows() > 0;
}

void Scheduler::add_rows(Sequence& s, int rows, Step& step) const {
  StepPart part{&s, step.rows(), rows, -1};
  for (int i = 0; i < rows; i++) {
    step.token.push_back(s.tokens[s.computed + i]);
    step.position.push_back(s.computed + i);
    step.slot.push_back(s.slot);
  }
  if (s.computed + rows == static_cast<int>(s.tokens.size())) {
    part.wanted = static_cast<int>(step.wanted.size());
    step.wanted.push_back(step.rows() - 1);
  }
  step.parts.push_back(part);
}

void Scheduler::admit(Step& step) {
  while (!waiting_.empty() && !free_slots_.empty()) {
    Sequence& head = *waiting_.front();
    const PrefixMatch match = pages_.match(head.tokens);
    if (worth_waiting(head, match) || !reserve(head, match, step)) return;
    waiting_.pop_front();
  }
}

bool Scheduler::worth_waiting(const Sequence& head, const PrefixMatch& match) const {
  if (!pages_.shares()) return false;
  for (const Sequence* s : running_) {
    if (s->published >= s->prompt) continue;
    const int common = common_prefix(head.tokens, TokenSpan(s->tokens).first(s->prompt));
    if (std::min(common, head.prompt - 1) >= match.tokens() + kWorthWaiting) return true;
  }
  return false;
}

// The last ones first: eviction takes leaves, and finds them before what they hang from.
void Scheduler::give_back(const std::vector<int32_t>& pages) {
  for (auto page = pages.rbegin(); page != pages.rend(); ++page) pages_.release(*page);
}

// Gives the sequence a slot and every page it can ever need, or nothing at all.
bool Scheduler::reserve(Sequence& s, const PrefixMatch& match, Step& step) {
  const int shared = static_cast<int>(match.pages.size()), fresh = pages_for(s.limit - 1) - shared;
  for (int32_t page : match.pages) pages_.hold(page);                  // first, so that they are not evicted below
  if (pages_.available() < fresh) {
    give_back(match.pages);
    return false;
  }
  s.pages = match.pages;
  for (int i = 0; i < fresh; i++) s.pages.push_back(pages_.acquire());
  // The source may just have been evicted and even be one of the fresh pages: nothing writes to a page before the rows of
  // this step, but for the copies, and those keep their order. So its bytes are still there.
  if (match.copy_from >= 0 && match.copy_from != s.pages[shared]) step.copies.push_back({match.copy_from, s.pages[shared]});
  s.computed = s.cached = match.tokens();
  s.published = shared * kBlock;
  s.behind = match.node;
  s.slot = free_slots_.back();
  free_slots_.pop_back();
  std::copy(s.pages.begin(), s.pages.end(), table_.begin() + static_cast<size_t>(s.slot) * limits_.max_pages);
  table_changed_ = true;
  running_.push_back(&s);
  return true;
}

void Scheduler::complete(const StepPart& part) {
  Sequence& s = *part.sequence;
  s.computed += part.rows;
  const int sound = std::min(s.computed, s.prompt);
  while (s.published < sound) {
    const int count = std::min(kBlock, s.prompt - s.published);
    if (s.published + count > sound) return;                           // neither a whole page yet, nor the end of the prompt
    const int i = s.published / kBlock;
    const int32_t before = s.pages[i];
    s.behind = pages_.publish(s.behind, TokenSpan(s.tokens).subspan(s.published, count), &s.pages[i]);
    s.published += count;
    if (s.pages[i] != before) {
      table_[static_cast<size_t>(s.slot) * limits_.max_pages + i] = s.pages[i];
      table_changed_ = true;
    }
  }
}

void Scheduler::retire(Sequence* s) {
  give_back(s->pages);
  s->pages.clear();
  free_slots_.push_back(s->slot);
  s->slot = -1;
  running_.erase(std::find(running_.begin(), running_.end(), s));
}

bool Scheduler::take_table_change() { return std::exchange(table_changed_, false); }

}  // namespace ibid::runtime
