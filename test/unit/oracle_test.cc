// The float64 oracle itself, against another float64 pass (NumPy's, in the public golden file): what judges must be judged.
#include "test/tools/oracle64.h"

#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::runtime;
using namespace ibid::test;
using oracle::Oracle;

namespace {

std::vector<int32_t> ids_of(const Json& list) {
  std::vector<int32_t> out;
  for (const Json& item : list.items()) out.push_back(static_cast<int32_t>(item.as_int()));
  return out;
}

// Largest distance of a row from the golden one, which has six decimals.
template <class T>
double distance(const T* logits, const Json& golden) {
  double most = 0;
  for (size_t i = 0; i < golden.items().size(); ++i) most = std::max(most, std::abs(logits[i] - golden.items()[i].as_double()));
  return most;
}

// Logits of every position of prompt + answer but the last, (positions, vocab).
template <class Arithmetic>
std::vector<typename Arithmetic::Real> logits_of(const ModelFiles& model, const std::vector<int32_t>& ids) {
  Oracle<Arithmetic> oracle(model, 2);
  auto hidden = oracle.forward({ids});
  return oracle.logits(hidden.data(), static_cast<int>(ids.size()));
}

}  // namespace

TEST_CASE("the oracle gives the golden logits and greedy answers, from the folder and from GGUF's interleaved rows") {
  const std::string folder = data_file("tinystories-656k"), golden_path = data_file("model-golden/tinystories-656k.greedy64.json");
  if (folder.empty() || golden_path.empty()) return;
  const ModelFiles plain = open_model(folder), twin = open_model(data_dir() + "/model-golden/gguf/tinystories-656k-f32.gguf");
  const Json golden = Json::parse(read_file(golden_path), golden_path);
  REQUIRE(golden.items().size() >= 2);
  for (const Json& item : golden.items()) {
    const std::vector<int32_t> prompt = ids_of(item.at("ids")), answer = ids_of(item.at("greedy_new_ids"));
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), answer.begin(), answer.end() - 1);
    for (const ModelFiles* model : {&plain, &twin}) {
      const std::vector<double> logits = logits_of<oracle::Float64>(*model, all);
      const double* first = &logits[(prompt.size() - 1) * 2048];
      CHECK(distance(first, item.at("first_step_logits")) < 0.51e-6);
      std::vector<int32_t> best;
      for (size_t i = 0; i < answer.size(); ++i)
        best.push_back(static_cast<int32_t>(std::max_element(first + i * 2048, first + (i + 1) * 2048) - (first + i * 2048)));
      CHECK(best == answer);
    }
  }
}

TEST_CASE("sequences of one call do not see each other") {
  const std::string folder = data_file("tinystories-656k");
  if (folder.empty()) return;
  const ModelFiles model = open_model(folder);
  const std::vector<int32_t> a = {1, 80, 147, 201}, b = {1, 57, 282};
  Oracle<oracle::Float64> oracle(model, 2);
  std::vector<double> both = oracle.forward({a, b}), alone = oracle.forward({b});
  CHECK(std::vector<double>(both.end() - static_cast<long>(alone.size()), both.end()) == alone);
}

TEST_CASE("bf16 arithmetic is near the golden logits, and visibly not them") {
  const std::string folder = data_file("tinystories-656k"), golden_path = data_file("model-golden/tinystories-656k.greedy64.json");
  if (folder.empty() || golden_path.empty()) return;
  const ModelFiles model = open_model(folder);
  const Json golden = Json::parse(read_file(golden_path), golden_path);
  const std::vector<int32_t> prompt = ids_of(golden.items()[0].at("ids"));
  const std::vector<float> logits = logits_of<oracle::Bf16>(model, prompt);
  double d = distance(&logits[(prompt.size() - 1) * 2048], golden.items()[0].at("first_step_logits"));
  CHECK(d > 1e-3);
  CHECK(d < 1);
  CHECK(oracle::Bf16::round(1.00390625f) == 1.0f);        // half way: to even
  CHECK(oracle::Bf16::round(1.01171875f) == 1.015625f);
}
