// The engine's face: how answers end, what is refused, what a numeric error touches; and a trained model against the
// reference implementation's own logits and greedy choices.
#include "runtime/engine.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "runtime/answer.h"
#include "runtime/device_proxy.h"
#include "runtime/error.h"
#include "test/catch.h"
#include "test/unit/promise.h"

using namespace ibid;
using namespace ibid::runtime;
using namespace ibid::test;

namespace {

struct World {
  explicit World(EngineOptions o = {.context = 256}, RandomModel m = make_random_model("tiny", 1))
      : model(std::move(m)), tokenizer(tokenizer_of(model.files)),
        engine(kernels::make_cpu_device(kernels::best_isa(), 1), model.files, tokenizer, o) {}
  Answer run(const Request& r) {
    engine.submit(r);
    return *engine.next();
  }
  RandomModel model;
  Tokenizer tokenizer;
  Engine engine;
};

Request request(std::vector<int32_t> prompt, int max_tokens) {
  Request r;
  r.prompt = std::move(prompt);
  r.decoding.max_tokens = max_tokens;
  return r;
}

std::vector<int32_t> ids_of(const Answer& a) {
  std::vector<int32_t> ids;
  for (const AnswerToken& t : a.tokens) ids.push_back(t.id);
  return ids;
}

AnswerToken token(int32_t id) { return {id, 0, -1, 0, {}}; }

// Pushes the bytes of text one token each; returns how many tokens were taken.
int push_bytes(AnswerBuilder& a, const std::string& text) {
  int taken = 0;
  for (unsigned char c : text) {
    taken++;
    if (a.push(token(c))) break;
  }
  return taken;
}

// Answers of the byte-level tokenizer of random models: id = place in the vocabulary, 0 to 255 the bytes.
const Tokenizer& bytes_tokenizer() {
  static const RandomModel model = make_random_model("tiny", 1);
  static const Tokenizer tokenizer = tokenizer_of(model.files);
  return tokenizer;
}

}  // namespace

TEST_CASE("an answer ends at an end token, which is no text") {
  const std::vector<int32_t> ends = {10, 300};
  AnswerBuilder a(bytes_tokenizer(), ends, {}, 100);
  CHECK(push_bytes(a, "hello\nmore") == 6);
  CHECK(a.answer().text == "hello");
  CHECK(a.answer().status == Status::ok);
  CHECK(a.answer().tokens.size() == 6);
  CHECK(a.answer().tokens.back().id == 10);
}

TEST_CASE("an answer ends before the first stop string, across token borders") {
  const std::vector<int32_t> ends;
  {
    AnswerBuilder a(bytes_tokenizer(), ends, {"###", "lo w"}, 100);
    CHECK(push_bytes(a, "hello world###") == 7);
    CHECK(a.answer().text == "hel");
    CHECK(a.answer().status == Status::ok);
  }
  {
    AnswerBuilder a(bytes_tokenizer(), ends, {"aab", "b"}, 100);      // both end here: the one that begins first cuts
    CHECK(push_bytes(a, "xaaab") == 5);
    CHECK(a.answer().text == "xa");
    AnswerBuilder b(bytes_tokenizer(), ends, {"b", "aab"}, 100);      // in whatever order they are named
    CHECK(push_bytes(b, "xaaab") == 5);
    CHECK(b.answer().text == "xa");
  }
  {
    AnswerBuilder a(bytes_tokenizer(), ends, {"257."}, 100);          // within one token's text
    CHECK_FALSE(a.push(token('x')));
    CHECK(a.push(token(257)));
    CHECK(a.answer().text == "x");
    CHECK(a.answer().tokens.size() == 2);
  }
}

TEST_CASE("an answer ends when its budget is spent, with the text that was still held back") {
  const std::vector<int32_t> ends;
  AnswerBuilder a(bytes_tokenizer(), ends, {"\n\n"}, 3);
  CHECK(push_bytes(a, "abcdef") == 3);
  CHECK(a.answer().text == "abc");
  CHECK(a.answer().status == Status::truncated);

  AnswerBuilder half(bytes_tokenizer(), ends, {}, 2);                 // the first bytes of a three-byte character
  CHECK(push_bytes(half, "\xe2\x82\xac") == 2);
  CHECK(half.answer().text == "\xef\xbf\xbd");

  AnswerBuilder stopped(bytes_tokenizer(), ends, {"\xef\xbf\xbd"}, 2);
  push_bytes(stopped, "\xe2\x82\xac");
  CHECK(stopped.answer().text == "");
  CHECK(stopped.answer().status == Status::ok);
}

