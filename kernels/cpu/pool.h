// A fixed set of threads that share out the tasks of one loop.
//
// Owns: the threads. Must not know: what a task does.
//
// 1. Each worker has a share of neighbouring tasks and takes them in order, one by one: what it reads for the next task follows what it
//    reads for this one. Whoever has none left takes the last of another's, so a delayed thread delays one task.
// 2. run() returns after every task has returned; what the tasks wrote is then visible to the caller.
// 3. Calls come from one thread at a time, and a task does not call run() of its own pool.
// 4. No result may depend on which worker ran a task: `worker` only picks scratch memory.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace ibid::kernels {

// A borrowed callable void(int task, int worker); it must outlive the call that it is passed to.
class TaskRef {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::remove_cvref_t<F>, TaskRef>>>
  TaskRef(F&& f)  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, int task, int worker) { (*static_cast<std::remove_reference_t<F>*>(object))(task, worker); }) {}
  void operator()(int task, int worker) const { call_(object_, task, worker); }

 private:
  void* object_;
  void (*call_)(void*, int, int);
};

class Pool {
 public:
  explicit Pool(int threads);        // the caller is worker 0; threads - 1 more are made. Throws std::system_error when they cannot be
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  // task(0 .. tasks - 1, worker in 0 .. threads() - 1). Throws what a task has thrown, after all have ended.
  void run(int tasks, TaskRef task);
  // The end of the share that `task` of `tasks` is in: those up to there are most likely the same worker's.
  int end_of_share(int tasks, int task) const;

 private:
  // What is left of a worker's share: the next task in the upper half, the end in the lower.
  // Its owner takes from the front, others from the back.
  struct alignas(64) Share { std::atomic<uint64_t> left{0}; };

  int first_task(int tasks, int worker) const { return static_cast<int>(int64_t{tasks} * worker / threads()); }
  bool claim(int worker, int* task);
  void drain(int worker);
  void work(int worker);
  bool await_round(uint64_t last);
  void end();

  // Written before the shares, each of which is published by a release and claimed by an acquire. A claim keeps run() waiting, so this is
  // stable while a claimed task is running; a worker that comes late from the loop before takes tasks of this one, as good as any.
  const TaskRef* task_ = nullptr;
  std::vector<Share> shares_;                        // one for each worker
  alignas(64) std::atomic<uint64_t> round_{0};       // loops begun
  alignas(64) std::atomic<int> unfinished_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

}  // namespace ibid::kernels
