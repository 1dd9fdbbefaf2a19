// The output file of a run: one row per answer, in the order of the records.
//
//   jsonl  {"id":.., kept fields.., "sample_index":..?, "status":.., "response":..|null, "error":..?, "logprobs":[..]?}
//   csv    the same columns under a header, quoted by RFC 4180; response and error are empty when absent
//   tsv    the same columns with tabs, one line a row; tab, line break, carriage return and backslash inside a value are \t \n \r \\ ;
//          a value that begins with a quote is quoted as in csv, for that is how readers of csv take it (pandas, Go, Python, ibid).
//          input.escapes reads all of it back (records.h).
//   text   the response alone, one line each; line break, carriage return and backslash in it are \n \r \\ .
// 1. sample_index stands only when the step asks for several samples, logprobs only when it asks for them.
// 2. Kept fields are JSON values as they came in jsonl, and their text elsewhere.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "step/leaves.h"
#include "step/manifest.h"
#include "step/output_file.h"
#include "step/records.h"

namespace ibid::step {

class RowWriter {
 public:
  RowWriter(OutputFile& out, const Manifest& manifest, TokenText token_text);
  void write(const Record& record, const std::vector<AnswerRecord>& answers);

 private:
  std::string json_row(const Record& record, const AnswerRecord& answer, size_t sample) const;
  std::string delimited_row(const Record& record, const AnswerRecord& answer, size_t sample) const;
  std::string logprobs_json(const AnswerRecord& answer) const;
  std::vector<std::string> columns() const;
  std::string cell(const std::string& text) const;
  OutputFile& out_;
  const Manifest& manifest_;
  TokenText token_text_;                               // as it is shown: valid UTF-8
};

// A token's bytes need not be text of their own; those that are not are shown as U+FFFD.
std::string shown_token(std::string_view bytes);

// Which tokens were shown, kept by a shard so that merge can write the same rows without a tokenizer: JSON [[id, text], ...],
// by ascending id, [] when the step asks for no log-probabilities.
class ShownTokens {
 public:
  ShownTokens() = default;
  ShownTokens(const std::string& json, const std::string& where);       // errors: corrupt
  std::string remember(int32_t id, std::string text);                   // returns the text
  const std::string& text(int32_t id, const std::string& where) const;  // errors: corrupt, when there is no such token
  std::string json() const;
  const std::map<int32_t, std::string>& texts() const { return texts_; }

 private:
  std::map<int32_t, std::string> texts_;
};

// True when an answer has a response to show: it is whole (ok) or was cut by the token budget.
bool has_response(const AnswerRecord& answer);

}  // namespace ibid::step
