// The bundle: everything that one run of a step was given and gave, in one file whose name can be its digest.
//
// Owns: the layout of a bundle, its identities, reading and checking it. Must not know: how an answer came about.
// Format: an OCI image layout in a tar, with exactly one manifest (BUNDLE.md describes it whole):
//   blobs/sha256/HEX ...    segments of records and outcomes (segment.h), side files, the step as written, model files when
//                           embedded, the config blob, the OCI manifest; then index.json and oci-layout
// 1. The bundle id is the SHA-256 of the config blob, canonical JSON that commits to step id, result digest and every segment's
//    roots. The manifest around it is only the carrier: with or without the model embedded, one run has one id.
// 2. What is volatile (time, host, speed, version) never enters a bundle; it is the run record, a file of its own.
// 3. Memory while writing is bounded: one table row per record of the current segment, one root per earlier segment.
// 4. Reading trusts nothing: every blob is hashed or proved against a root before it is believed.
// 5. Records have absolute numbers, from 0 over the whole input. A shard (artifact type of its own) holds some of them; its
//    segments are cut at the same absolute places, so the whole ones among them are those of the unsharded bundle.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/json.h"
#include "step/archive.h"
#include "step/segment.h"

namespace ibid::step {

struct BundleIds {
  std::string config_id, input_digest, step_id, records_digest, result_digest, bundle_id;   // each "sha256:..."
  uint64_t records = 0;
};

// Far more shards than any scheduler starts, and few enough to count through those that are missing.
constexpr uint64_t kMaxShards = 1000000;

// Which part of its step's input a shard holds.
struct ShardPart {
  uint64_t index = 1, of = 1;                          // 1-based
  uint64_t input_records = 0;                          // of the whole input
  std::string input_digest;                            // of the whole input
  uint64_t first() const { return begin_of(index); }
  uint64_t end() const { return begin_of(index + 1); }
  // Where part i begins: contiguous parts whose sizes differ by one at most, the larger ones first.
  uint64_t begin_of(uint64_t i) const;
  std::string name() const { return "shard " + std::to_string(index) + " of " + std::to_string(of); }
  std::string range() const;                          // "records 3 to 4 of 4"
  std::string describe() const;                       // for a reader: that, and which ids stand unproved
};

// config_id = digest of the canonical effective configuration; step_id = digest of canonical {"config","input"}.
std::string config_id_of(const Json& effective_config);
std::string step_id_of(const std::string& config_id, const std::string& input_digest);

struct EmbeddedFile { std::string title, path; };      // title: relative name inside the model

struct BundleHead {
  Json config;                                         // the effective configuration
  std::map<std::string, std::string> files;            // side files by name
  std::string step_text;                               // the manifest as written; outside the id
  std::vector<EmbeddedFile> model;                     // empty: the weights are referenced by digest only
  std::optional<ShardPart> shard;
};

class Bundle;

// Takes records in input order; with no output it only computes the identities.
class BundleWriter {
 public:
  BundleWriter(OutputFile* out, BundleHead head);
  ~BundleWriter();
  // record_canonical: what the record digest is of; the leaves: JSON texts of leaves.h; status: for the counts.
  void add(const std::string& record_id, std::string_view record_canonical, std::string_view record_leaf, std::string_view outcome_leaf,
           const std::string& status);
  // Copies a whole segment of another bundle, blobs and all; its records were announced one by one by count(), in order.
  // REQUIRES: the segment begins where this bundle ends, at a multiple of kSegmentRecords. Errors: corrupt.
  void copy_segment(const Bundle& from, uint64_t segment);
  void count(std::string_view record_canonical, const std::string& status);
  std::string input_digest() const;                    // of the records so far
  // What the tokens look like in a shard's rows, which merge writes without a tokenizer; see rows.h.
  void set_token_texts(std::string json) { token_texts_ = std::move(json); }
  BundleIds finish();

 private:
  struct Blob { std::string media_type, digest, title; uint64_t size; };
  void close_segments();
  void write_segment(SegmentWriter& segment, const SegmentWriter::Closed& closed, const char* media_type);
  void write_blob(const std::string& bytes, const char* media_type, const std::string& title);
  void write_model();
  void write_model_file(const EmbeddedFile& file);
  std::string config_blob(const BundleIds& ids, const std::string& own_input) const;
  void write_manifest(const std::string& config);