TEST_CASE("text that was held back is text at an end token and after a numeric error too, and a stop string in it excuses no error") {
  const std::vector<int32_t> ends = {300};
  for (const std::vector<std::string>& stop : {std::vector<std::string>{}, {"\xef\xbf\xbd"}}) {
    AnswerBuilder ended(bytes_tokenizer(), ends, stop, 100), failed(bytes_tokenizer(), ends, stop, 100);
    push_bytes(ended, "a\xe2\x82");
    CHECK(ended.push(token(300)));
    CHECK(ended.answer().status == Status::ok);
    push_bytes(failed, "a\xe2\x82");
    failed.end(Status::numeric_error);
    CHECK(failed.answer().status == Status::numeric_error);
    for (AnswerBuilder* a : {&ended, &failed}) CHECK(a->answer().text == (stop.empty() ? "a\xef\xbf\xbd" : "a"));
  }
}

TEST_CASE("tokens that were seen are distinct, in order of first appearance") {
  SeenTokens seen(70);
  for (int32_t id : {5, 69, 5, 0, 37, 69}) seen.add(id);
  CHECK(seen.ids() == std::vector<int32_t>{5, 69, 0, 37});
}

TEST_CASE("noise belongs to the position: an answer that goes on from a longer prompt goes on as it did") {
  World w;
  Request r = request({1, 2, 3, 4}, 12);
  r.decoding.temperature = 1;
  r.noise_key = 77;
  const std::vector<int32_t> whole = ids_of(w.run(r));
  REQUIRE(whole.size() == 12);
  r.prompt.insert(r.prompt.end(), whole.begin(), whole.begin() + 5);
  r.decoding.max_tokens = 7;
  CHECK(ids_of(w.run(r)) == std::vector<int32_t>(whole.begin() + 5, whole.end()));
}

TEST_CASE("rows are counted as what they were: of prompts, of answers, or found in the cache") {
  World w;
  const std::vector<int32_t> prompt(100, 7);
  w.run(request(prompt, 3));
  CHECK(w.engine.stats().prompt_rows == 100);
  CHECK(w.engine.stats().decode_rows == 2);
  CHECK(w.engine.stats().cached_rows == 0);
  w.run(request(prompt, 3));
  CHECK(w.engine.stats().prompt_rows == 101);
  CHECK(w.engine.stats().decode_rows == 4);
  CHECK(w.engine.stats().cached_rows == 99);
}

TEST_CASE("token budget, full context and overflow") {
  World w({.context = 32});
  Answer a = w.run(request({1, 2, 3}, 5));
  CHECK(a.status == Status::truncated);
  CHECK(a.tokens.size() == 5);
  CHECK(a.prompt_tokens == 3);

  const std::vector<int32_t> fits(31, 7), too_long(32, 7);
  a = w.run(request(fits, 100));
  CHECK(a.status == Status::truncated);
  CHECK(a.tokens.size() == 1);
  a = w.run(request(too_long, 1));
  CHECK(a.status == Status::overflow);
  CHECK(a.tokens.empty());
  CHECK(a.text == "");
  a = w.run(request({1}, 1000));
  CHECK(a.tokens.size() == 31);
  CHECK(w.engine.pending() == 0);
  CHECK_FALSE(w.engine.next().has_value());
}

TEST_CASE("end ids come from the model; no id beyond the tokenizer is ever chosen") {
  World plain;
  const std::vector<int32_t> ids = ids_of(plain.run(request({5, 6, 7}, 12)));
  REQUIRE(ids.size() == 12);
  auto first = [&](int32_t id) { return std::find(ids.begin(), ids.end(), id) - ids.begin(); };

  RandomModel ended = make_random_model("tiny", 1);
  ended.files.config.eos_ids = {ids[5]};
  World w({.context = 256}, std::move(ended));
  const Answer a = w.run(request({5, 6, 7}, 12));
  CHECK(a.status == Status::ok);
  CHECK(a.tokens.size() == size_t(first(ids[5]) + 1));

  RandomModel smaller = make_random_model("tiny", 1);
  Json& vocab = const_cast<Json&>(smaller.files.tokenizer.at("model").at("vocab"));
  vocab.members().resize(300);
  World limited({.context = 256}, std::move(smaller));
  for (int32_t id : ids_of(limited.run(request({5, 6, 7}, 50)))) CHECK(id < 300);
}

