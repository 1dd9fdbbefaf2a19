// Which bytes a model digest stands for, and finding a model that has it.
//
// 1. The digest of a GGUF file is its SHA-256. The digest of a folder is that of the canonical JSON list of {path, sha256,
//    size} over the files that make up the model (runtime/model_files.h has the allow-list), sorted by path.
// 2. A folder of models is searched by names that are digests (HEX, sha256-HEX, with or without .gguf) and by sidecars
//    (*.ibid.json, written by `ibid pin --write`), never by hashing everything in it. A name is a hint; the bytes decide.
#pragma once
#include <future>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/model_files.h"
#include "step/bundle.h"
#include "step/digest.h"

namespace ibid::step {

// a GGUF file, or a folder with a config.json. Errors: what keeps from looking
bool is_model(const std::string& path);
Digest digest_of_mapped(const runtime::MappedFile& file);       // errors: io
std::string model_digest(const runtime::ModelSource& model);    // reads all of it; errors: io
std::vector<EmbeddedFile> model_embedding(const std::string& path);

// The path of the model to use: `where` itself when it is a model, else what a search of the folder finds for the digest.
// Errors: not_found, naming the digest and what was searched.
std::string locate_model(const std::string& where, const std::string& digest);

// The same path, made to end in the model's name: "models/tiny/" does not, nor does "." inside that folder.
std::string path_with_name(const std::string& model_path);
std::string sidecar_path(const std::string& model_path);
std::string sidecar_text(const std::string& model_path, const std::string& digest);

// Hashes a model while it is being loaded, from the same open files. Destruction waits.
class DigestCheck {
 public:
  DigestCheck(const runtime::ModelSource& model, std::string expected);
  // Waits; errors when the digests differ, all of `kind` and with both: `hint`, or what is wrong with a model that cannot be opened at all.
  void require(ErrorKind kind, const std::string& hint);
  // Waits. Errors: io, when a file was written to (or touched) between its mapping and the first call: what was read may be a mixture.
  const std::string& found() { return found_.get(); }

 private:
  runtime::ModelSource model_;
  std::string expected_;
  std::shared_future<std::string> found_;
};

}  // namespace ibid::step
