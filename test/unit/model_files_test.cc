// Whole models from disk: folders, shards, GGUF files; what belongs to a model and what is refused.
#include "runtime/model_files.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>

#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::runtime;
using namespace ibid::test;
using kernels::DType;

namespace {

std::string refusal(const std::string& path) { return error_of([&] { open_model(path); }); }

int64_t elements(const Tensor& t) {
  int64_t n = 1;
  for (int64_t d : t.shape) n *= d;
  return n;
}

float half_to_float(uint16_t h) {
  float sign = h & 0x8000 ? -1.f : 1.f;
  int exponent = (h >> 10) & 31, fraction = h & 1023;
  REQUIRE(exponent != 31);   // finite weights only
  return exponent == 0 ? sign * std::ldexp(static_cast<float>(fraction), -24)
                       : sign * std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
}

// Element i of a tensor of an unquantised type.
float element(const Tensor& t, int64_t i) {
  const char* p = static_cast<const char*>(t.data);
  if (t.dtype == DType::f32) return std::bit_cast<float>(load_le<uint32_t>(p + 4 * i));
  uint16_t v = load_le<uint16_t>(p + 2 * i);
  return t.dtype == DType::bf16 ? std::bit_cast<float>(static_cast<uint32_t>(v) << 16) : half_to_float(v);
}

// The row of a Hugging Face q or k matrix that GGUF stores as its row: pairs (i, i + d/2) of a head become neighbours.
int64_t source_row(int64_t row, int64_t head_dim) {
  int64_t in_head = row % head_dim;
  return row - in_head + (in_head % 2) * (head_dim / 2) + in_head / 2;
}

// The number of elements that differ.
int64_t differences(const Tensor& plain, const Tensor& twin, bool permuted, int64_t head_dim) {
  int64_t cols = plain.shape.back(), bad = 0;
  for (int64_t i = 0; i < elements(plain); ++i) {
    int64_t row = i / cols, from = permuted ? source_row(row, head_dim) : row;
    bad += element(plain, from * cols + i % cols) != element(twin, i);
  }
  return bad;
}

Json index_of(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Json map{Json::Object{}};
  for (const auto& [tensor, shard] : pairs) map.set(tensor, Json(shard));
  return Json(Json::Object{{"metadata", Json(Json::Object{})}, {"weight_map", map}});
}

// The tiny model in two shards.
void write_sharded(const TempFolder& folder, const std::string& first_name, Json* index) {
  write_tiny_folder(folder);
  folder.remove("model.safetensors");
  std::vector<FixtureTensor> all = tiny_tensors(), a(all.begin(), all.begin() + 4), b(all.begin() + 4, all.end());
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const FixtureTensor& t : a) pairs.push_back({t.name, first_name});
  for (const FixtureTensor& t : b) pairs.push_back({t.name, "model-00002-of-00002.safetensors"});
  folder.write(first_name, safetensors_file(a));
  folder.write("model-00002-of-00002.safetensors", safetensors_file(b));
  *index = index_of(pairs);
  folder.write("model.safetensors.index.json", index->dump());
}

}  // namespace

