// See model_store.h.
#include "step/model_store.h"

#include <algorithm>
#include <filesystem>

#include "step/canon.h"

namespace ibid::step {
namespace fs = std::filesystem;

namespace {

// Errors: what keeps us from looking.
bool is_there(const std::string& path) {
  std::error_code failed;
  const fs::file_type type = fs::status(path, failed).type();
  if (type != fs::file_type::not_found && failed) throw Error(unopened(failed.value()), path, "cannot look at it: " + failed.message());
  return type != fs::file_type::not_found;
}

}  // namespace

bool is_model(const std::string& path) { return is_there(path) && (!fs::is_directory(path) || is_there(path + "/config.json")); }

std::vector<EmbeddedFile> model_embedding(const std::string& path) {
  std::vector<EmbeddedFile> files;
  for (const std::string& file : runtime::model_file_list(path)) files.push_back({base_name(file), file});
  return files;
}

Digest digest_of_mapped(const runtime::MappedFile& file) {
  Sha256 h;
  std::vector<char> buffer(1 << 20);                   // read, not mapped: pages that are hashed do not count as this process's memory
  for (size_t at = 0, n; (n = file.read(at, buffer.data(), buffer.size())) > 0; at += n) h.update({buffer.data(), n});
  return h.finish();
}

std::string model_digest(const runtime::ModelSource& model) {
  if (!model.folder) return digest_text(digest_of_mapped(*model.files.front()));
  Json::Array list;
  for (const auto& file : model.files)
    list.push_back(Json::Object{{"path", base_name(file->path())},
                                {"sha256", hex(digest_of_mapped(*file))},
                                {"size", static_cast<uint64_t>(file->bytes().size())}});
  return digest_of(canonical(Json(std::move(list))));
}

std::string path_with_name(const std::string& model_path) {
  std::string path = model_path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::string name = base_name(path);
  return name == "." || name == ".." ? fs::canonical(path).string() : path;
}

std::string sidecar_path(const std::string& model_path) { return path_with_name(model_path) + ".ibid.json"; }

std::string sidecar_text(const std::string& model_path, const std::string& digest) {
  std::string name = base_name(sidecar_path(model_path));
  return canonical(Json(Json::Object{{"digest", digest}, {"path", name.substr(0, name.size() - 10)}})) + "\n";
}

namespace {

// The model that a sidecar promises for this digest, or "" when it speaks of another one or is none.
// What could not be read, and why, goes into `unread`.
std::string promised_by(const fs::path& sidecar, const std::string& digest, std::string& unread) {
  try {
    Json j = Json::parse(read_file(sidecar.string(), 1 << 16), sidecar.string());
    std::string name = j.at("path").as_string();
    if (j.at("digest").as_string() != digest || name.find('/') != std::string::npos) return "";
    const std::string path = (sidecar.parent_path() / name).string();
    return is_model(path) ? path : "";
  } catch (const Error& e) {
    if (e.kind != ErrorKind::bad_data) unread += "\n  " + e.where + ": " + e.what();
    return "";
  }
}

std::vector<fs::path> sidecars_in(const std::string& folder) {
  std::vector<fs::path> sidecars;
  std::error_code failed, no_status;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().string().ends_with(".ibid.json") && it->is_regular_file(no_status)) sidecars.push_back(it->path());
  if (failed) throw Error(unopened(failed.value()), folder, "cannot list: " + failed.message());
  std::sort(sidecars.begin(), sidecars.end());
  return sidecars;
}

// Weights without their configuration are a model that did not arrive whole, not a folder of models.
void refuse_incomplete(const std::string& folder) {
  for (const EmbeddedFile& part : model_embedding(folder))
    if (part.title.ends_with(".safetensors"))
      throw Error(ErrorKind::not_found, folder + "/config.json",
                  "no such file, and without it the folder, which holds " + part.title + ", is no model",
                  "fetch the model again, all of it");
}

}  // namespace

std::string locate_model(const std::string& where, const std::string& digest) {
  if (!is_there(where))
    throw Error(ErrorKind::not_found, where, "no such model",
                "--model names a GGUF file, a folder in Hugging Face layout, or a folder of models");
  if (is_model(where)) return where;
  std::string hex = digest.substr(7);
  for (const std::string& name : {hex, "sha256-" + hex, hex + ".gguf", "sha256-" + hex + ".gguf"})
    if (is_model(where + "/" + name)) return where + "/" + name;
  const std::vector<fs::path> sidecars = sidecars_in(where);
  std::string unread;
  for (const fs::path& sidecar : sidecars) {
    std::string path = promised_by(sidecar, digest, unread);
    if (!path.empty()) return path;
  }
  if (sidecars.empty()) refuse_incomplete(where);
  if (!unread.empty()) unread = "; not read:" + unread;
  throw Error(ErrorKind::not_found, where,
              "no model with digest " + digest + " in this folder (" + std::to_string(sidecars.size()) + " sidecars read" + unread + ")",
              "name the model itself with --model, or run 'ibid pin --write MODEL' once for the models in this folder");
}

DigestCheck::DigestCheck(const runtime::ModelSource& model, std::string expected) : model_(model), expected_(std::move(expected)) {
  std::shared_future<std::string> hashed = std::async(std::launch::async, [model] { return model_digest(model); }).share();
  found_ = std::async(std::launch::deferred, [model, hashed] {         // at the first question; its answer, an error too, stays
    const std::string& digest = hashed.get();
    for (const auto& file : model.files)
      if (file->touched())
        throw Error(ErrorKind::io, file->path(), "was written to while it was read", "run again when nobody writes to it");
    return digest;
  }).share();
}

void DigestCheck::require(ErrorKind kind, const std::string& hint) {
  if (found() == expected_) return;
  const std::string other = "not the model that the step pins\n  pinned: " + expected_ + "\n  this:   " + found();
  try {
    (void)runtime::open_model(model_);                 // an incomplete or damaged model is named as that: nobody should pin it
  } catch (const Error& e) {
    throw Error(kind, e.where, std::string(e.what()) + "; and this is " + other, e.hint);
  }
  throw Error(kind, model_.path, other, hint);
}

}  // namespace ibid::step
