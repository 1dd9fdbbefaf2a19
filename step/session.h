// A step made ready: model located, checked and loaded, prompts and engine at hand; and answering record after record with it.
// Shared by run and rerun. Must not know where records come from, nor what becomes of their answers.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/engine.h"
#include "step/answer_store.h"
#include "step/cli.h"
#include "step/leaves.h"
#include "step/manifest.h"
#include "step/model_store.h"
#include "step/prompt.h"
#include "step/records.h"

namespace ibid::step {

// --file and --set. Errors: usage.
ManifestOptions manifest_options(const Args& args);

// Says what is sound and mostly a slip: a prompt that is the same for every record.
void note_constant_prompt(const Manifest& manifest);

// Flags of every command that computes.
std::vector<Flag> device_flags();

// The tokenizer of a model, whatever its container. Errors: bad_data, naming the part that ibid cannot follow.
runtime::Tokenizer make_tokenizer(const runtime::ModelFiles& files);

// The model that --model names. Errors: not_found; io; bad_data, when it is not the one of the runs.
runtime::ModelSource model_of_runs(const Args& args, const Manifest& manifest);
// How rows show tokens, where the step asks for log-probabilities: whole bundles do not say (a shard does).
// Errors: usage, without --model; as above.
TokenText token_texts(const Manifest& manifest, const Args& args);

// The GPU that the flags ask for; null when they ask for the CPU, and when they leave the choice and no GPU is ready, which a note
// says if this ibid could have used one. Errors, where a GPU was asked for: unavailable, when it is not there; temporary, when it is busy.
std::unique_ptr<kernels::Device> open_gpu(const Args& args);
// What --isa asks for. Errors: usage; unavailable.
std::optional<kernels::Isa> asked_isa(const Args& args);

// The device that the flags ask for, and its budget for the K/V cache (0: what it has free). Errors: as open_gpu; unavailable, when
// this machine does not have the instruction set.
struct OpenedDevice {
  std::unique_ptr<kernels::Device> device;
  size_t kv_bytes;
};
OpenedDevice open_device(const Args& args);

// When weights are converted onto the device: a run that keeps answers may find them all, and then never needs them.
enum class Loading { now, when_needed };

class Session {
 public:
  // Opens the device and the model at `model_path`, and loads its weights, while its digest is computed. Errors: when it is not the
  // model that the step pins, a kind `when_other` error (DigestCheck::require), before any error of loading (without `when_other` any
  // model is taken). With Loading::when_needed engine() and require_pinned() give the errors that are not given here.
  Session(const Manifest& manifest, const std::string& model_path, const Args& args, std::optional<ErrorKind> when_other,
          Loading when = Loading::now);
  const Manifest& manifest() const { return manifest_; }
  const std::string& model_path() const { return source_.path; }
  DigestCheck& digest() { return digest_; }
  const runtime::Tokenizer& tokenizer() const { return *tokenizer_; }
  const PromptBuilder& prompts() const { return *prompts_; }
  const std::string& device() const { return device_; }       // in words
  bool loaded() const { return engine_ != nullptr; }
  runtime::Engine& engine();                           // loads the weights if they are not, and requires the digest then
  std::string beyond_model(const std::vector<int32_t>& ids) const;   // why the model cannot have these ids (at least one); "": it can
  void require_pinned();                               // waits for the digest: nothing may be published before
  void say_work() const;                               // with --verbose
  void require_unchanged();                            // that nobody has written to the weights yet: an answer is theirs only then

 private:
  void guarded(const std::function<void()>& open);
  void open(const Args& args);
  void load();
  const Manifest& manifest_;
  std::optional<ErrorKind> when_other_;
  runtime::ModelSource source_;
  DigestCheck digest_;
  runtime::ModelFiles files_;
  std::unique_ptr<runtime::Tokenizer> tokenizer_;
  std::unique_ptr<PromptBuilder> prompts_;
  std::unique_ptr<kernels::Device> opened_;            // until the engine takes it
  std::string device_;
  runtime::EngineOptions options_;
  std::unique_ptr<runtime::Engine> engine_;
};

// A record with everything that came of it.
struct Answered {
  Record record;
  Prompt prompt;
  std::vector<int32_t> prompt_ids;
  std::vector<AnswerRecord> answers;                   // one per sample; a single one when there is no prompt

  std::string fields_canonical() const { return record_canonical(record); }
  std::string record_leaf_text() const;
  std::string outcome_leaf_text(bool with_top) const { return outcome_leaf(record.id, answers, with_top); }
  std::string status() const { return worst_status(answers); }
  uint64_t answer_tokens() const;
};

struct RecordSource {
  std::function<bool(Record&)> next;                   // false after the last
  std::function<bool()> quiet;                         // whether next() would wait now, for a pipe
};

// Answers every record of the source, in its order, keeping the engine's batch full as long as there are records. While the source is
// quiet those that are there are answered, and whatever comes joins the next step. Memory is bounded by a window of records, and of their
// bytes. Answers that `store` has are not computed, and those that are computed are kept there as they are finished.
// Errors: those of the source, sink() and the store; throws Interrupted between steps.
void answer_all(Session& session, const RecordSource& source, const std::function<void(Answered&&)>& sink, AnswerStore* store = nullptr);

// 64 bits from (seed, record id): noise belongs to the record, never to its place.
uint64_t noise_key(uint64_t seed, const std::string& record_id);

}  // namespace ibid::step
