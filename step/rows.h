// The output file of a run: one row per answer, in the order of the records.
//
//   jsonl  {"id":.., kept fields.., "sample_index":..?, "status":.., "response":..|null, "error":..?, "logprobs":[..]?}
//   csv    the same columns under a header, quoted by RFC 4180; response and error are empty when absent
//   tsv    the same with tabs; tab, line break, carriage return and backslash inside a value are \t \n \r \\ .
//   text   the response alone, one line each; line break, carriage return and backslash in it are \n \r \\ .
// 1. sample_index stands only when the step asks for several samples, logprobs only when it asks for them.
// 2. Kept fields are JSON values as they came in jsonl, and their text elsewhere.
#pragma once
#include <string>
#include <vector>

#include "runtime/tokenizer.h"
#include "step/leaves.h"
#include "step/manifest.h"
#include "step/output_file.h"
#include "step/records.h"

namespace ibid::step {

class RowWriter {
 public:
  RowWriter(OutputFile& out, const Manifest& manifest, const runtime::Tokenizer& tokenizer);
  void write(const Record& record, const std::vector<AnswerRecord>& answers);

 private:
  std::string json_row(const Record& record, const AnswerRecord& answer, size_t sample) const;
  std::string delimited_row(const Record& record, const AnswerRecord& answer, size_t sample) const;
  std::string logprobs_json(const AnswerRecord& answer) const;
  std::vector<std::string> columns() const;
  std::string cell(const std::string& text) const;
  OutputFile& out_;
  const Manifest& manifest_;
  const runtime::Tokenizer& tokenizer_;
};

// True when an answer has a response to show: it is whole (ok) or was cut by the token budget.
bool has_response(const AnswerRecord& answer);

}  // namespace ibid::step
