// `ibid merge`: the shards of a run, in any order, into what the run without shards writes.
//
// 1. Rows, bundle, MultiQC section and exit code are those of the unsharded run, byte by byte. Rows are written again from the
//    leaves, so they cannot say anything that the bundle does not.
// 2. Every record is proved against its shard's roots, and all of them together against the step id that every shard claims.
// 3. One shard is open at a time; what is remembered of the others is their places and the ids of their records.
// 4. Whole segments are copied; only those that a shard's border cuts are put together again from their leaves.
// With --input the operands are not shards but runs over pieces of it: merge_pieces.cc.
#include <algorithm>

#include "step/bundle.h"
#include "step/canon.h"
#include "step/commands.h"
#include "step/merge.h"
#include "step/model_store.h"
#include "step/session.h"

namespace ibid::step {
namespace {

constexpr uint64_t kListedMissing = 20;

struct Shard {
  std::string path;
  BundleIds ids;
  ShardPart part;
};

Error foreign(const Shard& shard, const Shard& other, const std::string& what, const std::string& hint) {
  return Error(ErrorKind::bad_data, shard.path, what + " (compared with " + other.path + ")", hint);
}

// Every shard is of one run: of one step, over one input, cut into one number of parts.
void check_kin(const Shard& s, const Shard& first) {
  if (s.ids.config_id != first.ids.config_id)
    throw foreign(s, first, "is a shard of another step: config " + s.ids.config_id + ", not " + first.ids.config_id,
                  "'ibid diff' of the two names the difference");
  if (s.ids.input_digest != first.ids.input_digest || s.part.input_records != first.part.input_records)
    throw foreign(s, first, "is a shard of another input: " + s.ids.input_digest + ", not " + first.ids.input_digest,
                  "run every shard on the same input");
  if (s.part.of != first.part.of)
    throw foreign(s, first, "is " + s.part.name() + ", not of " + std::to_string(first.part.of), "merge the shards of one cut");
}

// The shards in their order. Errors: bad_data, naming what is missing, doubled or foreign; those of Bundle.
std::vector<Shard> line_up(const std::vector<std::string>& paths) {
  std::vector<Shard> shards;
  for (const std::string& path : paths) {
    Bundle bundle(path);
    if (!bundle.shard())
      throw Error(ErrorKind::bad_data, path, "is a whole bundle, not a shard",
                  "merge takes the bundles of 'ibid run --shard I/N', or with --input FILE those of runs over pieces of FILE");
    shards.push_back({path, bundle.ids(), *bundle.shard()});
    check_kin(shards.back(), shards.front());
  }
  std::sort(shards.begin(), shards.end(), [](const Shard& a, const Shard& b) { return a.part.index < b.part.index; });
  uint64_t next = 1, missing_count = 0;
  std::string missing;
  auto expect = [&](uint64_t index) {
    ShardPart part = shards.front().part;
    for (; next < index; ++next) {
      if (++missing_count > kListedMissing) continue;
      part.index = next;
      missing += "\n  " + part.name() + ": " + part.range();
    }
  };
  for (size_t i = 0; i < shards.size(); ++i) {
    if (i > 0 && shards[i].part.index == shards[i - 1].part.index)
      throw Error(ErrorKind::bad_data, shards[i].path, "is " + shards[i].part.name() + ", and so is " + shards[i - 1].path,
                  "name each shard once");
    expect(shards[i].part.index);
    next = shards[i].part.index + 1;
  }
  expect(shards.front().part.of + 1);
  if (missing_count > kListedMissing) missing += "\n  and " + std::to_string(missing_count - kListedMissing) + " more";
  if (missing_count > 0)
    throw Error(ErrorKind::bad_data, "ibid merge", "shards are missing:" + missing, "run them, or name their bundles too");
  return shards;
}

void take_shard(const Bundle& shard, RecordCheck& check, Outputs& outputs) {
  for (uint64_t s = 0; s < shard.segment_count(); ++s) {
    Bundle::SegmentPair pair = shard.segment(s);
    uint64_t end = pair.records.first() + pair.records.count();
    bool whole = pair.records.first() % kSegmentRecords == 0 && (pair.records.count() == kSegmentRecords || end == shard.input_records());
    for (uint64_t row = 0; row < pair.records.count(); ++row) {
      ProvedRecord r = pair.proved(row);
      Taken taken = take_proved(r, r.number, shard.path(), check, outputs);
      if (whole) outputs.bundle().count(taken.fields, taken.status);
      else outputs.bundle().add(r.id, taken.fields, r.record_text, r.outcome_text, taken.status);
      if (row % 256 == 0) stop_if_interrupted();
    }
    if (whole) outputs.bundle().copy_segment(shard, s);
  }
}

}  // namespace

std::vector<FileRead> files_merged(const Args& args) {
  std::vector<FileRead> files;
  for (const std::string& path : args.operands()) files.push_back({path, "a bundle to merge"});
  for (const std::string& path : args.all("--input")) files.push_back({path, "the input"});
  if (args.has("--model") && is_model(*args.get("--model"))) add_model(files, *args.get("--model"));
  return files;
}

BundleHead merged_head(const Bundle& part, const Args& args, const Manifest& manifest) {
  BundleHead head{part.config(), part.side_files(), part.step_text(), {}, std::nullopt};
  if (!args.has("--embed-model")) return head;
  if (!args.has("--model"))
    throw Error(ErrorKind::usage, "--embed-model", "needs --model PATH", "name the model's file or folder, or a folder of models");
  head.model = model_embedding(model_of_runs(args, manifest).path);
  return head;
}

Taken take_proved(const ProvedRecord& r, uint64_t number, const std::string& path, RecordCheck& check, Outputs& outputs) {
  check.check(r, path);
  std::string where = path + ": record " + std::to_string(r.number + 1);
  std::vector<AnswerRecord> answers = answers_of(r.outcome, where);
  Record record = record_of(r.record, r.outcome, number, where);
  record.where.clear();
  const Json* ids = r.record.find("prompt_ids");
  outputs.take({record, answers, ids && ids->is_array() ? ids->items().size() : 0, r.record.find("truncated") != nullptr});
  return {canonical(r.record.at("fields")), worst_status(answers)};
}

int command_merge(const Args& args) {
  if (args.has("--input")) return merge_pieces(args);
  if (args.has("--model") && !args.has("--embed-model"))
    throw Error(ErrorKind::usage, "--model", "merge needs a model for --embed-model alone");
  Outputs outputs(args, files_merged(args));
  std::vector<Shard> shards = line_up(args.operands());
  std::optional<Manifest> manifest;
  std::optional<RecordCheck> check;                    // one for all: an id may stand in one shard and again in another
  ShownTokens shown;
  std::string where;
  Progress progress(shards.front().part.input_records);
  for (const Shard& s : shards) {
    Bundle shard(s.path);
    if (shard.ids().bundle_id != s.ids.bundle_id) throw Error(ErrorKind::io, s.path, "changed while it was merged");
    if (!manifest) {
      manifest = Manifest::from_config(shard.config(), shard.side_files(), shard.path());
      check.emplace(*manifest, true);
      outputs.begin(*manifest, merged_head(shard, args, *manifest), [&](int32_t id) { return shown.text(id, where); });
    }
    where = s.path;
    shown = ShownTokens(shard.token_texts(), where);
    take_shard(shard, *check, outputs);
    progress.update(outputs.tally().records, outputs.tally().answer_tokens);
  }
  if (outputs.bundle().input_digest() != shards.front().ids.input_digest)
    throw Error(ErrorKind::corrupt, "ibid merge",
                "the records of all shards do not give the input digest that they claim: " + shards.front().ids.input_digest,
                "'ibid verify' checks each shard");
  return outputs.report(outputs.commit());
}

}  // namespace ibid::step
