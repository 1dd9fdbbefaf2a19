// `ibid bench`: tokens per second, and the share of what this machine can reach, both measured in one run.
//
// 1. Read bandwidth and int8 rate are measured here and now (kernels/ops.h, measure_roofline), on the instruction set in use: before
//    and after each run. A share is of the mean of the two medians, since a shared machine's rate changes within minutes, by half and
//    more. The best windows stand beside them.
// 2. Decode is timed by its steps alone, each from its beginning to the next one's, so that everything between is in it. A run's figure is
//    their mean, as other programs' is, and the median run counts.
// 3. Shares count the work of the specification: every matrix is read once, and there is one int8 product per weight, token and pair
//    of digits; the longer of the two bounds a run. Attention, norms and sampling are on top, uncounted. AVX-512 and AVX-VNNI take three
//    instructions where w16a16 counts as four.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>

#include "runtime/random_model.h"
#include "step/clock.h"
#include "step/commands.h"
#include "step/session.h"

namespace ibid::step {
namespace {

constexpr int kShortPrompt = 16, kAnswer = 64;
constexpr size_t kCached = size_t{64} << 20;

// What is asked of the engine: a prompt of so many tokens, and so many sequences at once.
struct Load { int prompt, sequences; };

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

// What the flags ask for, of a model that was trained for so many positions. Errors: usage, bad_data, where they do not hold it.
Load load_of(const Args& args, int positions) {
  constexpr int kDecoded = kShortPrompt + kAnswer + 1;
  const std::string holds = "the model has " + std::to_string(positions) + " positions";
  if (positions < kDecoded)
    throw Error(ErrorKind::bad_data, "ibid bench", holds + ", and decoding is timed over " + std::to_string(kDecoded),
                "take a larger model");
  const int prompt = static_cast<int>(args.number("--prompt", std::min(512, positions - 1), 1, 1 << 16));
  if (prompt >= positions)
    throw Error(ErrorKind::usage, "--prompt", holds + ", too few for " + std::to_string(prompt) + " tokens and an answer",
                "at most " + std::to_string(positions - 1));
  return {prompt, static_cast<int>(args.number("--sequences", 32, 1, 4096))};
}

// int8 multiply-adds of the matrices: of all layers for one row, and of the output matrix for one row.
struct Work { double layers, output; };
Work macs_per_row(const runtime::ModelConfig& c, int products) {
  double d = c.hidden, q = static_cast<double>(c.heads) * c.head_dim, kv = static_cast<double>(c.kv_heads) * c.head_dim, f = c.intermediate;
  return {products * c.layers * (d * (q + 2 * kv) + q * d + 3 * d * f), products * static_cast<double>(c.vocab) * d};
}

// When a step began, and how many rows had been decoded until then.
struct Stamp { double at; uint64_t decoded; };

class Bench {
 public:
  // `stamps` is where the engine's between_steps adds.
  Bench(runtime::Engine& engine, int vocab, std::vector<Stamp>& stamps) : engine_(engine), vocab_(vocab), stamps_(stamps) {}

  // Seconds to answer `sequences` prompts of `prompt` tokens with `answer` tokens each, all different.
  double time(int sequences, int prompt, int answer) {
    double start = monotonic_seconds();
    for (int s = 0; s < sequences; ++s) {
      runtime::Request r;
      r.id = static_cast<uint64_t>(s);
      for (int i = 0; i < prompt; ++i) r.prompt.push_back(static_cast<int32_t>(next() % static_cast<uint64_t>(vocab_)));
      r.decoding.max_tokens = answer;
      engine_.submit(std::move(r));
    }
    while (engine_.pending() > 0) {
      stop_if_interrupted();
      std::optional<runtime::Answer> a = engine_.next();
      IBID_CHECK(!a || (!a->tokens.empty() && static_cast<int>(a->tokens.size()) <= answer));     // a refusal takes no time
    }
    return monotonic_seconds() - start;
  }

