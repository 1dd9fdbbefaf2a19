// Steps of decoding, recorded once and replayed: some hundred launches become one.
//
// Owns: the recorded graphs, which of them to drop. Must not know: what a step does.
//
// 1. A step is run plainly the first time, so that whatever it sets up stands; the second time it is recorded.
// 2. What is replayed reads its inputs from the same addresses, and launches for the same number of rows and of blocks: all of that
//    is the key. Whoever frees or moves memory that a step may touch must call forget().
// 3. At most kMost graphs are kept; the one not used for longest goes.
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
    const auto known = steps_.find(key);
    if (known == steps_.end()) {
      ops();                                     // may call forget(); a step that fails is run plainly again
      steps_[key].last_use = ++uses_;
    } else {
      Step& s = known->second;
      s.last_use = ++uses_;
      if (!s.graph) s.graph = record(ops);
      check(cudaGraphLaunch(s.graph, stream_), "replaying a step");
    }
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

  cudaGraphExec_t record(const std::function<void()>& ops) {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording a step");
    recording_ = true;
    cudaGraph_t graph = nullptr;
    try {
      ops();
    } catch (...) {
      recording_ = false;
      if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    recording_ = false;
    check(cudaStreamEndCapture(stream_, &graph), "recording a step");
    cudaGraphExec_t exec = nullptr;
    cudaError_t made = cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    check(made, "making a graph of a step");
    return exec;
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
  bool recording_ = false;
};

}  // namespace ibid::kernels::cuda