TEST_CASE("a real model opens from its folder and from its GGUF twins, with equal tensors") {
  std::string folder = data_file("tinystories-656k");
  if (folder.empty()) return;
  ModelFiles plain = open_model(folder);
  CHECK((plain.config.layers == 2 && plain.config.tied && plain.config.eos_ids == std::vector<int32_t>{2} && !plain.interleaved_rope &&
         !plain.gguf));
  CHECK((plain.tokenizer.is_object() && plain.tokenizer_config.is_object() && plain.chat_template.empty()));
  CHECK(plain.tensors.at("model.embed_tokens.weight").shape == std::vector<int64_t>{2048, 128});   // stored as lm_head.weight
  CHECK(plain.tensors.count("lm_head.weight") == 0);
  struct Twin { const char* name; DType dtype; };
  for (const Twin& twin : {Twin{"f32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16}, {"Q8_0", DType::q8_0},
                           {"Q4_0", DType::q4_0}}) {
    INFO(twin.name);
    ModelFiles gguf = open_model(data_dir() + "/model-golden/gguf/tinystories-656k-" + twin.name + ".gguf");
    CHECK((gguf.gguf && gguf.interleaved_rope && gguf.config.tied && gguf.config.norm_eps == plain.config.norm_eps &&
           gguf.config.vocab == 2048));
    REQUIRE(gguf.tensors.size() == plain.tensors.size());
    for (const auto& [name, tensor] : plain.tensors) {
      INFO(name);
      const Tensor& other = gguf.tensors.at(name);
      REQUIRE(other.shape == tensor.shape);
      CHECK(other.dtype == (tensor.shape.size() == 1 ? DType::f32 : twin.dtype));
      if (other.dtype == DType::q8_0 || other.dtype == DType::q4_0) continue;   // their values are the kernels' business
      bool permuted = mentions(name, "q_proj") || mentions(name, "k_proj");
      CHECK(differences(tensor, other, permuted, plain.config.head_dim) == 0);
      if (permuted) CHECK(differences(tensor, other, false, plain.config.head_dim) > 0);   // the permutation is there to be found
    }
  }
}

TEST_CASE("a real instruct model opens") {
  const char* path = std::getenv("IBID_SMOLLM2");
  const std::string cached = source_dir() + "/build/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  const std::string file = path ? path : cached;
  if (!std::filesystem::exists(file)) { std::printf("SKIPPED for want of SmolLM2 (IBID_SMOLLM2, or %s)\n", cached.c_str()); return; }
  ModelFiles m = open_model(file);
  CHECK((m.tensors.size() == 272 && m.config.layers == 30 && m.config.vocab == 49152 && m.config.rope_theta == 100000 && m.config.tied));
  CHECK((m.tensors.at("model.embed_tokens.weight").dtype == DType::q8_0 &&
         m.tensors.at("model.layers.29.mlp.up_proj.weight").dtype == DType::q4_1));
  CHECK(mentions(m.chat_template, "<|im_start|>"));
  CHECK(m.tokenizer.at("tokenizer.ggml.tokens").items().size() == 49152);
}

TEST_CASE("the files of a model are listed by name, sorted, and nothing else is") {
  TempFolder folder;
  write_tiny_folder(folder);
  for (const char* name : {"README.md", "pytorch_model.bin", "consolidated.safetensors", "model.safetensors.bak", "chat_template.jinja",
                           ".gitattributes"})
    folder.write(name, "x");
  std::filesystem::create_directory(folder.file("model-folder.safetensors"));
  std::filesystem::create_symlink("nowhere", folder.file("generation_config.json"));
  CHECK(model_file_list(folder.path()) == std::vector<std::string>{folder.file("chat_template.jinja"), folder.file("config.json"),
                                                                   folder.file("model.safetensors"), folder.file("tokenizer.json")});
  CHECK(model_file_list(folder.path() + "/") == model_file_list(folder.path()));
  CHECK(model_file_list(folder.file("README.md")) == std::vector<std::string>{folder.file("README.md")});
  CHECK(mentions(error_of([&] { model_file_list(folder.file("absent")); }), "no such file or folder"));
}

TEST_CASE("a folder that lacks something says what") {
  TempFolder folder;
  write_tiny_folder(folder);
  CHECK(refusal(folder.path()) == "");
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    write_tiny_folder(folder);
    folder.remove(name);
    CHECK(refusal(folder.path()) == folder.file(name) + ": no such file");
  }
  write_tiny_folder(folder);
  folder.write("tokenizer.json", "{");
  CHECK(mentions(refusal(folder.path()), "tokenizer.json:1:2: bad JSON"));
}

