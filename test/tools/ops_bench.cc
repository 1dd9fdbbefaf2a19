// Times every CPU op at the shapes of a 0.5B Qwen2: ops_bench [isa] [threads].
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <vector>

#include "kernels/ops.h"
#include "test/unit/random.h"

using namespace ibid::kernels;

namespace {

constexpr int kHeads = 14, kKvHeads = 2, kDim = 64, kHidden = 896, kFeed = 4864, kVocab = 151936;
int threads = 1;

// Seconds of processor time per call and thread, so that a busy machine does not count; the best of several batches.
double seconds(const std::function<void()>& call) {
  auto batch = [&](int n) {
    std::clock_t start = std::clock();
    for (int i = 0; i < n; ++i) call();
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / n / threads;
  };
  int n = static_cast<int>(0.02 / (batch(1) + 1e-9)) + 1;
  double best = batch(n);
  for (int i = 0; i < 4; ++i) best = std::min(best, batch(n));
  return best;
}

std::vector<float> numbers(size_t n) {
  ibid::test::Random random(n);
  std::vector<float> x(n);
  for (float& v : x) v = random.uniform() * 4 - 2;
  return x;
}

void report(const char* name, double s, double units, const char* unit) {
  std::printf("%-34s %10.2f us  %8.2f %s\n", name, s * 1e6, units / s * 1e-9, unit);
}

void time_rows(Device& d, int rows) {
  std::vector<float> x = numbers(static_cast<size_t>(rows) * kFeed), weight = numbers(kFeed);
  std::vector<uint8_t> bad(static_cast<size_t>(rows));
  QuantRows hidden{kHidden, d.alloc(d.quant_rows_bytes(rows, kHidden))}, feed{kFeed, d.alloc(d.quant_rows_bytes(rows, kFeed))};
  std::printf("-- %d rows\n", rows);
  report("norm_quantize 896", seconds([&] { d.norm_quantize(x.data(), weight.data(), 1e-6f, rows, kHidden, hidden, bad.data()); }),
         1.0 * rows * kHidden, "G/s");
  report("quantize 896", seconds([&] { d.quantize(x.data(), rows, kHidden, hidden, bad.data()); }), 1.0 * rows * kHidden, "G/s");
  report("quantize 4864", seconds([&] { d.quantize(x.data(), rows, kFeed, feed, bad.data()); }), 1.0 * rows * kFeed, "G/s");
}

// A yardstick for the rest: the gate and up matrix, which is 58 % of a layer's products.
void time_matmul(Device& d, int rows) {
  Weight w{2 * kFeed, kHidden, Profile::w16a16, d.alloc(d.weight_bytes(2 * kFeed, kHidden, Profile::w16a16)), nullptr};
  std::vector<float> values = numbers(static_cast<size_t>(2 * kFeed) * kHidden), y(static_cast<size_t>(rows) * 2 * kFeed);
  d.convert_weight(w, 0, {values.data(), DType::f32, 2 * kFeed, kHidden}, nullptr);
  QuantRows a{kHidden, d.alloc(d.quant_rows_bytes(rows, kHidden))};
  std::vector<uint8_t> bad(static_cast<size_t>(rows));
  d.quantize(values.data(), rows, kHidden, a, bad.data());
  report("matmul 9728 x 896", seconds([&] { d.matmul(w, a, rows, y.data(), nullptr); }), 1.0 * rows * 2 * kFeed * kHidden,
         "GMAC/s (16 bits)");
  report("gated_matmul 9728 x 896", seconds([&] { d.gated_matmul(w, a, rows, kFeed, y.data()); }), 1.0 * rows * 2 * kFeed * kHidden,
         "GMAC/s (16 bits)");
}

// `rows` rows of one sequence that end at `length`.
void time_attention(Device& d, int rows, int length) {
  int pages = (length + kBlock - 1) / kBlock, width = (kHeads + 2 * kKvHeads) * kDim;
  KvCache kv{{1, kKvHeads, kDim}, nullptr};
  kv.pages = d.alloc(static_cast<size_t>(pages) * d.kv_page_bytes(kv.shape));
  std::vector<float> rope(static_cast<size_t>(pages) * kBlock * kDim), out(static_cast<size_t>(rows) * kHeads * kDim);
  rope_table(1e6, kDim, nullptr, pages * kBlock, rope.data());
  std::vector<int32_t> table(static_cast<size_t>(pages)), position, sequence;
  for (int i = 0; i < pages; ++i) table[static_cast<size_t>(i)] = i;
  QuantHeads q{d.alloc(d.quant_heads_bytes(length, kHeads, kDim))};
  std::vector<uint8_t> bad(static_cast<size_t>(length));
  std::vector<float> qkv = numbers(static_cast<size_t>(length) * static_cast<size_t>(width));
  auto batch = [&](int first, int count) {
    position.clear();
    sequence.assign(static_cast<size_t>(count), 0);
    for (int i = 0; i < count; ++i) position.push_back(first + i);
    Batch b;
    b.rows = count;
    b.position = position.data();
    b.sequence = sequence.data();
    b.page_table = table.data();
    b.max_pages = pages;
    b.longest_run = count;
    b.last_position = first + count - 1;
    return b;
  };
  Batch all = batch(0, length);
  d.rope_store(qkv.data(), kHeads, all, {rope.data()}, 0, kv, q, bad.data());
  Batch last = batch(length - rows, rows);
  std::printf("-- attention, %d rows, %d positions\n", rows, length);
  report("rope_store", seconds([&] { d.rope_store(qkv.data(), kHeads, last, {rope.data()}, 0, kv, q, bad.data()); }), 1.0 * rows * width,
         "G/s");
  double macs = 0;
  for (int p = length - rows; p < length; ++p) macs += 2.0 * kHeads * kDim * (p + 1);
  report("attention", seconds([&] { d.attention(q, kHeads, last, nullptr, rows, 0, kv, out.data()); }), macs, "GMAC/s (16 bits)");
}

void time_sample(Device& d) {
  std::vector<float> logits = numbers(kVocab);
  Sampled out;
  SampleSpec spec;
  TokenLogprob top[5];
  std::printf("-- sample, one row of %d\n", kVocab);
  report("greedy", seconds([&] { d.sample(logits.data(), 1, kVocab, kVocab, &spec, &out, nullptr, 0); }), kVocab, "G/s");
  spec.top_logprobs = 5;
  report("greedy, 5 log-probabilities", seconds([&] { d.sample(logits.data(), 1, kVocab, kVocab, &spec, &out, top, 5); }), kVocab, "G/s");
  spec.top_logprobs = 0;
  spec.temperature = 0.8f;
  report("temperature", seconds([&] { d.sample(logits.data(), 1, kVocab, kVocab, &spec, &out, nullptr, 0); }), kVocab, "G/s");
  spec.top_k = 50;
  report("temperature, top-k 50", seconds([&] { d.sample(logits.data(), 1, kVocab, kVocab, &spec, &out, nullptr, 0); }), kVocab, "G/s");
  spec.top_k = 0;
  spec.top_p = 0.9f;
  report("temperature, top-p 0.9 (flat)", seconds([&] { d.sample(logits.data(), 1, kVocab, kVocab, &spec, &out, nullptr, 0); }), kVocab,
         "G/s");
}

void time_embed(Device& d) {
  const int cols = 4096, rows = 256;
  std::vector<uint8_t> table(static_cast<size_t>(cols) * rows * 4, 1);
  std::vector<int32_t> token;
  for (int i = 0; i < rows; ++i) token.push_back(i);
  std::vector<float> x(static_cast<size_t>(rows) * cols);
  Batch b;
  b.rows = rows;
  b.token = token.data();
  std::printf("-- embed, bytes of float32 per second, all threads\n");
  for (size_t i = 0; i < std::size(kStorage); ++i) {
    StoredMatrix m{table.data(), static_cast<DType>(i), rows, cols};
    report(kStorage[i].name, seconds([&] { d.embed(m, b, x.data()); }), 4.0 * rows * cols, "GB/s");
  }
}

}  // namespace

int main(int argc, char** argv) {
  Isa isa = best_isa();
  for (Isa i : kIsas) {
    if (argc > 1 && !std::strcmp(argv[1], isa_name(i)) && isa_available(i)) isa = i;
  }
  if (argc > 2) threads = std::max(1, std::atoi(argv[2]));
  std::unique_ptr<Device> d = make_cpu_device(isa, threads);
  std::printf("%s\n", d->describe().c_str());
  for (int rows : {1, 512}) {
    time_rows(*d, rows);
    time_matmul(*d, rows);
  }
  time_attention(*d, 512, 512);
  time_attention(*d, 1, 4096);
  time_sample(*d);
  time_embed(*d);
}
