// Every rule of the GGUF container: the public cases with their verdicts, hand-made hostile files, damaged ones.
#include "runtime/gguf.h"

#include <limits>

#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::runtime;
using namespace ibid::test;

namespace {

std::string verdict(const std::string& bytes) { return error_of([&] { parse_gguf(bytes, "f"); }); }
std::string verdict(const GgufWriter& w) { return verdict(w.file()); }
std::string array(uint32_t type, uint64_t count, const std::string& items) { return le(type) + le(count) + items; }

}  // namespace

TEST_CASE("the public cases get the verdicts of the reference implementation") {
  std::string manifest = data_file("gguf-cases/manifest.json");
  if (manifest.empty()) return;
  int accepted = 0, refused = 0;
  for (Json cases = Json::parse(read_file(manifest), manifest); const Json& item : cases.items()) {
    const std::string& file = item.at("file").as_string();
    const std::string path = data_dir() + "/gguf-cases/" + file;
    if (!std::filesystem::exists(path)) continue;   // the manifest also lists a second seed
    INFO(file);
    // Not test_gguf_expects_ok: the TENSORS_SUCCESS files have no data, valid only for readers of metadata, which ibid is not.
    bool want = item.at("reference_loads_ok").as_bool();
    std::string got = verdict(read_file(path));
    INFO(got);
    CHECK(got.empty() == want);
    (want ? accepted : refused) += 1;
  }
  CHECK(accepted >= 5);
  CHECK(refused >= 26);
}

TEST_CASE("metadata becomes one JSON object in the file's order, numbers by their shortest form") {
  GgufWriter w;
  w.raw("u8", 0, "\xff").raw("i8", 1, "\xff").raw("u16", 2, "\xff\xff").raw("i16", 3, "\xff\xff").u32("u32", 0xFFFFFFFF)
      .raw("i32", 5, le(-5));
  w.f32("f32", 1e-5f).raw("bool", 7, "\x01").string("text", "h\xc3\xa9").raw("u64", 10, le(~uint64_t{0})).raw("i64", 11, le(int64_t{-7}));
  w.raw("f64", 12, le(0.1)).raw("list", 9, array(8, 2, GgufWriter::text("a") + GgufWriter::text(""))).raw("none", 9, array(6, 0, ""));
  CHECK(parse_gguf(w.file(), "f").metadata.dump() ==
        "{\"u8\":255,\"i8\":-1,\"u16\":65535,\"i16\":-1,\"u32\":4294967295,\"i32\":-5,\"f32\":1e-05,\"bool\":true,\"text\":\"h\xc3\xa9\","
        "\"u64\":18446744073709551615,\"i64\":-7,\"f64\":0.1,\"list\":[\"a\",\"\"],\"none\":[]}");
}

TEST_CASE("a value that is not what its type says becomes null") {
  GgufWriter w;
  w.f32("nan", std::numeric_limits<float>::quiet_NaN()).raw("inf", 12, le(std::numeric_limits<double>::infinity())).raw("bool", 7, "\x02");
  w.string("text", "\xff").raw("list", 9, array(6, 2, le(1.5f) + le(-std::numeric_limits<float>::infinity())));
  CHECK(parse_gguf(w.file(), "f").metadata.dump() == R"({"nan":null,"inf":null,"bool":null,"text":null,"list":[1.5,null]})");
}

TEST_CASE("tensors come with their shape slowest first and their place in the file") {
  GgufWriter w;
  w.tensor("q", {2, 64}, 8, std::string(2 * 2 * 34, 'q')).tensor("empty", {0, 32}, 0, "").tensor("s", {3}, 1, "abcdef");
  const std::string file = w.file();
  std::vector<TensorEntry> t = parse_gguf(file, "f").tensors;
  REQUIRE(t.size() == 3);
  CHECK((t[0].type == "Q8_0" && t[0].shape == std::vector<int64_t>{2, 64} && t[0].bytes == 136 && file[t[0].offset] == 'q'));
  CHECK((t[1].bytes == 0 && t[1].shape == std::vector<int64_t>{0, 32}));
  CHECK((t[2].type == "F16" && file.substr(t[2].offset, 6) == "abcdef"));
  w.version = 2;
  CHECK(verdict(w) == "");
}

