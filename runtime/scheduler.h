// Which rows run next: continuous batching over one pool of K/V pages.
//
// Owns: the waiting line, the running set, their pages and slots. Must not know: models, samplers, text; it sees token ids.
//
// 1. A sequence is admitted, first come first served, when a slot is free and all pages that it can ever need (its limit) can
//    be had; so a running sequence never waits for memory, and there is no deadlock and no preemption.
// 2. The line waits while its head shares a prefix with a prompt that is being computed right now, when that saves at least
//    kWorthWaiting rows: a common system prompt is computed once, though all requests arrive together.
// 3. A step holds one row of every sequence past its prompt, then prompt rows in order of admission, max_rows in all (one
//    prompt row at least, so that prompts always advance).
// 4. Every choice follows from the calls so far. No answer depends on any of them (runtime/engine.h, 1).
// 5. A step without admissions and departures allocates nothing.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "runtime/kv_cache.h"

namespace ibid::runtime {

struct Sequence {
  std::vector<int32_t> tokens;         // the prompt, then what was chosen; the caller appends
  int prompt = 0;                      // tokens of the prompt, at least 1
  int limit = 0;                       // tokens never has more than this; the last one is never computed
  int computed = 0;                    // leading tokens whose K and V are stored
  int cached = 0;                      // of these, how many came out of the prefix cache

  // The scheduler's own.
  int slot = -1;                       // row of the page table; -1: not running
  std::vector<int32_t> pages;          // held references
  int published = 0;                   // leading tokens that the prefix cache knows
  PrefixNode* behind = nullptr;        // node of the last published whole page
};

// The rows of one sequence in a step.
struct StepPart {
  Sequence* sequence = nullptr;
  int first_row = 0, rows = 0;
  int wanted = -1;                     // place among the wanted rows of its last row; -1: its logits are not wanted
};

struct PageCopy { int32_t from = 0, to = 0; };

struct Step {
  std::vector<int32_t> token, position, slot;    // (rows), as kernels::Batch has them
  std::vector<int32_t> wanted;                   // rows whose logits are wanted
  std::vector<StepPart> parts;
  std::vector<PageCopy> copies;                  // to be carried out in this order, before the rows
  int rows() const { return static_cast<int>(token.size()); }
};

struct SchedulerLimits {
  int max_sequences = 1;               // slots
  int max_rows = 1;                    // of a step, but never fewer than the running sequences
  int max_pages = 1;                   // of a sequence: a row of the page table
};

class Scheduler {
 public:
  static constexpr int kWorthWaiting = 32;

  Scheduler(KvPages& pages, const SchedulerLimits& limits);

  // Sequences belong to the caller and outlive their run. REQUIRES: pages_for(limit - 1) <= max_pages, and as many exist.
  void submit(Sequence* sequence);

  // Admits what can run and fills the next step; false when nothing is left to run. The step before it was completed.
  bool plan(Step& step);

  // The part's K and V are stored and sound: its tokens count as computed, and its prompt's pages can be shared.
  void complete(const StepPart& part);

  // Takes a running sequence out and gives its pages back.
  void retire(Sequence* sequence);

  const std::vector<int32_t>& page_table() const { return table_; }   // (max_sequences, max_pages)
  bool take_table_change();                                           // whether it changed since this was last asked
  int running() const { return static_cast<int>(running_.size()); }

 private:
  void admit(Step& step);
  void give_back(const std::vector<int32_t>& pages);
  bool worth_waiting(const Sequence& head, const PrefixMatch& match) const;
  bool reserve(Sequence& sequence, const PrefixMatch& match, Step& step);
  void add_rows(Sequence& sequence, int rows, Step& step) const;

  KvPages& pages_;
  SchedulerLimits limits_;
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;     // in order of admission
  std::vector<int> free_slots_;        // a stack
  std::vector<int32_t> table_;
  bool table_changed_ = true;
};

}  // namespace ibid::runtime
