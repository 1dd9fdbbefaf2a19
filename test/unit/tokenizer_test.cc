// Tokenizers against the reference implementations: committed cases (test/data, made by make_tokenizer_cases.py), llama.cpp's own
// vectors, and properties: round trips, streams, bounds on work, hostile files.
#include "runtime/tokenizer.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>

#include "runtime/error.h"
#include "runtime/gguf.h"
#include "runtime/model_files.h"
#include "runtime/tokenizer_normalizer.h"
#include "runtime/tokenizer_vocab.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::runtime;

namespace {

using Specials = Tokenizer::Specials;
using AddBos = Tokenizer::AddBos;
using Ids = std::vector<int32_t>;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Json read_json(const std::string& path) { return Json::parse(read_file(path), path); }

Ids ids_of(const Json& array) {
  Ids out;
  for (const Json& id : array.items()) out.push_back(static_cast<int32_t>(id.as_int()));
  return out;
}

Tokenizer open_gguf(const std::string& path) {
  MappedFile file(path);
  return Tokenizer::from_gguf(parse_gguf(file.bytes(), path).metadata);
}

std::string smollm2_path() {
  if (const char* env = std::getenv("IBID_SMOLLM2")) return env;
  std::string path = test::source_dir() + "/build/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (std::filesystem::exists(path)) return path;
  std::printf("SKIPPED for want of a model (IBID_SMOLLM2): SmolLM2-135M-Instruct.Q4_1.gguf\n");
  return "";
}

// A generator of our own, so that every machine sees the same texts.
struct Random {
  uint64_t state;
  uint32_t next(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state >> 33) % below);
  }
  std::string text(size_t characters) {
    static const char32_t tops[] = {0x80, 0x800, 0x10000, 0x110000};
    std::string out;
    while (characters > 0) {
      char32_t c = next(tops[next(4)]);
      if (c >= 0xD800 && c < 0xE000) continue;
      append_utf8(out, c);
      --characters;
    }
    return out;
  }
};

std::string streamed(const Tokenizer& tokenizer, const Ids& ids, bool skip) {
  Tokenizer::Stream stream(tokenizer, skip);
  std::string out;
  for (int32_t id : ids) {
    std::string part = stream.push(id);
    CHECK(is_utf8(part));                             // what is given out is whole characters
    out += part;
  }
  return out + stream.finish();
}

void check_case(const Json& one) {
  Tokenizer tokenizer = Tokenizer::from_huggingface(one.at("tokenizer"), Json());
  CAPTURE(one.at("name").as_string());
  for (const Json& item : one.at("encode").items()) {
    const std::string& text = item.at("text").as_string();
    CAPTURE(text);
    Ids ids = ids_of(item.at("ids"));
    REQUIRE(tokenizer.encode(text, Specials::recognise, AddBos::no) == ids);
    REQUIRE(tokenizer.encode(text, Specials::as_text, AddBos::no) == (item.find("plain") ? ids_of(item.at("plain")) : ids));
    REQUIRE(tokenizer.encode(text, Specials::recognise, AddBos::as_model_says) == (item.find("around") ? ids_of(item.at("around")) : ids));
  }
  for (const Json& item : one.at("decode").items()) {
    Ids ids = ids_of(item.at("ids"));
    CAPTURE(item.at("ids").dump());
    REQUIRE(tokenizer.decode(ids, false) == item.at("all").as_string());
    REQUIRE(tokenizer.decode(ids, true) == item.at("skip").as_string());
    REQUIRE(streamed(tokenizer, ids, false) == item.at("all").as_string());
  }
}

Json case_named(const std::string& name) {
  Json cases = read_json(test::source_dir() + "/test/data/tokenizer_cases.json");
  for (const Json& one : cases.items())
    if (one.at("name").as_string() == name) return one;
  FAIL("no such case: " << name);
  return Json();
}

// The member at a path of keys, to change it.
Json& member(Json& json, std::initializer_list<const char*> keys) {
  Json* at = &json;
  for (const char* key : keys) {
    Json* next = nullptr;
    for (auto& [name, value] : at->members())
      if (name == key) next = &value;
    REQUIRE(next);
    at = next;
  }
  return *at;
}

