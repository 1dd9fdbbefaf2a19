// What came of a step's records, counted: for the exit code, the messages and the MultiQC section. Shared by run and merge.
//
// Must not know where the records come from: counts of merged shards equal those of one run.
// 1. Whole numbers only, so that the order of counting cannot be seen.
// 2. Memory: kListedFailures messages, and counters.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "step/leaves.h"
#include "step/manifest.h"
#include "step/records.h"

namespace ibid::step {

// A record with its answers, and what the prompt cost.
struct Finished {
  const Record& record;
  const std::vector<AnswerRecord>& answers;
  uint64_t prompt_tokens = 0;
  bool prompt_cut = false;                             // by decoding.truncate
};

struct Tally {
  uint64_t records = 0, failed = 0, prompts_cut = 0;
  uint64_t prompt_tokens = 0, answer_tokens = 0;       // answers: of all samples
  std::map<std::string, uint64_t> statuses;            // of records: the first of its answers that is not ok, else ok
  uint64_t pairs = 0, equal_pairs = 0;                 // of samples of one record that have a response; those with the same text
  std::vector<std::string> failures;                   // the first of them, in words

  void count(const Finished& done);
  // Says what failed and returns the exit code that the step's on_error asks for.
  int report(const Manifest& manifest) const;
};

}  // namespace ibid::step