TEST_CASE("a stop string ends generation and cuts the text") {
  World w;
  const Answer whole = w.run(request({9, 8, 7}, 20));
  REQUIRE(whole.text.size() > 8);
  Request r = request({9, 8, 7}, 20);
  r.decoding.stop = {whole.text.substr(5, 3)};
  const Answer a = w.run(r);
  CHECK(a.status == Status::ok);
  CHECK(a.text == whole.text.substr(0, whole.text.find(r.decoding.stop[0])));
  CHECK(a.tokens.size() <= whole.tokens.size());
}

TEST_CASE("samples of one prompt differ from each other and not from themselves; alternatives are reported") {
  World w;
  Request r = request({1, 2, 3, 4}, 16);
  r.decoding.temperature = 1;
  r.decoding.logprobs = 3;
  r.noise_key = 77;
  std::vector<std::vector<int32_t>> first, second;
  for (auto* all : {&first, &second}) {
    for (uint32_t i = 0; i < 4; i++) {
      r.sample_index = i;
      const Answer a = w.run(r);
      all->push_back(ids_of(a));
      for (const AnswerToken& t : a.tokens) {
        REQUIRE(t.top.size() == 3);
        CHECK(t.top[0].logprob >= t.top[1].logprob);
        CHECK(t.top[1].logprob >= t.top[2].logprob);
        CHECK(t.logprob <= t.top[0].logprob);
        CHECK(t.runner_up != t.id);
        CHECK(t.margin >= 0);
      }
    }
  }
  CHECK(first == second);
  CHECK(first[0] != first[1]);
  r.decoding.logprobs = 10'000;                                       // more than there are tokens
  const Answer all = w.run(r);
  CHECK(all.tokens[0].top.size() == size_t(w.model.files.config.vocab));
  CHECK(all.tokens[0].top.back().id >= 0);
}

TEST_CASE("logits() shows the rows that tokens are chosen from") {
  World w({.context = 256, .max_batch = 5, .chunk = 64});
  std::map<int, std::vector<float>> seen;
  w.engine.observe([&](uint64_t, int position, const float* logits, int vocab) { seen[position].assign(logits, logits + vocab); });
  std::vector<int32_t> all;
  for (int i = 0; i < 140; i++) all.push_back(i * 7 % 500);
  const size_t prompt = all.size();
  for (int32_t id : ids_of(w.run(request(all, 8)))) all.push_back(id);
  const std::vector<float> logits = w.engine.logits(all);
  const size_t vocab = w.model.files.config.vocab;
  REQUIRE(logits.size() == all.size() * vocab);
  REQUIRE(seen.size() == 8);
  for (const auto& [position, row] : seen) {
    CHECK(std::equal(row.begin(), row.end(), logits.begin() + (position - 1) * vocab, same_bits));
  }
  CHECK(prompt + 8 == all.size());
  CHECK(w.run(request({1, 2}, 3)).tokens.size() == 3);                // and the engine goes on
  CHECK_THROWS_AS(w.engine.logits(std::vector<int32_t>(257, 1)), Error);
  for (int i = 0; i < 40; i++) CHECK(w.engine.logits({1, 2}).size() == 2 * vocab);   // more often than there are pages: they come back
}

TEST_CASE("what cannot run is refused when the engine opens or the request arrives") {
  auto open = [](EngineOptions o) { World w(o); };
  CHECK(says([&] { open({.context = 2048}); }, "a context of 2048 positions was asked for, but the model was trained for 1024"));
  CHECK_NOTHROW(open({.context = 1024}));
  CHECK(says([&] { open({.context = 1025}); }, "a context of 1025 positions was asked for"));
  CHECK(says([&] { open({.context = -1}); }, "a context of -1 positions was asked for"));
  CHECK(says([&] { open({.context = 512, .kv_bytes = 1000}); }, "a budget of 1000 bytes cannot hold one sequence of 512 positions"));
  const ModelConfig c = make_random_model("tiny", 1).files.config;
  const size_t page = kernels::make_cpu_device(kernels::Isa::scalar, 1)->kv_page_bytes({c.layers, c.kv_heads, c.head_dim});
  CHECK_NOTHROW(open({.context = 256, .kv_bytes = 2 * page}));
  CHECK(says([&] { open({.context = 256, .kv_bytes = 2 * page - 1}); }, "cannot hold one sequence of 256 positions"));
  World w;
  CHECK(says([&] { w.engine.submit(request({1, 517}, 3)); }, "token id 517 of a prompt has no row in the model's embedding of 517"));
  CHECK(says([&] { w.engine.submit(request({-1}, 3)); }, "token id -1"));
  CHECK(w.engine.pending() == 0);
}

