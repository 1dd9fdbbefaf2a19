// Checks of a bundle's records that no digest makes: a record's id, and whether it was answered, follow from its fields and the step, and
// its leaves have the form that ibid writes. For `verify` and `show --rows`, and for `merge`,
// which publishes nothing that `verify` would refuse.
// Must not know models: whether an answer is the model's only `rerun` says.
#pragma once
#include <functional>

#include "step/archived.h"
#include "step/leaves.h"
#include "step/manifest.h"

namespace ibid::step {

class RecordCheck {
 public:
  // from_the_first: the records begin with the input's first (archived.h, 2).
  RecordCheck(Manifest manifest, bool from_the_first) : manifest_(std::move(manifest)), records_(manifest_.input, from_the_first) {}
  // REQUIRES: in their order, none left out. Errors: corrupt, of the bundle at `path`.
  void check(const ProvedRecord& record, const std::string& path);

 private:
  void check_leaves(const ProvedRecord& record, const std::string& where, const std::function<void(const std::string&)>& fail);
  std::string oddity(const AnswerRecord& answer, bool prompted) const;
  bool is_old_reason(const std::string& said, const std::string& is);
  bool could_be_cut(const Record& said, int64_t kept, int64_t total) const;
  Manifest manifest_;
  ArchivedRecords records_;
  std::string header_width_;                           // that old words name; "" before the first
};

}  // namespace ibid::step
