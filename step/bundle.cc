// Writing a bundle, and what writing and reading share. See bundle.h; reading is in bundle_reader.cc.
#include "step/bundle.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "runtime/error.h"
#include "step/bundle_format.h"
#include "step/bytes.h"
#include "step/canon.h"

namespace ibid::step {

std::string config_id_of(const Json& effective_config) { return digest_of(canonical(effective_config)); }

std::string step_id_of(const std::string& config_id, const std::string& input_digest) {
  return digest_of(canonical(Json(Json::Object{{"config", config_id}, {"input", input_digest}})));
}

std::string ShardPart::range() const {
  const std::string whole = " of " + std::to_string(input_records);
  return first() == end() ? "none" + whole + " records" : "records " + std::to_string(first() + 1) + " to " + std::to_string(end()) + whole;
}

std::string ShardPart::describe() const {
  return name() + ", " + range() + "; result is that of the part, step and input are claims until the merge";
}

uint64_t ShardPart::begin_of(uint64_t i) const { return input_records / of * (i - 1) + std::min(i - 1, input_records % of); }

bool is_safe_title(const std::string& title) {
  return !title.empty() && title[0] != '/' && title[0] != '.' && title.find("..") == std::string::npos &&
         title.find('\0') == std::string::npos && title.size() < 200 && is_utf8(title);
}

bool is_model_of(const std::string& digest, const Json::Array& files) {
  return (files.size() == 1 && "sha256:" + files[0].at("sha256").as_string() == digest) || digest_of(canonical(Json(files))) == digest;
}

BundleWriter::BundleWriter(OutputFile* out, BundleHead head) : out_(out), head_(std::move(head)) {
  for (const EmbeddedFile& file : head_.model)
    if (!is_safe_title(file.title))
      throw Error(ErrorKind::bad_data, file.path, "a file of this name cannot go into a bundle",
                  "rename it: UTF-8, less than 200 bytes, no '.' in front and no '..'");
  if (out_) tar_.emplace(*out_);
  if (head_.shard) next_ = head_.shard->first();
}
BundleWriter::~BundleWriter() = default;

void BundleWriter::add(const std::string& record_id, std::string_view record_canonical, std::string_view record_leaf,
                       std::string_view outcome_leaf, const std::string& status) {
  if (!records_) {
    std::optional<std::string> beside;
    if (out_) beside = out_->is_file() ? out_->path() : "-";   // of a stream: the current folder; /dev and /dev/fd take no files
    records_.emplace(beside, next_);
    outcomes_.emplace(beside, next_);
  }
  count(record_canonical, status);
  records_->add(record_id, record_leaf);
  outcomes_->add(record_id, outcome_leaf);
  if (++next_ % kSegmentRecords == 0) close_segments();
}

void BundleWriter::count(std::string_view record_canonical, const std::string& status) {
  input_.update(bytes_of(sha256(record_canonical)));
  ++statuses_[status];
  ++counted_;
}

void BundleWriter::copy_segment(const Bundle& from, uint64_t segment) {
  Bundle::SegmentBlobs blobs = from.segment_blobs(segment);
  IBID_CHECK(!records_ && blobs.first == next_ && next_ % kSegmentRecords == 0);
  auto copy = [&](const Bundle::SegmentBlobs::Blob& blob, const char* media_type) {
    if (!out_) return;
    tar_->begin(blob_path(blob.digest), blob.size);
    from.stream(blob, [&](std::string_view piece) { tar_->data(piece); });
    written_.insert(blob.digest);
    layers_.push_back({media_type, blob.digest, "", blob.size});
  };
  copy(blobs.records, media::kRecords);
  copy(blobs.outcomes, media::kOutcomes);
  segments_.push_back({blobs.first, blobs.count, blobs.records_root, blobs.outcomes_root});
  next_ += blobs.count;
}

void BundleWriter::close_segments() {
  if (!records_) return;
  SegmentWriter::Closed records = records_->close(), outcomes = outcomes_->close();
  segments_.push_back({records_->first(), records_->count(), records.root, outcomes.root});
  if (out_) {
    write_segment(*records_, records, media::kRecords);
    write_segment(*outcomes_, outcomes, media::kOutcomes);
  }
  records_.reset();
  outcomes_.reset();
}

void BundleWriter::write_segment(SegmentWriter& segment, const SegmentWriter::Closed& closed, const char* media_type) {
  tar_->begin(blob_path(closed.digest), closed.size);
  segment.content().replay([&](std::string_view piece) { tar_->data(piece); });
  written_.insert(closed.digest);
  layers_.push_back({media_type, closed.digest, "", closed.size});
}

void BundleWriter::write_blob(const std::string& bytes, const char* media_type, const std::string& title) {
  std::string digest = digest_of(bytes);
  if (written_.insert(digest).second) tar_->add(blob_path(digest), bytes);
  layers_.push_back({media_type, digest, title, bytes.size()});
}

void BundleWriter::write_model_file(const EmbeddedFile& file) {
  // A tar entry needs its digest as its name before its bytes: the file is read twice and must not change in between.
  std::string digest = digest_of_file(file.path);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(file.path.c_str(), "rb"), std::fclose);
  if (!in || std::fseek(in.get(), 0, SEEK_END) != 0) throw Error(ErrorKind::io, file.path, "cannot read");
  const auto size = static_cast<uint64_t>(std::ftell(in.get()));
  std::rewind(in.get());
  if (written_.insert(digest).second) {
    tar_->begin(blob_path(digest), size);
    Sha256 again;
    std::vector<char> piece(1 << 20);
    uint64_t left = size;                              // what comes behind it in a file that grows has no room in its entry
    for (size_t n; (n = std::fread(piece.data(), 1, std::min<uint64_t>(piece.size(), left), in.get())) > 0; left -= n) {
      again.update({piece.data(), n});
      tar_->data({piece.data(), n});
    }
    if (left > 0 || digest_text(again.finish()) != digest) throw Error(ErrorKind::io, file.path, "changed while it was embedded");
  }
  layers_.push_back({media::kModelFile, digest, file.title, size});
}

