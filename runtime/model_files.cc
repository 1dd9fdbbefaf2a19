// Owns: finding a model's files, and joining configuration, tensors, tokenizer and template into one ModelFiles.
// Must not know: the containers' layout (safetensors.cc, gguf.cc), what a field means (config.cc), kernels' arithmetic.
//
// 1. open_model reads no file that its source does not hold, so a digest over the source covers all that was read. A name inside an
//    index can therefore never lead out of the folder.
// 2. A model has exactly the tensors that its architecture has: a missing one is an error, and so is one more, which could only
//    mean arithmetic that ibid does not know.
#include "runtime/model_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_set>

#include "runtime/config.h"
#include "runtime/error.h"
#include "runtime/gguf.h"
#include "runtime/safetensors.h"
#include "runtime/tensor_entry.h"
#include "runtime/text_hash.h"

namespace ibid::runtime {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxText = size_t{256} << 20;   // bytes of config, tokenizer, template, index; the largest in use have 40 MB
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFixedNames[] = {"config.json", "generation_config.json", kIndex, "tokenizer.json", "tokenizer_config.json",
                                       "special_tokens_map.json", "chat_template.jinja", "chat_template.json"};

bool is_weights_file(const std::string& name) { return name.starts_with("model") && name.ends_with(".safetensors"); }

bool is_model_file(const std::string& name) {
  for (const char* fixed : kFixedNames)
    if (name == fixed) return true;
  return is_weights_file(name);
}

// A repository that was cloned without git-lfs holds a few lines of text in place of each large file.
void refuse_pointer(const MappedFile& file) {
  if (file.bytes().starts_with("version https://git-lfs"))
    throw Error(ErrorKind::bad_data, file.path(), "a Git LFS pointer, not the file", "run 'git lfs pull' in that folder");
}

// A folder in Hugging Face layout, seen only through its model files.
class Folder {
 public:
  explicit Folder(const ModelSource& source) : path_(source.path) {
    for (const auto& file : source.files) files_.emplace(file->path(), file);
  }
  bool has(const std::string& name) const { return files_.count(path_of(name)) != 0; }
  std::string path_of(const std::string& name) const { return (fs::path(path_) / name).string(); }
  const std::shared_ptr<MappedFile>& file(const std::string& name) const { return files_.at(path_of(name)); }   // REQUIRES: has(name)
  std::string text(const std::string& name) const {
    if (!has(name))
      throw Error(ErrorKind::not_found, path_of(name), "no such file",
                  "a model folder holds config.json, tokenizer.json and model*.safetensors");
    const MappedFile& f = *file(name);
    refuse_pointer(f);
    if (f.bytes().size() > kMaxText) throw Error(ErrorKind::bad_data, f.path(), "larger than " + std::to_string(kMaxText) + " bytes");
    return std::string(f.bytes());
  }
  Json json(const std::string& name) const { return Json::parse(text(name), path_of(name)); }
  Json object_or_null(const std::string& name) const {
    if (!has(name)) return Json();
    Json found = json(name);
    if (!found.is_object()) throw Error(ErrorKind::bad_data, path_of(name), std::string("expected an object, found ") + found.kind_name());
    return found;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::map<std::string, std::shared_ptr<MappedFile>> files_;           // by path
};

// An entry and the mapping that it points into.
struct Stored {
  TensorEntry entry;
  const MappedFile* file;
};

// --- safetensors folders --------------------------------------------------------------------------------------------

void read_shard(const Folder& folder, const std::string& name, ModelFiles& m, std::vector<Stored>& stored) {
  m.maps.push_back(folder.file(name));
  const MappedFile* file = m.maps.back().get();
  refuse_pointer(*file);
  for (TensorEntry& entry : parse_safetensors(file->bytes(), file->path())) stored.push_back({std::move(entry), file});
}

// Every tensor in exactly the shard that the index says, and none besides.
void read_shards(const Folder& folder, ModelFiles& m, std::vector<Stored>& stored) {
  const std::string where = folder.path_of(kIndex);
  auto fail = [&](const std::string& what) { throw Error(ErrorKind::bad_data, where, what, "fetch the model again, all of it"); };
  Json index = folder.json(kIndex);
  const Json* weight_map = index.find("weight_map");
  if (!weight_map || !weight_map->is_object()) fail("no weight_map object");
  std::unordered_map<std::string, std::string, TextHash> shard_of;
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map->members()) {
    if (!shard.is_string()) fail("the shard of tensor \"" + tensor + "\" is not a string");
    const std::string& name = shard.as_string();
    if (name.find('/') != name.npos || !is_weights_file(name) || !folder.has(name))
      fail("shard \"" + name + "\" is not a model file of this folder");
    shard_of.emplace(tensor, name);
    shards.insert(name);
  }
  for (const std::string& shard : shards) {
    size_t first = stored.size();
    read_shard(folder, shard, m, stored);
    for (size_t i = first; i < stored.size(); ++i) {
      auto said = shard_of.find(stored[i].entry.name);
      if (said == shard_of.end() || said->second != shard)
        fail("tensor \"" + stored[i].entry.name + "\" lies in " + shard + ", but the index does not place it there");
    }
  }
  if (stored.size() != shard_of.size())
    fail("names " + std::to_string(shard_of.size()) + " tensors, but the shards hold " + std::to_string(stored.size()));
}

[[noreturn]] void fail_no_weights(const Folder& folder) {
  std::error_code ignored;
  const bool pickled = std::filesystem::exists(folder.path_of("pytorch_model.bin"), ignored);
  throw Error(ErrorKind::not_found, folder.path_of(kSingle), "no such file",
              std::string("ibid reads folders with safetensors (model.safetensors, or shards with their index), "
                          "and GGUF files by their own names; ") +
                  (pickled ? "convert pytorch_model.bin with transformers' save_pretrained" : "is the download complete?"));
}

std::vector<Stored> read_folder_tensors(const Folder& folder, ModelFiles& m) {
  std::vector<Stored> stored;
  if (folder.has(kSingle) && folder.has(kIndex))
    throw Error(ErrorKind::bad_data, folder.path(), "holds both model.safetensors and an index of shards",
                "remove the one that is not meant");
  if (folder.has(kSingle)) read_shard(folder, kSingle, m, stored);
  else if (folder.has(kIndex)) read_shards(folder, m, stored);
  else fail_no_weights(folder);
  return stored;
}

// Old checkpoints store the rotary frequencies, which follow from the config; a tied model may store its one matrix under
// either name, and when it stores both the embedding counts, as in the reference implementation.
void normalise_names(const ModelConfig& config, std::vector<Stored>& stored) {
  std::erase_if(stored, [](const Stored& s) { return s.entry.name.ends_with(".rotary_emb.inv_freq"); });
  if (!config.tied) return;
  auto named = [](const char* name) { return [name](const Stored& s) { return s.entry.name == name; }; };
  bool has_embedding = std::any_of(stored.begin(), stored.end(), named("model.embed_tokens.weight"));
  if (has_embedding) std::erase_if(stored, named("lm_head.weight"));
  else for (Stored& s : stored)
    if (s.entry.name == "lm_head.weight") s.entry.name = "model.embed_tokens.weight";
}

// A template as the files hold it: a string, or a list of named ones of which "default" is the one to use.
std::string pick_template(const Json* value, const std::string& where) {
  if (!value || value->is_null()) return "";
  if (value->is_string()) return value->as_string();
  if (!value->is_array())
    throw Error(ErrorKind::bad_data, where, std::string("chat_template is neither a string nor a list but ") + value->kind_name());
  for (const Json& item : value->items()) {
    const Json* name = item.find("name");
    const Json* text = item.find("template");
    if (!name || !name->is_string() || !text || !text->is_string())
      throw Error(ErrorKind::bad_data, where, "chat_template holds an item without name and template");
    if (name->as_string() == "default") return text->as_string();
  }
  return "";
}

// A file of its own wins over the field, as in the reference implementation.
std::string read_chat_template(const Folder& folder, const Json& tokenizer_config) {
  if (folder.has("chat_template.jinja")) {
    std::string text = folder.text("chat_template.jinja");
    if (!is_utf8(text)) throw Error(ErrorKind::bad_data, folder.path_of("chat_template.jinja"), "not valid UTF-8");
    return text;
  }
  if (folder.has("chat_template.json")) {
    Json file = folder.object_or_null("chat_template.json");
    return pick_template(file.find("chat_template"), folder.path_of("chat_template.json"));
  }
  return pick_template(tokenizer_config.find("chat_template"), folder.path_of("tokenizer_config.json"));
}

// --- both -----------------------------------------------------------------------------------------------------------

void bind_tensors(const ParsedConfig& parsed, const std::vector<Stored>& stored, ModelFiles& m) {
  const std::vector<std::string> names = tensor_names(parsed.config, parsed.biases);
  const std::unordered_set<std::string> expected(names.begin(), names.end());
  for (const Stored& s : stored) {
    const std::string& name = s.entry.name;
    if (!expected.count(name))
      throw Error(ErrorKind::bad_data, s.file->path(),
                  "tensor " + name + " is not part of a " + parsed.config.architecture + " model of this configuration",
                  "it may change the arithmetic in a way that ibid does not know");
    m.tensors.emplace(name, bind_tensor(s.entry, s.file->bytes(), s.file->path()));
  }
  for (const std::string& name : names)
    if (!m.tensors.count(name))
      throw Error(ErrorKind::bad_data, m.path, "tensor " + name + " is missing", "fetch the model again, all of it");
}

ModelFiles open_folder(const ModelSource& source) {
  Folder folder(source);
  ModelFiles m;
  m.path = source.path;
  ParsedConfig parsed = config_from_huggingface(folder.json("config.json"), folder.object_or_null("generation_config.json"),
                                                folder.path_of("config.json"));
  std::vector<Stored> stored = read_folder_tensors(folder, m);
  normalise_names(parsed.config, stored);
  bind_tensors(parsed, stored, m);
  m.config = parsed.config;
  m.tokenizer = folder.json("tokenizer.json");
  m.tokenizer_config = folder.object_or_null("tokenizer_config.json");
  m.chat_template = read_chat_template(folder, m.tokenizer_config);
  return m;
}

// --- GGUF files -----------------------------------------------------------------------------------------------------

void read_rope_divisors(const Stored& s, const ModelConfig& config, ModelFiles& m) {
  Tensor t = bind_tensor(s.entry, s.file->bytes(), s.file->path());
  const size_t count = static_cast<size_t>(config.head_dim / 2);
  auto fail = [&](const char* what) { throw Error(ErrorKind::bad_data, m.path, std::string("tensor rope_freqs.weight ") + what); };
  if (t.dtype != kernels::DType::f32 || t.shape != std::vector<int64_t>{static_cast<int64_t>(count)})
    fail("does not hold one F32 for each rotary pair");
  m.rope_divisors.resize(count);
  std::memcpy(m.rope_divisors.data(), t.data, count * sizeof(float));
  for (float v : m.rope_divisors)
    if (!(v > 0) || !std::isfinite(v)) fail("holds a divisor that is not above zero");
}

// Renames everything to Hugging Face's names; takes rope_freqs.weight out.
void translate_names(const ModelConfig& config, std::vector<Stored>& stored, ModelFiles& m) {
  for (Stored& s : stored) {
    if (s.entry.name == "rope_freqs.weight") { read_rope_divisors(s, config, m); continue; }
    std::string name = huggingface_name(s.entry.name);
    if (name.empty())
      throw Error(ErrorKind::bad_data, m.path, "tensor " + s.entry.name + " is not part of a " + config.architecture + " model",
                  "it may change the arithmetic in a way that ibid does not know");
    s.entry.name = std::move(name);
  }
  std::erase_if(stored, [](const Stored& s) { return s.entry.name == "rope_freqs.weight"; });
}

// People name the weights where the folder is meant.
void refuse_part_of_folder(const MappedFile& file) {
  const fs::path path(file.path());
  if (file.bytes().starts_with("GGUF") || !is_model_file(path.filename().string())) return;
  const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
  throw Error(ErrorKind::bad_data, file.path(), "one file of a model folder, not a model by itself", "give its folder: " + folder);
}

ModelFiles open_gguf(const ModelSource& source) {
  const std::string& path = source.path;
  ModelFiles m;
  m.path = path;
  m.gguf = true;
  m.maps = source.files;
  const MappedFile* file = m.maps.back().get();
  refuse_pointer(*file);
  refuse_part_of_folder(*file);
  GgufFile gguf = parse_gguf(file->bytes(), path);
  std::vector<Stored> stored;
  std::unordered_set<std::string, TextHash> names;
  int64_t embedding_rows = 0;
  for (TensorEntry& entry : gguf.tensors) {
    names.insert(entry.name);
    if (entry.name == "token_embd.weight" && entry.shape.size() == 2) embedding_rows = entry.shape[0];
    stored.push_back({std::move(entry), file});
  }
  ParsedConfig parsed = config_from_gguf(gguf.metadata, embedding_rows, names.count("output.weight") != 0, path);
  // The first layer speaks for all: bind_tensors refuses a model whose layers differ.
  parsed.biases.qkv |= names.count("blk.0.attn_q.bias") != 0;
  parsed.biases.o |= names.count("blk.0.attn_output.bias") != 0;
  parsed.biases.mlp |= names.count("blk.0.ffn_gate.bias") != 0;
  translate_names(parsed.config, stored, m);
  bind_tensors(parsed, stored, m);
  m.config = parsed.config;
  m.interleaved_rope = parsed.config.architecture == "llama";
  m.tokenizer = std::move(gguf.metadata);
  const Json* chat_template = m.tokenizer.find("tokenizer.chat_template");
  if (chat_template && chat_template->is_string()) m.chat_template = chat_template->as_string();
  return m;
}

bool is_folder(const std::string& path) {
  std::error_code failed;
  fs::file_status status = fs::status(path, failed);
  if (status.type() == fs::file_type::not_found) throw Error(ErrorKind::not_found, path, "no such file or folder");
  if (failed) throw Error(unopened(failed.value()), path, "cannot stat: " + failed.message());
  return status.type() == fs::file_type::directory;
}

std::vector<std::string> files_of(const std::string& path, bool folder) {
  if (!folder) return {path};
  std::vector<std::string> files;
  std::error_code failed;
  for (fs::directory_iterator it(path, failed), end; !failed && it != end; it.increment(failed)) {
    const std::string name = it->path().filename().string();
    std::error_code no_status;   // a dangling link is no file of the model; if it was needed, opening says so
    if (is_model_file(name) && it->is_regular_file(no_status)) files.push_back((fs::path(path) / name).string());
  }
  if (failed) throw Error(unopened(failed.value()), path, "cannot list: " + failed.message());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

ModelSource map_model(const std::string& path) {
  ModelSource source{path, is_folder(path), {}};
  for (const std::string& file : files_of(path, source.folder)) source.files.push_back(std::make_shared<MappedFile>(file));
  return source;
}

ModelFiles open_model(const ModelSource& source) { return source.folder ? open_folder(source) : open_gguf(source); }

std::vector<std::string> model_file_list(const std::string& path) { return files_of(path, is_folder(path)); }

}  // namespace ibid::runtime
