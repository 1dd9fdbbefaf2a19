// 10^7 records on 100 GPUs, simulated: the tables of examples/scale.md.
//   scale_sim [key=value]...     keys and defaults below; stdout: tab-separated tables, always the same;
//                                stderr: what the engine itself cost
//
// First the engine: shards of every size over the same `sample` records, each by the real engine and scheduler over a clock
// (sim_shard.h, sim_device.h). Then the fleet: those times, starts and preemptions as events (sim_fleet.h), the mean of 20 seeds.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>

#include "test/bench/sim_fleet.h"
#include "test/bench/sim_shard.h"

using namespace ibid;
using namespace ibid::test;

namespace {

struct Settings {
  std::map<std::string, double> values{
      {"records", 1e7},      {"gpus", 100},
      {"sample", 1e5},       // records that the engine answers for each size of shard
      {"digits", 1},         // of a weight: 1 is w8a16, 2 is w16a16
      {"batch", 64},         {"chunk", 512},
      {"queue", 20},         // seconds: a place in the queue, a container
      {"model_bytes", 16e9}, {"model_rate", 1e9},    // the file of an 8B model in bf16; bytes/s of one task from a network file system
      {"crowded_rate", 1e8}, // the same when 100 tasks share a server of 10 GB/s
      {"input", 640},        // seconds in which a shard (not a piece) reads all of the input twice while its GPU waits
      {"replacement", 120},  // seconds until a GPU that was taken is back
  };
  double operator[](const std::string& key) const { return values.at(key); }
};

Settings settings_of(int argc, char** argv) {
  Settings s;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    if (equals == std::string::npos || !s.values.count(word.substr(0, equals))) {
      std::fprintf(stderr, "scale_sim: '%s' is not key=value with one of:", argv[i]);
      for (const auto& [key, value] : s.values) std::fprintf(stderr, " %s=%g", key.c_str(), value);
      std::fprintf(stderr, "\n");
      std::exit(2);
    }
    s.values[word.substr(0, equals)] = std::atof(word.c_str() + equals + 1);
  }
  return s;
}

struct Size { uint64_t records; double seconds, draining; };   // of one shard, in the mean

// All sizes answer the same records, so what they differ in is what each shard costs by being one.
std::vector<Size> run_engines(const Settings& s) {
  const SimModel model("llama-8b");
  const auto profile = s["digits"] == 2 ? kernels::Profile::w16a16 : kernels::Profile::w8a16;
  const auto sample = static_cast<uint64_t>(s["sample"]);
  std::vector<Size> sizes;
  std::printf("shard\tshards run\tprompt tokens\tof them cached\tanswer tokens\tseconds of a shard\tof them draining\t"
              "records/s\tanswer tokens/s\n");
  for (uint64_t records : {1000, 5000, 10000, 50000, 100000}) {
    if (records > sample) continue;
    ShardTimes sum;
    uint64_t steps = 0, shards = sample / records, cached = 0;
    const std::clock_t begin = std::clock();
    for (uint64_t i = 0; i < shards; i++) {
      SimEngine sim(model, {}, profile, static_cast<int>(s["batch"]), static_cast<int>(s["chunk"]));
      ShardTimes t = sim.run({}, i * records, records);
      sum.seconds += t.seconds, sum.draining += t.draining, sum.records += t.records;
      sum.prompt_tokens += t.prompt_tokens, sum.answer_tokens += t.answer_tokens;
      steps += t.stats.steps, cached += t.stats.cached_rows;
    }
    std::fprintf(stderr, "shards of %llu: %.0f us of CPU for a step of engine and scheduler\n", static_cast<unsigned long long>(records),
                 1e6 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / static_cast<double>(steps));
    const double n = static_cast<double>(shards);
    sizes.push_back({records, sum.seconds / n, sum.draining / n});
    std::printf("%llu\t%llu\t%.0f\t%.1f %%\t%.0f\t%.1f\t%.1f\t%.2f\t%.0f\n", static_cast<unsigned long long>(records),
                static_cast<unsigned long long>(shards), static_cast<double>(sum.prompt_tokens) / static_cast<double>(sum.records),
                100.0 * static_cast<double>(cached) / static_cast<double>(sum.prompt_tokens),
                static_cast<double>(sum.answer_tokens) / static_cast<double>(sum.records), sum.seconds / n, sum.draining / n,
                static_cast<double>(sum.records) / sum.seconds, static_cast<double>(sum.answer_tokens) / sum.seconds);
    std::fflush(stdout);
  }
  return sizes;
}

FleetResult mean_of_seeds(FleetPlan p) {
  constexpr int kSeeds = 20;
  FleetResult sum;
  for (p.seed = 1; p.seed <= kSeeds; ++p.seed) {
    FleetResult r = run_fleet(p);
    sum.wall += r.wall / kSeeds, sum.held += r.held / kSeeds, sum.starting += r.starting / kSeeds, sum.lost += r.lost / kSeeds;
  }
  return sum;
}

// start: seconds of an attempt before its first record.
void run_fleets(const Settings& s, const std::vector<Size>& sizes, const char* what, double start) {
  const double steady = sizes.back().seconds / static_cast<double>(sizes.back().records);      // the largest shard's, tail and all
  std::printf("\n%s: %.0f records, %.0f GPUs, %.0f s from the start of an attempt to its first record\n", what, s["records"], s["gpus"],
              start);
  std::printf("shard\tshards\ttaken per GPU hour\tresume\twall h\tGPU h\tstarting %%\ttails %%\tlost %%\n");
  for (const Size& size : sizes) {
    for (double rate : {0.0, 1 / 24.0, 1.0}) {
      for (bool resume : {false, true}) {
        if (rate == 0 && resume) continue;
        FleetPlan p{.gpus = static_cast<int>(s["gpus"]), .shards = static_cast<uint64_t>(s["records"]) / size.records, .start = start,
                    .engine = size.seconds, .preemptions_per_hour = rate, .replacement = s["replacement"], .resume = resume};
        const FleetResult r = mean_of_seeds(p);
        const double tails = static_cast<double>(p.shards) * (size.seconds - steady * static_cast<double>(size.records));
        std::printf("%llu\t%llu\t%.3g\t%s\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\n", static_cast<unsigned long long>(size.records),
                    static_cast<unsigned long long>(p.shards), rate, rate == 0 ? "-" : resume ? "yes" : "no",
                    r.wall / 3600, r.held / 3600, 100 * r.starting / r.held, 100 * tails / r.held, 100 * r.lost / r.held);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = settings_of(argc, argv);
  const std::vector<Size> sizes = run_engines(settings);
  const double queue = settings["queue"], model = settings["model_bytes"];
  run_fleets(settings, sizes, "pieces", queue + model / settings["model_rate"]);
  run_fleets(settings, sizes, "pieces, a crowded file server", queue + model / settings["crowded_rate"]);
  run_fleets(settings, sizes, "shards, which read all of the input", queue + model / settings["model_rate"] + settings["input"]);
}
