// Steps of decoding, recorded once and replayed: some hundred launches become one.
//
// Owns: the recorded graphs, which of them to drop. Must not know: what a step does.
//
// 1. A step is run plainly the first time, so that whatever it sets up stands; the second time it is recorded.
// 2. What is replayed reads its inputs from the same addresses, and launches for the same number of rows and of blocks: all of that
//    is the key. Whoever frees or moves memory that a step may touch must call forget().
// 3. At most kMost graphs are kept; the one not used for longest goes.
// 4. A step that cannot be recorded is run plainly, and so is every step from then on: a recording runs nothing, so nothing runs twice, and
//    no bit depends on the way. What was kept is forgotten, for memory may be what was wanting.
#pragma once
#include <compare>
#include <functional>
#include <map>

#include "kernels/cuda/check.h"

namespace ibid::kernels::cuda {

struct StepKey {
  int rows = 0, wanted = 0, blocks = 0;
  const void *token = nullptr, *page_table = nullptr;
  auto operator<=>(const StepKey&) const = default;
};

class Graphs {
 public:
  explicit Graphs(cudaStream_t stream) : stream_(stream) {}
  ~Graphs() { forget(); }
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;

  bool recording() const { return recording_; }

  void run(const StepKey& key, const std::function<void()>& ops) {
    if (replay(key, ops)) return;
    ops();                                       // may call forget(); a step that fails is run plainly again
    if (given_up_) return;
    steps_[key].last_use = ++uses_;
    if (steps_.size() > kMost) drop_oldest();
  }

  void forget() {
    for (auto& [key, s] : steps_) destroy(s);
    steps_.clear();
  }

 private:
  static constexpr size_t kMost = 64;
  struct Step {
    cudaGraphExec_t graph = nullptr;
    unsigned long long last_use = 0;
  };

  // False when the step is to be run plainly: nothing of it is on its way.
  bool replay(const StepKey& key, const std::function<void()>& ops) {
    const auto known = steps_.find(key);
    if (known == steps_.end()) return false;
    Step& s = known->second;
    s.last_use = ++uses_;
    if (!s.graph) s.graph = record(ops);
    if (!s.graph) return give_up(), false;
    const cudaError_t e = cudaGraphLaunch(s.graph, stream_);
    if (e == cudaErrorMemoryAllocation) return give_up(), false;       // it takes memory of its own when it is first launched
    check(e, "replaying a step");
    return true;
  }

  // Null when the step cannot be recorded. Why is not asked: what is wrong with the step itself its plain run will say.
  cudaGraphExec_t record(const std::function<void()>& ops) {
    if (cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) != cudaSuccess) return nullptr;
    recording_ = true;
    bool whole = true;
    try {
      ops();
    } catch (...) {
      whole = false;
    }
    recording_ = false;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    if (cudaStreamEndCapture(stream_, &graph) != cudaSuccess) return nullptr;
    if (whole && cudaGraphInstantiate(&exec, graph, 0) != cudaSuccess) exec = nullptr;
    cudaGraphDestroy(graph);
    return exec;
  }

  void give_up() {
    given_up_ = true;
    cudaGetLastError();
    forget();
  }

  void drop_oldest() {
    auto oldest = steps_.begin();
    for (auto it = steps_.begin(); it != steps_.end(); ++it) {
      if (it->second.last_use < oldest->second.last_use) oldest = it;
    }
    destroy(oldest->second);
    steps_.erase(oldest);
  }
  static void destroy(Step& s) {
    if (s.graph) cudaGraphExecDestroy(s.graph);
    s.graph = nullptr;
  }

  cudaStream_t stream_;
  std::map<StepKey, Step> steps_;
  unsigned long long uses_ = 0;
  bool recording_ = false, given_up_ = false;
};

}  // namespace ibid::kernels::cuda
