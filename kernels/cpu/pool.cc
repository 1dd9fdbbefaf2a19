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

uint32_t unclaimed(uint64_t state) { return static_cast<uint32_t>(state); }

}  // namespace

Pool::Pool(int threads) {
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

bool Pool::claim(int* task) {
  uint64_t state = state_.load(std::memory_order_acquire);
  while (unclaimed(state) != 0) {
    if (state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      *task = tasks_ - static_cast<int>(unclaimed(state));
      return true;
    }
  }
  return false;
}

void Pool::drain(int worker) {
  int task = 0, done = 0;
  while (claim(&task)) {
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

bool Pool::await_work() {
  for (int i = 0; i < kSpins + kYields; i++) {
    if (unclaimed(state_.load(std::memory_order_relaxed)) != 0) return true;
    if (i < kSpins) relax(); else std::this_thread::yield();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  // run() stores the state, then reads sleepers_; here it is the other way round, both in one total order: whichever comes
  // second sees the other, so no wake-up is lost.
  sleepers_.fetch_add(1);
  wake_.wait(lock, [this] { return stop_.load() || unclaimed(state_.load()) != 0; });
  sleepers_.fetch_sub(1);
  return !stop_.load();
}

void Pool::work(int worker) {
  set_fp_env();
  while (await_work()) drain(worker);
}

void Pool::run(int tasks, TaskRef task) {
  set_fp_env();
  if (tasks <= 1 || workers_.empty()) {
    for (int i = 0; i < tasks; i++) task(i, 0);
    return;
  }
  task_ = &task;
  tasks_ = tasks;
  unfinished_.store(tasks, std::memory_order_relaxed);
  const uint64_t round = (state_.load(std::memory_order_relaxed) >> 32) + 1;
  state_.store(round << 32 | static_cast<uint32_t>(tasks));
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
