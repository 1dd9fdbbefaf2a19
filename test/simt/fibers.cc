// A block of CUDA threads as fibers, switched at barriers and warp collectives.
//
// Owns: the schedule, barriers, collectives, shared memory. Must not know: the runtime API (runtime.cc), ibid's kernels.
//
// 1. Exactly one fiber runs; it goes on until it must wait. Who is next is the schedule's choice, so two schedules that differ
//    in a result show that the result depends on a race.
// 2. A launch ends when every thread has returned. When nobody can go on before that, the launch fails and says who waits where.
// 3. Fibers are kept and reused from block to block; a failed launch throws them away with whatever they stood in.
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "test/simt/asan.h"
#include "test/simt/simt.h"
#include "test/simt/simt_internal.h"

namespace simt {

thread_local const Place* here = nullptr;

namespace {

namespace context = boost::context;

constexpr unsigned kMaxThreads = 1024, kWarps = kMaxThreads / 32;
constexpr size_t kStackBytes = 128 << 10;
constexpr int kGarbage = 0xFE;                 // a float near -1.7e38, an int8 of -2

// A copy on its way, and the number of its group.
struct Copy {
  void* to;
  const void* from;
  size_t bytes, whole;
  unsigned group;

  void land() const {
    std::memcpy(to, from, bytes);
    std::memset(static_cast<char*>(to) + bytes, 0, whole - bytes);
  }
};

enum class State : uint8_t { ready, at_barrier, at_collective, done };

struct Thread {
  context::fiber fiber;
  Place place{};
  State state = State::done;
  uint32_t mask = 0;                           // of the collective it waits in
  Resolve resolve = nullptr;
  void* data = nullptr;
  std::deque<Copy> copies;
  unsigned groups = 0;                         // that have ended
};

// A stack may lie where one was that a failed launch threw away, in the middle of its calls: AddressSanitizer is told that those are over.
struct Stacks : context::protected_fixedsize_stack {
  using Base = context::protected_fixedsize_stack;
  using Base::Base;
  context::stack_context allocate() {
    const context::stack_context stack = Base::allocate();
    ASAN_UNPOISON_MEMORY_REGION(static_cast<char*>(stack.sp) - stack.size, stack.size);
    return stack;
  }
};

struct Block {
  std::vector<std::unique_ptr<Thread>> threads;
  Thread home;                                 // where run() waits while fibers run
  const std::function<void()>* body = nullptr;
  unsigned count = 0, done = 0, at_barrier = 0, votes = 0, barrier_result = 0;
  uint32_t ready[kWarps] = {}, waiting[kWarps] = {};   // by lane: may go on; stands in a collective
  std::vector<unsigned char> shared;
  std::string error;
  Schedule schedule;
  uint64_t random = 0;

  static thread_local Thread *current, *previous;

  void switch_to(Thread& next) {
    previous = current;
    current = &next;
    here = &next.place;
    context::fiber from = std::move(next.fiber).resume();
    previous->fiber = std::move(from);
  }

  uint64_t next_random() { return random = random * 6364136223846793005u + 1442695040888963407u, random >> 33; }

  // The lane of a nonzero word that the schedule prefers.
  unsigned pick_lane(uint32_t word) {
    if (schedule.kind == Schedule::ascending) return static_cast<unsigned>(__builtin_ctz(word));
    if (schedule.kind == Schedule::descending) return 31 - static_cast<unsigned>(__builtin_clz(word));
    unsigned turn = static_cast<unsigned>(next_random() % 32);
    uint32_t turned = word >> turn | word << ((32 - turn) & 31);
    return (static_cast<unsigned>(__builtin_ctz(turned)) + turn) % 32;
  }

  Thread* pick() {
    unsigned warps = (count + 31) / 32, start = schedule.kind == Schedule::shuffled ? static_cast<unsigned>(next_random() % warps) : 0;
    for (unsigned i = 0; i < warps; ++i) {
      unsigned w = schedule.kind == Schedule::descending ? warps - 1 - i : (start + i) % warps;
      if (!ready[w]) continue;
      unsigned lane = pick_lane(ready[w]);
      ready[w] &= ~(uint32_t{1} << lane);
      return threads[w * 32 + lane].get();
    }
    return nullptr;
  }

  void set_ready(Thread& t) {
    t.state = State::ready;
    ready[t.place.linear / 32] |= uint32_t{1} << t.place.linear % 32;
  }

  // The running fiber waits in `state`, or is done.
  void leave(State state) {
    current->state = state;
    Thread* next = pick();
    switch_to(next ? *next : home);
  }

