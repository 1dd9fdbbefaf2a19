// See selftest.h.
#include "runtime/selftest.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "runtime/device_memory.h"
#include "runtime/device_proxy.h"
#include "runtime/engine.h"
#include "runtime/random.h"
#include "runtime/random_model.h"

namespace ibid::runtime {
namespace {

using namespace kernels;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kDTypes = static_cast<int>(std::size(kStorage));
constexpr Profile kProfiles[] = {Profile::w16a16, Profile::w8a16};
constexpr const char* kProfileNames[] = {"w16a16", "w8a16"};

using Bytes = std::string;

template <class T>
void append(Bytes& out, const T* values, size_t count) { out.append(reinterpret_cast<const char*>(values), count * sizeof(T)); }
template <class T>
void append(Bytes& out, T value) { append(out, &value, 1); }

// Rows of ordinary values of differing size; row 1 is zero, row 2 too small to have a scale, row 3 has one huge value.
std::vector<float> plain_rows(Random& random, int rows, int k) {
  std::vector<float> x(static_cast<size_t>(rows) * k);
  for (int t = 0; t < rows; t++) {
    for (int i = 0; i < k; i++) {
      float& v = x[static_cast<size_t>(t) * k + i];
      v = random.uniform(t == 2 ? -100 : t % 5 - 2);
      if (t == 1) v = 0;
      if (t == 3 && i == k / 2) v = 40000;
    }
  }
  return x;
}

// Where a block has its scale, and whether its minimum follows (NUMERICS 4.4, 4.6).
size_t scale_place(DType dtype) { return dtype == DType::q2_k ? 80 : dtype == DType::q3_k ? 108 : dtype == DType::q6_k ? 208 : 0; }
bool has_minimum(DType dtype) {
  return dtype == DType::q4_1 || dtype == DType::q5_1 || dtype == DType::q2_k || dtype == DType::q4_k || dtype == DType::q5_k;
}
int stored_cols(DType dtype) { return storage(dtype).block == 256 ? 512 : 96; }

// A matrix in a storage format, all values finite: random significands, exponents of a moderate range, row 1 zero.
std::vector<uint8_t> stored_bytes(Random& random, DType dtype, int rows, int cols) {
  const size_t row_bytes = stored_row_bytes(dtype, cols);
  std::vector<uint8_t> data(row_bytes * rows);
  for (uint8_t& b : data) b = static_cast<uint8_t>(random.next() >> 56);
  auto put16 = [&](size_t at, int exponent_bits, int base, int spread) {
    uint16_t h;
    std::memcpy(&h, &data[at], 2);
    const int low = 15 - exponent_bits;
    h = static_cast<uint16_t>((h & (0x8000 | ((1 << low) - 1))) | ((base + random.below(spread)) << low));
    std::memcpy(&data[at], &h, 2);
  };
  for (size_t at = 0; at < data.size(); at += storage(dtype).bytes) {
    if (dtype == DType::f32) put16(at + 2, 8, 118, 10);
    else if (dtype == DType::bf16) put16(at, 8, 118, 10);
    else put16(at + scale_place(dtype), 5, 0, dtype == DType::f16 ? 16 : 12);   // an f16 value, or the f16 scale of a block, subnormals too
    if (has_minimum(dtype)) put16(at + scale_place(dtype) + 2, 5, 0, 12);
  }
  std::fill(data.begin() + row_bytes, data.begin() + 2 * row_bytes, 0);
  return data;
}

class Selftest {
 public:
  explicit Selftest(Device& device) : device_(device), memory_(device) {}

  Bytes embed(DType dtype);
  Bytes gather_rows();
  Bytes convert_weight(DType dtype, Profile profile);
  Bytes matmul(Profile profile);
  Bytes quantize();
  Bytes norm_quantize();
  Bytes gated_matmul(Profile profile);
  Bytes rope_table();
  Bytes rope_store(bool normed);
  Bytes attention();
  Bytes copy_page();
  Bytes sample();
  Bytes generation(const char* shape, Profile profile);

