// `ibid merge --input`: runs over pieces that an engine cut itself, put together into what one run over the whole input writes.
//
// 1. The whole input says which records there are, in which order and by which names; the pieces say what was answered.
// 2. Pieces are consecutive parts of the input, named in any order. Every record of every piece is proved against the piece's roots
//    and used exactly once; a record of the input that no piece holds, or a piece that is of no place in it, is refused by name.
// 3. What only the whole shows is as the whole run has it: a record whose id stands in an earlier piece too is a bad record, and
//    records without a name are numbered over all of the input.
// 4. Formats whose records have no ids are refused: each piece numbers its own from 1, and noise and proofs hang on that.
// 5. Memory: one piece is open at a time; of the others one digest each is remembered, and of the input the ids, by its
//    reader and by the check.
#include <deque>
#include <map>

#include "step/canon.h"
#include "step/merge.h"
#include "step/run_input.h"
#include "step/session.h"

namespace ibid::step {
namespace {

struct Piece {
  std::string path;
  BundleIds ids;
};

// The pieces that nobody has used yet, found by the digest of the record with which they begin.
class Pieces {
 public:
  explicit Pieces(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) add(path);
  }
  const Piece& first() const { return first_; }
  uint64_t records() const { return records_; }
  // Of those that begin so, the one that was named first.
  std::optional<Piece> take(const Digest& begin) {
    auto found = waiting_.find(begin);
    if (found == waiting_.end()) return std::nullopt;
    Piece piece = std::move(found->second.front());
    found->second.pop_front();
    if (found->second.empty()) waiting_.erase(found);
    return piece;
  }
  void require_none_left() const {
    if (waiting_.empty()) return;
    const Piece& left = waiting_.begin()->second.front();
    throw Error(ErrorKind::bad_data, left.path,
                "no place in the input is left for this piece: it was named twice, or no other piece ends right before its first record",
                "name each piece once, and with --input all of the input, in its order");
  }

 private:
  void add(const std::string& path) {
    Bundle bundle(path);
    if (bundle.shard())
      throw Error(ErrorKind::bad_data, path, "is " + bundle.shard()->name() + ", not a piece", "leave --input out to merge shards");
    Piece piece{path, bundle.ids()};
    if (first_.path.empty()) first_ = piece;
    if (piece.ids.config_id != first_.ids.config_id)
      throw Error(ErrorKind::bad_data, path,
                  "is of another step: config " + piece.ids.config_id + ", not " + first_.ids.config_id +
                      " (compared with " + first_.path + ")",
                  "'ibid diff' of the two names the difference");
    records_ += piece.ids.records;
    if (piece.ids.records > 0) waiting_[sha256(canonical(BundleCursor(bundle).at(0).record.at("fields")))].push_back(std::move(piece));
  }
  Piece first_;                                        // as named
  uint64_t records_ = 0;
  std::map<Digest, std::deque<Piece>> waiting_;
};

// Which part of the pieces comes next, as the whole input is read.
class Walk {
 public:
  Walk(Pieces& pieces) : pieces_(pieces) {}
  // The proved record that answers this one of the input. Errors: bad_data, io, corrupt.
  ProvedRecord next(const Record& record, const std::string& fields) {
    if (!bundle_ || row_ == bundle_->ids().records) open(record, fields);
    ProvedRecord r = cursor_->at(row_++);
    if (canonical(r.record.at("fields")) != fields)
      throw Error(ErrorKind::bad_data, bundle_->path(), "its record " + std::to_string(row_) + " is not " + named(record) + " of the input",
                  "pieces are consecutive parts of the input, whole and in its order");
    return r;
  }
  const std::string& path() const { return bundle_->path(); }
  bool at_end() const { return !bundle_ || row_ == bundle_->ids().records; }
  void finish() const {
    if (!at_end())
      throw Error(ErrorKind::bad_data, bundle_->path(), "holds records beyond the end of the input", "name all of the input with --input");
    pieces_.require_none_left();
  }

 private:
  static std::string named(const Record& record) { return "record " + std::to_string(record.index + 1) + " (" + record.id + ")"; }
  void open(const Record& record, const std::string& fields) {
    std::optional<Piece> piece = pieces_.take(sha256(fields));
    if (!piece)
      throw Error(ErrorKind::bad_data, "ibid merge",
                  "no piece begins with " + named(record) + " of the input" + (bundle_ ? ", where " + bundle_->path() + " ends" : ""),
                  "name every piece; each must keep whole records, and a header if the format has one");
    cursor_.reset();
    bundle_.emplace(piece->path);
    if (bundle_->ids().bundle_id != piece->ids.bundle_id) throw Error(ErrorKind::io, piece->path, "changed while it was merged");
    cursor_.emplace(*bundle_);
    row_ = 0;
  }
  Pieces& pieces_;
  std::optional<Bundle> bundle_;
  std::optional<BundleCursor> cursor_;
  uint64_t row_ = 0;
};

// A record that cannot be answered, as a run over the whole input keeps it.
void take_bad(Record&& record, const Manifest& manifest, Outputs& outputs) {
  Answered a;
  a.answers.push_back({"bad_record", "", {}, *record.problem});
  a.record = std::move(record);
  outputs.take({a.record, a.answers, 0, false});
  outputs.bundle().add(a.record.id, a.fields_canonical(), a.record_leaf_text(), a.outcome_leaf_text(manifest.output.logprobs > 0),
                       a.status());
}

}  // namespace

int merge_pieces(const Args& args) {
  Outputs outputs(args, files_merged(args));
  Pieces pieces(args.operands());
  Bundle first(pieces.first().path);
  Manifest manifest = Manifest::from_config(first.config(), first.side_files(), first.path());
  if (numbers_records(manifest.input))
    throw Error(ErrorKind::bad_data, "ibid merge",
                std::string("records of this step (format ") + name_of(manifest.input.format) +
                    ") have no ids, so that each piece numbered its own from 1",
                "name them with input.id, or run with --shard I/N, which numbers over the whole input");
  outputs.begin(manifest, merged_head(first, args, manifest), token_texts(manifest, args));
  std::vector<Input> inputs;
  for (const std::string& path : args.all("--input")) inputs.push_back(named_input(path));
  RecordReader reader(manifest.input, std::move(inputs));
  Progress progress(pieces.records());
  Walk walk(pieces);
  RecordCheck check(manifest, true);
  Record record;
  while (reader.next(record)) {
    std::string fields = record_canonical(record);
    ProvedRecord r = walk.next(record, fields);
    if (record.problem) {
      take_bad(std::move(record), manifest, outputs);
    } else {
      if (r.id != record.id) throw Error(ErrorKind::corrupt, walk.path(), "record " + r.id + " is called " + record.id + " in the input");
      Taken taken = take_proved(r, record.index, walk.path(), check, outputs);
      outputs.bundle().add(r.id, taken.fields, r.record_text, r.outcome_text, taken.status);
    }
    if (outputs.tally().records % 256 == 0) stop_if_interrupted();
    progress.update(outputs.tally().records, outputs.tally().answer_tokens);
  }
  walk.finish();
  return outputs.report(outputs.commit());
}

}  // namespace ibid::step