// llama.cpp's vectors: texts in .inp apart by a separator line, one line of ids each in .out.
void check_llamacpp(const Tokenizer& tokenizer, const std::string& name) {
  std::string inputs = read_file(test::data_dir() + "/llamacpp-vocab/" + name + ".inp");
  std::ifstream outputs(test::data_dir() + "/llamacpp-vocab/" + name + ".out");
  const std::string separator = "\n__ggml_vocab_test__\n";
  int checked = 0;
  for (size_t at = 0; at != std::string::npos; ++checked) {
    std::string line;
    std::getline(outputs, line);                      // nothing to read for the last text, which is empty
    size_t end = inputs.find(separator, at);
    std::string text = inputs.substr(at, end == std::string::npos ? end : end - at);
    std::istringstream in(line);
    Ids expected{std::istream_iterator<int32_t>(in), {}};
    CAPTURE(name, text);
    REQUIRE(tokenizer.encode(text, Specials::as_text, AddBos::no) == expected);
    at = end == std::string::npos ? end : end + separator.size();
  }
  REQUIRE(checked == 47);
}

std::string error_of(const Json& json) {
  try {
    Tokenizer::from_huggingface(json, Json());
  } catch (const Error& e) {
    REQUIRE(e.kind == ErrorKind::bad_data);
    return e.where + ": " + e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("small tokenizers of every shape encode and decode as the reference") {
  Json cases = read_json(test::source_dir() + "/test/data/tokenizer_cases.json");
  REQUIRE(cases.items().size() == 16);
  for (const Json& one : cases.items()) check_case(one);
}

TEST_CASE("a wrong order of merges, a wrong pattern or a wrong flag is seen by the same comparison") {
  auto differs = [](const Json& one) {
    Tokenizer tokenizer = Tokenizer::from_huggingface(one.at("tokenizer"), Json());
    int different = 0;
    for (const Json& item : one.at("encode").items())
      different += tokenizer.encode(item.at("text").as_string(), Specials::recognise, AddBos::no) != ids_of(item.at("ids"));
    return different;
  };
  Json merges = case_named("gpt-2 by Split");
  REQUIRE(differs(merges) == 0);
  Json::Array& list = member(merges, {"tokenizer", "model", "merges"}).items();
  std::reverse(list.begin(), list.end());
  REQUIRE(differs(merges) > 0);

  Json pattern = case_named("gpt-2 by Split");
  member(pattern, {"tokenizer", "pre_tokenizer"}) = case_named("llama 3").at("tokenizer").at("pre_tokenizer");
  REQUIRE(differs(pattern) > 0);

  Json fused = case_named("unknown characters one by one");
  member(fused, {"tokenizer", "model", "fuse_unk"}) = Json(true);
  REQUIRE(differs(fused) > 0);

  Json normalized = case_named("qwen 2 with added tokens of every kind");
  member(normalized, {"tokenizer", "normalizer"}) = Json();
  REQUIRE(differs(normalized) > 0);
}

TEST_CASE("SmolLM2 from its GGUF encodes as its Hugging Face form") {
  std::string path = smollm2_path();
  if (path.empty()) return;
  Tokenizer tokenizer = open_gguf(path);
  REQUIRE(tokenizer.size() == 49152);
  REQUIRE(tokenizer.bos_id() == 1);
  REQUIRE(tokenizer.eos_id() == 2);
  REQUIRE(tokenizer.id_of("<|im_start|>") == 1);
  REQUIRE(tokenizer.token_text(1) == "<|im_start|>");
  REQUIRE(tokenizer.is_special(1));
  REQUIRE(!tokenizer.is_special(tokenizer.id_of("the")));
  Json expected = read_json(test::source_dir() + "/test/data/smollm2_tokens.json");
  REQUIRE(expected.items().size() == 65);
  for (const Json& item : expected.items()) {
    const std::string& text = item.at("text").as_string();
    CAPTURE(text);
    Ids ids = ids_of(item.at("ids"));
    REQUIRE(tokenizer.encode(text, Specials::recognise, AddBos::as_model_says) == ids);
    REQUIRE(tokenizer.encode(text, Specials::as_text, AddBos::no) == (item.find("plain") ? ids_of(item.at("plain")) : ids));
    bool lossless = text.find_first_of("\xF1\xF2\xF3\xF4") == std::string::npos;   // bytes that this vocabulary has no token for
    if (lossless) REQUIRE(tokenizer.decode(ids, false) == text);
    REQUIRE(streamed(tokenizer, ids, false) == tokenizer.decode(ids, false));
  }
}

TEST_CASE("llama.cpp's vectors: gpt-2 and llama-spm from GGUF, llama-bpe and qwen2 from tokenizer.json") {
  std::string gpt2 = test::data_file("llamacpp-vocab/ggml-vocab-gpt-2.gguf");
  std::string spm = test::data_file("llamacpp-vocab/ggml-vocab-llama-spm.gguf");
  std::string llama3 = test::data_file("tokenizers/hf_json/llama3.derived.tokenizer.json");
  std::string qwen2 = test::data_file("tokenizers/hf_json/qwen2.derived.tokenizer.json");
  if (!gpt2.empty()) check_llamacpp(open_gguf(gpt2), "ggml-vocab-gpt-2.gguf");
  if (!spm.empty()) check_llamacpp(open_gguf(spm), "ggml-vocab-llama-spm.gguf");
  if (!llama3.empty()) check_llamacpp(Tokenizer::from_huggingface(read_json(llama3), Json()), "ggml-vocab-llama-bpe.gguf");
  if (!qwen2.empty()) check_llamacpp(Tokenizer::from_huggingface(read_json(qwen2), Json()), "ggml-vocab-qwen2.gguf");
}

TEST_CASE("jtokkit's expected encodings of r50k, which is gpt-2") {
  std::string csv = test::data_file("tokenizers/tiktoken/jtokkit_r50k_base_encodings.csv");
  std::string gguf = test::data_file("llamacpp-vocab/ggml-vocab-gpt-2.gguf");
  if (csv.empty() || gguf.empty()) return;
  Tokenizer tokenizer = open_gguf(gguf);
  std::string text = read_file(csv);
  std::vector<std::string> fields(1);
  int checked = 0;
  bool quoted = false;
  for (size_t i = text.find('\n') + 1; i < text.size(); ++i) {          // RFC 4180: fields may hold quotes, commas and lines
    char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') { fields.back() += '"'; ++i; continue; }
    if (c == '"') { quoted = !quoted; continue; }
    if (c == ',' && !quoted) { fields.emplace_back(); continue; }
    if (c != '\n' || quoted) { fields.back() += c; continue; }
    REQUIRE(fields.size() == 3);
    CAPTURE(fields[0]);
    REQUIRE(tokenizer.encode(fields[0], Specials::as_text, AddBos::no) == ids_of(Json::parse(fields[1], "csv")));
    ++checked;
    fields.assign(1, "");
  }
  REQUIRE(checked > 400);
}

TEST_CASE("TinyStories: an added token that is matched normalized swallows the space before it") {
  std::string path = test::data_file("tinystories-656k/tokenizer.json");
  if (path.empty()) return;
  Tokenizer tokenizer = Tokenizer::from_huggingface(read_json(path), read_json(test::data_file("tinystories-656k/tokenizer_config.json")));
  REQUIRE(tokenizer.bos_id() == 1);
  REQUIRE(tokenizer.eos_id() == 2);
  REQUIRE(tokenizer.encode("", Specials::recognise, AddBos::as_model_says) == Ids{1});
  Ids ids = tokenizer.encode("Once <|end_story|> x", Specials::recognise, AddBos::no);
  REQUIRE(std::count(ids.begin(), ids.end(), 2) == 1);
  REQUIRE(tokenizer.decode(ids, true) == "Once x");
  Ids plain = tokenizer.encode("Once <|end_story|> x", Specials::as_text, AddBos::no);
  REQUIRE(std::count(plain.begin(), plain.end(), 2) == 0);
  Ids glued = tokenizer.encode("Once<|end_story|>", Specials::recognise, AddBos::no);
  REQUIRE(std::count(glued.begin(), glued.end(), 2) == 0);
  Ids unknown = tokenizer.encode("\xC3\xAB", Specials::recognise, AddBos::no);
  REQUIRE(unknown.back() == 0);                        // byte_fallback without byte tokens: <unk>
  // What is found is what the text says, not what a character without a token becomes.
  REQUIRE(tokenizer.is_special(0));
  REQUIRE(tokenizer.find_special("\xC3\xAB") == -1);
  REQUIRE(tokenizer.find_special("\xC3\xAB <unk>") == 0);
  REQUIRE(tokenizer.find_special("Once <|end_story|> x") == 2);
  REQUIRE(tokenizer.find_special("Once<|end_story|>") == -1);
  REQUIRE(tokenizer.find_special("") == -1);
}

TEST_CASE("any text comes back from a byte-level tokenizer, whole and streamed") {
  for (const char* name : {"gpt-2 by Split", "smollm", "llama 3"}) {
    Tokenizer tokenizer = Tokenizer::from_huggingface(case_named(name).at("tokenizer"), Json());
    Random random{11};
    for (int i = 0; i < 400; ++i) {
      std::string text = random.text(random.next(80));
      CAPTURE(name, text);
      Ids ids = tokenizer.encode(text, Specials::as_text, AddBos::no);
      REQUIRE(tokenizer.decode(ids, true) == text);
      REQUIRE(streamed(tokenizer, ids, true) == text);
    }
  }
}

TEST_CASE("a stream of random ids gives what decode gives, and never takes anything back") {
  Json cases = read_json(test::source_dir() + "/test/data/tokenizer_cases.json");
  Random random{3};
  for (const Json& one : cases.items()) {
    Tokenizer tokenizer = Tokenizer::from_huggingface(one.at("tokenizer"), Json());
    for (int i = 0; i < 40; ++i) {
      Ids ids;
      for (uint32_t n = random.next(30); n > 0; --n)
        ids.push_back(static_cast<int32_t>(random.next(static_cast<uint32_t>(tokenizer.size()))));
      REQUIRE(streamed(tokenizer, ids, true) == tokenizer.decode(ids, true));
      REQUIRE(is_utf8(tokenizer.decode(ids, false)));
    }
  }
}

TEST_CASE("an incomplete character waits for its bytes and becomes U+FFFD at the end") {
  Tokenizer tokenizer = Tokenizer::from_huggingface(case_named("gpt-2 by Split").at("tokenizer"), Json());
  Ids ids = tokenizer.encode("\xF0\x9F\x98\x80", Specials::as_text, AddBos::no);
  REQUIRE(ids.size() == 4);
  Tokenizer::Stream stream(tokenizer);
  REQUIRE(stream.push(ids[0]) == "");
  REQUIRE(stream.push(ids[1]) == "");
  REQUIRE(stream.push(ids[2]) == "");
  REQUIRE(stream.push(ids[3]) == "\xF0\x9F\x98\x80");
  REQUIRE(stream.push(ids[0]) == "");
  REQUIRE(stream.finish() == "\xEF\xBF\xBD");
  REQUIRE(stream.finish() == "");
}

TEST_CASE("long words do not take quadratic time") {
  for (const char* name : {"gpt-2 by Split", "llama 2"}) {
    Tokenizer tokenizer = Tokenizer::from_huggingface(case_named(name).at("tokenizer"), Json());
    auto start = std::chrono::steady_clock::now();
    Ids ids = tokenizer.encode(std::string(1000000, 'a'), Specials::recognise, AddBos::no);
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    REQUIRE(!ids.empty());
    REQUIRE(tokenizer.decode(ids, true).size() == 1000000);
    REQUIRE(taken.count() < 10);                       // quadratic work would take hours; a busy machine may take a second
  }
}

// Texts of eight bytes that a hash without a key, the one that this table once had, puts into one slot.
static std::string meeting(uint64_t i) {
  constexpr uint64_t kMix = 0x9E3779B97F4A7C15u;
  uint64_t inverse = kMix;                            // Newton's iteration doubles the right bits
  for (int round = 0; round < 6; ++round) inverse *= 2 - kMix * inverse;
  uint64_t h = (uint64_t{7} << 32 | i) * inverse;
  h = (h ^ h >> 32) * inverse;
  h = (h ^ h >> 29 ^ h >> 58) * inverse ^ 8 * kMix;
  return std::string(reinterpret_cast<const char*>(&h), sizeof h);
}

TEST_CASE("nobody can make a vocabulary whose texts all meet in one place of the table") {
  tokenize::TextTable table;
  for (int i = 0; i < 4096; ++i) table.add(i, meeting(static_cast<uint64_t>(i)));
  for (int i = 0; i < 4096; ++i) CHECK(table.find(meeting(static_cast<uint64_t>(i))) == i);
  CHECK(table.longest_search() < 256);                // without the key: 4096
}

TEST_CASE("text that is not UTF-8 is an error") {
  Tokenizer tokenizer = Tokenizer::from_huggingface(case_named("smollm").at("tokenizer"), Json());
  REQUIRE_THROWS_AS(tokenizer.encode("\xFF", Specials::as_text, AddBos::no), Error);
  REQUIRE(tokenizer.decode({-1, 1 << 30, 5}, true) == tokenizer.decode({5}, true));
  REQUIRE(tokenizer.token_text(-1) == "");
  REQUIRE(tokenizer.id_of("no such token") == -1);
  REQUIRE(!tokenizer.is_special(-5));
}

TEST_CASE("what cannot be followed exactly is refused by name") {
  auto changed = [](std::initializer_list<const char*> keys, const char* value) {
    Json json = case_named("llama 2").at("tokenizer");
    member(json, keys) = Json::parse(value, "test");
    return error_of(json);
  };
  REQUIRE(changed({"version"}, "\"1.0\"") == "");
  REQUIRE(changed({"version"}, "\"2.0\"") == "tokenizer.json: version: version \"2.0\" is not supported");
  REQUIRE(changed({"model", "type"}, "\"Unigram\"") == "tokenizer.json: model.type: model type \"Unigram\" is not supported");
  REQUIRE(changed({"model", "dropout"}, "0.0") == "");
  for (const char* dropout : {"0.1", "1e-999", "\"0\""})
    REQUIRE(changed({"model", "dropout"}, dropout) == "tokenizer.json: model.dropout: not supported");
  REQUIRE(changed({"model", "end_of_word_suffix"}, "\"</w>\"") == "tokenizer.json: model.end_of_word_suffix: \"</w>\" is not supported");
  REQUIRE(changed({"normalizer"}, R"({"type":"Lowercase"})") == "tokenizer.json: normalizer: type \"Lowercase\" is not supported");
  REQUIRE(changed({"normalizer"}, R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Nmt"}]})") ==
          "tokenizer.json: normalizer.normalizers[1]: type \"Nmt\" is not supported");
  REQUIRE(changed({"pre_tokenizer"}, R"({"type":"Split","pattern":{"Regex":"\\w+"},"behavior":"Isolated","invert":false})") ==
          "tokenizer.json: pre_tokenizer.pattern: pattern \"\\w+\" is not one that ibid knows");
  REQUIRE(changed({"pre_tokenizer"}, R"({"type":"Whitespace"})") == "tokenizer.json: pre_tokenizer: type \"Whitespace\" is not supported");
  REQUIRE(changed({"post_processor"}, R"({"type":"RobertaProcessing"})") ==
          "tokenizer.json: post_processor: type \"RobertaProcessing\" is not supported");
  REQUIRE(changed({"decoder"}, R"({"type":"WordPiece"})") == "tokenizer.json: decoder: type \"WordPiece\" is not supported");
  REQUIRE(changed({"decoder"}, R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]})") ==
          "tokenizer.json: decoder.decoders[1]: a decoder of type \"ByteFallback\" behind Fuse is not supported");
}