 private:
  // Device copies of host values, and back.
  template <class T>
  T* put(const std::vector<T>& values) {
    T* to = memory_.array<T>(values.size(), "selftest");
    device_.upload(to, values.data(), values.size() * sizeof(T));
    device_.sync();
    return to;
  }
  template <class T>
  void get(Bytes& out, const T* from, size_t count) {
    std::vector<T> values(count);
    device_.download(values.data(), from, count * sizeof(T));
    append(out, values.data(), count);
  }
  QuantRows quant_rows(int rows, int k) { return {k, memory_.bytes(device_.quant_rows_bytes(rows, k), "selftest")}; }
  Weight weight(int n, int k, Profile profile) {
    return {n, k, profile, memory_.bytes(device_.weight_bytes(n, k, profile), "selftest"), nullptr};
  }
  Bytes observe(const QuantRows& q, int rows, const uint8_t* bad);

  struct Sequences;                                                  // K/V of a few sequences, for the attention checks

  Device& device_;
  DeviceMemory memory_;
};

std::vector<float> unit_matrix(int k) {
  std::vector<float> unit(static_cast<size_t>(k) * k, 0.0f);
  for (int i = 0; i < k; i++) unit[static_cast<size_t>(i) * k + i] = 1;
  return unit;
}

// What quantised rows hold: their product with the unit matrix; then their error flags.
Bytes Selftest::observe(const QuantRows& q, int rows, const uint8_t* bad) {
  Weight w = weight(q.k, q.k, Profile::w16a16);
  const std::vector<float> unit = unit_matrix(q.k);
  device_.convert_weight(w, 0, {unit.data(), DType::f32, q.k, q.k}, nullptr);
  float* y = memory_.array<float>(static_cast<size_t>(rows) * q.k, "selftest");
  device_.matmul(w, q, rows, y, nullptr);
  Bytes out;
  get(out, y, static_cast<size_t>(rows) * q.k);
  get(out, bad, rows);
  return out;
}

Bytes Selftest::embed(DType dtype) {
  constexpr int kRows = 19;
  const int cols = stored_cols(dtype);
  Random random(11);
  const auto table = stored_bytes(random, dtype, kRows, cols);
  const std::vector<int32_t> ids = {0, 18, 1, 7, 7, 2, 13};
  Batch batch;
  batch.rows = static_cast<int>(ids.size());
  batch.token = put(ids);
  float* x = memory_.array<float>(ids.size() * cols, "selftest");
  const StoredMatrix stored{table.data(), dtype, kRows, cols};
  const size_t bytes = device_.table_bytes(stored);
  device_.embed(device_.place_table(stored, bytes ? memory_.bytes(bytes, "selftest") : nullptr), batch, x);
  Bytes out;
  get(out, x, ids.size() * cols);
  return out;
}

Bytes Selftest::gather_rows() {
  constexpr int kCols = 77;
  Random random(12);
  const float* x = put(plain_rows(random, 9, kCols));
  const std::vector<int32_t> index = {8, 0, 3, 3, 5};
  float* y = memory_.array<float>(index.size() * kCols, "selftest");
  device_.gather_rows(x, put(index), static_cast<int>(index.size()), kCols, y);
  Bytes out;
  get(out, y, index.size() * kCols);
  return out;
}

// Two sources in one weight, the second in reversed order behind a gap; then sources that must be refused.
Bytes Selftest::convert_weight(DType dtype, Profile profile) {
  constexpr int kRows = 35, kOffset = 38, kTotal = kOffset + kRows;
  const int cols = stored_cols(dtype);
  Random random(13);
  const auto first = stored_bytes(random, dtype, kRows, cols), second = stored_bytes(random, dtype, kRows, cols);
  std::vector<int32_t> reversed(kRows);
  for (int i = 0; i < kRows; i++) reversed[i] = kRows - 1 - i;
  Bytes out;
  Weight w = weight(kTotal, cols, profile);
  append(out, device_.convert_weight(w, 0, {first.data(), dtype, kRows, cols}, nullptr));
  append(out, device_.convert_weight(w, kOffset, {second.data(), dtype, kRows, cols}, reversed.data()));
  const QuantRows unit = quant_rows(cols, cols);
  uint8_t* bad = memory_.array<uint8_t>(cols, "selftest");
  device_.quantize(put(unit_matrix(cols)), cols, cols, unit, bad);
  float* y = memory_.array<float>(static_cast<size_t>(cols) * kTotal, "selftest");
  device_.matmul(w, unit, cols, y, nullptr);
  get(out, y, static_cast<size_t>(cols) * kTotal);
  if (dtype != DType::f32) return out;
  for (float value : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> spoilt(static_cast<size_t>(kRows) * cols, 1.0f);
    spoilt[5 * cols + 17] = value;
    Weight refused = weight(kRows, cols, profile);
    append(out, device_.convert_weight(refused, 0, {spoilt.data(), DType::f32, kRows, cols}, nullptr));
  }
  return out;
}

// Shapes that are no multiple of any tile, with bias and residual and with neither; one row and several.
Bytes Selftest::matmul(Profile profile) {
  constexpr int kN = 71, kK = 328, kRows = 13;
  Random random(14);
  const auto source = stored_bytes(random, DType::f32, kN, kK);
  Weight w = weight(kN, kK, profile);
  device_.convert_weight(w, 0, {source.data(), DType::f32, kN, kK}, nullptr);
  const QuantRows a = quant_rows(kRows, kK);
  uint8_t* bad = memory_.array<uint8_t>(kRows, "selftest");
  Bytes out;
  for (int rows : {kRows, 1}) {
    device_.quantize(put(plain_rows(random, rows, kK)), rows, kK, a, bad);
    float* y = put(plain_rows(random, rows, kN));
    device_.matmul(w, a, rows, y, nullptr);
    get(out, y, static_cast<size_t>(rows) * kN);
    w.bias = put(plain_rows(random, 1, kN));
    device_.matmul(w, a, rows, y, y);
    get(out, y, static_cast<size_t>(rows) * kN);
    w.bias = nullptr;
  }
  return out;
}

Bytes Selftest::quantize() {
  constexpr int kRows = 8, kK = 104;
  Random random(15);
  std::vector<float> x = plain_rows(random, kRows, kK);
  x[5 * kK + 3] = kInfinity;
  x[6 * kK + 99] = std::numeric_limits<float>::quiet_NaN();
  const QuantRows q = quant_rows(kRows, kK);
  uint8_t* bad = memory_.array<uint8_t>(kRows, "selftest");
  device_.quantize(put(x), kRows, kK, q, bad);
  return observe(q, kRows, bad);
}

Bytes Selftest::norm_quantize() {
  constexpr int kRows = 8, kK = 104;
  Random random(16);
  std::vector<float> x = plain_rows(random, kRows, kK);
  x[5 * kK + 50] = -kInfinity;
  const QuantRows q = quant_rows(kRows, kK);
  uint8_t* bad = memory_.array<uint8_t>(kRows, "selftest");
  device_.norm_quantize(put(x), put(plain_rows(random, 1, kK)), 1e-5f, kRows, kK, q, bad);
  return observe(q, kRows, bad);
}

// As matmul(); the biases make gates from -154 to 154.
Bytes Selftest::gated_matmul(Profile profile) {
  constexpr int kF = 45, kK = 328, kRows = 13;
  Random random(17);
  Weight w = weight(kernels::gated_rows(kF), kK, profile);
  std::vector<int32_t> map(kF);
  std::vector<float> bias(w.n);
  for (int i = 0; i < kF; i++) {
    map[i] = kernels::gate_row(i);
    bias[map[i]] = static_cast<float>(7 * (i - kF / 2));
  }
  for (int row : {0, kernels::kGate}) {
    const auto source = stored_bytes(random, DType::f32, kF, kK);
    device_.convert_weight(w, row, {source.data(), DType::f32, kF, kK}, map.data());
  }
  const QuantRows a = quant_rows(kRows, kK);
  uint8_t* bad = memory_.array<uint8_t>(kRows, "selftest");
  float* y = memory_.array<float>(size_t{kRows} * kF, "selftest");
  Bytes out;
  for (int rows : {kRows, 1}) {
    device_.quantize(put(plain_rows(random, rows, kK)), rows, kK, a, bad);
    for (const float* of_rows : {static_cast<const float*>(nullptr), static_cast<const float*>(put(bias))}) {
      w.bias = of_rows;
      device_.gated_matmul(w, a, rows, kF, y);
      get(out, y, static_cast<size_t>(rows) * kF);
    }
  }
  return out;
}

Bytes Selftest::rope_table() {
  constexpr int kHeadDim = 64, kPositions = 4096;
  std::vector<float> table(size_t{kPositions} * kHeadDim);
  Bytes out;
  kernels::rope_table(1e6, kHeadDim, nullptr, kPositions, table.data());
  append(out, table.data(), table.size());
  std::vector<double> divisors(kHeadDim / 2);
  for (int i = 0; i < kHeadDim / 2; i++) divisors[i] = 1 + 0.25 * i;
  kernels::rope_table(500000, kHeadDim, divisors.data(), kPositions, table.data());
  append(out, table.data(), table.size());
  return out;
}

// Sequences of given lengths, each in pages of its own, all rows stored in one step; the last row of each asks. Page 0 is free.
struct Selftest::Sequences {
  static constexpr int kHeads = 6, kKvHeads = 2, kHeadDim = 32, kLayers = 2, kMaxPages = 3, kLayer = 1;
  static constexpr int kWidth = (kHeads + 2 * kKvHeads) * kHeadDim;
  Sequences(Selftest& self, const std::vector<int>& lengths, uint64_t seed) : s(self) {
    std::vector<int32_t> position, sequence, table;
    int next_page = 1;
    for (size_t i = 0; i < lengths.size(); i++) {
      for (int p = 0; p < lengths[i]; p++) position.push_back(p), sequence.push_back(static_cast<int32_t>(i));
      for (int p = 0; p < kMaxPages; p++) table.push_back(p * kBlock < lengths[i] ? next_page++ : 0);
      last.push_back(static_cast<int32_t>(position.size()) - 1);
    }
    rows = static_cast<int>(position.size());
    kv.shape = {kLayers, kKvHeads, kHeadDim};
    kv.pages = s.memory_.bytes(s.device_.kv_page_bytes(kv.shape) * next_page, "selftest");
    q.data = s.memory_.bytes(s.device_.quant_heads_bytes(rows, kHeads, kHeadDim), "selftest");
    bad = s.memory_.array<uint8_t>(rows, "selftest");
    host_table = table;
    const int longest = *std::max_element(lengths.begin(), lengths.end());
    batch = {rows, nullptr, s.put(position), s.put(sequence), s.put(table), kMaxPages, longest, longest - 1};
    Random random(seed);
    qkv = plain_rows(random, rows, kWidth);
    std::vector<float> angles(size_t{kMaxPages} * kBlock * kHeadDim);
    kernels::rope_table(1e4, kHeadDim, nullptr, kMaxPages * kBlock, angles.data());
    rope.table = s.put(angles);
  }
  void store() { s.device_.rope_store(s.put(qkv), kHeads, batch, rope, kLayer, kv, q, bad); }
  // What the given rows (null: all) read.
  Bytes read(const std::vector<int32_t>* query_rows) {
    const int queries = query_rows ? static_cast<int>(query_rows->size()) : rows;
    float* out = s.memory_.array<float>(static_cast<size_t>(queries) * kHeads * kHeadDim, "selftest");
    s.device_.attention(q, kHeads, batch, query_rows ? s.put(*query_rows) : nullptr, queries, kLayer, kv, out);
    Bytes bytes;
    s.get(bytes, out, static_cast<size_t>(queries) * kHeads * kHeadDim);
    return bytes;
  }
  Selftest& s;
  int rows = 0;
  std::vector<int32_t> last, host_table;
  std::vector<float> qkv;
  Batch batch;
  KvCache kv;
  QuantHeads q;
  Rope rope;
  uint8_t* bad = nullptr;
};

// Short sequences: one position shows v, a few show the rotated q and k. Not every row is finite.
Bytes Selftest::rope_store(bool normed) {
  Sequences a(*this, {1, 1, 3, 5, 2}, 18);
  if (normed) {
    Random random(24);
    const std::vector<float> weights = plain_rows(random, 1, 2 * Sequences::kHeadDim);
    const float* norms = put(weights);
    a.rope = {a.rope.table, norms, norms + Sequences::kHeadDim, 1e-6f};
    a.qkv[2 * Sequences::kWidth + Sequences::kHeads * Sequences::kHeadDim + 3] = kInfinity;   // a head of k
  }
  a.qkv[a.qkv.size() - 5] = kInfinity;                                // a head of v
  a.store();
  Bytes out = a.read(nullptr);
  get(out, a.bad, a.rows);
  return out;
}

// One, two and three blocks, full and not; all rows and only the last ones.
Bytes Selftest::attention() {
  Sequences a(*this, {7, 128, 129, 300}, 19);
  a.store();
  return a.read(nullptr) + a.read(&a.last);
}

Bytes Selftest::copy_page() {
  Sequences a(*this, {100, 200}, 20);
  a.store();
  device_.copy_page(a.kv, a.host_table[0], 0);
  a.host_table[0] = 0;
  a.batch.page_table = put(a.host_table);
  return a.read(&a.last);
}

Bytes Selftest::sample() {
  constexpr int kVocab = 700, kStride = 704, kMaxTop = 6;
  Random random(21);
  std::vector<SampleSpec> specs(9);
  std::vector<int32_t> seen = {3, 9, 27, 81, 243};
  std::vector<uint32_t> mask((kVocab + 31) / 32, 0x55555555u);
  specs[1].top_logprobs = kMaxTop;
  specs[2].temperature = 0.8f;
  specs[3] = {.temperature = 1.5f, .top_k = 40, .top_logprobs = 2};
  specs[4] = {.temperature = 1, .top_p = 0.9f};
  specs[5] = {.temperature = 1, .min_p = 0.05f};
  specs[6] = {.temperature = 0.7f, .top_k = 50, .top_p = 0.95f, .min_p = 0.01f, .repetition_penalty = 1.2f, .seen = seen.data(),
              .seen_count = static_cast<int>(seen.size()), .mask = mask.data()};
  specs[7] = {.repetition_penalty = 0.5f, .seen = seen.data(), .seen_count = static_cast<int>(seen.size())};
  std::vector<float> logits(specs.size() * kStride);
  for (size_t i = 0; i < logits.size(); i++) logits[i] = random.uniform(3) + random.uniform(2);
  logits[8 * kStride + 600] = kInfinity;
  for (size_t i = 0; i < specs.size(); i++) specs[i].noise_key = random.next(), specs[i].sample_index = i % 3, specs[i].position = 17 * i;
  std::vector<Sampled> sampled(specs.size());
  std::vector<TokenLogprob> top(specs.size() * kMaxTop);
  device_.sample(put(logits), static_cast<int>(specs.size()), kVocab, kStride, specs.data(), sampled.data(), top.data(), kMaxTop);
  Bytes out;
  for (size_t i = 0; i < specs.size(); i++) {
    const Sampled& s = sampled[i];
    append(out, s.bad);
    if (s.bad) continue;
    append(out, s.token), append(out, s.logprob), append(out, s.runner_up), append(out, s.margin);
    for (int j = 0; j < specs[i].top_logprobs; j++) append(out, top[i * kMaxTop + j].id), append(out, top[i * kMaxTop + j].logprob);
  }
  return out;
}

// Ragged prompts, most of them behind the same 35 tokens, so that pages are copied; greedy and sampled in turn.
Bytes Selftest::generation(const char* shape, Profile profile) {
  constexpr int kLengths[] = {3, 130, 40, 170, 1};
  const RandomModel model = make_random_model(shape, 22);
  const Tokenizer tokenizer = Tokenizer::from_huggingface(model.files.tokenizer, Json());
  EngineOptions options;
  options.profile = profile, options.context = 384, options.max_batch = 4, options.chunk = 96;
  Engine engine(std::make_unique<DeviceProxy>(device_), model.files, tokenizer, options);
  Random random(23);
  for (int i = 0; i < 5; i++) {
    Request r;
    r.id = i;
    for (int j = 0; j < kLengths[i]; j++) r.prompt.push_back((j * j + 7 * j + (j >= 35 ? i : 0)) % 380);
    r.decoding.max_tokens = 12;
    r.decoding.temperature = i % 2 ? 0.8f : 0.0f;
    r.decoding.logprobs = 2;
    r.noise_key = random.next();
    engine.submit(std::move(r));
  }
  std::vector<Answer> answers(5);
  while (auto a = engine.next()) answers[a->id] = *a;
  Bytes out;
  for (const Answer& a : answers) {
    append(out, static_cast<int32_t>(a.status));
    for (const AnswerToken& t : a.tokens) {
      append(out, t.id), append(out, t.logprob), append(out, t.runner_up), append(out, t.margin);
      for (const TokenLogprob& alternative : t.top) append(out, alternative.id), append(out, alternative.logprob);
    }
    out += a.text;
  }
  return out;
}

std::string lower_name(DType dtype) {
  std::string name = storage(dtype).name;
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

struct Entry {
  SelftestCheck check;
  std::function<Bytes(Selftest&)> run;
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = [] {
    std::vector<Entry> e;
    const std::vector<std::string> product = {"convert_weight", "quantize", "matmul"}, heads = {"rope_store", "attention"};
    auto with = [](std::vector<std::string> ops, const char* op) { return ops.push_back(op), ops; };
    for (int i = 0; i < kDTypes; i++) {
      const DType dtype = static_cast<DType>(i);
      e.push_back({{"embed " + lower_name(dtype), {"embed"}}, [=](Selftest& s) { return s.embed(dtype); }});
    }
    e.push_back({{"gather_rows", {"gather_rows"}}, &Selftest::gather_rows});
    e.push_back({{"sample", {"sample"}}, &Selftest::sample});
    e.push_back({{"quantize", product}, &Selftest::quantize});
    e.push_back({{"norm_quantize", {"convert_weight", "norm_quantize", "matmul"}}, &Selftest::norm_quantize});
    for (int p = 0; p < 2; p++) {
      e.push_back({{std::string("matmul ") + kProfileNames[p], product}, [p](Selftest& s) { return s.matmul(kProfiles[p]); }});
      e.push_back({{std::string("gated_matmul ") + kProfileNames[p], {"convert_weight", "quantize", "gated_matmul"}},
                   [p](Selftest& s) { return s.gated_matmul(kProfiles[p]); }});
    }
    for (int i = 0; i < 2 * kDTypes; i++) {
      const DType dtype = static_cast<DType>(i / 2);
      e.push_back({{"convert_weight " + lower_name(dtype) + " " + kProfileNames[i % 2], product},
                   [=](Selftest& s) { return s.convert_weight(dtype, kProfiles[i % 2]); }});
    }
    e.push_back({{"rope_table", {"rope_table"}}, &Selftest::rope_table});
    e.push_back({{"rope_store", heads}, [](Selftest& s) { return s.rope_store(false); }});
    e.push_back({{"rope_store of normed heads", heads}, [](Selftest& s) { return s.rope_store(true); }});
    e.push_back({{"attention", heads}, &Selftest::attention});
    e.push_back({{"copy_page", with(heads, "copy_page")}, &Selftest::copy_page});
    const std::vector<std::string> whole = {"embed", "gather_rows", "sample", "quantize", "norm_quantize", "matmul", "gated_matmul",
                                            "convert_weight", "rope_table", "rope_store", "attention", "copy_page"};
    for (const char* shape : {"tiny", "tiny-llama", "tiny-qwen3"}) {
      for (int p = 0; p < 2; p++) {
        e.push_back({{std::string("generation ") + shape + " " + kProfileNames[p], whole},
                     [=](Selftest& s) { return s.generation(shape, kProfiles[p]); }});
      }
    }
    return e;
  }();
  return all;
}

}  // namespace

const std::vector<SelftestCheck>& selftest_checks() {
  static const std::vector<SelftestCheck> checks = [] {
    std::vector<SelftestCheck> c;
    for (const Entry& e : entries()) c.push_back(e.check);
    return c;
  }();
  return checks;
}

void run_selftest(Device& device, const std::function<void(const std::string& name, std::string_view bytes)>& report) {
  for (const Entry& e : entries()) {
    Selftest fresh(device);                                            // its buffers go before the next check begins
    report(e.check.name, e.run(fresh));
  }
}

}  // namespace ibid::runtime