TEST_CASE("a model has exactly the tensors of its architecture") {
  TempFolder folder;
  write_tiny_folder(folder);
  std::vector<FixtureTensor> tensors = tiny_tensors();
  std::vector<FixtureTensor> more = tensors;
  more.push_back(f32_tensor("model.layers.0.self_attn.q_norm.weight", {4}, 1));
  folder.write("model.safetensors", safetensors_file(more));
  CHECK(mentions(refusal(folder.path()), "tensor model.layers.0.self_attn.q_norm.weight is not part of a llama model"));
  more.back() = f32_tensor("model.layers.0.self_attn.rotary_emb.inv_freq", {2}, 1);
  folder.write("model.safetensors", safetensors_file(more));
  CHECK(refusal(folder.path()) == "");
  more.back() = f32_tensor("lm_head.weight", {10, 8}, 99);   // tied: the embedding counts
  folder.write("model.safetensors", safetensors_file(more));
  CHECK(std::string(static_cast<const char*>(open_model(folder.path()).tensors.at("model.embed_tokens.weight").data), 320) ==
        tensors[0].data);
  more.back() = f32_tensor("model.layers.0.self_attn.q_proj.bias", {8}, 1);
  folder.write("model.safetensors", safetensors_file(more));
  CHECK(mentions(refusal(folder.path()), "q_proj.bias is not part"));
  tensors.pop_back();
  folder.write("model.safetensors", safetensors_file(tensors));
  CHECK(mentions(refusal(folder.path()), "tensor model.layers.0.mlp.down_proj.weight is missing"));
}

TEST_CASE("tensors of other types and misaligned ones are refused by name") {
  TempFolder folder;
  write_tiny_folder(folder);
  std::vector<FixtureTensor> tensors = tiny_tensors();
  tensors[0] = {"model.embed_tokens.weight", "F8_E4M3", {10, 8}, std::string(80, 'x')};
  folder.write("model.safetensors", safetensors_file(tensors));
  CHECK(mentions(refusal(folder.path()), "tensor model.embed_tokens.weight is F8_E4M3; ibid reads F32, F16, BF16"));
  std::string shifted = safetensors_file(tiny_tensors());
  uint64_t header = load_le<uint64_t>(shifted.data()) + 1;
  folder.write("model.safetensors", le(header) + " " + shifted.substr(8));
  CHECK(mentions(refusal(folder.path()), "is not aligned"));
  GgufWriter w = tiny_gguf_metadata();
  w.tensor("token_embd.weight", {10, 256}, 21, std::string(1100, 'x'));
  folder.write("m.gguf", w.file());
  CHECK(mentions(refusal(folder.file("m.gguf")), "tensor model.embed_tokens.weight is IQ3_S; ibid reads F32, F16, BF16, Q8_0"));
}

TEST_CASE("shards: every tensor where the index says, and no name leads out of the folder") {
  TempFolder folder;
  Json index;
  write_sharded(folder, "model-00001-of-00002.safetensors", &index);
  CHECK(open_model(folder.path()).tensors.size() == 11);
  CHECK(model_file_list(folder.path()).size() == 5);
  auto with_index = [&](const Json& changed) {
    folder.write("model.safetensors.index.json", changed.dump());
    return refusal(folder.path());
  };
  auto moved = [&](const std::string& shard) {
    Json changed = index;
    Json map = changed.at("weight_map");
    map.set("model.norm.weight", Json(shard));
    changed.set("weight_map", map);
    return changed;
  };
  CHECK(mentions(with_index(moved("model-00002-of-00002.safetensors")), "\"model.norm.weight\" lies in model-00001-of-00002.safetensors"));
  for (const char* path : {"../model.safetensors", "/etc/passwd", "model/../../x.safetensors", "..", "", "config.json",
                           "model-00003-of-00003.safetensors"})
    CHECK(mentions(with_index(moved(path)), std::string("shard \"") + path + "\" is not a model file of this folder"));
  Json more = index, map = index.at("weight_map");
  map.set("ghost", Json("model-00001-of-00002.safetensors"));
  more.set("weight_map", map);
  CHECK(mentions(with_index(more), "names 12 tensors, but the shards hold 11"));
  CHECK(mentions(with_index(Json(Json::Object{})), "no weight_map"));
  folder.write("model.safetensors.index.json", index.dump());
  folder.write("model.safetensors", safetensors_file(tiny_tensors()));
  CHECK(mentions(refusal(folder.path()), "both"));
}