TEST_CASE("a hostile tokenizer.json is an error that names the part") {
  auto changed = [](std::initializer_list<const char*> keys, const char* value) {
    Json json = case_named("gpt-2 by Split").at("tokenizer");
    member(json, keys) = Json::parse(value, "test");
    return error_of(json);
  };
  REQUIRE(error_of(Json::parse("{}", "test")) == "tokenizer.json: missing \"model\"");
  REQUIRE(error_of(Json::parse("[]", "test")) == "tokenizer.json: expected an object, found array");
  REQUIRE(error_of(Json::parse(R"({"model":{"type":"BPE"}})", "test")) == "tokenizer.json: model: missing \"vocab\"");
  REQUIRE(error_of(Json::parse(R"({"model":{"type":"BPE","vocab":{}}})", "test")) == "tokenizer.json: model.vocab: empty");
  REQUIRE(error_of(Json::parse(R"({"model":{"type":"BPE","vocab":{"a":0}}})", "test")) == "tokenizer.json: model: missing \"merges\"");
  REQUIRE(changed({"model", "vocab"}, R"({"a":4294967296})") == "tokenizer.json: model.vocab: token id 4294967296 is outside 0 to 4194303");
  REQUIRE(changed({"model", "vocab"}, R"({"a":-1})") == "tokenizer.json: model.vocab: token id -1 is outside 0 to 4194303");
  REQUIRE(changed({"model", "vocab"}, R"({"a":0,"b":0})") == "tokenizer.json: model.vocab: token id 0 is given to \"a\" and to \"b\"");
  REQUIRE(changed({"model", "vocab"}, R"({"a":"0"})") == "tokenizer.json: model.vocab: the id of \"a\" is not a number");
  REQUIRE(changed({"model", "merges"}, R"([["a","zzz"]])") ==
          "tokenizer.json: model.merges: merge 0 needs token \"zzz\", which is not in the vocabulary");
  REQUIRE(changed({"model", "merges"}, R"(["a b c"])") == "tokenizer.json: model.merges: merge 0 is not two tokens");
  REQUIRE(changed({"model", "merges"}, R"([7])") == "tokenizer.json: model.merges: merge 0 is not two tokens");
  REQUIRE(changed({"added_tokens"}, R"([{"id":5,"content":"new"}])")
              .starts_with("tokenizer.json: added_tokens[0]: token id 5 is given to"));
  REQUIRE(changed({"added_tokens"}, R"([{"id":9000,"content":"<s>"}])") ==
          "tokenizer.json: added_tokens[0]: \"<s>\" has id 9000 here and 0 in the vocabulary");
  REQUIRE(changed({"added_tokens"}, R"([{"content":"<s>"}])") == "tokenizer.json: added_tokens[0]: missing \"id\"");
  REQUIRE(changed({"post_processor"},
      R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"x"}}],"special_tokens":{"x":{"ids":[99999]}}})") ==
          "tokenizer.json: post_processor.special_tokens.x.ids[0]: token 99999 is not in the vocabulary");
  std::string nested = R"({"type":"NFC"})";
  for (int i = 0; i < 20; ++i) nested = R"({"type":"Sequence","normalizers":[)" + nested + "]}";
  REQUIRE(changed({"normalizer"}, nested.c_str()).ends_with("too many steps"));
}