namespace {

// A device that reports a numeric error for every row that embeds one given token.
class PoisonedToken : public DeviceProxy {
 public:
  PoisonedToken(std::unique_ptr<kernels::Device> device, int32_t token) : DeviceProxy(*device), owned_(std::move(device)), token_(token) {}
  void rope_store(const float* qkv, int heads, const kernels::Batch& batch, const kernels::Rope& rope, int layer,
                  const kernels::KvCache& kv, const kernels::QuantHeads& q_out, uint8_t* bad) override {
    to_.rope_store(qkv, heads, batch, rope, layer, kv, q_out, bad);
    for (int i = 0; i < batch.rows; i++) bad[i] |= layer == 1 && batch.token[i] == token_;
  }

 private:
  std::unique_ptr<kernels::Device> owned_;
  int32_t token_;
};

}  // namespace

TEST_CASE("a step tells the device its longest run, and how many rows are alone with their sequence") {
  struct Watched : DeviceProxy {
    using DeviceProxy::DeviceProxy;
    void step(const kernels::Batch& b, int wanted, const std::function<void()>& ops) override {
      seen.push_back({b.rows, b.alone, b.longest_run, b.last_position});
      to_.step(b, wanted, ops);
    }
    std::vector<std::vector<int>> seen;
  };
  const RandomModel model = make_random_model("tiny", 1);
  const Tokenizer tokenizer = tokenizer_of(model.files);
  const std::unique_ptr<kernels::Device> cpu = kernels::make_cpu_device(kernels::best_isa(), 1);
  auto device = std::make_unique<Watched>(*cpu);
  Watched& watched = *device;
  Engine engine(std::move(device), model.files, tokenizer, {.context = 256, .max_batch = 4, .chunk = 64, .prefix_cache = false});
  engine.submit(request({1, 2, 3}, 3));
  engine.submit(request(std::vector<int32_t>(100, 7), 2));
  while (engine.next()) continue;
  REQUIRE(watched.seen.size() >= 3);
  CHECK(watched.seen[0] == std::vector<int>{64, 0, 61, 60});
  CHECK(watched.seen[1] == std::vector<int>{40, 1, 39, 99});
  CHECK(watched.seen[2] == std::vector<int>{2, 2, 1, 100});
}

TEST_CASE("a numeric error behind the last attention belongs to the wanted row's sequence") {
  struct BadWanted : DeviceProxy {
    using DeviceProxy::DeviceProxy;
    bool wanted = false;
    int at = 1;
    void embed(const kernels::StoredMatrix& table, const kernels::Batch& batch, float* x) override {
      wanted = false;
      to_.embed(table, batch, x);
    }
    void gather_rows(const float* x, const int32_t* index, int rows, int k, float* out) override {
      wanted = true;
      to_.gather_rows(x, index, rows, k, out);
    }
    void quantize(const float* x, int rows, int k, const kernels::QuantRows& out, uint8_t* bad) override {
      to_.quantize(x, rows, k, out, bad);
      if (wanted && rows == 2) bad[at] = 1;
    }
  };
  const RandomModel model = make_random_model("tiny", 1);
  const Tokenizer tokenizer = tokenizer_of(model.files);
  const std::unique_ptr<kernels::Device> cpu = kernels::make_cpu_device(kernels::best_isa(), 1);
  Engine engine(std::make_unique<BadWanted>(*cpu), model.files, tokenizer,
                {.context = 256, .max_batch = 2, .chunk = 64, .prefix_cache = false});
  for (uint64_t id : {0, 1}) {
    Request r = request({1, 2, 3}, 3);
    r.id = id;
    engine.submit(r);
  }
  std::map<uint64_t, Status> status;
  while (auto answer = engine.next()) status[answer->id] = answer->status;
  CHECK(status == std::map<uint64_t, Status>{{0, Status::truncated}, {1, Status::numeric_error}});
  CHECK(says([&] { engine.logits({1, 2}); }, "numeric error at position 1 of the prompt"));
}