TEST_CASE("the chat template comes from the first place that has one") {
  TempFolder folder;
  write_tiny_folder(folder);
  auto chat_template = [&] { return open_model(folder.path()).chat_template; };
  CHECK(chat_template() == "");
  folder.write("tokenizer_config.json", R"({"chat_template":[{"name":"rag","template":"r"},{"name":"default","template":"d"}]})");
  CHECK(chat_template() == "d");
  folder.write("tokenizer_config.json", R"({"chat_template":"plain"})");
  CHECK(chat_template() == "plain");
  folder.write("chat_template.json", R"({"chat_template":"file"})");
  CHECK(chat_template() == "file");
  folder.write("chat_template.jinja", "jinja\n");
  CHECK(chat_template() == "jinja\n");
  folder.write("chat_template.jinja", "\xff");
  CHECK(mentions(refusal(folder.path()), "not valid UTF-8"));
  folder.remove("chat_template.jinja");
  folder.write("chat_template.json", R"({"chat_template":[{"name":"default"}]})");
  CHECK(mentions(refusal(folder.path()), "without name and template"));
}

TEST_CASE("a file beside the weights that is not an object is refused, not read as if it were absent") {
  for (const char* name : {"generation_config.json", "tokenizer_config.json", "chat_template.json"}) {
    TempFolder folder;
    write_tiny_folder(folder);
    folder.write(name, "{}");
    CHECK(refusal(folder.path()) == "");
    folder.write(name, R"(["eos_token_id",2])");
    CHECK(mentions(refusal(folder.path()), std::string(name) + ": expected an object, found array"));
  }
}

TEST_CASE("GGUF files: biases by presence, rotary divisors, the template, refusals") {
  TempFolder folder;
  const std::string path = folder.file("m.gguf");
  auto write = [&](GgufWriter& w) { add_tiny_gguf_tensors(w); folder.write("m.gguf", w.file()); };
  GgufWriter plain = tiny_gguf_metadata().string("tokenizer.chat_template", "t");
  write(plain);
  ModelFiles m = open_model(path);
  CHECK((m.chat_template == "t" && m.tensors.size() == 11 && m.rope_divisors.empty() && m.interleaved_rope &&
         m.tokenizer_config.is_null()));
  CHECK(model_file_list(path) == std::vector<std::string>{path});

  GgufWriter rope = tiny_gguf_metadata();
  rope.tensor("rope_freqs.weight", {2}, 0, le(1.f) + le(8.f));
  write(rope);
  CHECK(open_model(path).rope_divisors == std::vector<float>{1, 8});
  GgufWriter bad_rope = tiny_gguf_metadata();
  bad_rope.tensor("rope_freqs.weight", {2}, 0, le(1.f) + le(0.f));
  write(bad_rope);
  CHECK(mentions(refusal(path), "not above zero"));

  GgufWriter half_biased = tiny_gguf_metadata();
  half_biased.tensor("blk.0.attn_q.bias", {8}, 0, float_bytes(8, 0));
  write(half_biased);
  CHECK(mentions(refusal(path), "k_proj.bias is missing"));
  GgufWriter qwen = tiny_gguf_metadata("qwen2");
  for (const char* part : {"q", "k", "v"})
    qwen.tensor(std::string("blk.0.attn_") + part + ".bias", {*part == 'q' ? 8 : 4}, 0, float_bytes(*part == 'q' ? 8 : 4, 0));
  write(qwen);
  CHECK((open_model(path).tensors.size() == 14 && !open_model(path).interleaved_rope));
  GgufWriter normed = tiny_gguf_metadata("qwen3");
  write(normed);
  CHECK(mentions(refusal(path), "self_attn.q_norm.weight is missing"));
  normed = tiny_gguf_metadata("qwen3");
  for (const char* norm : {"q", "k"}) normed.tensor(std::string("blk.0.attn_") + norm + "_norm.weight", {4}, 0, float_bytes(4, 1));
  write(normed);
  CHECK((open_model(path).tensors.size() == 13 && !open_model(path).interleaved_rope));

  GgufWriter unknown = tiny_gguf_metadata();
  unknown.tensor("blk.0.attn_sub_norm.weight", {4}, 0, float_bytes(4, 0));
  write(unknown);
  CHECK(mentions(refusal(path), "tensor blk.0.attn_sub_norm.weight is not part"));
  GgufWriter normed_llama = tiny_gguf_metadata();
  normed_llama.tensor("blk.0.attn_q_norm.weight", {4}, 0, float_bytes(4, 0));
  write(normed_llama);
  CHECK(mentions(refusal(path), "self_attn.q_norm.weight is not part"));
  GgufWriter second_layer = tiny_gguf_metadata();
  second_layer.tensor("blk.1.attn_norm.weight", {8}, 0, float_bytes(8, 0));
  write(second_layer);
  CHECK(mentions(refusal(path), "model.layers.1.input_layernorm.weight is not part"));
  GgufWriter empty;
  empty.string("general.architecture", "llama");
  folder.write("m.gguf", empty.file());
  CHECK(mentions(refusal(path), "llama.block_count is missing"));
}

