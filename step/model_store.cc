// See model_store.h.
#include "step/model_store.h"

#include <algorithm>
#include <filesystem>

#include "step/canon.h"

namespace ibid::step {
namespace fs = std::filesystem;

bool is_model(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) || fs::exists(path + "/config.json", ignored);
}

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
    list.push_back(Json::Object{{"path", base_name(file->path())}, {"sha256", hex(digest_of_mapped(*file))}, {"size", static_cast<uint64_t>(file->bytes().size())}});
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

// What a sidecar promises for this digest: a path beside it, or "" when it speaks of another model or is not readable.
std::string promised_by(const fs::path& sidecar, const std::string& digest) {
  try {
    Json j = Json::parse(read_file(sidecar.string(), 1 << 16), sidecar.string());
    std::string name = j.at("path").as_string();
    if (j.at("digest").as_string() != digest || name.find('/') != std::string::npos) return "";
    return (sidecar.parent_path() / name).string();
  } catch (const Error&) {
    return "";
  }
}

// Weights without their configuration are a model that did not arrive whole, not a folder of models.
void refuse_incomplete(const std::string& folder) {
  for (const EmbeddedFile& part : model_embedding(folder))
    if (part.title.ends_with(".safetensors"))
      throw Error(ErrorKind::not_found, folder + "/config.json", "no such file, and without it the folder, which holds " + part.title + ", is no model", "fetch the model again, all of it");
}

}  // namespace

std::string locate_model(const std::string& where, const std::string& digest) {
  std::error_code failed;
  if (!fs::exists(where, failed)) throw Error(ErrorKind::not_found, where, "no such model", "--model names a GGUF file, a folder in Hugging Face layout, or a folder of models");
  if (is_model(where)) return where;
  std::string hex = digest.substr(7);
  for (const std::string& name : {hex, "sha256-" + hex, hex + ".gguf", "sha256-" + hex + ".gguf"})
    if (is_model(where + "/" + name)) return where + "/" + name;
  std::vector<fs::path> sidecars;
  for (const fs::directory_entry& entry : fs::directory_iterator(where, failed))
    if (entry.path().string().ends_with(".ibid.json")) sidecars.push_back(entry.path());
  std::sort(sidecars.begin(), sidecars.end());
  for (const fs::path& sidecar : sidecars) {
    std::string path = promised_by(sidecar, digest);
    if (!path.empty() && is_model(path)) return path;
  }
  if (fs::is_directory(where, failed) && sidecars.empty()) refuse_incomplete(where);
  throw Error(ErrorKind::not_found, where, "no model with digest " + digest + " in this folder (" + std::to_string(sidecars.size()) + " sidecars read)",
              "name the model itself with --model, or run 'ibid pin --write MODEL' once for the models in this folder");
}

DigestCheck::DigestCheck(const runtime::ModelSource& model, std::string expected) : model_(model), expected_(std::move(expected)) {
  std::shared_future<std::string> hashed = std::async(std::launch::async, [model] { return model_digest(model); }).share();
  found_ = std::async(std::launch::deferred, [model, hashed] {         // at the first question; its answer, an error too, stays
    const std::string& digest = hashed.get();
    for (const auto& file : model.files)
      if (file->touched()) throw Error(ErrorKind::io, file->path(), "was written to while it was read", "run again when nobody writes to it");
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
