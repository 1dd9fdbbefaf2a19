// What a digest stands for: the bytes that are computed with, whoever replaces the files or writes to them meanwhile.
#include "step/model_store.h"

#include <chrono>
#include <thread>

#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::step;
using namespace ibid::test;
using runtime::map_model;
using runtime::ModelSource;

namespace {

// What a model is opened as: of both the numbers and the text.
std::string content(const ModelSource& source) {
  const runtime::ModelFiles m = runtime::open_model(source);
  const auto& last = m.tensors.at("model.layers.0.mlp.down_proj.weight");
  return std::string(static_cast<const char*>(last.data), 512) + std::to_string(m.config.max_positions) + m.tokenizer.dump();
}

// Model 0 or 1, as a GGUF file or a folder; each file is written under another name and moved into place.
void put(const TempFolder& at, const std::string& name, const std::string& bytes) {
  at.write("new", bytes);
  std::filesystem::rename(at.file("new"), at.file(name));
}
std::string altered(std::string bytes, int which) {
  bytes.back() = static_cast<char>(bytes.back() ^ which);
  return bytes;
}
void put_gguf(const TempFolder& at, int which) { put(at, "m.gguf", altered(tiny_gguf(), which)); }
void put_folder(const TempFolder& at, int which) {
  Json config = tiny_config();
  config.set("max_position_embeddings", Json(int64_t{64} + which));
  put(at, "config.json", config.dump());
  put(at, "tokenizer.json", which ? R"({"version":"1.0","other":1})" : R"({"version":"1.0"})");
  put(at, "special_tokens_map.json", which ? "{}" : "{ }");            // hashed, never read
  put(at, "model.safetensors", altered(safetensors_file(tiny_tensors()), which));
}

void wait_a_tick() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }   // file systems count time in ticks

}  // namespace

TEST_CASE("a model that is replaced while it is hashed and opened: one of the two, whole, under its own digest") {
  TempFolder at;
  for (auto put_model : {put_gguf, put_folder}) {
    const std::string path = put_model == put_gguf ? at.file("m.gguf") : at.path();
    std::string digests[2], contents[2];
    for (int which : {0, 1}) {
      put_model(at, which);
      digests[which] = model_digest(map_model(path));
      contents[which] = content(map_model(path));
    }
    REQUIRE((digests[0] != digests[1] && contents[0] != contents[1]));

    put_model(at, 0);
    const ModelSource source = map_model(path);
    put_model(at, 1);                                                  // before both
    CHECK(model_digest(source) == digests[0]);
    CHECK(content(source) == contents[0]);
    DigestCheck hashed(source, digests[0]);
    hashed.require(ErrorKind::bad_data, "");                           // and between them, in either order
    put_model(at, 0);
    CHECK(content(source) == contents[0]);
    const ModelSource again = map_model(path);
    const std::string opened = content(again);
    put_model(at, 1);
    CHECK(opened == contents[0]);
    CHECK(DigestCheck(again, "").found() == digests[0]);
    CHECK(model_digest(map_model(path)) == digests[1]);
  }
}

TEST_CASE("a file that is written to before the digest is there ends the run, also one with the right digest") {
  TempFolder at;
  put_folder(at, 0);
  const std::string digest = model_digest(map_model(at.path())), tokenizer = read_file(at.file("tokenizer.json"));
  auto meddled = [&](const std::string& name, const std::string& bytes) {
    const ModelSource source = map_model(at.path());
    wait_a_tick();
    at.write(name, bytes);
    DigestCheck check(source, digest);
    const std::string error = error_of([&] { check.require(ErrorKind::bad_data, ""); });
    CHECK(error_of([&] { (void)check.found(); }) == error);            // and whoever asks again
    return error;
  };
  const std::string written = ": was written to while it was read";
  CHECK(meddled("tokenizer.json", tokenizer) == at.file("tokenizer.json") + written);
  CHECK(meddled("tokenizer.json", tokenizer + " ") == at.file("tokenizer.json") + written);
  CHECK(meddled("tokenizer.json", "{") == at.file("tokenizer.json") + ": became shorter while it was read");
  at.write("tokenizer.json", tokenizer);
  const std::string weights = read_file(at.file("model.safetensors"));
  CHECK(meddled("model.safetensors", altered(weights, 1)) == at.file("model.safetensors") + written);
  at.write("model.safetensors", weights);
  const ModelSource source = map_model(at.path());
  DigestCheck check(source, digest);
  check.require(ErrorKind::bad_data, "");
  CHECK(check.found() == digest);
  wait_a_tick();
  at.write("model.safetensors", weights);                              // touched behind that: the digest stays what it was
  CHECK(check.found() == digest);
}

TEST_CASE("a mapped file is read up to the size that it was mapped with") {
  TempFolder at;
  at.write("a", "bytes");
  const runtime::MappedFile file(at.file("a"));
  at.write("a", "more bytes");
  char to[16] = {};
  CHECK(file.read(0, to, sizeof to) == 5);
  CHECK(std::string(to) == "more ");
  CHECK(file.read(4, to, sizeof to) == 1);
  for (size_t at_end : {size_t{5}, size_t{6}, ~size_t{0}}) CHECK(file.read(at_end, to, sizeof to) == 0);
}

TEST_CASE("a sidecar names a model beside it, and the first of several by name is taken") {
  TempFolder at;
  put_gguf(at, 0);
  const std::string digest = model_digest(map_model(at.file("m.gguf"))), base = at.path().substr(at.path().rfind('/') + 1);
  auto located = [&](const std::string& path) {
    at.write("m.ibid.json", "{\"digest\":\"" + digest + "\",\"path\":\"" + path + "\"}");
    try {
      return locate_model(at.path(), digest);
    } catch (const Error& e) {
      CHECK(e.kind == ErrorKind::not_found);
      return std::string(e.what());
    }
  };
  const std::string none = "no model with digest " + digest + " in this folder (1 sidecars read)";
  CHECK(located("m.gguf") == at.file("m.gguf"));
  CHECK(located("absent.gguf") == none);
  CHECK(located("../" + base + "/m.gguf") == none);
  CHECK(located("m.gguf") == at.file("m.gguf"));
  std::filesystem::copy_file(at.file("m.gguf"), at.file("a.gguf"));
  at.write("a.ibid.json", sidecar_text(at.file("a.gguf"), digest));
  CHECK(locate_model(at.path(), digest) == at.file("a.gguf"));
  at.write("a.ibid.json", sidecar_text(at.file("a.gguf"), "sha256:" + std::string(64, '0')));
  CHECK(locate_model(at.path(), digest) == at.file("m.gguf"));
}
