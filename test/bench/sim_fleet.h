// GPUs that take shards from one line, are taken away now and then, and come back: events in the order of their time, nothing else.
//
// Owns: the bookkeeping of whole attempts. Must not know: engines; how long a shard computes is given (sim_shard.h measures it).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <queue>
#include <vector>

#include "runtime/error.h"
#include "runtime/random.h"

namespace ibid::test {

struct FleetPlan {
  int gpus = 100;
  uint64_t shards = 1;
  double start = 0;                    // of an attempt, seconds before its first record: place in the queue, container, input, model
  double engine = 0;                   // seconds that a shard computes
  double preemptions_per_hour = 0;     // of each GPU that runs something
  double replacement = 120;            // seconds until a GPU that was taken is back
  bool resume = false;                 // the next attempt finds what this one finished
  // with resume: seconds of work that are lost all the same (journal not yet synced, answers half done)
  double forgotten = 5;
  uint64_t seed = 1;
};

struct FleetResult {
  double wall = 0;                     // until the last shard is done
  double held = 0;                     // GPU seconds, of which
  double computing = 0, starting = 0, lost = 0;
  uint64_t attempts = 0, preemptions = 0;
};

inline FleetResult run_fleet(const FleetPlan& p) {
  struct Event {
    double at;
    uint64_t order;                    // ties: first come, first served
    bool ends;                         // an attempt ends; else a GPU is there
    double left;                       // of the shard, 0: done
    bool operator>(const Event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  FleetResult r;
  runtime::Random random(p.seed);
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
  std::deque<double> line(p.shards, p.engine);
  uint64_t order = 0, done = 0;
  int idle = p.gpus;
  auto next_preemption = [&] {
    if (p.preemptions_per_hour == 0) return HUGE_VAL;
    return -std::log((static_cast<double>(random.next() >> 11) + 0.5) * 0x1p-53) * 3600 / p.preemptions_per_hour;
  };
  auto begin = [&](double now) {
    for (; idle > 0 && !line.empty(); --idle) {
      const double left = line.front(), taken = next_preemption(), whole = p.start + left;
      line.pop_front();
      ++r.attempts;
      r.held += std::min(taken, whole);
      r.starting += std::min(taken, p.start);
      if (taken >= whole) {
        r.computing += left;
        events.push({now + whole, order++, true, 0});
        continue;
      }
      ++r.preemptions;
      const double computed = std::max(0.0, taken - p.start), kept = p.resume ? std::max(0.0, computed - p.forgotten) : 0;
      r.computing += kept;
      r.lost += computed - kept;
      events.push({now + taken, order++, true, left - kept});
    }
  };
  for (begin(0); done < p.shards;) {
    IBID_CHECK(!events.empty());
    const Event e = events.top();
    events.pop();
    r.wall = e.at;
    if (!e.ends || e.left == 0) ++idle;
    if (e.ends && e.left == 0) ++done;
    if (e.ends && e.left > 0) {
      line.push_back(e.left);
      events.push({e.at + p.replacement, order++, false, 0});
    }
    begin(e.at);
  }
  return r;
}

}  // namespace ibid::test
