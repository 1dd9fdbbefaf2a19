// One prompt, asked many times among others of ragged length, has one answer: the test that batch-invariant kernels are judged by.
#include <cstdlib>
#include <set>

#include "test/catch.h"
#include "test/unit/promise.h"

using namespace ibid;

namespace {

constexpr int kTokens = 500, kPrompt = 12;

// How many requests; a GPU is worth 1,000.
int request_count() {
  const char* text = std::getenv("IBID_UNIQUE_REQUESTS");
  return text ? std::atoi(text) : 100;
}

// Every second request is the one prompt; the others differ in length and content, and so come and go at other times.
std::vector<runtime::Request> mixed_requests(int count, int vocab) {
  std::vector<runtime::Request> requests = test::ragged_requests(count, vocab, kTokens);
  for (int i = 0; i < count; i += 2) {
    runtime::Request& r = requests[static_cast<size_t>(i)];
    r.prompt.clear();
    for (int t = 0; t < kPrompt; t++) r.prompt.push_back((t * 37 + 5) % vocab);
    r.decoding = {};
    r.decoding.max_tokens = kTokens;
  }
  return requests;
}

// The distinct answers to the one prompt.
std::set<std::vector<int32_t>> answers_of(const runtime::ModelFiles& model, std::unique_ptr<kernels::Device> device,
                                          const std::vector<runtime::Request>& requests) {
  const runtime::Tokenizer tokenizer = test::tokenizer_of(model);
  runtime::EngineOptions options;
  options.context = 1024;
  runtime::Engine engine(std::move(device), model, tokenizer, options);
  for (const runtime::Request& r : requests) engine.submit(r);
  std::set<std::vector<int32_t>> distinct;
  while (auto answer = engine.next()) {
    if (answer->id % 2 != 0) continue;
    std::vector<int32_t> ids;
    for (const runtime::AnswerToken& t : answer->tokens) ids.push_back(t.id);
    distinct.insert(ids);
  }
  return distinct;
}

}  // namespace

TEST_CASE("one prompt among many has one answer, and it is the one that it has alone") {
  const runtime::RandomModel model = runtime::make_random_model("tiny", 4);
  const std::vector<runtime::Request> requests = mixed_requests(request_count(), model.files.config.vocab);
  const auto cpu = [] { return kernels::make_cpu_device(kernels::best_isa(), 2); };
  const auto together = answers_of(model.files, cpu(), requests), alone = answers_of(model.files, cpu(), {requests[0]});
  REQUIRE(requests.size() >= 2);
  REQUIRE(together.size() == 1);
  CHECK(together == alone);
  CHECK(together.begin()->size() == kTokens);
  const std::set<int32_t> used(together.begin()->begin(), together.begin()->end());
  CHECK(used.size() > 5);                      // an engine that says one thing for ever would pass all of the above
}

TEST_CASE("negative control: the prompt with one other token has another answer") {
  const runtime::RandomModel model = runtime::make_random_model("tiny", 4);
  std::vector<runtime::Request> requests = mixed_requests(4, model.files.config.vocab);
  requests[2].prompt[kPrompt / 2] += 1;
  CHECK(answers_of(model.files, kernels::make_cpu_device(kernels::best_isa(), 1), requests).size() == 2);
}