  OutputFile* out_;
  BundleHead head_;
  std::optional<TarWriter> tar_;
  std::optional<SegmentWriter> records_, outcomes_;
  struct Segment { uint64_t first, count; Digest records, outcomes; };
  std::vector<Segment> segments_;
  std::vector<Blob> layers_;
  std::set<std::string> written_;                      // digests of blobs already in the tar
  std::map<std::string, uint64_t> statuses_;
  std::string token_texts_ = "[]";
  Sha256 input_;
  uint64_t next_ = 0, counted_ = 0;                    // absolute number of the next record; records counted so far
};

// One record of a bundle, proved against its roots.
struct ProvedRecord {
  uint64_t number = 0;                                 // absolute
  std::string id, record_text, outcome_text;
  Json record, outcome;                                // the same, parsed
};

class Bundle {
 public:
  // Reads and checks manifest and config blob; segments are read later. Errors: not_found, corrupt (which part).
  explicit Bundle(const std::string& path);

  const std::string& path() const { return tar_.path(); }
  const BundleIds& ids() const { return ids_; }
  const Json& config() const { return config_; }                     // the effective configuration
  const std::map<std::string, uint64_t>& statuses() const { return statuses_; }
  const std::optional<ShardPart>& shard() const { return shard_; }
  uint64_t first() const { return shard_ ? shard_->first() : 0; }    // absolute number of its first record
  uint64_t end() const { return first() + ids_.records; }
  uint64_t input_records() const { return shard_ ? shard_->input_records : ids_.records; }
  std::map<std::string, std::string> side_files() const;             // checked against their digests
  std::string step_text() const;
  std::string token_texts() const;                                   // of a shard: JSON, [[id, text], ...]
  bool has_model() const;
  // Writes the embedded model below folder and returns the path to open. Errors: corrupt, cannot_create.
  std::string extract_model(const std::string& folder) const;

  uint64_t segment_count() const { return segments_.size(); }
  struct SegmentPair {
    SegmentReader records, outcomes;
    ProvedRecord proved(uint64_t row) const;                         // errors: corrupt
  };
  SegmentPair segment(uint64_t i) const;
  uint64_t segment_of(uint64_t number) const { return number / kSegmentRecords - first() / kSegmentRecords; }
  // The two blobs of a segment as they lie in the file; stream() checks their digests and throws corrupt at the end.
  struct SegmentBlobs {
    uint64_t first, count;
    Digest records_root, outcomes_root;
    struct Blob { std::string digest; uint64_t size; std::string role; } records, outcomes;
  };
  SegmentBlobs segment_blobs(uint64_t i) const;
  void stream(const SegmentBlobs::Blob& blob, const std::function<void(std::string_view)>& sink) const;
  // Row of a record by id, proved against the roots; reads the tables of the segments up to the one that holds it.
  struct Found { uint64_t number; std::string record_leaf, outcome_leaf; };
  std::optional<Found> find(std::string_view record_id) const;

  // Everything: each blob's digest, no blob missing or left over, each leaf, root and id. Returns what is damaged, one line
  // each; empty when all is well. `also` sees each record once it is proved, and may throw what is wrong with it (corrupt).
  using RecordSink = std::function<void(const ProvedRecord&)>;
  std::vector<std::string> verify(const RecordSink& also = nullptr) const;

 private:
  struct Layer { std::string media_type, digest, title; uint64_t size; };
  struct Segment { uint64_t first, count; Digest records, outcomes; };
  const TarEntry& entry_of(const std::string& digest, uint64_t size, const std::string& role) const;
  std::string blob(const Layer& layer, const std::string& role) const;
  Json read_index() const;                              // what names the manifest
  void read_manifest();
  void read_config(const std::string& text);
  void read_shard(const Json& config);
  void read_segments(const Json& config);
  void match_layers() const;
  SegmentReader records_segment(uint64_t i) const;
  void verify_blobs(std::vector<std::string>& damage) const;
  void verify_segment(uint64_t i, Sha256& input, std::map<std::string, uint64_t>& statuses, const RecordSink& also) const;
  void verify_model(std::vector<std::string>& damage) const;

  TarFile tar_;
  Json manifest_, config_;
  Layer config_layer_, manifest_layer_;
  std::vector<Layer> layers_;
  std::vector<Segment> segments_;
  BundleIds ids_;
  std::optional<ShardPart> shard_;
  std::string own_input_digest_, token_texts_digest_;  // of a shard
  std::map<std::string, uint64_t> statuses_;
};

// Proved records by absolute number; the segment of the last one stays open.
class BundleCursor {
 public:
  explicit BundleCursor(const Bundle& bundle) : bundle_(bundle) {}
  ProvedRecord at(uint64_t number);                    // REQUIRES: bundle.first() <= number < bundle.end()

 private:
  const Bundle& bundle_;
  std::optional<Bundle::SegmentPair> pair_;
  uint64_t segment_ = 0;
};

}  // namespace ibid::step