  // Seconds of a step that decodes a token of each of `sequences` and does nothing else; the mean of a run's.
  double time_per_step(int sequences) {
    stamps_.clear();
    time(sequences, kShortPrompt, kAnswer + 1);
    double sum = 0;
    int steps = 0;
    for (size_t i = 1; i < stamps_.size(); ++i) {
      if (stamps_[i].decoded - stamps_[i - 1].decoded != static_cast<uint64_t>(sequences)) continue;
      sum += stamps_[i].at - stamps_[i - 1].at;
      ++steps;
    }
    if (steps == 0)
      throw Error(ErrorKind::bad_data, "ibid bench",
                  "an answer ended before all " + std::to_string(sequences) + " sequences were decoded at once",
                  "random prompts make a small model end early: take a larger one, or other --sequences");
    return sum / steps;
  }

 private:
  uint64_t next() { return state_ = state_ * 6364136223846793005u + 1442695040888963407u, state_ >> 33; }
  runtime::Engine& engine_;
  int vocab_;
  std::vector<Stamp>& stamps_;
  uint64_t state_ = 20261122;
};

struct Line { std::string what; double value; const char* unit; double share; };

void print(const std::vector<Line>& lines, bool tsv) {
  if (tsv) std::printf("what\tvalue\tunit\tshare\n");
  for (const Line& l : lines) {
    if (tsv) std::printf("%s\t%.6g\t%s\t%s\n", l.what.c_str(), l.value, l.unit, l.share < 0 ? "" : std::to_string(l.share).c_str());
    else if (l.share < 0) std::printf("%-16s %10.4g %s\n", l.what.c_str(), l.value, l.unit);
    else std::printf("%-16s %10.4g %-10s %5.1f %% of what this machine reaches\n", l.what.c_str(), l.value, l.unit, 100 * l.share);
  }
}

// The runs of one kind: the seconds of each, and the share that it reached where both limits were measured around it.
struct Series {
  std::vector<double> seconds, shares;
  double share() const { return shares.empty() ? -1 : median(shares); }
};

// What the machine reached around the runs.
class Limits {
 public:
  explicit Limits(kernels::Device& device) : device_(device), seen_{device.measure_roofline()} {}

  // Takes a run of `seconds` that read so many bytes and did so many multiply-adds.
  void take(Series& to, double seconds, double bytes, double macs) {
    seen_.push_back(device_.measure_roofline());
    to.seconds.push_back(seconds);
    const double read = around(&kernels::Roofline::read_bytes), multiply = around(&kernels::Roofline::int8_macs);
    if (read > 0 && multiply > 0) to.shares.push_back(std::max(bytes / read, macs / multiply) / seconds);
  }
  kernels::Rate overall(kernels::Rate kernels::Roofline::*limit) const {
    std::vector<double> medians;
    kernels::Rate rate;
    for (const kernels::Roofline& r : seen_) {
      medians.push_back((r.*limit).median);
      rate.best = std::max(rate.best, (r.*limit).best);
    }
    rate.median = median(std::move(medians));
    return rate;
  }

 private:
  // The mean of the two medians around the last run; 0 when one of them could not be had (a GPU without memory for the probe).
  double around(kernels::Rate kernels::Roofline::*limit) const {
    const double before = (seen_.end()[-2].*limit).median, after = (seen_.end()[-1].*limit).median;
    return before > 0 && after > 0 ? (before + after) / 2 : 0;
  }

