// The records of a bundle as `verify` and `rerun` take them: named, and refused, by what they hold.
//
// A record's id, and that it could not be named, follow from its fields and from the records before it; why one without fields could
// not be read follows from its bytes. An archive says all this beside them, and none of it is in the step id; so none of it is believed:
// an answer could be hidden under a "bad_record", and noise, which hangs on the id, chosen by choosing ids.
// 1. One thing the archive alone can say: that a row, with which nothing else is wrong, has another number of fields than its header, since
//    the header is not kept. That the row was not read is in the step id all the same.
//    Old bundles also say how many the header has (record_check.cc).
// 2. A shard, or a choice of records, does not know all that came before: there a record may be called a double of what is not there, if it
//    says so in our words. What is there is unique.
#pragma once
#include <string>

#include "step/bundle.h"
#include "step/records.h"

namespace ibid::step {

// Whether the step of a bundle gives its records ids; else they are numbered. False also for a configuration that this ibid does not read.
bool has_ids(const Bundle& bundle);

// That there is no record of this name, and how records of this bundle are named.
Error no_record(const Bundle& bundle, const std::string& name);

// How the configuration of the run differs from what the step says that a bundle carries as it was written: a line that says so, and lines
// "KEY: as written -> as run". "" when it does not; one line when that text gives no configuration by itself.
std::string changed_from_written(const Bundle& bundle);

class ArchivedRecords {
 public:
  ArchivedRecords(const InputSpec& spec, bool from_the_first) : spec_(spec), whole_(from_the_first), names_(spec) {}
  // REQUIRES: in their order, none twice; all of them, if from the first. Errors: corrupt (a leaf that is none).
  Record take(const ProvedRecord& proved, const std::string& where);

 private:
  InputSpec spec_;
  bool whole_;
  RecordNames names_;
};

}  // namespace ibid::step
