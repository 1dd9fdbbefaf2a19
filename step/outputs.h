// The files that a run or a merge publishes, opened together and committed together: rows, bundle, MultiQC section, versions, run record.
//
// Must not know whether the answers were computed or come out of shards: what is published is the same.
// 1. All files are opened before anything expensive happens; none appears before commit(), and none when one of them cannot be
//    written to its end.
// 2. No two of them are one file, and none is a file that the command reads.
// 3. Rows are written as records are finished; standard output is flushed after each.
#pragma once
#include <functional>
#include <optional>

#include "step/bundle.h"
#include "step/cli.h"
#include "step/rows.h"
#include "step/tally.h"

namespace ibid::step {

// A file that a command reads, and what it is to it: "the step", "the input".
struct FileRead {
  std::string path, what;
};
void add_step(std::vector<FileRead>& files, const std::string& path, const Manifest& manifest);      // and its side files
void add_model(std::vector<FileRead>& files, const std::string& model);                              // all of its files

// Errors: usage, when what a flag writes is one of these files, by whatever path. FIFOs and devices are none; an output that is a
// link, symbolic or hard, is replaced itself, so what it leads to is safe.
void require_unread(const std::string& flag, const std::string& path, const std::vector<FileRead>& read);

class Outputs {
 public:
  static std::vector<Flag> flags();
  // Errors: cannot_create; usage (flags that do not fit together, or that name what is read).
  Outputs(const Args& args, const std::vector<FileRead>& read);
  // REQUIRES: the manifest outlives this.
  void begin(const Manifest& manifest, BundleHead head, TokenText token_text);
  // The row and the counts of a record; its leaves go into bundle() by the caller, who has them or copies them.
  void take(const Finished& done);
  BundleWriter& bundle() { return *bundle_; }
  const Tally& tally() const { return tally_; }
  // run_record: what the run record says, given the ids; only asked where there is to be one (a run's).
  BundleIds commit(const std::function<std::string(const BundleIds&)>& run_record = nullptr);
  // The output beside which temporary files and the journal lie; "" when every output is a stream.
  std::string beside() const;
  // Says ids and exit code of what was committed.
  int report(const BundleIds& ids) const;

 private:
  std::optional<OutputFile> open(const Args& args, const char* flag);
  OutputFile rows_file_;
  std::optional<OutputFile> bundle_file_, mqc_file_, versions_file_, record_file_;
  std::string process_;
  const Manifest* manifest_ = nullptr;
  std::optional<ShardPart> shard_;
  std::optional<BundleWriter> bundle_;
  std::optional<RowWriter> rows_;
  Tally tally_;
};

}  // namespace ibid::step
