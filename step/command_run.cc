// `ibid run`: the steps of a run in the order in which they happen.
//
// 1. Nothing is published before the model's digest agrees with the step, and files appear whole at the end or not at all.
// 2. With on_error: fail every record is still answered and every output is still written; the exit code says that some failed.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "step/cache.h"
#include "step/clock.h"
#include "step/commands.h"
#include "step/journal.h"
#include "step/outputs.h"
#include "step/run_input.h"
#include "step/session.h"
#include "step/version.h"

namespace ibid::step {
namespace {

std::string utc_now() {
  time_t t = time(nullptr);
  tm parts;
  gmtime_r(&t, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// When the run began, and for how long it has been going.
struct Watch {
  std::string started = utc_now();
  double begin = monotonic_seconds();
  double seconds() const { return monotonic_seconds() - begin; }
};

std::string run_record(const Watch& watch, const Tally& tally, const BundleIds& ids, Session& session, uint64_t reused) {
  const runtime::EngineStats stats = session.loaded() ? session.engine().stats() : runtime::EngineStats();
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto u = [](uint64_t v) { return Json(v); };
  Json record(Json::Object{{"step_id", ids.step_id}, {"result_digest", ids.result_digest}, {"bundle_id", ids.bundle_id},
                           {"started", watch.started}, {"ended", utc_now()}, {"seconds", Json::number(std::to_string(watch.seconds()))},
                           {"host", std::string(host)}, {"device", session.device()}, {"program", version_facts()},
                           {"records", u(tally.records)}, {"failed", u(tally.failed)}, {"answer_tokens", u(tally.answer_tokens)},
                           {"reused_answers", u(reused)}, {"prompt_rows", u(stats.prompt_rows)}, {"cached_rows", u(stats.cached_rows)},
                           {"steps", u(stats.steps)}, {"weight_bytes", u(stats.weight_bytes)},
                           {"peak_memory_bytes", u(static_cast<uint64_t>(usage.ru_maxrss) * 1024)}});
  return record.dump() + "\n";
}

BundleHead bundle_head(const Manifest& manifest, const std::optional<ShardPart>& shard) {
  BundleHead head{effective_config(manifest), {}, manifest.as_written, {}, shard};
  for (const auto& [name, file] : manifest.prompt.files) head.files[name] = file.text;
  return head;
}

void check_flags(const Args& args, const Manifest& manifest) {
  if (!args.has("--model"))
    throw Error(ErrorKind::usage, "ibid run", "--model is missing: the step pins " + manifest.model.digest,
                manifest.model.source.empty() ? "name the model's file or folder, or a folder of models"
                                              : "the step says the model comes from " + manifest.model.source);
  if (args.has("--cache-size") && !args.has("--cache"))
    throw Error(ErrorKind::usage, "--cache-size", "bounds a cache; name one with --cache");
  if (!args.has("--shard")) return;
  if (!args.has("--bundle")) throw Error(ErrorKind::usage, "--shard", "needs --bundle FILE: bundles are what 'ibid merge' puts together");
  if (args.has("--embed-model")) throw Error(ErrorKind::usage, "--embed-model", "does not go with --shard", "give it to 'ibid merge'");
}

// What no output may replace.
std::vector<FileRead> files_read(const Args& args, const Manifest& manifest, const std::string& model) {
  std::vector<FileRead> files;
  add_step(files, args.operands()[0], manifest);
  for (size_t i = 1; i < args.operands().size(); ++i) files.push_back({args.operands()[i], "the input"});
  if (args.operands().size() == 1) files.push_back({"-", "the input"});
  add_model(files, model);
  return files;
}

// Where finished answers are kept: in the cache, which then is the journal too, or beside the output.
struct Kept {
  Kept(const Args& args, const Manifest& manifest, const Outputs& outputs) {
    bool with_top = manifest.output.logprobs > 0;
    if (args.has("--cache")) {
      uint64_t size = args.bytes("--cache-size", kDefaultCache);
      if (size < kSmallestCache)
        throw Error(ErrorKind::usage, "--cache-size", "is less than " + std::to_string(kSmallestCache >> 20) + "M");
      folder = *args.get("--cache");
      cache.emplace(folder, size, with_top);
    } else if (args.has("--resume") && outputs.beside().empty()) {
      why_not = "every output is a stream";
      note("--resume: every output is a stream, so there is no place for a journal; --cache DIR gives one");
    } else if (args.has("--resume")) {
      journal.emplace(Journal::path_beside(outputs.beside()), config_id_of(effective_config(manifest)), with_top);
      if (journal->known() > 0) note("the journal has " + std::to_string(journal->known()) + " finished answers");
    }
    set_last_words(left_uncounted());
  }
  AnswerStore* store() { return cache ? static_cast<AnswerStore*>(&*cache) : journal ? &*journal : nullptr; }
  uint64_t reused() { return store() ? store()->reused : 0; }
  // What a run that is interrupted leaves, in words.
  std::string left() {
    if (!journal) return left_uncounted();
    uint64_t answers = journal->held();
    if (answers == 0) return "interrupted: no answer was finished, so none is kept";
    return "interrupted: " + std::to_string(answers) + (answers == 1 ? " answer is" : " answers are") + " kept in " + journal->path() +
           kGoesOn;
  }
  std::optional<Cache> cache;
  std::optional<Journal> journal;

 private:
  static constexpr const char* kGoesOn = "; the same command goes on from there";
  // The same where nobody can count.
  std::string left_uncounted() {
    if (!store()) return "interrupted: nothing is kept (" + why_not + ")";
    return "interrupted: the finished answers are kept in " + (journal ? journal->path() : folder) + kGoesOn;
  }
  std::string folder, why_not = "no --resume";
};

// Says, once, which columns there are when a template asks for one that is not. True: said.
bool note_columns(const Answered& a, InputFormat format) {
  const std::string says = a.answers.front().status == "template_error" ? about_columns(a.record, a.answers.front().error, format) : "";
  if (!says.empty()) warn(says);
  return !says.empty();
}

// Answers the records of the input and hands each to the outputs.
void answer_input(Session& session, RunInput& input, Outputs& outputs, AnswerStore* store) {
  bool with_top = session.manifest().output.logprobs > 0, said = !has_columns(session.manifest().input);
  Progress progress(input.expected());
  answer_all(session, {[&](Record& r) { return input.next(r); }, [&] { return input.quiet(); }},
             [&](Answered&& a) {
               session.require_pinned();
               said = said || note_columns(a, session.manifest().input.format);
               outputs.take({a.record, a.answers, a.prompt_ids.size(), a.prompt.truncation.cut});
               outputs.bundle().add(a.record.id, a.fields_canonical(), a.record_leaf_text(), a.outcome_leaf_text(with_top), a.status());
               progress.update(outputs.tally().records, outputs.tally().answer_tokens);
             },
             store);
  session.require_pinned();                            // also when there was no record
  input.finish();
  input.warn_of_kept();
}

int run_step(const Args& args, const Manifest& manifest, const std::string& model, Outputs& outputs, Kept& kept, const Watch& watch) {
  RunInput input(args, manifest, outputs.beside());
  Session session(manifest, model, args, ErrorKind::bad_data, kept.store() ? Loading::when_needed : Loading::now);
  note("step " + (manifest.name.empty() ? base_name(args.operands()[0]) : manifest.name) + " on " + session.device() + ", " +
       name_of(manifest.semantics));

  BundleHead head = bundle_head(manifest, input.shard());
  if (args.has("--embed-model")) head.model = model_embedding(session.model_path());
  ShownTokens shown;
  outputs.begin(manifest, std::move(head), [&](int32_t id) {
    std::string text = shown_token(session.tokenizer().token_text(id));
    return input.shard() ? shown.remember(id, std::move(text)) : text;
  });
  answer_input(session, input, outputs, kept.store());
  if (input.shard()) outputs.bundle().set_token_texts(shown.json());
  BundleIds ids = outputs.commit([&](const BundleIds& all) { return run_record(watch, outputs.tally(), all, session, kept.reused()); });
  if (kept.journal) kept.journal->remove();
  if (kept.reused() > 0)
    note(std::to_string(kept.reused()) + " answers were there already" + (session.loaded() ? "" : "; the weights were not needed"));
  if (input.shard()) note(input.shard()->name() + "; the result digest is that of this part");
  if (!input.had_records()) note("the input holds no records" + std::string(is_table(manifest.input) ? ", only a header" : ""));
  int code = outputs.report(ids);
  char speed[96];
  const uint64_t records = outputs.tally().records;
  std::snprintf(speed, sizeof speed, "%llu record%s, %llu tokens in %.1f s", static_cast<unsigned long long>(records),
                records == 1 ? "" : "s", static_cast<unsigned long long>(outputs.tally().answer_tokens), watch.seconds());
  note(speed);
  return code;
}

}  // namespace

int command_run(const Args& args) {
  Manifest manifest = read_manifest(args.operands()[0], manifest_options(args));
  check_flags(args, manifest);
  note_constant_prompt(manifest);
  const std::string model = locate_model(*args.get("--model"), manifest.model.digest);
  Outputs outputs(args, files_read(args, manifest, model));
  Watch watch;
  Kept kept(args, manifest, outputs);
  try {
    return run_step(args, manifest, model, outputs, kept, watch);
  } catch (const Error&) {
    if (const std::optional<Interrupted> stop = interrupted()) throw Interrupted{stop->signal, kept.left()};
    throw;
  } catch (Interrupted& stop) {
    stop.message = kept.left();
    throw;
  }
}

}  // namespace ibid::step
