// One shard's engine, simulated: the real engine, scheduler and prefix cache over a clock (sim_device.h), fed as `ibid run` feeds them.
//
// Owns: the workload, and what is read off the clock. Must not know: fleets.
#pragma once
#include <cmath>
#include <memory>
#include <vector>

#include "runtime/engine.h"
#include "runtime/random.h"
#include "runtime/random_model.h"
#include "test/bench/sim_device.h"

namespace ibid::test {

// A prefix that all records share (instructions, examples), then a record's own text, log-normal; answers uniform.
struct Workload {
  int shared = 500, median = 700, shortest = 300, longest = 2000, answer_least = 50, answer_most = 200;
  double spread = 0.5;                 // sigma of the logarithm
  uint64_t seed = 1;
};

struct SimRecord { int own = 0, answer = 0; };

// Record i of a workload, whatever shard it falls into.
inline SimRecord sim_record(const Workload& w, uint64_t i) {
  runtime::Random random(w.seed ^ (i + 1) * 0x9e3779b97f4a7c15u);
  const double u = (static_cast<double>(random.next() >> 11) + 0.5) * 0x1p-53;
  const double v = (static_cast<double>(random.next() >> 11) + 0.5) * 0x1p-53;
  const double normal = std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
  SimRecord r;
  r.own = static_cast<int>(std::clamp(w.median * std::exp(w.spread * normal), static_cast<double>(w.shortest),
                                      static_cast<double>(w.longest)));
  r.answer = w.answer_least + random.below(w.answer_most - w.answer_least + 1);
  return r;
}

struct ShardTimes {
  double seconds = 0;                  // of the engine, from the first record to the last answer
  double draining = 0;                 // of these, after the batch could no longer be filled
  uint64_t records = 0, prompt_tokens = 0, answer_tokens = 0;
  runtime::EngineStats stats;
};

// A model of which only the shape matters.
struct SimModel {
  explicit SimModel(const char* shape)
      : model(runtime::make_random_model(shape, 1)),
        tokenizer(runtime::Tokenizer::from_huggingface(model.files.tokenizer, model.files.tokenizer_config)) {
    model.files.config.eos_ids = {SimDevice::kEnd};
  }
  runtime::RandomModel model;
  runtime::Tokenizer tokenizer;
};

// One process: an engine with a cold prefix cache, and its clock at 0 when the first record comes.
class SimEngine {
 public:
  // context: of the step; the K/V cache gets all that the device has beside the model, as on a GPU.
  SimEngine(const SimModel& m, const SimMachine& machine, kernels::Profile profile, int max_batch, int chunk, int context = 4096)
      : max_batch_(max_batch) {
    auto device = std::make_unique<SimDevice>(machine);
    device_ = device.get();
    runtime::EngineOptions options;
    options.profile = profile;
    options.context = context;
    options.kv_bytes = 0;
    options.max_batch = max_batch;
    options.chunk = chunk;
    engine_ = std::make_unique<runtime::Engine>(std::move(device), m.model.files, m.tokenizer, options);
  }
  SimDevice& device() { return *device_; }
  runtime::Engine& engine() { return *engine_; }

  // Answers records [first, first + count): the loop of step/session.cc, answer_all().
  ShardTimes run(const Workload& w, uint64_t first, uint64_t count) {
    ShardTimes t;
    const double begin = device_->clock();
    double full_until = begin;
    for (uint64_t next = 0; next < count || engine_->pending() > 0;) {
      for (; next < count && engine_->pending() < engine_->capacity(); ++next) submit(w, first + next, t);
      if (next < count || engine_->pending() >= max_batch_) full_until = device_->clock();
      std::optional<runtime::Answer> answer = engine_->next();
      IBID_CHECK(answer && answer->status == runtime::Status::ok);
      t.answer_tokens += answer->tokens.size();
      ++t.records;
    }
    t.seconds = device_->clock() - begin;
    t.draining = device_->clock() - full_until;
    t.stats = engine_->stats();
    return t;
  }

 private:
  void submit(const Workload& w, uint64_t number, ShardTimes& t) {
    const SimRecord record = sim_record(w, number);
    runtime::Request r;
    r.id = number;
    r.prompt.assign(w.shared, SimDevice::kWord);
    runtime::Random random(number * 2 + 1);
    r.prompt.push_back(256 + static_cast<int32_t>(number % 128));       // so that the next records share no more than they should
    while (r.prompt.size() < static_cast<size_t>(w.shared + record.own)) r.prompt.push_back(256 + random.below(128));
    r.noise_key = r.prompt.size() + record.answer - 1;                  // where the end token stands
    r.decoding.max_tokens = w.answer_most + 1;
    t.prompt_tokens += r.prompt.size();
    engine_->submit(std::move(r));
  }

  SimDevice* device_ = nullptr;
  int max_batch_;
  std::unique_ptr<runtime::Engine> engine_;
};

}  // namespace ibid::test
