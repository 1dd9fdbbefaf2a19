// The records that a run answers: all of its input, or one shard of it.
//
// 1. A shard is contiguous, and its place follows from the number of records alone; so the whole input is read first, and
//    again while the shard is answered. An input that can be read only once is kept in an unnamed file meanwhile.
// 2. Ids are unique, and numbers counted, over the whole input, whatever part of it is answered.
// 3. An input that is not the same the second time is an error before anything is published (finish()).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "step/bundle.h"
#include "step/cli.h"
#include "step/manifest.h"
#include "step/records.h"

namespace ibid::step {

// A file, or "-" for standard input, whose bytes come once and decompressed.
Input named_input(const std::string& path);

// What a template's error says of the columns of a table, or the fields of a JSON line, in words: that there is none of that name, and
// which there are. "" when the error is another one. The outcome may not say so: its words are in no id.
std::string about_columns(const Record& record, std::string_view error, InputFormat format);

class RunInput {
 public:
  // With --shard, reads the whole input. spool_beside: where an input that can be read only once is kept ("": refuse it).
  // Errors: usage, bad_data, not_found, io; throws Interrupted.
  RunInput(const Args& args, const Manifest& manifest, const std::string& spool_beside);
  const std::optional<ShardPart>& shard() const { return shard_; }
  std::optional<uint64_t> expected() const { return expected_; }      // records to answer, when that is known
  bool next(Record& record);                                          // false after the last one to answer
  bool quiet() { return reader_->quiet(); }                           // whether next() would wait now, for somebody to write into a pipe
  bool had_records() const { return had_records_; }                   // the input, that is, not the shard alone
  void warn_of_kept() const;                                          // after the last: of fields to keep that no record has
  void finish();                                                      // after the last; errors: io, when the input has changed

 private:
  void survey();
  bool read(Record& record);
  void note_quote(const Record& record);
  void look_for_kept(const Record& record);
  InputSpec spec_;
  std::vector<std::string> kept_, missing_;                           // missing_: of these, fields that no record had so far
  std::vector<std::string> fields_;                                   // of the first record that has some
  std::vector<Input> inputs_;
  std::optional<ShardPart> shard_;
  std::optional<uint64_t> expected_;
  std::optional<RecordReader> reader_;
  bool had_records_ = false, noted_quote_ = false;
  Sha256 digest_;
};

}  // namespace ibid::step
