// See archived.h.
#include "step/archived.h"

#include <algorithm>

#include "step/leaves.h"

namespace ibid::step {
namespace {

bool could_be_read(const Json& record) {
  const Json::Array& fields = record.at("fields").items();
  return std::none_of(fields.begin(), fields.end(), [](const Json& f) { return f.items().at(1).as_string() == "bad_record"; });
}

// "#17", or with more of them where somebody's own id is "#17".
bool is_mark(const std::string& id, uint64_t number) {
  std::string digits = std::to_string(number);
  return id.size() > digits.size() && id.ends_with(digits) && id.find_first_not_of('#') == id.size() - digits.size();
}

}  // namespace

Record ArchivedRecords::take(const ProvedRecord& proved, const std::string& where) {
  const Record said = record_of(proved.record, proved.outcome, proved.number, where);
  Record record = said;
  const std::string why = could_be_read(proved.record) ? "" : why_unreadable(spec_, said.raw);
  record.problem = why.empty() ? std::nullopt : std::optional<std::string>(why);
  names_.name(record);
  if (whole_) return record;
  bool doubled = !record.problem && said.problem == RecordNames::doubled(spec_, record);
  if ((doubled || record.problem) && is_mark(said.id, said.index + 1)) record.id = said.id;
  if (doubled) record.problem = said.problem;
  return record;
}

}  // namespace ibid::step
