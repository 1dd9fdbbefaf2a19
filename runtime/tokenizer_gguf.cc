// Reads tokenizer.ggml.* of GGUF metadata, as llama.cpp understands it:
//   model "gpt2"   byte-level BPE of merges; tokenizer.ggml.pre names the pattern; no normalization
//   model "llama"  SentencePiece: pairs join by score, unknown characters become byte tokens, spaces U+2581
// Added tokens are those whose type is control, unknown or user-defined. Where GGUF says less than tokenizer.json, decoding is
// that of the Hugging Face form of the same model (one leading space of "llama" text is dropped, malformed bytes are U+FFFD).
#include <cmath>
#include <limits>

#include "runtime/error.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_parts.h"

namespace ibid::runtime {
namespace {

using namespace tokenize;

constexpr const char* kMark = "\xE2\x96\x81";   // U+2581, a space in SentencePiece

enum TokenType { kNormal = 1, kUnknownType = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

[[noreturn]] void fail(const std::string& key, const std::string& what) {
  throw Error(ErrorKind::bad_data, "tokenizer.ggml." + key, what);
}

const Json* find(const Json& metadata, const std::string& key) {
  const Json* found = metadata.find("tokenizer.ggml." + key);
  return found && !found->is_null() ? found : nullptr;
}

const Json::Array& array(const Json& metadata, const std::string& key) {
  const Json* found = find(metadata, key);
  if (!found) fail(key, "missing");
  if (!found->is_array()) fail(key, std::string("expected an array, found ") + found->kind_name());
  return found->items();
}

std::string string_or(const Json& metadata, const std::string& key, const std::string& fallback) {
  const Json* found = find(metadata, key);
  if (found && !found->is_string()) fail(key, std::string("expected a string, found ") + found->kind_name());
  return found ? found->as_string() : fallback;
}

bool flag_or(const Json& metadata, const std::string& key, bool fallback) {
  const Json* found = find(metadata, key);
  if (found && !found->is_bool()) fail(key, std::string("expected a boolean, found ") + found->kind_name());
  return found ? found->as_bool() : fallback;
}

// The value as an integer, -1 when it is none of 63 bits.
int64_t integer_of(const Json& value) {
  try {
    return value.as_int();
  } catch (const Error&) {
    return -1;
  }
}

int32_t id_or(const Json& metadata, const std::string& key, int32_t fallback, int32_t size) {
  const Json* found = find(metadata, key);
  if (!found) return fallback < size ? fallback : -1;
  if (!found->is_number()) fail(key, std::string("expected a number, found ") + found->kind_name());
  const int64_t id = integer_of(*found);
  if (id < 0 || id >= size) fail(key, "token " + found->lexeme() + " is not in the vocabulary of " + std::to_string(size));
  return static_cast<int32_t>(id);
}

struct PreTokenizer {
  std::vector<SplitStage> stages;
  bool ignore_merges = false;
  bool add_bos = false;               // unless the file says
};

SplitStage stage(SplitStage::Kind kind, int max_digits = 3) {
  SplitStage s;
  s.kind = kind;
  s.max_digits = max_digits;
  s.fold_long_s = false;              // llama.cpp writes [sS] for (?i:s)
  return s;
}

// Names that mean the same to llama.cpp stand together.
PreTokenizer pre_tokenizer(const std::string& name) {
  using Kind = SplitStage::Kind;
  auto is_one_of = [&name](std::initializer_list<std::string_view> names) {
    for (std::string_view n : names)
      if (name == n) return true;
    return false;
  };
  if (is_one_of({"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "mellum", "modern-bert", "gigachat", "a.x-4.0"}))
    return {{stage(Kind::gpt2)}};
  if (is_one_of({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}))
    return {{stage(Kind::each_number), stage(Kind::gpt2)}};
  if (is_one_of({"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"}))
    return {{stage(Kind::llama3)}, true, true};
  if (is_one_of({"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"})) return {{stage(Kind::llama3)}};
  if (is_one_of({"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"}))
    return {{stage(Kind::llama3, 1)}};
  if (is_one_of({"default", ""}))
    return {{stage(Kind::punctuation_runs), stage(Kind::gpt2), stage(Kind::number_runs), stage(Kind::digit_triples)}};
  fail("pre", "pre-tokenizer \"" + name + "\" is not supported");
}

std::vector<int> read_types(const Json& metadata, size_t count) {
  std::vector<int> types(count, kNormal);
  if (!find(metadata, "token_type")) return types;
  const Json::Array& items = array(metadata, "token_type");
  if (items.size() != count) fail("token_type", std::to_string(items.size()) + " types for " + std::to_string(count) + " tokens");
  for (size_t i = 0; i < count; ++i) {
    const int64_t type = integer_of(items[i]);
    if (type < kNormal || type > kByte) fail("token_type", "token " + std::to_string(i) + " has no known type");
    types[i] = static_cast<int>(type);
  }
  return types;
}

void read_tokens(const Json& metadata, Parts& parts) {
  const Json::Array& tokens = array(metadata, "tokens");
  if (tokens.empty() || tokens.size() > static_cast<size_t>(kMaxIds))
    fail("tokens", std::to_string(tokens.size()) + " tokens; ibid takes 1 to " + std::to_string(kMaxIds));
  std::vector<int> types = read_types(metadata, tokens.size());
  std::vector<AddedToken> added;
  size_t added_bytes = 0;
  parts.texts.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    auto id = static_cast<int32_t>(i);
    if (!tokens[i].is_string()) fail("tokens", "token " + std::to_string(i) + " is not a string of UTF-8");
    std::string text = tokens[i].as_string();
    if (text.empty()) text = "[EMPTY_" + std::to_string(i) + "]";          // as llama.cpp names it
    if (text.size() > kMaxTokenBytes)
      fail("tokens", "token " + std::to_string(i) + " is longer than " + std::to_string(kMaxTokenBytes) + " bytes");
    if (int32_t other = parts.texts.find(text); other >= 0)
      fail("tokens", "tokens " + std::to_string(other) + " and " + std::to_string(i) + " have the same text");
    parts.texts.add(id, text);
    bool special = types[i] == kControl || types[i] == kUnknownType;
    bool matched = special || types[i] == kUserDefined;
    parts.flags.push_back(static_cast<uint8_t>((special ? Parts::kSpecial : 0) | (matched ? Parts::kRawText : 0)));
    if (!matched) continue;
    if (text.size() > kMaxAddedBytes)
      fail("tokens", "token " + std::to_string(i) + " is matched in text and longer than " + std::to_string(kMaxAddedBytes) + " bytes");
    if ((added_bytes += text.size()) > kMaxAddedTotal)
      fail("tokens", "those that are matched in text have more than " + std::to_string(kMaxAddedTotal) + " bytes in all");
    added.push_back({id, std::move(text), special});
  }
  parts.added.set(std::move(added));
}

void read_merges(const Json& metadata, const TextTable& texts, Bpe& bpe) {
  const Json::Array& merges = array(metadata, "merges");
  bpe.reserve_merges(merges.size());
  std::string joined;
  for (size_t i = merges.size(); i-- > 0;) {                               // backwards: of a pair given twice the first counts
    auto bad = [i](const std::string& why) { fail("merges", "merge " + std::to_string(i) + " " + why); };
    if (!merges[i].is_string()) bad("is not a string of UTF-8");
    std::string_view line = merges[i].as_string();
    size_t space = line.find(' ', 1);
    if (space == std::string_view::npos) bad("is not two tokens with a space between them");
    joined.assign(line.substr(0, space)).append(line.substr(space + 1));
    int32_t left = texts.find(line.substr(0, space)), right = texts.find(line.substr(space + 1)), both = texts.find(joined);
    if (left < 0 || right < 0 || both < 0) bad("(\"" + std::string(line) + "\") names or makes a token that is not in the vocabulary");
    bpe.set_merge(left, right, static_cast<uint32_t>(i), both);
  }
}

// What the file means where it does not say how a text begins and ends.
struct Ends {
  int32_t bos = -1, eos = -1;
  bool add_bos = false;
};

Ends read_byte_level(const Json& metadata, Parts& parts) {
  PreTokenizer pre = pre_tokenizer(string_or(metadata, "pre", ""));
  if (flag_or(metadata, "add_space_prefix", false)) fail("add_space_prefix", "not supported with model \"gpt2\"");
  TextTable keys;
  keys.reserve(static_cast<size_t>(parts.texts.size()));
  std::string bytes;
  for (int32_t id = 0; id < parts.texts.size(); ++id)
    if (bytes_of_byte_level(parts.texts.text(id), bytes)) keys.add(id, bytes);
  Bpe::Options options;
  options.byte_level = true;
  options.ignore_merges = pre.ignore_merges;
  parts.bpe.emplace(options, std::move(keys));
  read_merges(metadata, parts.texts, *parts.bpe);
  parts.splitter.stages = std::move(pre.stages);
  parts.decoder.kind = Decoder::Kind::byte_level;
  return {.add_bos = pre.add_bos};
}

std::vector<float> read_scores(const Json& metadata, size_t count) {
  const Json::Array& items = array(metadata, "scores");
  if (items.size() != count) fail("scores", std::to_string(items.size()) + " scores for " + std::to_string(count) + " tokens");
  std::vector<float> scores;
  for (const Json& item : items) {
    const double score = item.is_number() ? item.as_double() : NAN;
    if (!(std::abs(score) <= std::numeric_limits<float>::max()))
      fail("scores", "token " + std::to_string(scores.size()) + " has a score that is not a finite number");
    scores.push_back(static_cast<float>(score));
  }
  return scores;
}

Ends read_sentencepiece(const Json& metadata, Parts& parts) {
  using Normalize = NormalizeStep::Kind;
  bool prefix = flag_or(metadata, "add_space_prefix", true);
  if (prefix) parts.normalizer.steps.push_back({Normalize::prepend, kMark, ""});
  parts.normalizer.steps.push_back({Normalize::replace, kMark, " "});

  TextTable keys = parts.texts;
  parts.bpe.emplace(Bpe::Options{.byte_fallback = true}, std::move(keys));
  parts.bpe->set_scores(read_scores(metadata, static_cast<size_t>(parts.texts.size())));
  if (!parts.bpe->has_every_byte()) fail("tokens", "a \"llama\" vocabulary without all of the tokens <0x00> to <0xFF> is not supported");

  parts.decoder.byte_fallback = true;
  parts.decoder.before = {{DecodeStep::Kind::replace, kMark, " "}};
  parts.decoder.strip_text = " ";
  parts.decoder.strip_start = prefix ? 1 : 0;
  return {.bos = 1, .eos = 2, .add_bos = true};
}

void read_ends(const Json& metadata, const Ends& unsaid, Parts& parts) {
  parts.bos = id_or(metadata, "bos_token_id", unsaid.bos, parts.texts.size());
  parts.eos = id_or(metadata, "eos_token_id", unsaid.eos, parts.texts.size());
  if (flag_or(metadata, "add_bos_token", unsaid.add_bos)) {
    if (parts.bos < 0) fail("bos_token_id", "missing, yet the model begins with it");
    parts.prefix = {parts.bos};
  }
  if (flag_or(metadata, "add_eos_token", false)) {
    if (parts.eos < 0) fail("eos_token_id", "missing, yet the model ends with it");
    parts.suffix = {parts.eos};
  }
}

}  // namespace

Tokenizer Tokenizer::from_gguf(const Json& metadata) {
  std::string model = string_or(metadata, "model", "");
  if (model.empty()) fail("model", "missing");
  if (model != "gpt2" && model != "llama") fail("model", "tokenizer model \"" + model + "\" is not supported");
  Tokenizer tokenizer;
  Parts& parts = *tokenizer.parts_;
  read_tokens(metadata, parts);
  const Ends unsaid = model == "llama" ? read_sentencepiece(metadata, parts) : read_byte_level(metadata, parts);
  read_ends(metadata, unsaid, parts);
  return tokenizer;
}

}  // namespace ibid::runtime