TEST_CASE("stacked replacements cannot fill the memory") {
  Json json = case_named("llama 2").at("tokenizer");
  std::string steps;
  for (int i = 0; i < 40; ++i) steps += std::string(i ? "," : "") + R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  member(json, {"normalizer"}) = Json::parse(R"({"type":"Sequence","normalizers":[)" + steps + "]}", "test");
  member(json, {"added_tokens"}) = Json(Json::Array{});
  Tokenizer tokenizer = Tokenizer::from_huggingface(json, Json());
  REQUIRE_THROWS_AS(tokenizer.encode("a", Specials::recognise, AddBos::no), Error);
}

TEST_CASE("a replacement is given up as soon as it is too long") {
  using ibid::runtime::tokenize::replace_all;
  CHECK(replace_all("aXbXc", "X", "--", 100) == "a--b--c");
  const std::string with(1000, 'y'), all = replace_all(std::string(1 << 20, 'X'), "X", with, 5000);
  CHECK(all.size() > 5000);
  CHECK(all.size() < 5000 + 2 * with.size() + (1 << 20));
}

// A prefix on every piece and a cut behind it double the pieces: 20 of them would make a million of every character.
TEST_CASE("a chain of prefixes and a template of many tokens are refused") {
  Json json = case_named("llama 2").at("tokenizer");
  auto chain = [&](int prefixes) {
    std::string steps;
    for (int i = 0; i < prefixes; ++i)
      steps += std::string(i ? "," : "") + R"({"type":"Metaspace","replacement":")" + std::to_string(i % 10) +
               R"(","prepend_scheme":"always","split":false},{"type":"Digits","individual_digits":true})";
    member(json, {"pre_tokenizer"}) = Json::parse(R"({"type":"Sequence","pretokenizers":[)" + steps + "]}", "test");
    return error_of(json);
  };
  REQUIRE(chain(4) == "");
  REQUIRE(chain(5) == "tokenizer.json: pre_tokenizer: too many steps that add a prefix");

  json = case_named("llama 2").at("tokenizer");
  std::string ids = "1", pieces = R"({"Sequence":{"id":"A"}})";
  for (int i = 0; i < 1000; ++i) ids += ",1", pieces += R"(,{"SpecialToken":{"id":"x"}})";
  member(json, {"post_processor"}) =
      Json::parse(R"({"type":"TemplateProcessing","single":[)" + pieces + R"(],"special_tokens":{"x":{"ids":[)" + ids + "]}}}", "test");
  REQUIRE(error_of(json) == "tokenizer.json: post_processor.single[1]: the template adds too many tokens");
}

