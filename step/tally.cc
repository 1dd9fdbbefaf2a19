// See tally.h.
#include "step/tally.h"

#include <algorithm>

#include "step/cli.h"
#include "step/rows.h"

namespace ibid::step {
namespace {

constexpr size_t kListedFailures = 20;

std::string describe_failure(const Finished& done, const std::string& status) {
  std::string why;
  for (const AnswerRecord& a : done.answers)
    if (a.status == status) { why = a.error; break; }
  return (done.record.where.empty() ? "" : done.record.where + ": ") + "record " + done.record.id + ": " + status +
         (why.empty() ? "" : ": " + why);
}

}  // namespace

void Tally::count(const Finished& done) {
  std::string status = worst_status(done.answers);
  ++records;
  ++statuses[status];
  prompt_tokens += done.prompt_tokens;
  prompts_cut += done.prompt_cut;
  std::map<std::string, uint64_t> texts;
  uint64_t responses = 0;
  for (const AnswerRecord& a : done.answers) {
    answer_tokens += a.tokens.size();
    if (!has_response(a)) continue;
    equal_pairs += texts[a.text]++;                    // pairs that this sample makes with the equal ones before it
    pairs += responses++;
  }
  if (status == "ok") return;
  ++failed;
  if (failures.size() < kListedFailures) failures.push_back(describe_failure(done, status));
}

int Tally::report(const Manifest& m) const {
  if (prompts_cut > 0)
    note(std::to_string(prompts_cut) + " of " + std::to_string(records) + " prompts were cut, as decoding.truncate says");
  for (const std::string& f : failures) warn(f);
  if (failed > failures.size()) warn("and " + std::to_string(failed - failures.size()) + " more");
  if (failed == 0) return kDone;
  if (std::any_of(failures.begin(), failures.end(), [](const std::string& f) { return f.ends_with(kNotUtf8); })) note(kEncodingHint);
  std::string counts = std::to_string(failed) + " of " + std::to_string(records) + " records are not ok";
  if (m.on_error == OnError::record && failed <= m.max_errors) {
    note(counts + ", within max_errors");
    return kDone;
  }
  print_error(Error(ErrorKind::bad_data, "", counts,
                    m.on_error == OnError::fail
                        ? "all outputs are written, each row with its status; 'on_error: record' with max_errors accepts such rows"
                        : "max_errors is " + std::to_string(m.max_errors)));
  return kBadData;
}

}  // namespace ibid::step
