// What the engine computes for token ids, as bits, for comparing with other implementations of kernels/NUMERICS.md:
//   logits MODEL PROFILE ROWS < requests.jsonl > answers.jsonl
// A request: {"prompt": [ids], "tokens": N} and, if wanted, temperature, top_k, top_p, min_p, penalty, key, sample.
// An answer: {"status": S, "rows": N, "tokens": [[id, logprob, margin, runner-up, [[id, logprob], ..]], ..]}; floats are bits as integers.
//
// 1. Requests are answered together, so that no row of logits is computed alone.
// 2. ROWS gets float32, for each answer `rows` rows: one for each id of the prompt, then those that tokens were chosen from. Where
//    a prompt has a numeric error, its own are not there.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

#include "runtime/engine.h"
#include "runtime/error.h"

using namespace ibid;
using namespace ibid::runtime;
using kernels::Profile;

namespace {

constexpr int kAlternatives = 3;

int64_t bits(float x) {
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
}

float number(const Json& json, const char* key, float otherwise) {
  const Json* value = json.find(key);
  return value ? std::strtof(value->lexeme().c_str(), nullptr) : otherwise;      // rounded once: NUMERICS 11.9
}

uint64_t integer(const Json& json, const char* key) {
  const Json* value = json.find(key);
  return value ? std::strtoull(value->lexeme().c_str(), nullptr, 10) : 0;
}

Request read_request(const std::string& line, uint64_t id) {
  const Json json = Json::parse(line, "request " + std::to_string(id));
  Request r;
  r.id = id;
  for (const Json& token : json.at("prompt").items()) r.prompt.push_back(static_cast<int32_t>(token.as_int()));
  r.decoding.max_tokens = static_cast<int>(json.at("tokens").as_int());
  r.decoding.temperature = number(json, "temperature", 0);
  r.decoding.top_k = static_cast<int>(integer(json, "top_k"));
  r.decoding.top_p = number(json, "top_p", 1);
  r.decoding.min_p = number(json, "min_p", 0);
  r.decoding.repetition_penalty = number(json, "penalty", 1);
  r.decoding.logprobs = kAlternatives;
  r.noise_key = integer(json, "key");
  r.sample_index = static_cast<uint32_t>(integer(json, "sample"));
  return r;
}

Json describe(const Answer& answer, size_t rows) {
  Json::Array tokens;
  for (const AnswerToken& t : answer.tokens) {
    Json::Array top;
    for (const kernels::TokenLogprob& a : t.top) top.push_back(Json::Array{Json(a.id), Json(bits(a.logprob))});
    tokens.push_back(Json::Array{Json(t.id), Json(bits(t.logprob)), Json(bits(t.margin)), Json(t.runner_up), Json(std::move(top))});
  }
  return Json::Object{{"status", status_name(answer.status)}, {"rows", static_cast<uint64_t>(rows)}, {"tokens", std::move(tokens)}};
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string profile = argc == 4 ? argv[2] : "";
  if (profile != "w16a16" && profile != "w8a16") {
    std::fprintf(stderr, "usage: logits MODEL w16a16|w8a16 ROWS < REQUESTS > ANSWERS\n");
    return 2;
  }
  ModelFiles model = open_model(argv[1]);
  Tokenizer tokenizer = model.gguf ? Tokenizer::from_gguf(model.tokenizer)
                                   : Tokenizer::from_huggingface(model.tokenizer, model.tokenizer_config);
  EngineOptions options;
  options.profile = profile == "w8a16" ? Profile::w8a16 : Profile::w16a16;
  options.context = model.config.max_positions;
  options.max_batch = 8;
  Engine engine(kernels::make_cpu_device(kernels::best_isa(), 1), model, tokenizer, options);

  std::vector<Request> requests;
  for (std::string line; std::getline(std::cin, line);) requests.push_back(read_request(line, requests.size()));
  std::vector<std::vector<float>> rows(requests.size());
  for (const Request& r : requests) {
    try {
      rows[r.id] = engine.logits(r.prompt);
    } catch (const Error& e) {
      if (e.kind != ErrorKind::bad_data) throw;
    }
  }
  engine.observe([&](uint64_t id, int, const float* row, int vocab) { rows[id].insert(rows[id].end(), row, row + vocab); });
  for (const Request& r : requests) engine.submit(r);
  std::vector<Answer> answers(requests.size());
  while (std::optional<Answer> a = engine.next()) answers[a->id] = std::move(*a);

  std::ofstream file(argv[3], std::ios::binary);
  for (const std::vector<float>& r : rows)
    file.write(reinterpret_cast<const char*>(r.data()), static_cast<std::streamsize>(r.size() * sizeof(float)));
  if (!file.flush()) { std::fprintf(stderr, "%s: cannot be written\n", argv[3]); return 1; }
  for (const Answer& a : answers) std::cout << describe(a, rows[a.id].size() / static_cast<size_t>(model.config.vocab)).dump() << "\n";
} catch (const Error& e) {
  std::fprintf(stderr, "%s: %s\n", e.where.c_str(), e.what());
  return 1;
}