TEST_CASE("white space around added tokens is looked at once") {
  for (const char* side : {"lstrip", "rstrip"}) {
    Json json = case_named("llama 2").at("tokenizer");
    member(json, {"added_tokens"}) = Json::parse(std::string(R"([{"id":300000,"content":" ","normalized":false,")") + side + R"(":true}])",
                                                 "test");
    Tokenizer tokenizer = Tokenizer::from_huggingface(json, Json());
    auto start = std::chrono::steady_clock::now();
    Ids ids = tokenizer.encode("a" + std::string(1000000, ' '), Specials::recognise, AddBos::no);
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    REQUIRE(std::count(ids.begin(), ids.end(), 300000) == 1000000);
    REQUIRE(taken.count() < 10);                       // quadratic work would take an hour
  }
}

TEST_CASE("added tokens of 4 MiB in all are taken, more are refused") {
  for (int count : {8192, 8193}) {
    std::string listed, texts, types;
    for (int i = 0; i < count; ++i) {
      const std::string content = '"' + std::string(506, 'a') + std::to_string(100000 + i) + '"', comma = i ? "," : "";
      listed += comma + R"({"special":true,"id":)" + std::to_string(100000 + i) + R"(,"content":)" + content + "}";
      texts += comma + content;
      types += comma + "3";                                // control
    }
    Json json = case_named("llama 2").at("tokenizer");
    member(json, {"added_tokens"}) = Json::parse("[" + listed + "]", "test");
    const Json metadata =
        Json::parse(R"({"tokenizer.ggml.model":"gpt2","tokenizer.ggml.pre":"gpt-2","tokenizer.ggml.merges":[],"tokenizer.ggml.tokens":[)" +
                        texts + R"(],"tokenizer.ggml.token_type":[)" + types + "]}",
                    "test");
    std::string why;
    try { Tokenizer::from_gguf(metadata); } catch (const Error& e) { why = e.where + ": " + e.what(); }
    const bool fits = count == 8192;
    CHECK(error_of(json) == (fits ? "" : "tokenizer.json: added_tokens: more than 4194304 bytes in all"));
    CHECK(why == (fits ? "" : "tokenizer.ggml.tokens: those that are matched in text have more than 4194304 bytes in all"));
  }
}

TEST_CASE("GGUF metadata: what is missing, unknown or out of range is refused by name") {
  auto error = [](const char* metadata) -> std::string {
    try { Tokenizer::from_gguf(Json::parse(metadata, "test")); } catch (const Error& e) { return e.where + ": " + e.what(); }
    return "";
  };
  REQUIRE(error("{}") == "tokenizer.ggml.model: missing");
  REQUIRE(error(R"({"tokenizer.ggml.model":"t5"})") == "tokenizer.ggml.model: tokenizer model \"t5\" is not supported");
  REQUIRE(error(R"({"tokenizer.ggml.model":"gpt2"})") == "tokenizer.ggml.tokens: missing");
  REQUIRE(error(R"({"tokenizer.ggml.model":"gpt2","tokenizer.ggml.pre":"tekken","tokenizer.ggml.tokens":["a"]})") ==
          "tokenizer.ggml.pre: pre-tokenizer \"tekken\" is not supported");
  REQUIRE(error(R"({"tokenizer.ggml.model":"gpt2","tokenizer.ggml.pre":"gpt-2","tokenizer.ggml.tokens":["a","a"]})") ==
          "tokenizer.ggml.tokens: tokens 0 and 1 have the same text");
  for (const std::string type : {"9", "1.5", "9223372036854775808", "null"})
    REQUIRE(error(
        (R"({"tokenizer.ggml.model":"gpt2","tokenizer.ggml.pre":"gpt-2","tokenizer.ggml.tokens":["a"],"tokenizer.ggml.token_type":[)" +
         type + "]}").c_str()) ==
            "tokenizer.ggml.token_type: token 0 has no known type");
  REQUIRE(error(
      R"({"tokenizer.ggml.model":"gpt2","tokenizer.ggml.pre":"gpt-2","tokenizer.ggml.tokens":["a"],"tokenizer.ggml.merges":["a b"]})") ==
          "tokenizer.ggml.merges: merge 0 (\"a b\") names or makes a token that is not in the vocabulary");
  REQUIRE(error(
      R"({"tokenizer.ggml.model":"gpt2","tokenizer.ggml.pre":"llama-bpe","tokenizer.ggml.tokens":["a"],"tokenizer.ggml.merges":[]})") ==
          "tokenizer.ggml.bos_token_id: missing, yet the model begins with it");
  for (const std::string id : {"7", "-1", "0.5", "9223372036854775808"})
    REQUIRE(error(
        (R"({"tokenizer.ggml.model":"gpt2","tokenizer.ggml.pre":"qwen2","tokenizer.ggml.tokens":["a"],"tokenizer.ggml.merges":[],"tokenizer.ggml.eos_token_id":)" +
         id + "}").c_str()) ==
            "tokenizer.ggml.eos_token_id: token " + id + " is not in the vocabulary of 1");
  for (const std::string score : {"null", "1e39", "-1e39"})
    REQUIRE(error((R"({"tokenizer.ggml.model":"llama","tokenizer.ggml.tokens":["a"],"tokenizer.ggml.scores":[)" + score + "]}").c_str()) ==
            "tokenizer.ggml.scores: token 0 has a score that is not a finite number");
}

namespace {

// Replaces, repeats or removes one value somewhere in the tree.
void mutate(Json& json, Random& random) {
  static const char* const values[] = {"null", "true", "false", "0", "-1", "1", "4194304", "99999999999999999999", "0.5", "\"\"", "\"a\"",
                                       "[]", "{}", "[\"a\",\"b\"]", "\"\xE2\x96\x81\"", "{\"type\":\"Fuse\"}", "{\"type\":\"NFC\"}",
                                       "{\"String\":\"a\"}"};
  auto count = static_cast<uint32_t>(json.is_object() ? json.members().size() : json.is_array() ? json.items().size() : 0);
  if (count == 0 || random.next(6) == 0) {
    json = Json::parse(values[random.next(std::size(values))], "value");
    return;
  }
  uint32_t at = random.next(count);
  bool remove = random.next(12) == 0, repeat = random.next(12) == 0;
  if (json.is_array()) {
    if (remove) json.items().erase(json.items().begin() + at);
    else if (repeat) json.items().insert(json.items().begin() + at, Json(json.items()[random.next(count)]));
    else mutate(json.items()[at], random);
  } else {
    if (remove) json.members().erase(json.members().begin() + at);
    else if (repeat) json.members()[at].second = Json(json.members()[random.next(count)].second);
    else mutate(json.members()[at].second, random);
  }
}

}  // namespace

TEST_CASE("mutated files give an Error or a tokenizer that runs") {
  Json cases = read_json(test::source_dir() + "/test/data/tokenizer_cases.json");
  Random random{5};
  int loaded = 0, refused = 0;
  for (int round = 0; round < 1500; ++round) {
    Json json = cases.items()[random.next(static_cast<uint32_t>(cases.items().size()))].at("tokenizer");
    for (uint32_t k = 1 + random.next(3); k > 0; --k) mutate(json, random);
    try {
      Tokenizer tokenizer = Tokenizer::from_huggingface(json, Json());
      Ids ids = tokenizer.encode("Hello <s> w\xC3\xB6rld 123", Specials::recognise, AddBos::as_model_says);
      tokenizer.decode(ids, true);
      ++loaded;
    } catch (const Error& e) {
      CAPTURE(e.where, e.what());
      REQUIRE(e.kind != ErrorKind::internal);
      ++refused;
    }
  }
  REQUIRE(loaded > 200);
  REQUIRE(refused > 300);
}
