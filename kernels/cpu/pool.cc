#include "kernels/cpu/pool.h"

#include <utility>

#include "kernels/cpu/fpenv.h"

namespace ibid::kernels {
namespace {

// Ops of one token follow each other within microseconds, so a worker waits that long awake; then it offers its core to
// others that are ready to run, and at last it sleeps.
constexpr int kSpins = 2000, kYields = 50;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr uint64_t pack(int next, int end) { return static_cast<uint64_t>(next) << 32 | static_cast<uint32_t>(end); }
constexpr int next_of(uint64_t left) { return static_cast<int>(left >> 32); }
constexpr int end_of(uint64_t left) { return static_cast<int>(static_cast<uint32_t>(left)); }

// Takes the first task of a share, or the last one.
bool take(std::atomic<uint64_t>& left, bool first, int* task) {
  uint64_t now = left.load(std::memory_order_acquire);
  while (next_of(now) < end_of(now)) {
    const uint64_t then = first ? pack(next_of(now) + 1, end_of(now)) : pack(next_of(now), end_of(now) - 1);
    if (left.compare_exchange_weak(now, then, std::memory_order_acq_rel, std::memory_order_acquire)) {
      *task = first ? next_of(now) : end_of(now) - 1;
      return true;
    }
  }
  return false;
}

}  // namespace

Pool::Pool(int threads) : shares_(static_cast<size_t>(threads > 1 ? threads : 1)) {
  try {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
  } catch (...) {                                   // a process may have only so many
    end();
    throw;
  }
}

Pool::~Pool() { end(); }

void Pool::end() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

int Pool::end_of_share(int tasks, int task) const {
  const int worker = static_cast<int>(((int64_t{task} + 1) * threads() - 1) / tasks);      // the last whose first task is not after it
  return first_task(tasks, worker + 1);
}

bool Pool::claim(int worker, int* task) {
  const size_t own = static_cast<size_t>(worker);
  if (take(shares_[own].left, true, task)) return true;
  for (size_t other = own + 1; other < shares_.size() + own; other++)
    if (take(shares_[other % shares_.size()].left, false, task)) return true;
  return false;
}

void Pool::drain(int worker) {
  int task = 0, done = 0;
  while (claim(worker, &task)) {
    try {
      (*task_)(task, worker);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      failure_ = std::current_exception();
    }
    done++;
  }
  if (done > 0) unfinished_.fetch_sub(done, std::memory_order_acq_rel);
}

// Waits for a round after `last`; false when there will be none.
bool Pool::await_round(uint64_t last) {
  for (int i = 0; i < kSpins + kYields; i++) {
    if (round_.load(std::memory_order_relaxed) != last) return true;
    if (i < kSpins) relax(); else std::this_thread::yield();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  // run() begins the round, then reads sleepers_; here it is the other way round, both in one total order: whichever comes
  // second sees the other, so no wake-up is lost.
  sleepers_.fetch_add(1);
  wake_.wait(lock, [&] { return stop_.load() || round_.load() != last; });
  sleepers_.fetch_sub(1);
  return !stop_.load();
}

void Pool::work(int worker) {
  set_fp_env();
  for (uint64_t round = 0; await_round(round);) {
    round = round_.load();
    drain(worker);
  }
}

void Pool::run(int tasks, TaskRef task) {
  set_fp_env();
  if (tasks <= 1 || workers_.empty()) {
    for (int i = 0; i < tasks; i++) task(i, 0);
    return;
  }
  task_ = &task;
  unfinished_.store(tasks, std::memory_order_relaxed);
  for (int w = 0; w < threads(); w++)
    shares_[static_cast<size_t>(w)].left.store(pack(first_task(tasks, w), first_task(tasks, w + 1)), std::memory_order_release);
  round_.fetch_add(1);
  if (sleepers_.load() > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }   // a worker between its check and its sleep holds this lock
    wake_.notify_all();
  }
  drain(0);
  for (int i = 0; unfinished_.load(std::memory_order_acquire) != 0; i++) {
    if (i < kSpins) relax(); else std::this_thread::yield();
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace ibid::kernels
