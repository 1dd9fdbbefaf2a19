// `ibid lint`, `ibid freeze`, `ibid pin`: what concerns a step before it runs.
#include <cstdio>

#include "runtime/model_files.h"
#include "step/bundle.h"
#include "step/bytes.h"
#include "step/commands.h"
#include "step/outputs.h"
#include "step/run_input.h"
#include "step/session.h"

namespace ibid::step {
namespace {

// Records that the step's templates cannot be rendered for: what a run says of them before it asks the model.
// Errors: bad_data, when the step does not accept so many.
void check_records(const Args& args, const Manifest& manifest) {
  constexpr uint64_t kListed = 10;
  const ChatSetup any_chat{"{% for m in messages %}{{ m.content }}{% endfor %}", "", ""};
  const PromptBuilder prompts(manifest, any_chat,
                              {[](std::string_view) { return size_t{0}; }, [](std::string_view) { return std::string(); }});
  RunInput input(args, manifest, "");
  uint64_t records = 0, failed = 0;
  std::string list, hint;
  for (Record record; input.next(record); ++records) {
    if (records % 256 == 0) stop_if_interrupted();
    const std::string error = record.problem ? "" : prompts.build(record).error;
    if (!record.problem && error.empty()) continue;
    if (failed++ >= kListed) continue;
    list += "\n  " + record.where + ": record " + record.id + ": " +
            (record.problem ? "bad_record: " + *record.problem : "template_error: " + error);
    if (hint.empty() && has_columns(manifest.input)) hint = about_columns(record, error, manifest.input.format);
  }
  input.warn_of_kept();
  std::printf("records %llu, %llu that cannot be answered\n", static_cast<unsigned long long>(records),
              static_cast<unsigned long long>(failed));
  if (failed > kListed) list += "\n  and " + std::to_string(failed - kListed) + " more";
  const std::string says = std::to_string(failed) + " of " + std::to_string(records) + " records cannot be answered:" + list;
  if (failed > (manifest.on_error == OnError::record ? manifest.max_errors : 0)) throw Error(ErrorKind::bad_data, "ibid lint", says, hint);
  if (failed > 0) note(says);
}

}  // namespace

int command_lint(const Args& args) {
  Manifest m = read_manifest(args.operands()[0], manifest_options(args));
  std::printf("%s: sound\nconfig %s\n", args.operands()[0].c_str(), config_id_of(effective_config(m)).c_str());
  note_constant_prompt(m);
  if (args.operands().size() > 1) check_records(args, m);
  return kDone;
}

int command_freeze(const Args& args) {
  Manifest m = read_manifest(args.operands()[0], manifest_options(args));
  std::vector<FileRead> files;
  add_step(files, args.operands()[0], m);
  require_unread("-o", args.text("-o", "-"), files);
  OutputFile out(args.text("-o", "-"));
  out.write(freeze(m));
  out.commit();
  note("config " + config_id_of(effective_config(m)));
  return kDone;
}

// OpenSSF model signing's root for a folder: SHA-256 over the raw digests of its files, sorted by path.
static std::string model_signing_root(const runtime::ModelSource& model) {
  Sha256 all;
  for (const auto& file : model.files) all.update(bytes_of(digest_of_mapped(*file)));
  return digest_text(all.finish());
}

int command_pin(const Args& args) {
  const std::string& path = args.operands()[0];
  const runtime::ModelSource model = runtime::map_model(path);
  runtime::ModelFiles files = runtime::open_model(model);           // a model that ibid cannot run is refused here already
  DigestCheck check(model, "");
  const std::string root = files.gguf ? "" : model_signing_root(model);
  const std::string digest = check.found();                         // behind all reading: also of the root's bytes
  const runtime::ModelConfig& c = files.config;
  std::printf("# %s: %s, %d layers, hidden %d, %d heads (%d K/V), vocabulary %d, trained for %d positions\n",
              base_name(path_with_name(path)).c_str(), c.architecture.c_str(), c.layers, c.hidden, c.heads, c.kv_heads, c.vocab,
              c.max_positions);
  if (!root.empty()) std::printf("# OpenSSF model-signing root of these files: %s\n", root.c_str());
  std::printf("model:\n  digest: %s\n", digest.c_str());
  if (args.has("--write")) {
    if (!is_utf8(path_with_name(path)))
      throw Error(ErrorKind::usage, "--write", "the model's name is no text (UTF-8), and a sidecar could not say it", "rename the model");
    OutputFile sidecar(sidecar_path(path));
    sidecar.write(sidecar_text(path, digest));
    sidecar.commit();
    note("wrote " + sidecar.path());
  }
  return kDone;
}

}  // namespace ibid::step
