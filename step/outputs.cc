// See outputs.h.
#include "step/outputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "step/model_store.h"
#include "step/multiqc.h"

namespace ibid::step {
namespace {

std::string name_of_output(const std::string& path) { return path == "-" ? "standard output" : path; }

// Two outputs in one file would be the later one alone, and an output in a file that is read would be all that is left of it; nobody
// would be told. Errors: usage.
void require_apart(const Args& args, const std::vector<FileRead>& read) {
  std::map<std::string, std::string> flag_of;
  for (const std::string flag : {"-o", "--bundle", "--mqc", "--versions", "--run-record"}) {
    if (flag != "-o" && !args.has(flag)) continue;
    const std::string path = args.text(flag, "-");
    require_unread(flag, path, read);
    std::error_code ignored;
    if (path != "-" && std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored))
      continue;                                        // /dev/null takes them all
    std::string place =
        path == "-" ? path : std::filesystem::weakly_canonical(directory_of(path), ignored).string() + "/" + base_name(path);
    auto [other, alone] = flag_of.emplace(place, flag);
    if (alone) continue;
    throw Error(ErrorKind::usage, flag, name_of_output(path) + " is where " + other->second + " goes",
                "give each output a file of its own");
  }
}

// Inputs are recognised by content, so people expect outputs to be packed by name.
void note_plain(const std::string& path) {
  for (const char* packed : {".gz", ".bgz", ".zst"})
    if (path.ends_with(packed)) note("-o " + path + " is written plain; '-o - | gzip' or zstd packs it");
}

// The same of a table's format: no flag says it, the step does.
void note_format(const std::string& path, OutputFormat format) {
  for (const char* other : {"csv", "tsv", "jsonl"})
    if (path.ends_with(std::string(".") + other) && std::string_view(other) != name_of(format))
      note("-o " + path + " is written as " + name_of(format) + ", which is the step's output.format");
}

// Which file on the disk this is; none for what is not there, is no regular file, or has a second hard link, which keeps its bytes.
// "-": the stream.
std::optional<std::pair<dev_t, ino_t>> file_of(const std::string& path, int stream) {
  struct stat s;
  const bool there = path == "-" ? ::fstat(stream, &s) == 0 : ::stat(path.c_str(), &s) == 0;
  if (!there || !S_ISREG(s.st_mode) || s.st_nlink > 1) return std::nullopt;
  return std::make_pair(s.st_dev, s.st_ino);
}

}  // namespace

void add_step(std::vector<FileRead>& files, const std::string& path, const Manifest& manifest) {
  files.push_back({path, "the step"});
  for (const auto& [name, file] : manifest.prompt.files) files.push_back({file.read_from, "the side file '" + name + "'"});
}

void add_model(std::vector<FileRead>& files, const std::string& model) {
  for (const EmbeddedFile& file : model_embedding(model)) files.push_back({file.path, "a file of the model"});
}

void require_unread(const std::string& flag, const std::string& path, const std::vector<FileRead>& read) {
  std::error_code ignored;
  // the link is replaced (output_file.h, 1): engines stage an input under its output's name
  if (path != "-" && std::filesystem::is_symlink(path, ignored)) return;
  const auto written = file_of(path, STDOUT_FILENO);
  for (const FileRead& file : read)
    if (written && written == file_of(file.path, STDIN_FILENO))
      throw Error(ErrorKind::usage, flag, name_of_output(path) + " is also " + file.what, "give the output a file of its own");
}

std::vector<Flag> Outputs::flags() {
  return {{"-o", "FILE", "where the answers go (default -, standard output)"},
          {"--bundle", "FILE", "write the bundle: prompts, answers, configuration, digests"},
          {"--embed-model", nullptr, "put the model's files into the bundle"},
          {"--mqc", "FILE", "write a section for MultiQC; name it NAME_mqc.json"},
          {"--versions", "FILE", "write nf-core's versions.yml"},
          {"--process", "NAME", "the process that it names (default ibid)"}};
}

std::optional<OutputFile> Outputs::open(const Args& args, const char* flag) {
  if (!args.has(flag)) return std::nullopt;
  return std::optional<OutputFile>(std::in_place, *args.get(flag));
}

Outputs::Outputs(const Args& args, const std::vector<FileRead>& read)
    : rows_file_(args.text("-o", "-")), bundle_file_(open(args, "--bundle")), mqc_file_(open(args, "--mqc")),
      versions_file_(open(args, "--versions")), record_file_(open(args, "--run-record")), process_(args.text("--process", "ibid")) {
  require_apart(args, read);
  note_plain(rows_file_.path());
  if (mqc_file_ && mqc_file_->is_file() && !mqc_file_->path().ends_with("_mqc.json"))
    note("--mqc " + mqc_file_->path() + ": MultiQC looks for names that end in _mqc.json");
  if (args.has("--embed-model") && !bundle_file_)
    throw Error(ErrorKind::usage, "--embed-model", "embeds into a bundle; name one with --bundle");
  if (args.has("--process") && !versions_file_)
    throw Error(ErrorKind::usage, "--process", "names the process in the versions file; name one with --versions");
}

void Outputs::begin(const Manifest& manifest, BundleHead head, TokenText token_text) {
  manifest_ = &manifest;
  shard_ = head.shard;
  bundle_.emplace(bundle_file_ ? &*bundle_file_ : nullptr, std::move(head));
  note_format(rows_file_.path(), manifest.output.format);
  rows_.emplace(rows_file_, manifest, std::move(token_text));
}

void Outputs::take(const Finished& done) {
  rows_->write(done.record, done.answers);
  if (rows_file_.path() == "-") rows_file_.flush();
  tally_.count(done);
}

BundleIds Outputs::commit(const std::function<std::string(const BundleIds&)>& run_record) {
  BundleIds ids = bundle_->finish();
  if (mqc_file_) mqc_file_->write(multiqc_section(mqc_file_->path(), *manifest_, tally_, ids, shard_));
  if (versions_file_) versions_file_->write(versions_yml(process_));
  if (record_file_) record_file_->write(run_record(ids));
  std::vector<OutputFile*> files{&rows_file_};
  for (std::optional<OutputFile>* file : {&bundle_file_, &mqc_file_, &versions_file_, &record_file_})
    if (*file) files.push_back(&**file);
  OutputFile::commit(files);
  return ids;
}

std::string Outputs::beside() const {
  if (rows_file_.is_file()) return rows_file_.path();
  return bundle_file_ && bundle_file_->is_file() ? bundle_file_->path() : "";
}

int Outputs::report(const BundleIds& ids) const {
  note("step " + ids.step_id);
  note("result " + ids.result_digest);
  if (bundle_file_) note("bundle " + ids.bundle_id);
  return tally_.report(*manifest_);
}

}  // namespace ibid::step
