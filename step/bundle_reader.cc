// Reading and checking a bundle. See bundle.h.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/error.h"
#include "step/bundle.h"
#include "step/bundle_format.h"
#include "step/bytes.h"
#include "step/canon.h"
#include "step/cli.h"
#include "step/leaves.h"

namespace ibid::step {
namespace {

constexpr uint64_t kMaxSmallBlob = 64 << 20;           // manifest, config, side files: what is read whole
constexpr uint64_t kMaxIndex = 1 << 20;                // index.json, which no digest covers
constexpr uint64_t kMostCopies = 10;                   // of the same bytes, in the files of a model

constexpr const char* kMoreKeys = "the config blob has keys that ibid does not write";

Error corrupt(const std::string& path, const std::string& what) {
  return Error(ErrorKind::corrupt, path, what, "compare the file with its source, or fetch it again");
}

// Parses a blob's JSON; whatever is wrong with it is damage.
Json parse_blob(const std::string& path, const std::string& role, const std::string& text) {
  try {
    return Json::parse(text, role);
  } catch (const Error& e) {
    throw corrupt(path, role + ": " + e.what());
  }
}

uint64_t unsigned_of(const Json& j) {
  int64_t v = j.as_int();
  if (v < 0) throw Error(ErrorKind::bad_data, "", "a negative count");
  return static_cast<uint64_t>(v);
}

std::string digest_field(const Json& object, const char* key) {
  const std::string& text = object.at(key).as_string();
  if (!is_digest_text(text)) throw Error(ErrorKind::bad_data, "", std::string(key) + " is not a sha256 digest");
  return text;
}

// Of index.json, which nothing has the digest of: tools that carry bundles may leave keys out and add annotations, no more.
bool only_keys(const Json& of, std::initializer_list<std::string_view> keys) {
  return std::all_of(of.members().begin(), of.members().end(),
                     [&](const auto& member) { return std::find(keys.begin(), keys.end(), member.first) != keys.end(); });
}
bool may_say(const Json& of, const char* key, const std::string& what) {
  const Json* found = of.find(key);
  return !found || (found->is_string() && found->as_string() == what);
}

}  // namespace

Bundle::Bundle(const std::string& path) : tar_(path) {
  try {
    read_manifest();
    std::string text = blob(config_layer_, "the config blob");
    ids_.bundle_id = config_layer_.digest;
    read_config(text);
    match_layers();
  } catch (const Error& e) {
    if (e.kind != ErrorKind::bad_data) throw;
    throw corrupt(path, std::string("not a sound bundle: ") + e.what());
  }
}

const TarEntry& Bundle::entry_of(const std::string& digest, uint64_t size, const std::string& role) const {
  const TarEntry* entry = tar_.find(blob_path(digest));
  if (!entry) throw corrupt(tar_.path(), role + " is missing: " + blob_path(digest));
  if (entry->size != size)
    throw corrupt(tar_.path(),
                  role + " has " + std::to_string(entry->size) + " bytes, not the " + std::to_string(size) +
                      " that it is listed with: " + entry->name);
  return *entry;
}

std::string Bundle::blob(const Layer& layer, const std::string& role) const {
  const TarEntry& entry = entry_of(layer.digest, layer.size, role);
  if (entry.size > kMaxSmallBlob) throw corrupt(tar_.path(), role + " is unreasonably large");
  std::string text = tar_.read(entry, 0, entry.size);
  if (digest_of(text) != layer.digest) throw corrupt(tar_.path(), role + " does not have its digest: " + entry.name);
  return text;
}

Json Bundle::read_index() const {
  const TarEntry* layout = tar_.find("oci-layout");
  const TarEntry* index = tar_.find("index.json");
  if (!layout || !index)
    throw corrupt(tar_.path(),
                  std::string("not a bundle: ") + (layout ? "index.json" : "oci-layout") + " is missing" +
                      (tar_.find("./oci-layout")
                           ? " (names begin with './': pack it with 'tar cf FILE -C FOLDER blobs index.json oci-layout')"
                           : ""));
  if (layout->size > 1000) throw corrupt(tar_.path(), "oci-layout is damaged");
  const Json version = parse_blob(tar_.path(), "oci-layout", tar_.read(*layout, 0, layout->size));
  if (!only_keys(version, {"imageLayoutVersion"}) || version.at("imageLayoutVersion").as_string() != "1.0.0")
    throw corrupt(tar_.path(), "oci-layout is damaged");
  if (index->size > kMaxIndex) throw corrupt(tar_.path(), "index.json is unreasonably large");
  const Json top = parse_blob(tar_.path(), "index.json", tar_.read(*index, 0, index->size));
  const Json::Array& manifests = top.at("manifests").items();
  if (manifests.size() != 1)
    throw corrupt(tar_.path(), "index.json names " + std::to_string(manifests.size()) + " manifests instead of one");
  const Json& named = manifests[0];
  if (!only_keys(top, {"schemaVersion", "mediaType", "artifactType", "manifests", "annotations"}) ||
      top.at("schemaVersion").dump() != "2" || !may_say(top, "mediaType", media::kIndex) ||
      !only_keys(named, {"mediaType", "digest", "size", "artifactType", "annotations", "platform"}) ||
      named.at("mediaType").as_string() != media::kManifest)
    throw corrupt(tar_.path(), "index.json is damaged: it is not the index of one OCI manifest");
  return named;
}

void Bundle::read_manifest() {
  const Json named = read_index();
  manifest_layer_ = {media::kManifest, digest_field(named, "digest"), "", unsigned_of(named.at("size"))};
  manifest_ = parse_blob(tar_.path(), "the manifest", blob(manifest_layer_, "the manifest"));
  const Json* type = manifest_.find("artifactType");
  if (!type || !type->is_string() || (type->as_string() != media::kBundle && type->as_string() != media::kShard))
    throw corrupt(tar_.path(), "an OCI archive, but not an ibid bundle of this format");
  if (!may_say(named, "artifactType", type->as_string()))
    throw corrupt(tar_.path(), "index.json is damaged: its artifactType is not the manifest's");
  const Json& config = manifest_.at("config");
  if (!only_keys(manifest_, {"schemaVersion", "mediaType", "artifactType", "config", "layers", "annotations"}) ||
      manifest_.at("schemaVersion").dump() != "2" || manifest_.at("mediaType").as_string() != media::kManifest ||
      config.at("mediaType").as_string() != media::kConfig)
    throw corrupt(tar_.path(), "its OCI manifest is not one that ibid writes");
  config_layer_ = {media::kConfig, digest_field(config, "digest"), "", unsigned_of(config.at("size"))};
  for (const Json& l : manifest_.at("layers").items()) {
    Layer layer{l.at("mediaType").as_string(), digest_field(l, "digest"), "", unsigned_of(l.at("size"))};
    if (const Json* notes = l.find("annotations"))
      if (const Json* title = notes->find(kTitle)) layer.title = title->as_string();
    layers_.push_back(std::move(layer));
  }
}

void Bundle::read_config(const std::string& text) {
  Json c = parse_blob(tar_.path(), "the config blob", text);
  if (unsigned_of(c.at("ibid_bundle")) != kBundleVersion)
    throw Error(ErrorKind::incomparable, tar_.path(),
                "bundle format " + c.at("ibid_bundle").lexeme() + "; this ibid reads format " + std::to_string(kBundleVersion),
                "use the ibid that wrote it, or a later one");
  if (canonical(c) != text) throw corrupt(tar_.path(), "the config blob is not canonical JSON");
  config_ = c.at("config");
  (void)digest_field(config_.at("model"), "digest");   // whatever shows a bundle names its model
  ids_.config_id = digest_field(c, "config_id");
  ids_.input_digest = digest_field(c, "input_digest");
  ids_.step_id = digest_field(c, "step_id");
  ids_.records_digest = digest_field(c, "records_digest");
  ids_.result_digest = digest_field(c, "result_digest");
  ids_.records = unsigned_of(c.at("records"));
  read_shard(c);
  read_segments(c);
  for (const auto& [status, count] : c.at("statuses").members()) {
    if (!is_status(status)) throw corrupt(tar_.path(), "the config blob counts an unknown status");
    statuses_[status] = unsigned_of(count);
  }
  if (c.members().size() != (shard_ ? 11 : 10)) throw corrupt(tar_.path(), kMoreKeys);
  std::vector<Digest> records, outcomes;
  for (const Segment& s : segments_) {
    records.push_back(s.records);
    outcomes.push_back(s.outcomes);
  }
  auto agree = [&](const std::string& claimed, const std::string& computed, const char* name) {
    if (claimed != computed) throw corrupt(tar_.path(), std::string(name) + " is " + claimed + ", but its parts give " + computed);
  };
  agree(ids_.config_id, config_id_of(config_), "config_id");
  agree(ids_.step_id, step_id_of(ids_.config_id, ids_.input_digest), "step_id");
  agree(ids_.records_digest, digest_text(merkle_root(records)), "records_digest");
  agree(ids_.result_digest, digest_text(merkle_root(outcomes)), "result_digest");
}

void Bundle::read_shard(const Json& config) {
  const Json* part = config.find("shard");
  if ((manifest_.at("artifactType").as_string() == media::kShard) != (part != nullptr))
    throw corrupt(tar_.path(), "its artifact type and its configuration disagree on whether it is a shard");
  if (!part) return;
  ShardPart shard{unsigned_of(part->at("index")), unsigned_of(part->at("of")), unsigned_of(part->at("input_records")), ids_.input_digest};
  if (shard.index < 1 || shard.index > shard.of || shard.of > kMaxShards) throw corrupt(tar_.path(), "there is no " + shard.name());
  if (ids_.records != shard.end() - shard.first())
    throw corrupt(tar_.path(),
                  shard.name() + " of " + std::to_string(shard.input_records) + " records cannot hold " + std::to_string(ids_.records));
  if (part->members().size() != 5) throw corrupt(tar_.path(), kMoreKeys);
  own_input_digest_ = digest_field(*part, "own_input_digest");
  token_texts_digest_ = digest_field(*part, "token_texts");
  shard_ = shard;
}

// Segments are cut at multiples of kSegmentRecords and where the bundle begins and ends, nowhere else.
void Bundle::read_segments(const Json& config) {
  uint64_t next = first();
  for (const Json& s : config.at("segments").items()) {
    Segment segment{unsigned_of(s.at("first")), unsigned_of(s.at("count")), parse_digest(digest_field(s, "records")),
                    parse_digest(digest_field(s, "outcomes"))};
    uint64_t cut = std::min((next / kSegmentRecords + 1) * kSegmentRecords, end());
    if (s.members().size() != 4) throw corrupt(tar_.path(), kMoreKeys);
    if (segment.first != next || next >= end() || segment.count != cut - next)
      throw corrupt(tar_.path(), "segments are not cut every " + std::to_string(kSegmentRecords) + " records");
    next = cut;
    segments_.push_back(segment);
  }
  if (next != end())
    throw corrupt(tar_.path(),
                  "segments hold " + std::to_string(next - first()) + " records, the configuration says " + std::to_string(ids_.records));
}

// The layers stand in one order: records and outcomes of each segment, side files by name, the step, a shard's token texts,
// model files.
void Bundle::match_layers() const {
  size_t i = 0;
  auto expect = [&](const char* type, const std::string& role) {
    if (i >= layers_.size() || layers_[i].media_type != type)
      throw corrupt(tar_.path(), "the manifest lacks the layer of " + role + " at its place " + std::to_string(i));
    ++i;
  };
  for (size_t s = 0; s < segments_.size(); ++s) {
    expect(media::kRecords, "records segment " + std::to_string(s));
    expect(media::kOutcomes, "outcomes segment " + std::to_string(s));
  }
  for (; i < layers_.size() && layers_[i].media_type == media::kFile; ++i)
    if (i > 0 && layers_[i - 1].media_type == media::kFile && layers_[i].title <= layers_[i - 1].title)
      throw corrupt(tar_.path(), "the side files are not in the order of their names");
  expect(media::kStep, "the step as written");
  if (shard_) expect(media::kTokenTexts, "the token texts of a shard");
  uint64_t held = 0, named = 0;                        // a blob that is named a thousand times would be extracted a thousand times
  for (const TarEntry& entry : tar_.entries()) held += entry.size;
  for (size_t first = i; i < layers_.size() && layers_[i].media_type == media::kModelFile; ++i) {
    if (i > first && layers_[i].title <= layers_[i - 1].title)
      throw corrupt(tar_.path(), "the model's files are not in the order of their names");
    if (layers_[i].size > held || (named += layers_[i].size) / kMostCopies > held)
      throw corrupt(tar_.path(), "the model's files, together, are far larger than the bundle");
  }
  if (i != layers_.size()) throw corrupt(tar_.path(), "the manifest has a layer that does not belong: " + layers_[i].media_type);
}

std::map<std::string, std::string> Bundle::side_files() const {
  std::map<std::string, std::string> files;
  for (const Layer& layer : layers_)
    if (layer.media_type == media::kFile) files[layer.title] = blob(layer, "side file " + layer.title);
  return files;
}

std::string Bundle::step_text() const {
  for (const Layer& layer : layers_)
    if (layer.media_type == media::kStep) return blob(layer, "the step as written");
  throw corrupt(tar_.path(), "the step as written is missing");
}

std::string Bundle::token_texts() const {
  for (const Layer& layer : layers_)
    if (layer.media_type == media::kTokenTexts && layer.digest == token_texts_digest_) return blob(layer, "the token texts");
  throw corrupt(tar_.path(), "the token texts are not those that the configuration names");
}

bool Bundle::has_model() const {
  return std::any_of(layers_.begin(), layers_.end(), [](const Layer& l) { return l.media_type == media::kModelFile; });
}

std::string Bundle::extract_model(const std::string& folder) const {
  std::vector<std::string> damage;
  verify_model(damage);                                // before a byte is written
  if (!damage.empty()) throw corrupt(tar_.path(), damage[0]);
  size_t files = 0;
  std::string last;
  for (const Layer& layer : layers_) {
    if (layer.media_type != media::kModelFile) continue;
    if (!is_safe_title(layer.title)) throw corrupt(tar_.path(), "a model file with an unsafe name: " + layer.title);
    last = folder + "/" + layer.title;
    for (size_t slash = folder.size() + 1; (slash = last.find('/', slash)) != std::string::npos; ++slash)
      if (::mkdir(last.substr(0, slash).c_str(), 0777) != 0 && errno != EEXIST)
        throw Error(ErrorKind::cannot_create, last, std::strerror(errno));
    OutputFile out(last);
    Sha256 hash;
    tar_.stream(entry_of(layer.digest, layer.size, "model file " + layer.title), [&](std::string_view piece) {
      stop_if_interrupted();
      hash.update(piece);
      out.write(piece);
    });
    if (digest_text(hash.finish()) != layer.digest)
      throw corrupt(tar_.path(), "model file " + layer.title + " does not have its digest: " + blob_path(layer.digest));
    out.commit();
    ++files;
  }
  return files == 1 ? last : folder;
}

SegmentReader Bundle::records_segment(uint64_t i) const {
  IBID_CHECK(i < segments_.size());
  const Layer& layer = layers_[2 * i];
  return SegmentReader(tar_, entry_of(layer.digest, layer.size, "records segment " + std::to_string(i)), segments_[i].first,
                       segments_[i].count, segments_[i].records);
}

Bundle::SegmentPair Bundle::segment(uint64_t i) const {
  IBID_CHECK(i < segments_.size());
  const Layer& layer = layers_[2 * i + 1];
  return {records_segment(i),
          SegmentReader(tar_, entry_of(layer.digest, layer.size, "outcomes segment " + std::to_string(i)), segments_[i].first,
                        segments_[i].count, segments_[i].outcomes)};
}

ProvedRecord Bundle::SegmentPair::proved(uint64_t row) const {
  ProvedRecord r{records.first() + row, "", records.leaf_text(row), outcomes.leaf_text(row), {}, {}};
  std::string where = "record " + std::to_string(r.number + 1);
  r.record = parse_blob(records.path(), where, r.record_text);
  r.outcome = parse_blob(records.path(), where, r.outcome_text);
  r.id = leaf_id(r.record, where);
  records.prove(row, r.id, r.record_text);
  outcomes.prove(row, r.id, r.outcome_text);
  try {
    require_leaves(r.record, r.outcome, where);
  } catch (const Error& e) {
    throw corrupt(records.path(), where + " (" + r.id + "): " + e.what());
  }
  if (leaf_id(r.outcome, where) != r.id) throw corrupt(records.path(), where + ": its outcome belongs to another record");
  if (records.find(r.id) != row || outcomes.find(r.id) != row)
    throw corrupt(records.path(), where + " (" + r.id + ") is not in its segment's index");
  return r;
}

Bundle::SegmentBlobs Bundle::segment_blobs(uint64_t i) const {
  IBID_CHECK(i < segments_.size());
  const Segment& s = segments_[i];
  const Layer &records = layers_[2 * i], &outcomes = layers_[2 * i + 1];
  std::string n = std::to_string(i);
  return {s.first, s.count, s.records, s.outcomes,
          {records.digest, records.size, "records segment " + n}, {outcomes.digest, outcomes.size, "outcomes segment " + n}};
}

void Bundle::stream(const SegmentBlobs::Blob& blob, const std::function<void(std::string_view)>& sink) const {
  Sha256 hash;
  tar_.stream(entry_of(blob.digest, blob.size, blob.role), [&](std::string_view piece) {
    hash.update(piece);
    sink(piece);
  });
  if (digest_text(hash.finish()) != blob.digest)
    throw corrupt(tar_.path(), blob.role + " does not have its digest: " + blob_path(blob.digest));
}

ProvedRecord BundleCursor::at(uint64_t number) {
  uint64_t segment = bundle_.segment_of(number);
  if (!pair_ || segment_ != segment) {
    pair_.emplace(bundle_.segment(segment));
    segment_ = segment;
  }
  return pair_->proved(number - pair_->records.first());
}

std::optional<Bundle::Found> Bundle::find(std::string_view record_id) const {
  for (uint64_t i = 0; i < segments_.size(); ++i) {
    std::optional<uint64_t> row = records_segment(i).find(record_id);
    if (!row) continue;
    SegmentPair pair = segment(i);
    Found found{segments_[i].first + *row, pair.records.leaf_text(*row), pair.outcomes.leaf_text(*row)};
    pair.records.prove(*row, record_id, found.record_leaf);
    pair.outcomes.prove(*row, record_id, found.outcome_leaf);
    return found;
  }
  return std::nullopt;
}

void Bundle::verify_blobs(std::vector<std::string>& damage) const {
  std::set<std::string> expected{"index.json", "oci-layout", blob_path(manifest_layer_.digest), blob_path(config_layer_.digest)};
  auto role_of = [&](size_t i) {
    const Layer& l = layers_[i];
    if (l.media_type == media::kRecords) return "records segment " + std::to_string(i / 2);
    if (l.media_type == media::kOutcomes) return "outcomes segment " + std::to_string(i / 2);
    if (l.media_type == media::kTokenTexts) return std::string("the token texts");
    return (l.media_type == media::kModelFile ? "model file "
            : l.media_type == media::kFile ? "side file " : "the step as written ") + l.title;
  };
  for (size_t i = 0; i < layers_.size(); ++i) {
    bool first = expected.insert(blob_path(layers_[i].digest)).second;
    try {
      const TarEntry& entry = entry_of(layers_[i].digest, layers_[i].size, role_of(i));
      if (!first) continue;                            // its bytes were compared
      Sha256 hash;
      tar_.stream(entry, [&](std::string_view piece) {
        stop_if_interrupted();
        hash.update(piece);
      });
      if (digest_text(hash.finish()) != layers_[i].digest) damage.push_back(role_of(i) + " does not have its digest: " + entry.name);
    } catch (const Error& e) {
      if (e.kind == ErrorKind::io) throw;              // nobody knows what stands there
      damage.push_back(e.what());
    }
  }
  for (const TarEntry& entry : tar_.entries())
    if (!expected.count(entry.name)) damage.push_back("an entry that the manifest does not name: " + entry.name);
}

void Bundle::verify_model(std::vector<std::string>& damage) const {
  Json::Array files;
  for (const Layer& layer : layers_)
    if (layer.media_type == media::kModelFile)
      files.push_back(Json::Object{{"path", layer.title}, {"sha256", layer.digest.substr(7)}, {"size", layer.size}});
  if (!files.empty() && !is_model_of(config_.at("model").at("digest").as_string(), files))
    damage.push_back("the embedded model is not the one that the configuration pins");
}

void Bundle::verify_segment(uint64_t i, Sha256& input, std::map<std::string, uint64_t>& statuses, const RecordSink& also) const {
  SegmentPair pair = segment(i);
  for (uint64_t row = 0; row < pair.records.count(); ++row) {
    ProvedRecord r = pair.proved(row);
    input.update(bytes_of(sha256(canonical(r.record.at("fields")))));
    ++statuses[worst_status(r.outcome, "record " + std::to_string(r.number + 1))];
    if (also) also(r);
  }
}

std::vector<std::string> Bundle::verify(const RecordSink& also) const {
  std::vector<std::string> damage;
  verify_blobs(damage);
  try {
    Sha256 input;
    std::map<std::string, uint64_t> statuses;
    for (uint64_t i = 0; i < segments_.size(); ++i) verify_segment(i, input, statuses, also);
    const std::string& expected = shard_ ? own_input_digest_ : ids_.input_digest;
    if (digest_text(input.finish()) != expected) damage.push_back("the records do not give the input digest " + expected);
    if (shard_) (void)token_texts();
    if (statuses != statuses_) damage.push_back("the outcomes do not give the counts of statuses");
    verify_model(damage);
    const Json* files = config_.at("prompt").find("files");
    std::map<std::string, std::string> texts = side_files();
    if ((files ? files->members().size() : 0) != texts.size())
      damage.push_back("the side files are not those that the configuration names");
    if (files)
      for (const auto& [name, file] : files->members())
        if (!texts.count(name) || digest_of(texts[name]) != file.at("digest").as_string())
          damage.push_back("side file " + name + " is not the one that the configuration names");
  } catch (const Error& e) {
    if (e.kind == ErrorKind::io) throw;
    if (damage.empty()) damage.push_back(e.what());
  }
  return damage;
}

}  // namespace ibid::step
