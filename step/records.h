// Input records: bytes of the INPUTs in, one Record after another out.
//
// Owns the six input formats and what a record's identity is made of. Must not know templates, models or compression
// (a ByteSource already yields plain bytes).
//
// 1. Several inputs are one input, in the order given. A csv or tsv header must be the same in each of them.
// 2. Memory is bounded by the longest record (kMaxRecordBytes, beyond it an Error) plus 16 bytes and a hash slot per record:
//    ids must be unique, and are remembered as 128 bits of their SHA-256.
// 3. A record that cannot be read is a record all the same: it has a `problem` (status bad_record), the id "#" + its number from 1 (with
//    one "#" more while an earlier record has that id), and its bytes, escaped (\xNN, a backslash doubled), are its content. Only what
//    leaves no records at all is an Error (no header, headers differ).
// 4. Nothing in id, fields, raw or problem tells where the bytes came from: how an engine cut the input into files cannot be
//    seen. `where` is for messages only and never digested.
// 5. A UTF-8 byte order mark at the start of an input is dropped. Lines end in LF or CRLF; the last may lack its end.
//
//   jsonl  one strict JSON object per line; blank lines are skipped; id: a string or number field, else numbered
//   csv    RFC 4180, header row, quoted fields may hold line breaks; a quote inside an unquoted field stands for itself;
//          a row with another number of fields is a bad record; blank lines are skipped unless there is one column; a header with a
//          CR outside quotes that is no line's end is an Error
//   tsv    the same with tabs; with input.escapes \t \n \r \\ in a field are read as rows.h writes them; in either, with input.quotes: none
//          a quote stands for itself everywhere
//   text   one record per line (blank lines too), field `text`; numbered
//   fasta  `id` (first word), `description` (the rest), `sequence` (lines joined)
//   files  each input one record: `name` (the file's base name, its id) and `text`
// Numbered records are "1", "2", ... over the whole input. Where a field gives the id, the id is its lexeme. A record whose field cannot is
// as in 3, but keeps its fields (if it has any). Its problem is "the field 'F', which names the record, " and the first that holds of "is
// missing", "is a JSON boolean" (null, array, object), "is empty", "is longer than 1024 bytes", "holds a control character" (below U+0020,
// or U+007F), "names an earlier record too: ID"; an id with "#" that was given to a record is an earlier id like any other.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/json.h"
#include "step/archive.h"
#include "step/manifest.h"

namespace ibid::step {

inline constexpr size_t kMaxRecordBytes = size_t{64} << 20;
inline constexpr size_t kMaxIdBytes = 1024;
inline constexpr const char* kNotUtf8 = "not valid UTF-8";         // a record's problem, so bytes of a result
inline constexpr const char* kPackedHint =
    "gzip and zstd are unpacked, once, and nothing else: unpack it first, or export a spreadsheet as text";
inline constexpr const char* kEncodingHint = "iconv -f UTF-16 (or -f WINDOWS-1252) -t UTF-8 converts what spreadsheets write";

// What an input is that begins with these bytes and holds no text, in words; "" when they say nothing.
std::string packed_as(std::string_view head);

struct Input {
  std::string name;                                    // path as given; its base name is what `files` shows
  std::function<ByteSource()> open;                    // called once, when the reader gets there; one input is open at a time
  bool may_wait = false;                               // opening it may wait for somebody who writes, as a pipe's does
};

struct Field {
  std::string name;
  Json value;                                          // csv, tsv, text, fasta, files: always a string
};

// "string", "number", "true", "false", "null" or "json" (arrays and objects), and the text that goes with it: the string
// itself, the number as written, "", or compact JSON in source order with numbers as written.
std::string field_kind(const Json& value);
std::string field_lexeme(const Json& value);
// What a table shows of it: the same, but true and false as JSON writes them.
std::string field_text(const Json& value);

struct Record {
  uint64_t index = 0;                                  // 0-based over the whole input
  std::string id;                                      // never empty, unique in the input
  std::vector<Field> fields;                           // in source order
  std::optional<std::string> problem;                  // set: the record's status is bad_record, and this is why
  std::string raw;                                     // of a record that could not be read: its bytes, what is not UTF-8 as \xNN
  std::string where;                                   // "input.jsonl:17"; volatile
  size_t lines = 1;                                    // of a csv or tsv: how many its row spans; volatile

  const Json* find(std::string_view name) const;       // null when absent
  Json variables() const;                              // an object of all fields: what a template sees
};

// The bytes whose digest is the record's: canonical JSON of [[name, kind, lexeme], ...] in source order; of an unreadable
// record [["", "bad_record", raw]].
std::string record_canonical(const Record& record);

// Why a record with these bytes, kept as Record::raw, cannot be read; "" when it can, or when no reader keeps them so. That a row's
// number of fields is not its header's is taken as true of a row with which nothing else is wrong: the header is in no id.
std::string why_unreadable(const InputSpec& spec, const std::string& raw);

// True when the format has no ids of its own and the step names none.
bool numbers_records(const InputSpec& spec);

// Gives records their ids, in the order of the input.
class RecordNames {
 public:
  explicit RecordNames(const InputSpec& spec);
  ~RecordNames();
  // Its id; or a problem, when the id that it should have is none or is an earlier record's, and "#" + its number.
  void name(Record& record);
  // The problem of a record whose id is an earlier one's too.
  static std::string doubled(const InputSpec& spec, const Record& record);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class RecordReader {
 public:
  // kept: columns that a csv or tsv must have because output.keep names them (what was run before that was asked can be merged still).
  RecordReader(const InputSpec& spec, std::vector<Input> inputs, std::vector<std::string> kept = {});
  ~RecordReader();
  // False at the end. Errors: bad_data (with file and line), and whatever a source throws.
  bool next(Record& record);
  // Whether next() would wait now, for somebody to write into a pipe. What is packed with zstd may be there and not be given yet.
  bool quiet();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What a table of one column may suffer from.
std::string one_column_hint(InputFormat format);

// The source of bytes at hand.
ByteSource text_source(std::string text);

}  // namespace ibid::step