  Thread& make_thread();
  void start(const std::function<void()>& f, uint3 index, dim3 block, dim3 grid, size_t shared_bytes);
  void run();
  std::string who_waits() const;
};

thread_local Thread* Block::current = nullptr;
thread_local Thread* Block::previous = nullptr;

Schedule g_schedule;
std::unique_ptr<Block> g_block;                // the block that runs, and its fibers for the next
uint64_t g_launches = 0;

context::fiber thread_main(Block& block, context::fiber&& from) {
  Block::previous->fiber = std::move(from);
  for (;;) {
    (*block.body)();
    ++block.done;
    block.leave(State::done);
  }
}

Thread& Block::make_thread() {
  threads.push_back(std::make_unique<Thread>());
  threads.back()->fiber = context::fiber(std::allocator_arg, Stacks(kStackBytes),
                                         [this](context::fiber&& from) { return thread_main(*this, std::move(from)); });
  return *threads.back();
}

void Block::start(const std::function<void()>& f, uint3 index, dim3 block, dim3 grid, size_t shared_bytes) {
  body = &f;
  count = block.x * block.y * block.z;
  done = at_barrier = votes = 0;
  shared.assign(shared_bytes + 16, static_cast<unsigned char>(kGarbage));
  while (threads.size() < count) make_thread();
  for (unsigned i = 0; i < count; ++i) {
    Place& p = threads[i]->place;
    p = {{i % block.x, i / block.x % block.y, i / (block.x * block.y)}, index, block, grid, i};
    threads[i]->copies.clear();
    threads[i]->groups = 0;
    set_ready(*threads[i]);
  }
}

std::string Block::who_waits() const {
  std::string text;
  unsigned shown = 0;
  for (unsigned i = 0; i < count && shown < 4; ++i) {
    State s = threads[i]->state;
    if (i > 0 && s == threads[i - 1]->state) continue;
    const char* what = s == State::at_barrier ? "waits at __syncthreads"
                     : s == State::at_collective ? "waits for other lanes of its warp" : "has returned";
    text += (shown++ ? "; thread " : "thread ") + std::to_string(i) + " and those after it: " + what;
  }
  return text;
}

void Block::run() {
  current = &home;
  if (Thread* first = pick()) switch_to(*first);
  here = nullptr;
  if (error.empty() && done < count) error = "divergent threads: " + who_waits();
}

// A body's captures have no alignment of their own to ask for: 16 bytes is what launch.h promises.
unsigned char* aligned(std::vector<unsigned char>& bytes) {
  return reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(bytes.data()) + 15) & ~uintptr_t{15});
}

}  // namespace

void* dynamic_shared() { return aligned(g_block->shared); }

void fail(const char* what) {
  Block& b = *g_block;
  const Place& p = Block::current->place;
  b.error = std::string(what) + " (block " + std::to_string(p.block.x) + "," + std::to_string(p.block.y) + "," + std::to_string(p.block.z) +
            " thread " + std::to_string(p.linear) + ")";
  b.switch_to(b.home);
  std::abort();                                // nobody resumes a thread that failed
}

unsigned barrier(bool vote) {
  Block& b = *g_block;
  if (vote) ++b.votes;
  if (++b.at_barrier < b.count) {
    b.leave(State::at_barrier);
    return b.barrier_result;
  }
  b.barrier_result = b.votes;                  // the next barrier cannot end before everyone has read it
  b.at_barrier = b.votes = 0;
  for (unsigned i = 0; i < b.count; ++i) {
    if (b.threads[i]->state == State::at_barrier) b.set_ready(*b.threads[i]);
  }
  return b.barrier_result;
}

void collective(uint32_t mask, Resolve resolve, void* data) {
  Block& b = *g_block;
  Thread& self = *Block::current;
  unsigned warp = self.place.linear / 32, own = self.place.linear % 32;
  if (!(mask >> own & 1)) fail("a lane calls a warp function whose mask does not name it");
  self.mask = mask;
  self.resolve = resolve;
  self.data = data;
  b.waiting[warp] |= uint32_t{1} << own;
  if (mask & ~b.waiting[warp]) return b.leave(State::at_collective);
  void* all[32] = {};
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    Thread& t = *b.threads[warp * 32 + i];
    if (t.mask != mask) fail("lanes of one warp function name different masks");
    if (t.resolve != resolve) fail("lanes of one warp stand in different warp functions");
    all[i] = t.data;
  }
  resolve(mask, all);
  b.waiting[warp] &= ~mask;
  for (unsigned i = 0; i < 32; ++i) {
    if ((mask >> i & 1) && i != own) b.set_ready(*b.threads[warp * 32 + i]);
  }
}

