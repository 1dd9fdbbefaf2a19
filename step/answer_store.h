// Finished answers, found again by what the engine alone saw: sound because an answer is a function of it (runtime/engine.h).
//
// Owns the key of an answer and the sealed form in which it is kept. Must not know records, steps or files: a journal
// (journal.h) and a cache (cache.h) keep sealed answers, each in its way.
//
//   key     SHA-256 of: digest of the canonical {model, semantics, context, decoding without the number of samples, logprobs},
//           noise key and sample index when the step samples (8 and 4 bytes, else none), prompt ids (4 bytes each)
//   sealed  "ibidans1", u32 length of the answer, 32 bytes key, the answer as in an outcome leaf, SHA-256 of all before it
// 1. An answer is believed only if its seal, its key and its form are right, and writing it again gives the same bytes.
// 2. The seal finds damage, not malice: whoever may write there may change answers, as in any output folder. A rerun reads
//    neither journal nor cache, and finds it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "step/digest.h"
#include "step/leaves.h"
#include "step/manifest.h"

namespace ibid::step {

class AnswerKeys {
 public:
  explicit AnswerKeys(const Manifest& manifest);
  Digest key(const std::vector<int32_t>& prompt, uint64_t noise_key, uint32_t sample) const;

 private:
  Digest base_;
  bool samples_;
};

class AnswerStore {
 public:
  virtual ~AnswerStore() = default;
  virtual std::optional<AnswerRecord> find(const Digest& key) = 0;
  virtual void keep(const Digest& key, const AnswerRecord& answer) = 0;
  uint64_t reused = 0;                                 // answers found, counted by whoever asks
};

constexpr size_t kSealHead = 44, kSealTail = 32;       // bytes before and behind the answer
constexpr uint64_t kMaxSealed = uint64_t{1} << 30;     // an answer of 2^20 tokens with 20 alternatives each has 600 MB

std::string seal(const Digest& key, const AnswerRecord& answer, bool with_top);
// Length of the whole sealed answer whose first kSealHead bytes these are; nothing when they are no head.
std::optional<uint64_t> sealed_length(std::string_view head);
// The key of a sealed answer whose seal is right.
std::optional<Digest> sealed_key(std::string_view sealed);
std::optional<AnswerRecord> unseal(std::string_view sealed, const Digest& key, bool with_top);

}  // namespace ibid::step