TEST_CASE("what is given in place of a model is told apart") {
  TempFolder folder;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    write_tiny_folder(folder);
    CHECK(refusal(folder.file(name)) == folder.file(name) + ": one file of a model folder, not a model by itself");
    folder.write(name, pointer);
    CHECK(refusal(folder.path()) == folder.file(name) + ": a Git LFS pointer, not the file");
    CHECK(refusal(folder.file(name)) == folder.file(name) + ": a Git LFS pointer, not the file");
  }
  folder.write("m.gguf", pointer);
  CHECK(refusal(folder.file("m.gguf")) == folder.file("m.gguf") + ": a Git LFS pointer, not the file");
  folder.write("m.gguf", "{}");
  CHECK(refusal(folder.file("m.gguf")) == folder.file("m.gguf") + ": not a GGUF file: it does not begin with GGUF");
}

TEST_CASE("only regular files are mapped") {
  TempFolder folder;
  folder.write("empty", "");
  CHECK(MappedFile(folder.file("empty")).bytes().empty());
  CHECK(mentions(refusal(folder.file("empty")), "does not begin with GGUF"));
  REQUIRE(::mkfifo(folder.file("fifo").c_str(), 0600) == 0);
  CHECK(mentions(refusal(folder.file("fifo")), "not a regular file"));
  CHECK(mentions(error_of([&] { MappedFile(folder.file("absent")); }), "no such file"));
  CHECK(mentions(error_of([&] { MappedFile(folder.file("empty/x")); }), "no such file"));
}

TEST_CASE("a mapped file that is written over is noticed; one that takes its name is not it") {
  TempFolder folder;
  folder.write("a", "bytes");
  MappedFile file(folder.file("a"));
  CHECK(!file.touched());
  for (const char* bytes : {"other", "longer bytes"}) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));        // file systems count time in ticks
    folder.write("a", bytes);
    CHECK(file.touched());
  }
  folder.write("a", "bytes");
  MappedFile third(folder.file("a"));
  struct stat before;
  REQUIRE(::stat(folder.file("a").c_str(), &before) == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  folder.write("a", "other");
  const timespec back[2] = {before.st_atim, before.st_mtim};           // as a copy does that keeps times
  REQUIRE(::utimensat(AT_FDCWD, folder.file("a").c_str(), back, 0) == 0);
  CHECK(third.touched());
  folder.write("a", "bytes");
  folder.write("b", "moved into its place");
  MappedFile again(folder.file("a"));
  REQUIRE(std::rename(folder.file("b").c_str(), folder.file("a").c_str()) == 0);
  CHECK(!again.touched());
  CHECK(again.bytes() == "bytes");
}

TEST_CASE("damaged model files give an Error or a model, never anything else") {
  TempFolder folder;
  const std::string gguf = tiny_gguf(), shard = safetensors_file(tiny_tensors());
  write_tiny_folder(folder);
  int refused = 0;
  for (uint32_t n = 0; n < 1'000; ++n) {
    folder.write("m.gguf", mutant(gguf, n));
    refused += refusal(folder.file("m.gguf")) != "";
    folder.write("model.safetensors", mutant(shard, n));
    refused += refusal(folder.path()) != "";
  }
  CHECK(refused > 800);
  CHECK(refused < 2'000);
}
