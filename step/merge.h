// What merging shards (command_merge.cc) and merging pieces (merge_pieces.cc) share.
#pragma once
#include "step/bundle.h"
#include "step/cli.h"
#include "step/manifest.h"
#include "step/outputs.h"
#include "step/record_check.h"

namespace ibid::step {

// The head of the whole bundle, from one of its parts; with --embed-model the model's files too.
BundleHead merged_head(const Bundle& part, const Args& args, const Manifest& manifest);
// A record that was proved against its part's roots and is as it must be: its row is written and it is counted.
// Errors: those of RecordCheck.
struct Taken { std::string fields, status; };
Taken take_proved(const ProvedRecord& r, uint64_t number, const std::string& path, RecordCheck& check, Outputs& outputs);

// What no output may replace: the bundles, with --input the input, and the model where --model names one itself.
std::vector<FileRead> files_merged(const Args& args);

// Merges the bundles of whole runs over consecutive pieces of the input that --input names. Returns the exit code.
int merge_pieces(const Args& args);

}  // namespace ibid::step