void copy(void* to, const void* from, size_t bytes, size_t whole) {
  Block& b = *g_block;
  Thread& self = *Block::current;
  if (bytes > whole || (reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % whole != 0)
    fail("a copy into shared memory that is no aligned piece");
  const Copy copy{to, from, bytes, whole, self.groups};
  const bool late = b.schedule.kind == Schedule::descending || (b.schedule.kind == Schedule::shuffled && b.next_random() % 2);
  late ? self.copies.push_back(copy) : copy.land();
}
void end_copies() { ++Block::current->groups; }
void wait_copies(unsigned groups) {
  Thread& self = *Block::current;
  for (; !self.copies.empty() && self.copies.front().group + groups < self.groups; self.copies.pop_front()) self.copies.front().land();
}

void resolve_nothing(uint32_t, void* const*) {}

void resolve_shuffle(uint32_t mask, void* const* data) {
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    Shuffle& s = *static_cast<Shuffle*>(data[i]);
    if (s.source < 0 || s.source > 31 || !(mask >> s.source & 1)) fail("a shuffle reads a lane that the mask does not name");
    s.out = static_cast<Shuffle*>(data[s.source])->in;
  }
}

void resolve_ballot(uint32_t mask, void* const* data) {
  uint32_t all = 0;
  for (unsigned i = 0; i < 32; ++i) if (mask >> i & 1) all |= static_cast<Vote*>(data[i])->in << i;
  for (unsigned i = 0; i < 32; ++i) if (mask >> i & 1) static_cast<Vote*>(data[i])->out = all;
}

namespace {
struct Mma { int (*d)[4]; const uint32_t (*a)[4]; const uint32_t (*b)[2]; };

void put4(int8_t* to, uint32_t word) { std::memcpy(to, &word, 4); }

void resolve_mma(uint32_t mask, void* const* data) {
  if (mask != 0xffffffffu) fail("mma needs the whole warp");
  int8_t a[16][32], b[8][32];
  for (int lane = 0; lane < 32; ++lane) {
    const Mma& m = *static_cast<const Mma*>(data[lane]);
    int g = lane / 4, t = lane % 4;
    put4(&a[g][4 * t], (*m.a)[0]);
    put4(&a[g + 8][4 * t], (*m.a)[1]);
    put4(&a[g][16 + 4 * t], (*m.a)[2]);
    put4(&a[g + 8][16 + 4 * t], (*m.a)[3]);
    put4(&b[g][4 * t], (*m.b)[0]);
    put4(&b[g][16 + 4 * t], (*m.b)[1]);
  }
  for (int lane = 0; lane < 32; ++lane) {
    const Mma& m = *static_cast<const Mma*>(data[lane]);
    for (int i = 0; i < 4; ++i) {
      const int8_t *row = a[lane / 4 + i / 2 * 8], *column = b[lane % 4 * 2 + i % 2];
      int sum = 0;
      for (int k = 0; k < 32; ++k) sum += row[k] * column[k];
      (*m.d)[i] = static_cast<int>(static_cast<unsigned>((*m.d)[i]) + static_cast<unsigned>(sum));
    }
  }
}
}  // namespace

void mma_s8_m16n8k32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  Mma m{&d, &a, &b};
  collective(0xffffffffu, resolve_mma, &m);
}

void set_schedule(Schedule schedule) { g_schedule = schedule; }
Counters& counters() {
  static Counters c;
  return c;
}
float atomic_add_float(float* at, float value) {
  float old = *at;
  *at = old + value;
  return old;
}

void run_grid(const std::function<void()>& body, dim3 grid, dim3 block, size_t shared_bytes) {
  if (!g_block) g_block = std::make_unique<Block>();
  g_block->schedule = g_schedule;
  g_block->random = g_schedule.seed * 0x9E3779B97F4A7C15u + ++g_launches;
  unsigned blocks = grid.x * grid.y * grid.z;
  for (unsigned i = 0; i < blocks; ++i) {
    unsigned n = g_schedule.kind == Schedule::descending ? blocks - 1 - i : i;
    g_block->start(body, {n % grid.x, n / grid.x % grid.y, n / (grid.x * grid.y)}, block, grid, shared_bytes);
    g_block->run();
    if (g_block->error.empty()) continue;
    std::string error = g_block->error;
    g_block.reset();                           // unwinds the stacks of those who wait
    throw Error(error);
  }
}

}  // namespace simt
