// The simulation behind examples/scale.md is not dead: its clock is what one can work out by hand, agrees with ROOFLINE.md, and
// never beats the machine that it is given.
#include "test/bench/sim_fleet.h"
#include "test/bench/sim_shard.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::test;
using kernels::Profile;

namespace {

// Everything is free but the reading of weights, 2^20 bytes a second: every time is exact.
SimMachine only_weights() {
  const double free = HUGE_VAL;
  SimMachine m{.kv_bytes = free, .cache_bytes = free, .product_macs = free, .attention_macs = free, .start = 0, .small = 0, .sample = 0,
               .host = 0};
  m.weight_bytes = 1 << 20;
  return m;
}

// Weights of "tiny-llama": 2 layers of qkv 384 x 64, o 64 x 128, gate and up 352 x 64, down 64 x 176; output 389 x 64.
constexpr double kLayer = 384 * 64 + 64 * 128 + 352 * 64 + 64 * 176, kOutput = 389 * 64;

Workload one_length(int shared, int own, int answer) {
  return {.shared = shared, .median = own, .shortest = own, .longest = own, .answer_least = answer, .answer_most = answer};
}

}  // namespace

TEST_CASE("a record's time is that of reading the weights once for each step") {
  SimModel model("tiny-llama");
  for (auto [profile, digits] : {std::pair{Profile::w8a16, 1}, {Profile::w16a16, 2}}) {
    SimEngine sim(model, only_weights(), profile, 4, 64, 1024);
    // 100 tokens of prompt in pieces of 64: the first step wants no logits, so it ends after the last layer's qkv. Then 7 tokens.
    ShardTimes t = sim.run(one_length(60, 40, 7), 0, 1);
    CHECK(t.seconds == digits * ((kLayer + 384 * 64) + 7 * (2 * kLayer + kOutput)) / (1 << 20));
    CHECK(t.draining == t.seconds);                                  // one record never fills a batch of 4
    CHECK(t.answer_tokens == 7);
    CHECK(t.prompt_tokens == 100);
    CHECK(t.stats.steps == 8);
  }
}

TEST_CASE("the shared prefix is computed once, and a batch shares the reading of weights") {
  SimModel model("tiny-llama");
  SimEngine alone(model, only_weights(), Profile::w8a16, 1, 64, 1024), batch(model, only_weights(), Profile::w8a16, 8, 64, 1024);
  const Workload w = one_length(300, 20, 30);
  ShardTimes a = alone.run(w, 0, 40), b = batch.run(w, 0, 40);
  CHECK(a.stats.cached_rows == 39 * 300);
  CHECK(b.stats.cached_rows == 39 * 300);
  CHECK(a.stats.decode_rows == 40 * 29);
  CHECK(b.stats.decode_rows == 40 * 29);
  CHECK(b.seconds < a.seconds / 4);
  CHECK(a.answer_tokens == b.answer_tokens);
}

TEST_CASE("the clock agrees with the estimates of ROOFLINE.md") {
  SimModel model("llama-8b");
  auto near = [](double value, double estimate) { return std::abs(value - estimate) < 0.05 * estimate; };
  for (auto [profile, decode, prefill] : {std::tuple{Profile::w8a16, 5.0e-3, 145e-3}, {Profile::w16a16, 7.1e-3, 246e-3}}) {
    SimEngine few(model, {}, profile, 64, 1 << 16);                  // all prompts in one step, so that all answers go on together
    few.run(one_length(0, 448, 65), 0, 64);
    INFO(few.device().last_step());
    CHECK(near(few.device().last_step(), decode));
    SimEngine many(model, {}, profile, 1, 4095, 4096);
    double seconds = many.run(one_length(0, 4095, 1), 0, 1).seconds;
    INFO(seconds);
    CHECK(near(seconds, prefill));
    CHECK_FALSE(near(seconds, 1.2 * prefill));                       // the control
  }
}

