// See archived.h.
#include "step/archived.h"

#include <algorithm>

#include "step/comparison.h"
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

bool has_ids(const Bundle& bundle) {
  try {
    return !numbers_records(Manifest::from_config(bundle.config(), bundle.side_files(), bundle.path()).input);
  } catch (const Error&) {
    return false;
  }
}

Error no_record(const Bundle& bundle, const std::string& name) {
  const uint64_t n = bundle.first() + 1;
  std::string hint = "records of this step are numbers, from " + std::to_string(n) + " to " + std::to_string(bundle.end());
  if (bundle.ids().records == 0) hint = "it holds no records";
  else if (has_ids(bundle)) hint = "records of this step have ids, and the first is " + BundleCursor(bundle).at(bundle.first()).id;
  return Error(ErrorKind::bad_data, bundle.path(), "no record " + name,
               hint + "; a record without an id of its own is called '#' and its number, like #4");
}

std::string changed_from_written(const Bundle& bundle) {
  std::string lines;
  try {
    const Json written = effective_config(Manifest::from_written(bundle.step_text(), bundle.side_files(), "step"));
    list_differences(written, bundle.config(), "", [&](const std::string& line) { lines += line + "\n"; });
  } catch (const Error& e) {
    if (e.kind == ErrorKind::io) throw;
    const std::string why = e.what();
    return "this text gives no configuration by itself: " + why.substr(0, why.find('\n')) + "\n";
  }
  return lines.empty() ? "" : "the run had another configuration than this text gives (--set): as written -> as run\n" + lines;
}

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
