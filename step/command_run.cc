// `ibid run`: the steps of a run in the order in which they happen.
//
// 1. Nothing is published before the model's digest agrees with the step, and files appear whole at the end or not at all.
// 2. With on_error: fail every record is still answered and every output is still written; the exit code says that some failed.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

#include "step/bundle.h"
#include "step/canon.h"
#include "step/commands.h"
#include "step/rows.h"
#include "step/session.h"
#include "step/version.h"

namespace ibid::step {
namespace {

constexpr size_t kListedFailures = 20;

std::vector<Input> open_inputs(const Args& args) {
  std::vector<std::string> paths(args.operands().begin() + 1, args.operands().end());
  if (paths.empty()) paths.push_back("-");
  std::vector<Input> inputs;
  for (const std::string& path : paths) inputs.push_back({path == "-" ? "stdin" : path, [path] { return open_input(path); }});
  return inputs;
}

// Records in files that can be read twice are counted first, so that progress can say when it will be done.
std::optional<uint64_t> count_records(const Args& args, const Manifest& manifest) {
  if (!stderr_is_terminal() || args.operands().size() < 2) return std::nullopt;
  for (size_t i = 1; i < args.operands().size(); ++i) {
    struct stat s;
    if (::stat(args.operands()[i].c_str(), &s) != 0 || !S_ISREG(s.st_mode)) return std::nullopt;
  }
  RecordReader reader(manifest.input, open_inputs(args));
  Record record;
  uint64_t n = 0;
  while (reader.next(record)) ++n;
  return n;
}

std::string utc_now() {
  time_t t = time(nullptr);
  tm parts;
  gmtime_r(&t, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// What the run was, for its record and its last line.
struct Tally {
  std::string started = utc_now();
  timespec begin = [] { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t; }();
  uint64_t records = 0, failed = 0, tokens = 0;
  std::vector<std::string> failures;
  double seconds() const {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec - begin.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec - begin.tv_nsec);
  }
  void count(const Answered& a) {
    ++records;
    tokens += a.answer_tokens();
    if (a.status() == "ok") return;
    ++failed;
    if (failures.size() >= kListedFailures) return;
    std::string why;
    for (const AnswerRecord& r : a.answers)
      if (r.status == a.status()) { why = r.error; break; }
    failures.push_back((a.record.where.empty() ? "" : a.record.where + ": ") + "record " + a.record.id + ": " + a.status() + (why.empty() ? "" : ": " + why));
  }
};

std::string run_record(const Tally& tally, const BundleIds& ids, Session& session, const std::string& device) {
  const runtime::EngineStats& stats = session.engine().stats();
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto u = [](uint64_t v) { return Json(v); };
  Json record(Json::Object{{"step_id", ids.step_id}, {"result_digest", ids.result_digest}, {"bundle_id", ids.bundle_id},
                           {"started", tally.started}, {"ended", utc_now()}, {"seconds", Json::number(std::to_string(tally.seconds()))},
                           {"host", std::string(host)}, {"device", device}, {"program", version_facts()},
                           {"records", u(tally.records)}, {"failed", u(tally.failed)}, {"answer_tokens", u(tally.tokens)},
                           {"prompt_rows", u(stats.prompt_rows)}, {"cached_rows", u(stats.cached_rows)}, {"steps", u(stats.steps)},
                           {"peak_memory_bytes", u(static_cast<uint64_t>(usage.ru_maxrss) * 1024)}});
  return record.dump() + "\n";
}

int report(const Tally& tally, const Manifest& m) {
  for (const std::string& f : tally.failures) warn(f);
  if (tally.failed > tally.failures.size()) warn("and " + std::to_string(tally.failed - tally.failures.size()) + " more");
  if (tally.failed == 0) return kDone;
  std::string count = std::to_string(tally.failed) + " of " + std::to_string(tally.records) + " records are not ok";
  if (m.on_error == OnError::record && tally.failed <= m.max_errors) {
    note(count + ", within max_errors");
    return kDone;
  }
  print_error(Error(ErrorKind::bad_data, "", count, m.on_error == OnError::fail ? "all outputs are written, each row with its status; 'on_error: record' with max_errors accepts such rows"
                                                                                : "max_errors is " + std::to_string(m.max_errors)));
  return kBadData;
}

}  // namespace

int command_run(const Args& args) {
  Manifest manifest = read_manifest(args.operands()[0], manifest_options(args));
  if (!args.has("--model"))
    throw Error(ErrorKind::usage, "ibid run", "--model is missing: the step pins " + manifest.model.digest,
                manifest.model.source.empty() ? "name the model's file or folder, or a folder of models" : "the step says the model comes from " + manifest.model.source);
  OutputFile out(args.text("-o", "-"));
  std::optional<OutputFile> bundle_file, record_file;
  if (args.has("--bundle")) bundle_file.emplace(*args.get("--bundle"));
  if (args.has("--run-record")) record_file.emplace(*args.get("--run-record"));
  if (args.has("--embed-model") && !bundle_file) throw Error(ErrorKind::usage, "--embed-model", "embeds into a bundle; name one with --bundle");

  Tally tally;
  Session session(manifest, locate_model(*args.get("--model"), manifest.model.digest), args, ErrorKind::bad_data);
  std::string device = session.engine().device().describe();
  note("step " + (manifest.name.empty() ? base_name(args.operands()[0]) : manifest.name) + " on " + device + ", " + name_of(manifest.semantics));

  BundleHead head{effective_config(manifest), {}, manifest.as_written, {}};
  for (const auto& [name, file] : manifest.prompt.files) head.files[name] = file.text;
  if (args.has("--embed-model")) head.model = model_embedding(session.model_path());
  BundleWriter bundle(bundle_file ? &*bundle_file : nullptr, std::move(head));
  RowWriter rows(out, manifest, session.tokenizer());
  RecordReader reader(manifest.input, open_inputs(args));
  bool streams = out.path() == "-";
  {
    Progress progress(count_records(args, manifest));
    answer_all(session, [&](Record& r) { return reader.next(r); },
               [&](Answered&& a) {
                 rows.write(a.record, a.answers);
                 if (streams) out.flush();
                 bundle.add(a.record.id, a.fields_canonical(), a.record_leaf_text(), a.outcome_leaf_text(manifest.output.logprobs > 0), a.status());
                 tally.count(a);
                 progress.update(tally.records, tally.tokens);
               });
  }
  BundleIds ids = bundle.finish();
  out.commit();
  if (bundle_file) bundle_file->commit();
  if (record_file) {
    record_file->write(run_record(tally, ids, session, device));
    record_file->commit();
  }
  note("step " + ids.step_id);
  note("result " + ids.result_digest);
  if (bundle_file) note("bundle " + ids.bundle_id);
  char speed[96];
  std::snprintf(speed, sizeof speed, "%llu records, %llu tokens in %.1f s", static_cast<unsigned long long>(tally.records), static_cast<unsigned long long>(tally.tokens), tally.seconds());
  note(speed);
  return report(tally, manifest);
}

}  // namespace ibid::step