TEST_CASE("hostile headers and metadata are refused, each for its own reason") {
  CHECK(mentions(verdict("GGU"), "does not begin with GGUF"));
  CHECK(mentions(verdict(std::string("GGUF\0\0\0\3", 8)), "big-endian"));
  CHECK(mentions(verdict(std::string("GGUF\1\0\0\0", 8)), "version 1"));
  GgufWriter counts;
  counts.pair_count = ~uint64_t{0};
  CHECK(mentions(verdict(counts), "metadata pairs do not fit"));
  counts.pair_count = 0;
  counts.tensor_count = uint64_t{1} << 60;
  CHECK(mentions(verdict(counts), "tensors do not fit"));
  CHECK(mentions(verdict(GgufWriter().raw("", 0, "x")), "empty or not UTF-8"));
  CHECK(mentions(verdict(GgufWriter().raw(std::string(65'536, 'k'), 0, "x")), "at most 65535"));
  CHECK(mentions(verdict(GgufWriter().u32("k", 1).u32("k", 1)), "duplicate metadata key"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 13, std::string(64, 'x'))), "unknown type 13"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 0xFFFFFFFF, std::string(64, 'x'))), "unknown type"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 8, le(uint64_t{1} << 40))), "at most 67108864"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 8, le(uint64_t{1000}))), "longer than the file"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 9, array(9, 1, array(0, 1, "x")))), "array of arrays"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 9, array(99, 1, "x"))), "unknown type 99"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 9, array(0, uint64_t{1} << 62, "x"))), "do not fit the file"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 9, array(8, 100, std::string(200, '\0')))), "do not fit the file"));
  CHECK(mentions(verdict(GgufWriter().raw("k", 9, array(0, 9'000'000, std::string(9'000'000, 'x')))), "8388608 items together"));
  const std::string many = array(0, 5'000'000, std::string(5'000'000, 'x'));
  CHECK(mentions(verdict(GgufWriter().raw("k", 9, many).raw("l", 9, many)), "8388608 items together"));
  for (uint32_t bad : {0u, 3u, 0x80000001u, 0xFFFFFFFFu})
    CHECK(mentions(verdict(GgufWriter().u32("general.alignment", bad)), "not a power of two"));
  CHECK(mentions(verdict(GgufWriter().raw("general.alignment", 10, le(uint64_t{32}))), "not of type u32"));
}

TEST_CASE("hostile tensor tables are refused, each for its own reason") {
  const uint64_t big = uint64_t{1} << 62;
  CHECK(mentions(verdict(GgufWriter().info("", {1}, 0, 0)), "empty or not UTF-8"));
  CHECK(mentions(verdict(GgufWriter().info(std::string(64, 'n'), {1}, 0, 0)), "at most 63"));
  CHECK(mentions(verdict(GgufWriter().info("t", {0}, 0, 0).info("t", {0}, 0, 0)), "duplicate tensor"));
  CHECK(mentions(verdict(GgufWriter().info("t", {1, 1, 1, 1, 1}, 0, 0)), "5 dimensions"));
  CHECK(mentions(verdict(GgufWriter().info("t", {~uint64_t{0}}, 0, 0)), "negative dimension"));
  CHECK(mentions(verdict(GgufWriter().info("t", {big, 2, 1, 1}, 0, 0)), "shape that overflows"));
  CHECK(mentions(verdict(GgufWriter().info("t", {(uint64_t{1} << 42) + 1, uint64_t{1} << 42}, 0, 0)), "shape that overflows"));
  CHECK(mentions(verdict(GgufWriter().info("t", {big}, 0, 0)), "size that overflows"));
  CHECK(mentions(verdict(GgufWriter().info("t", {33}, 8, 0)), "not whole blocks of Q8_0"));
  CHECK(mentions(verdict(GgufWriter().info("t", {1}, 4, 0)), "unknown type 4"));
  CHECK(mentions(verdict(GgufWriter().info("t", {8}, 0, 32)), "begins at 32, not at 0"));
  CHECK(mentions(verdict(GgufWriter().info("t", {uint64_t{1} << 40}, 0, 0)), "ends beyond the file"));
  GgufWriter alias;
  alias.tensor("a", {8}, 0, std::string(32, 'x')).info("b", {8}, 0, 0);
  CHECK(mentions(verdict(alias), "begins at 0, not at 32"));
}

TEST_CASE("names of tensors are translated, unknown ones are not") {
  CHECK(huggingface_name("token_embd.weight") == "model.embed_tokens.weight");
  CHECK(huggingface_name("output.weight") == "lm_head.weight");
  CHECK(huggingface_name("blk.12.attn_q.bias") == "model.layers.12.self_attn.q_proj.bias");
  CHECK(huggingface_name("blk.0.ffn_norm.weight") == "model.layers.0.post_attention_layernorm.weight");
  for (const char* unknown : {"", "b", "blk", "blk.", "blk.0", "blk.0.", "blk..attn_qq.weight", "blk.0.attn_sub_norm.weight",
                              "rope_freqs.weight"})
    CHECK(huggingface_name(unknown) == "");
}

TEST_CASE("a file cut anywhere is refused") {
  const std::string valid = tiny_gguf();
  REQUIRE(verdict(valid) == "");
  for (size_t n = 0; n < valid.size(); ++n) REQUIRE(verdict(valid.substr(0, n)) != "");
}

TEST_CASE("damaged files give an Error or a sound table, never anything else") {
  GgufWriter w = tiny_gguf_metadata();
  w.raw("tokenizer.ggml.tokens", 9, array(8, 2, GgufWriter::text("a") + GgufWriter::text("bc")));
  w.tensor("a", {2, 32}, 8, std::string(68, 'x')).tensor("b", {3}, 0, std::string(12, 'y'));
  const std::string valid = w.file();
  int refused = 0;
  for (uint32_t n = 0; n < 20'000; ++n) {
    const std::string bytes = mutant(valid, n);
    GgufFile gguf;
    if (!error_of([&] { gguf = parse_gguf(bytes, "f"); }).empty()) { ++refused; continue; }
    for (const TensorEntry& t : gguf.tensors) REQUIRE((t.offset <= bytes.size() && t.bytes <= bytes.size() - t.offset));
  }
  CHECK(refused > 10'000);
  CHECK(refused < 20'000);
}