TEST_CASE("a numeric error belongs to the records that depend on it, whatever the chunk and the cache") {
  constexpr int32_t kPoison = 400;
  RandomModel model = make_random_model("tiny", 1);
  auto requests = ragged_requests(30, kPoison, 6);                     // no prompt holds the poison
  for (int i : {3, 4, 17}) requests[i].prompt[requests[i].prompt.size() / 2] = kPoison;
  const Run clean = run_on(model.files, {.max_batch = 8}, requests);
  std::string previous;
  for (int chunk : {1, 50, 4096}) {
    for (bool cache : {false, true}) {
      auto device = std::make_unique<PoisonedToken>(kernels::make_cpu_device(kernels::best_isa(), 1), kPoison);
      const Run run = run_on(std::move(device), model.files, {.max_batch = 8, .chunk = chunk, .prefix_cache = cache, .repeats = 2},
                             requests);
      std::string verdicts;
      for (const auto& [id, answer] : run.answers) {
        const bool in_prompt = id == 3 || id == 4 || id == 17;
        if (in_prompt) CHECK((answer.status == Status::numeric_error && answer.tokens.empty()));
        if (answer.status != Status::numeric_error) CHECK(ids_of(answer) == ids_of(clean.answers.at(id)));
        verdicts += std::to_string(id) + status_name(answer.status) + std::to_string(answer.tokens.size()) + answer.text + "\n";
      }
      CHECK((previous.empty() || previous == verdicts));
      previous = verdicts;
    }
  }
}

TEST_CASE("greedy answers and logits of a trained model are the reference implementation's") {
  const std::string folder = data_file("tinystories-656k"), golden = data_file("model-golden/tinystories-656k.greedy64.json");
  if (folder.empty() || golden.empty()) return;
  std::ifstream in(golden);
  std::stringstream text;
  text << in.rdbuf();
  const Json cases = Json::parse(text.str(), golden);
  const ModelFiles model = open_model(folder);
  const Tokenizer tokenizer = tokenizer_of(model);
  Engine engine(kernels::make_cpu_device(kernels::best_isa(), 1), model, tokenizer, {.context = 512});
  auto ints = [](const Json& list) {
    std::vector<int32_t> v;
    for (const Json& j : list.items()) v.push_back(static_cast<int32_t>(j.as_int()));
    return v;
  };
  REQUIRE(cases.items().size() == 10);
  for (const Json& c : cases.items()) {
    INFO(c.at("prompt").as_string());
    const std::vector<int32_t> prompt = ints(c.at("ids")), expected = ints(c.at("greedy_new_ids"));
    CHECK(ids_of([&] { engine.submit(request(prompt, static_cast<int>(expected.size()))); return *engine.next(); }()) == expected);
    const std::vector<float> logits = engine.logits(prompt);
    const Json::Array& reference = c.at("first_step_logits").items();
    REQUIRE(reference.size() == size_t(model.config.vocab));
    double worst = 0;
    for (size_t i = 0; i < reference.size(); i++) {
      worst = std::max(worst, std::fabs(reference[i].as_double() - logits[(prompt.size() - 1) * reference.size() + i]));
    }
    CHECK(worst < 5e-3);
  }
}

TEST_CASE("the same weights in a GGUF file, whose rotary rows are interleaved, give the same bits") {
  const std::string folder = data_file("tinystories-656k"), file = data_file("model-golden/gguf/tinystories-656k-f32.gguf");
  if (folder.empty() || file.empty()) return;
  const Tokenizer tokenizer = tokenizer_of(open_model(folder));        // that of the GGUF file is of no concern here
  std::vector<std::vector<float>> logits;
  for (const std::string& path : {folder, file}) {
    const ModelFiles model = open_model(path);
    CHECK(model.interleaved_rope == (path == file));
    Engine engine(kernels::make_cpu_device(kernels::best_isa(), 1), model, tokenizer, {.context = 512});
    std::vector<int32_t> prompt;
    for (int i = 0; i < 150; i++) prompt.push_back(3 + i * 37 % 2000);
    logits.push_back(engine.logits(prompt));
  }
  REQUIRE(logits[0].size() == logits[1].size());
  CHECK(std::equal(logits[0].begin(), logits[0].end(), logits[1].begin(), same_bits));
  CHECK(logits[0].front() != logits[0].back());
}
