// What merging shards (command_merge.cc) and merging pieces (merge_pieces.cc) share; tokens are shown by `show --rows` too.
#pragma once
#include "step/bundle.h"
#include "step/cli.h"
#include "step/manifest.h"
#include "step/model_store.h"
#include "step/outputs.h"
#include "step/record_check.h"

namespace ibid::step {

// The head of the whole bundle, from one of its parts; with --embed-model the model's files too.
BundleHead merged_head(const Bundle& part, const Args& args, const Manifest& manifest);
// The model that --model names. Errors: not_found; io; bad_data, when it is not the one of the runs.
runtime::ModelSource model_of_runs(const Args& args, const Manifest& manifest);
// How rows show tokens, where the step asks for log-probabilities: whole bundles do not say (a shard does). Errors: usage, without --model; as above.
TokenText token_texts(const Manifest& manifest, const Args& args);

// A record that was proved against its part's roots and is as it must be: its row is written and it is counted. Errors: those of RecordCheck.
struct Taken { std::string fields, status; };
Taken take_proved(const ProvedRecord& r, uint64_t number, const std::string& path, RecordCheck& check, Outputs& outputs);

// What no output may replace: the bundles, with --input the input, and the model where --model names one itself.
std::vector<FileRead> files_merged(const Args& args);

// Merges the bundles of whole runs over consecutive pieces of the input that --input names. Returns the exit code.
int merge_pieces(const Args& args);

}  // namespace ibid::step