// The model was hashed when it was opened, hours ago perhaps.
void BundleWriter::write_model() {
  if (head_.model.empty()) return;
  const size_t before = layers_.size();
  for (const EmbeddedFile& file : head_.model) write_model_file(file);
  Json::Array files;
  for (size_t i = before; i < layers_.size(); ++i)
    files.push_back(Json::Object{{"path", layers_[i].title}, {"sha256", layers_[i].digest.substr(7)}, {"size", layers_[i].size}});
  if (!is_model_of(head_.config.at("model").at("digest").as_string(), files))
    throw Error(ErrorKind::io, head_.model.front().path, "cannot be embedded: the model was replaced since it was opened",
                "put the pinned model back and run again");
}

std::string BundleWriter::input_digest() const {
  Sha256 so_far = input_.copy();
  return digest_text(so_far.finish());
}

BundleIds BundleWriter::finish() {
  close_segments();
  BundleIds ids;
  ids.records = counted_;
  ids.config_id = config_id_of(head_.config);
  std::string own_input = digest_text(input_.finish());
  ids.input_digest = head_.shard ? head_.shard->input_digest : own_input;
  IBID_CHECK(next_ == counted_ + (head_.shard ? head_.shard->first() : 0));
  ids.step_id = step_id_of(ids.config_id, ids.input_digest);
  std::vector<Digest> records, outcomes;
  for (const Segment& s : segments_) {
    records.push_back(s.records);
    outcomes.push_back(s.outcomes);
  }
  ids.records_digest = digest_text(merkle_root(records));
  ids.result_digest = digest_text(merkle_root(outcomes));
  std::string config = config_blob(ids, own_input);
  ids.bundle_id = digest_of(config);
  if (out_) {
    for (const auto& [name, text] : head_.files) write_blob(text, media::kFile, name);
    write_blob(head_.step_text, media::kStep, "step.yaml");
    if (head_.shard) write_blob(token_texts_, media::kTokenTexts, "");
    write_model();
    write_manifest(config);
    tar_->finish();
  }
  return ids;
}

std::string BundleWriter::config_blob(const BundleIds& ids, const std::string& own_input) const {
  Json::Array segments;
  for (const Segment& s : segments_)
    segments.push_back(Json::Object{{"first", s.first}, {"count", s.count}, {"records", digest_text(s.records)},
                                    {"outcomes", digest_text(s.outcomes)}});
  Json::Object statuses;
  for (const auto& [status, count] : statuses_) statuses.emplace_back(status, count);
  Json::Object blob{{"ibid_bundle", kBundleVersion},
                    {"config", head_.config},
                    {"config_id", ids.config_id},
                    {"input_digest", ids.input_digest},
                    {"step_id", ids.step_id},
                    {"records_digest", ids.records_digest},
                    {"result_digest", ids.result_digest},
                    {"records", ids.records},
                    {"segments", std::move(segments)},
                    {"statuses", std::move(statuses)}};
  if (const std::optional<ShardPart>& s = head_.shard)
    blob.emplace_back("shard", Json::Object{{"index", s->index}, {"of", s->of}, {"input_records", s->input_records},
                                            {"own_input_digest", own_input}, {"token_texts", digest_of(token_texts_)}});
  return canonical(Json(std::move(blob)));
}

void BundleWriter::write_manifest(const std::string& config) {
  Json::Array layers;
  for (const Blob& b : layers_) {
    Json::Object layer{{"mediaType", b.media_type}, {"digest", b.digest}, {"size", b.size}};
    if (!b.title.empty()) layer.emplace_back("annotations", Json::Object{{kTitle, b.title}});
    layers.push_back(std::move(layer));
  }
  const char* type = head_.shard ? media::kShard : media::kBundle;
  std::string config_digest = digest_of(config);
  tar_->add(blob_path(config_digest), config);
  std::string manifest = canonical(Json(Json::Object{
      {"schemaVersion", 2},
      {"mediaType", media::kManifest},
      {"artifactType", type},
      {"config", Json::Object{{"mediaType", media::kConfig}, {"digest", config_digest}, {"size", static_cast<uint64_t>(config.size())}}},
      {"layers", std::move(layers)}}));
  tar_->add(blob_path(digest_of(manifest)), manifest);
  tar_->add("index.json", canonical(Json(Json::Object{
                              {"schemaVersion", 2},
                              {"mediaType", media::kIndex},
                              {"manifests", Json::Array{Json::Object{{"mediaType", media::kManifest},
                                                                     {"artifactType", type},
                                                                     {"digest", digest_of(manifest)},
                                                                     {"size", static_cast<uint64_t>(manifest.size())}}}}})));
  tar_->add("oci-layout", kLayoutText);
}

}  // namespace ibid::step