TEST_CASE("no throughput is beyond the machine, and half the machine takes twice the time") {
  SimModel model("llama-8b");
  const Workload w;
  SimMachine m, half;
  for (double* rate : {&half.weight_bytes, &half.kv_bytes, &half.cache_bytes, &half.product_macs, &half.attention_macs}) *rate /= 2;
  for (double* time : {&half.start, &half.small, &half.sample, &half.host}) *time *= 2;
  SimEngine sim(model, m, Profile::w8a16, 64, 512), slow(model, half, Profile::w8a16, 64, 512);
  ShardTimes t = sim.run(w, 0, 300);
  // two digits of activations; the layers alone
  const double rows = static_cast<double>(t.stats.prompt_rows + t.stats.decode_rows), macs = 2 * 6.98e9;
  CHECK(t.records == 300);
  CHECK(rows * macs / t.seconds < m.product_macs);
  CHECK(rows * macs / t.seconds > 0.3 * m.product_macs);             // alive
  CHECK(slow.run(w, 0, 300).seconds == 2 * t.seconds);
  CHECK(t.draining > 0);
  CHECK(t.draining < t.seconds / 2);
}

TEST_CASE("records are the same in whichever shard they are, of the lengths that were asked for") {
  const Workload w;
  double own = 0, answer = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    SimRecord r = sim_record(w, i);
    CHECK((r.own >= w.shortest && r.own <= w.longest && r.answer >= w.answer_least && r.answer <= w.answer_most));
    own += r.own, answer += r.answer;
  }
  CHECK(std::abs(answer / 20000 - 125) < 1.5);
  CHECK(own / 20000 > w.median);                                     // a log-normal's mean is above its median
  CHECK(own / 20000 < 1.3 * w.median);
  SimModel model("tiny-llama");
  const Workload small{.shared = 20, .median = 30, .shortest = 10, .longest = 60, .answer_least = 3, .answer_most = 9};
  SimEngine whole(model, {}, Profile::w8a16, 4, 64, 1024), first(model, {}, Profile::w8a16, 4, 64, 1024);
  SimEngine second(model, {}, Profile::w8a16, 4, 64, 1024);
  ShardTimes a = whole.run(small, 0, 100), b = first.run(small, 0, 60), c = second.run(small, 60, 40);
  CHECK(a.answer_tokens == b.answer_tokens + c.answer_tokens);
  CHECK(a.seconds < b.seconds + c.seconds);                          // two tails instead of one
}

TEST_CASE("a fleet without preemption is arithmetic") {
  FleetPlan p{.gpus = 3, .shards = 7, .start = 10, .engine = 100};
  FleetResult r = run_fleet(p);
  CHECK(r.wall == 3 * 110);                                          // 3, 3 and 1 of them
  CHECK(r.held == 7 * 110);
  CHECK(r.computing == 700);
  CHECK(r.starting == 70);
  CHECK(r.lost == 0);
  CHECK(r.attempts == 7);
  p.gpus = 1;
  CHECK(run_fleet(p).wall == 7 * 110);
}

TEST_CASE("preemption costs what was not kept") {
  FleetPlan p{.gpus = 20, .shards = 200, .start = 30, .engine = 600, .preemptions_per_hour = 2, .forgotten = 5};
  FleetResult lost = run_fleet(p);
  p.resume = true;
  FleetResult kept = run_fleet(p);
  for (const FleetResult& r : {lost, kept}) {
    CHECK(std::abs(r.computing - 200 * 600) < 1e-6);                 // every shard is done once, however often it was begun
    CHECK(std::abs(r.held - (r.computing + r.starting + r.lost)) < 1e-6);
    CHECK(r.attempts == 200 + r.preemptions);
    CHECK(r.preemptions > 20);
  }
  CHECK(kept.lost < 5.0 * static_cast<double>(kept.preemptions) + 1e-6);
  CHECK(lost.lost > 10 * kept.lost);
  CHECK(kept.wall < lost.wall);
  // Without resume an attempt of length a is repeated until one is not taken: (exp(la) - 1) / l seconds in the mean.
  const double l = 2.0 / 3600, a = 630, expected = 200 * (std::exp(l * a) - 1) / l;
  double held = 0;
  p.resume = false;
  for (p.seed = 1; p.seed <= 50; ++p.seed) held += run_fleet(p).held / 50;
  CHECK(std::abs(held - expected) < 0.03 * expected);
  p.preemptions_per_hour = 0;
  CHECK(run_fleet(p).preemptions == 0);                              // the control
}