  kernels::Device& device_;
  std::vector<kernels::Roofline> seen_;
};

std::vector<Line> measure(runtime::Engine& engine, Bench& bench, const runtime::ModelConfig& config, kernels::Profile profile, Load load,
                          int repeat) {
  using kernels::Roofline;
  int products = 2 * kernels::weight_digits(profile);
  Work work = macs_per_row(config, products);
  double read = (work.layers + work.output) / products * kernels::weight_digits(profile);      // an embedding of its own is not read
  bench.time(1, load.prompt, 1);                       // warms clocks, and every page that is measured below
  bench.time(load.sequences, kShortPrompt, 2);
  if (engine.stats().weight_bytes < kCached)
    note("weights of less than 64 MiB may lie in caches, which are faster than the memory that shares are of");
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);                      // before the probes, whose buffer is larger than many models
  Limits limits(engine.device());
  Series prefill, one, many;
  for (int i = 0; i < repeat; ++i) {                   // everything in turn, so that a slow moment hits all alike
    limits.take(prefill, bench.time(1, load.prompt, 1), read, load.prompt * work.layers + work.output);
    limits.take(one, bench.time_per_step(1), read, work.layers + work.output);
    limits.take(many, bench.time_per_step(load.sequences), read, load.sequences * (work.layers + work.output));
  }
  kernels::Rate bytes = limits.overall(&Roofline::read_bytes), macs = limits.overall(&Roofline::int8_macs);
  const runtime::EngineStats& stats = engine.stats();
  return {{"read_bandwidth", bytes.median / 1e9, "GB/s", -1},
          {"read_best", bytes.best / 1e9, "GB/s", -1},
          {"int8_rate", macs.median / 1e9, "GMAC/s", -1},
          {"int8_best", macs.best / 1e9, "GMAC/s", -1},
          {"prefill_" + std::to_string(load.prompt), load.prompt / median(prefill.seconds), "tokens/s", prefill.share()},
          {"decode_1", 1 / median(one.seconds), "tokens/s", one.share()},
          {"decode_" + std::to_string(load.sequences), load.sequences / median(many.seconds), "tokens/s", many.share()},
          {"weights", static_cast<double>(stats.weight_bytes) / 1048576, "MiB", -1},
          {"kv_budget", static_cast<double>(stats.kv_bytes) / 1048576, "MiB", -1},
          {"peak_memory", static_cast<double>(usage.ru_maxrss) / 1024, "MiB", -1}};
}

}  // namespace

int command_bench(const Args& args) {
  kernels::Profile profile =
      args.choice("--profile", "w16a16", {"w16a16", "w8a16"}) == "w8a16" ? kernels::Profile::w8a16 : kernels::Profile::w16a16;
  bool tsv = args.choice("--format", "text", {"text", "tsv"}) == "tsv";
  double start = monotonic_seconds();
  std::optional<runtime::RandomModel> random;
  std::optional<runtime::ModelFiles> real;
  if (args.has("--model")) real.emplace(runtime::open_model(*args.get("--model")));
  else random.emplace(runtime::make_random_model(args.text("--shape", "qwen2-0.5b"), 1));
  const runtime::ModelFiles& files = real ? *real : random->files;
  runtime::Tokenizer tokenizer = make_tokenizer(files);
  runtime::EngineOptions options;
  options.profile = profile;
  const Load load = load_of(args, files.config.max_positions);
  options.context = std::min(std::max(1024, load.prompt + kAnswer), files.config.max_positions);
  options.max_batch = load.sequences;
  options.chunk = static_cast<int>(args.number("--chunk", options.chunk, 1, 1 << 20));
  options.prefix_cache = false;
  OpenedDevice opened = open_device(args);
  options.kv_bytes = opened.kv_bytes;
  std::vector<Stamp> stamps;
  const runtime::EngineStats* stats = nullptr;         // the engine's own, which is not there before it is
  options.between_steps = [&] { stamps.push_back({monotonic_seconds(), stats->decode_rows}); };
  runtime::Engine engine(std::move(opened.device), files, tokenizer, options);
  stats = &engine.stats();
  double ready = monotonic_seconds() - start;
  note(engine.device().describe() + ", " + (real ? base_name(*args.get("--model")) : args.text("--shape", "qwen2-0.5b")) + ", " +
       args.text("--profile", "w16a16"));
  int vocab = std::min(tokenizer.size(), files.config.vocab);
  Bench bench(engine, vocab, stamps);
  std::vector<Line> lines = measure(engine, bench, files.config, profile, load, static_cast<int>(args.number("--repeat", 3, 1, 99)));
  lines.push_back({"start_up", ready, "s", -1});
  print(lines, tsv);
  return kDone;
}

}  // namespace ibid::step
