// The names that a bundle is made of, for its writer and its reader alone.
#pragma once
#include <string>
#include <string_view>

#include "runtime/json.h"

namespace ibid::step {

inline constexpr int kBundleVersion = 1;
inline constexpr const char* kTitle = "org.opencontainers.image.title";
inline constexpr std::string_view kLayoutText = R"({"imageLayoutVersion":"1.0.0"})";

namespace media {
inline constexpr const char* kIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr const char* kManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kBundle = "application/vnd.ibid.bundle.v1";
inline constexpr const char* kShard = "application/vnd.ibid.shard.v1";
inline constexpr const char* kConfig = "application/vnd.ibid.bundle.config.v1+json";
inline constexpr const char* kRecords = "application/vnd.ibid.records.v1";
inline constexpr const char* kOutcomes = "application/vnd.ibid.outcomes.v1";
inline constexpr const char* kFile = "application/vnd.ibid.side-file.v1";
inline constexpr const char* kStep = "application/vnd.ibid.step.v1+yaml";
inline constexpr const char* kTokenTexts = "application/vnd.ibid.token-texts.v1+json";
inline constexpr const char* kModelFile = "application/vnd.ibid.model-file.v1";
}  // namespace media

// What a file of an embedded model may be called: nothing that leads out of a folder, or that JSON cannot hold.
bool is_safe_title(const std::string& title);

// Whether these files, as [{"path","sha256","size"}, ...], are the model of that digest:
// the one file, or the list of them (model_store.h, 1).
bool is_model_of(const std::string& digest, const Json::Array& files);

// "blobs/sha256/HEX" of "sha256:HEX"
inline std::string blob_path(const std::string& digest) { return "blobs/sha256/" + digest.substr(7); }

}  // namespace ibid::step
