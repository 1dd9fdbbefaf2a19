// See answer_store.h.
#include "step/answer_store.h"

#include <cstring>

#include "runtime/error.h"
#include "step/bytes.h"
#include "step/canon.h"

namespace ibid::step {
namespace {

constexpr std::string_view kMagic = "ibidans1";

Json decimal(float v) { return Json::number(canonical_number(v)); }

}  // namespace

AnswerKeys::AnswerKeys(const Manifest& m) : samples_(m.decoding.method == Method::sample) {
  const DecodingSpec& d = m.decoding;
  Json::Array stop;
  for (const std::string& s : d.stop) stop.emplace_back(s);
  Json::Object all{{"ibid_answer", 1}, {"model", m.model.digest}, {"semantics", name_of(m.semantics)}, {"context", d.context},
                   {"max_tokens", d.max_tokens}, {"repetition_penalty", decimal(d.repetition_penalty)}, {"stop", std::move(stop)},
                   {"logprobs", m.output.logprobs}, {"method", name_of(d.method)}};
  if (samples_)
    for (Json::Member& more : Json::Object{{"temperature", decimal(d.temperature)}, {"top_k", d.top_k}, {"top_p", decimal(d.top_p)},
                                           {"min_p", decimal(d.min_p)}})
      all.push_back(std::move(more));
  base_ = sha256(canonical(Json(std::move(all))));
}

Digest AnswerKeys::key(const std::vector<int32_t>& prompt, uint64_t noise_key, uint32_t sample) const {
  std::string bytes(bytes_of(base_));
  if (samples_) {
    put_le(bytes, noise_key, 8);
    put_le(bytes, sample, 4);
  }
  for (int32_t id : prompt) put_le(bytes, static_cast<uint32_t>(id), 4);
  return sha256(bytes);
}

std::string seal(const Digest& key, const AnswerRecord& answer, bool with_top) {
  std::string json = answer_json(answer, with_top), out(kMagic);
  put_le(out, json.size(), 4);
  out += bytes_of(key);
  out += json;
  out += bytes_of(sha256(out));
  return out;
}

std::optional<uint64_t> sealed_length(std::string_view head) {
  if (head.size() < kSealHead || head.substr(0, 8) != kMagic) return std::nullopt;
  uint64_t size = get_le(head.data() + 8, 4);
  if (size > kMaxSealed) return std::nullopt;
  return kSealHead + size + kSealTail;
}

std::optional<Digest> sealed_key(std::string_view sealed) {
  std::optional<uint64_t> length = sealed_length(sealed);
  if (!length || *length != sealed.size()) return std::nullopt;
  std::string_view before = sealed.substr(0, sealed.size() - kSealTail);
  if (bytes_of(sha256(before)) != sealed.substr(before.size())) return std::nullopt;
  Digest key{};
  std::memcpy(key.data(), sealed.data() + 12, key.size());
  return key;
}

std::optional<AnswerRecord> unseal(std::string_view sealed, const Digest& key, bool with_top) {
  if (sealed_key(sealed) != key) return std::nullopt;
  std::string_view json = sealed.substr(kSealHead, sealed.size() - kSealHead - kSealTail);
  try {
    AnswerRecord answer = answer_of(Json::parse(json, "answer"), "answer");
    if (answer_json(answer, with_top) == json) return answer;
  } catch (const Error& e) {
    if (e.kind == ErrorKind::internal) throw;
  }
  return std::nullopt;
}

}  // namespace ibid::step
