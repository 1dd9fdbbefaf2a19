// The scheduler over a pretended device: every K/V position holds the name of the prefix it was computed from, and every row
// checks that all the positions it would attend to hold the right names.
#include "runtime/scheduler.h"

#include <cstdlib>
#include <list>
#include <new>

#include "runtime/error.h"
#include "test/catch.h"

using namespace ibid::runtime;
using ibid::kernels::kBlock;

namespace {

long allocations = 0;

}  // namespace

void* operator new(size_t size) {
  allocations++;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  allocations++;
  return std::malloc(size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace {

uint64_t next_random(uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}

uint64_t extend(uint64_t prefix, int32_t token) { return (prefix ^ static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15u + 1; }

class FakeRun {
 public:
  FakeRun(int page_count, SchedulerLimits limits, bool share)
      : pages(page_count, share), limits(limits), scheduler(pages, limits), memory(static_cast<size_t>(page_count) * kBlock, 0) {}

  void submit(std::vector<int32_t> prompt, int answer) {
    sequences.emplace_back();
    Sequence& s = sequences.back();
    s.prompt = static_cast<int>(prompt.size());
    s.limit = s.prompt + answer;
    s.tokens.reserve(s.limit);
    s.tokens.assign(prompt.begin(), prompt.end());
    scheduler.submit(&s);
  }

  // One step; false when there was nothing to do.
  bool run_step() {
    if (!scheduler.plan(step)) return false;
    steps++;
    for (const PageCopy& c : step.copies) {
      if (forget_copies) continue;
      for (int i = 0; i < kBlock; i++) memory[size_t(c.to) * kBlock + i] = memory[size_t(c.from) * kBlock + i];
    }
    if (scheduler.take_table_change()) table = scheduler.page_table();
    REQUIRE(step.rows() <= std::max(limits.max_rows, limits.max_sequences));
    for (const StepPart& part : step.parts) run_part(part);
    finish_parts();
    return true;
  }

  void run_all() {
    while (run_step()) REQUIRE(steps < 100000);
    REQUIRE((wrong_positions == 0 || forget_copies));
    REQUIRE(scheduler.running() == 0);
    REQUIRE(pages.available() == pages.count());
  }

  KvPages pages;
  SchedulerLimits limits;
  Scheduler scheduler;
  std::vector<uint64_t> memory;                  // (pages, kBlock) names of prefixes
  std::vector<int32_t> table;
  std::list<Sequence> sequences;
  std::vector<const Sequence*> done;             // in order of completion
  Step step;
  int steps = 0, rows_computed = 0, wrong_positions = 0;
  bool forget_copies = false;

 private:
  uint64_t& at(int slot, int position) {
    return memory[size_t(table[size_t(slot) * limits.max_pages + position / kBlock]) * kBlock + position % kBlock];
  }

  void run_part(const StepPart& part) {
    const Sequence& s = *part.sequence;
    REQUIRE(part.rows > 0);
    uint64_t name = 0;
    for (int p = 0; p < s.computed; p++) {
      name = extend(name, s.tokens[p]);
      wrong_positions += at(s.slot, p) != name;
    }
    for (int i = 0; i < part.rows; i++) {
      const int row = part.first_row + i, p = s.computed + i;
      REQUIRE(step.position[row] == p);
      REQUIRE(step.token[row] == s.tokens[p]);
      REQUIRE(step.slot[row] == s.slot);
      name = extend(name, s.tokens[p]);
      at(s.slot, p) = name;
      rows_computed++;
    }
    REQUIRE((part.wanted >= 0) == (s.computed + part.rows == static_cast<int>(s.tokens.size())));
    if (part.wanted >= 0) REQUIRE(step.wanted[part.wanted] == part.first_row + part.rows - 1);
  }

  void finish_parts() {
    for (const StepPart& part : step.parts) {
      Sequence& s = *part.sequence;
      scheduler.complete(part);
      if (part.wanted < 0) continue;
      s.tokens.push_back(static_cast<int32_t>(s.tokens.size() * 31 % 97));
      if (static_cast<int>(s.tokens.size()) < s.limit) continue;
      scheduler.retire(&s);
      done.push_back(&s);
    }
  }
};

std::vector<int32_t> prompt_of(int shared, int own, int32_t name) {
  std::vector<int32_t> v;
  for (int i = 0; i < shared; i++) v.push_back(i);
  for (int i = 0; i < own; i++) v.push_back(1000 * name + i);
  return v;
}

}  // namespace

TEST_CASE("one request runs: its prompt in chunks, then a row at a time") {
  FakeRun run(4, {4, 10, 4}, true);
  run.submit(prompt_of(25, 0, 1), 5);
  run.run_all();
  CHECK(run.steps == 3 + 4);
  CHECK(run.rows_computed == 25 + 4);
}

TEST_CASE("requests are admitted in order and finish when they are done") {
  FakeRun run(8, {2, 512, 4}, false);
  run.submit(prompt_of(0, 10, 1), 9);
  run.submit(prompt_of(0, 10, 2), 3);
  run.submit(prompt_of(0, 10, 3), 3);
  run.run_all();
  std::vector<int> order;
  for (const Sequence* s : run.done) order.push_back(s->tokens[0] / 1000);
  CHECK(order == std::vector<int>{2, 3, 1});
}

TEST_CASE("a common prefix is computed once though all requests arrive together") {
  for (int shared : {60, kBlock, 300}) {
    FakeRun run(64, {16, 512, 4}, true);
    for (int i = 0; i < 16; i++) run.submit(prompt_of(shared, 20, i + 1), 4);
    run.run_all();
    CHECK(run.rows_computed == shared + 16 * (20 + 3));
  }
  FakeRun cold(64, {16, 512, 4}, false);
  for (int i = 0; i < 16; i++) cold.submit(prompt_of(60, 20, i + 1), 4);
  cold.run_all();
  CHECK(cold.rows_computed == 16 * (80 + 3));
}

TEST_CASE("samples of one prompt compute it once, and each its last row") {
  FakeRun run(64, {8, 64, 4}, true);
  for (int i = 0; i < 8; i++) run.submit(prompt_of(200, 0, 1), 2);
  run.run_all();
  CHECK(run.rows_computed == 200 + 7 + 8);
}

TEST_CASE("a short common beginning is not worth waiting for") {
  FakeRun run(64, {4, 512, 4}, true);
  for (int i = 0; i < 4; i++) run.submit(prompt_of(Scheduler::kWorthWaiting - 1, 50, i + 1), 4);
  REQUIRE(run.run_step());
  CHECK(run.scheduler.running() == 4);
  // The least that is: kWorthWaiting rows, the last of a prompt not among them.
  for (int own : {50, 1, 0}) {
    FakeRun more(64, {2, 16, 4}, true);
    for (int i = 0; i < 2; i++) more.submit(prompt_of(Scheduler::kWorthWaiting, own, i + 1), 4);
    REQUIRE(more.run_step());
    CHECK(more.scheduler.running() == (own > 0 ? 1 : 2));
  }
}

TEST_CASE("a prompt advances though the running sequences fill the step") {
  FakeRun run(8, {2, 1, 4}, false);
  run.submit(prompt_of(0, 1, 1), 50);
  run.submit(prompt_of(0, 3, 2), 1);
  run.run_all();
  REQUIRE(run.done.size() == 2);
  CHECK(run.done[0]->prompt == 3);
}

TEST_CASE("a sequence that needs more pages than there are is refused, however long a row of the table is") {
  FakeRun run(2, {1, 64, 4}, true);
  run.submit(prompt_of(0, 2 * kBlock, 1), 1);
  CHECK_THROWS_AS(run.submit(prompt_of(0, 2 * kBlock, 1), 2), ibid::Error);
  run.run_all();
}

TEST_CASE("a pool for one sequence serves any number, and the largest fits exactly") {
  FakeRun run(4, {8, 64, 4}, true);
  for (int i = 0; i < 6; i++) run.submit(prompt_of(i % 2 ? 140 : 0, 300, i + 1), 4 * kBlock + 1 - 300 - (i % 2 ? 140 : 0));
  run.run_all();
  CHECK(run.done.size() == 6);
  CHECK_THROWS_AS(run.submit(prompt_of(0, 300, 9), 4 * kBlock + 2 - 300), ibid::Error);
}

TEST_CASE("random loads over small pools: every row sees its own prefix, nothing leaks, nothing starves") {
  uint64_t state = 7;
  for (int round = 0; round < 60; round++) {
    const int page_count = 4 + int(next_random(state) % 20), slots = 1 + int(next_random(state) % 9);
    const int rows = 1 + int(next_random(state) % 200);
    FakeRun run(page_count, {slots, rows, 4}, round % 4 != 0);
    const int requests = 5 + int(next_random(state) % 40);
    for (int i = 0; i < requests; i++) {
      std::vector<int32_t> prompt;                                   // few branch points, so that many prefixes are shared
      const int length = 1 + int(next_random(state) % 400);
      int32_t branch = 0;
      while (static_cast<int>(prompt.size()) < length) {
        if (prompt.size() % 48 == 0) branch = int32_t(next_random(state) % 2);
        prompt.push_back(branch * 1000 + int32_t(prompt.size()));
      }
      run.submit(prompt, 1 + int(next_random(state) % 100));
      if (next_random(state) % 3 == 0) run.run_step();
    }
    run.run_all();
    REQUIRE(run.done.size() == size_t(requests));
  }
}

TEST_CASE("a step without admissions and departures allocates nothing") {
  FakeRun run(64, {16, 64, 4}, true);
  for (int i = 0; i < 16; i++) run.submit(prompt_of(40, 100, i + 1), 200);
  while (run.step.rows() != 16) REQUIRE(run.run_step());               // until all are past their prompts
  int steady = 0;
  const long before = allocations;
  for (; steady < 150; steady++) {
    if (!run.scheduler.plan(run.step) || run.scheduler.take_table_change()) break;
    for (const StepPart& part : run.step.parts) {
      run.scheduler.complete(part);
      part.sequence->tokens.push_back(1);
    }
  }
  CHECK(allocations == before);
  CHECK(steady == 150);
}

TEST_CASE("negative control: a device that forgets to copy pages is noticed") {
  FakeRun run(64, {4, 512, 4}, true);
  run.forget_copies = true;
  for (int i = 0; i < 4; i++) run.submit(prompt_of(60, 20, i + 1), 4);
  run.run_all();
  CHECK(run.wrong_positions > 0);
}
