// Reads tokenizer.json (and the names of the special tokens in tokenizer_config.json) as the Hugging Face tokenizers library
// means it. Model BPE only; dropout, subword prefixes and suffixes are refused.
//
// Differs from the library on purpose: an added token has the id that the file gives it (the library numbers those that are not
// in the vocabulary itself, and warns), and decoding writes an added token as the file does even when it is matched normalized.
#include "runtime/tokenizer_hf.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/tokenizer.h"

namespace ibid::runtime {
namespace tokenize {

void JsonPart::fail(const std::string& what) const {
  throw Error(ErrorKind::bad_data, "tokenizer.json", name_.empty() ? what : name_ + ": " + what);
}

JsonPart JsonPart::at(const std::string& key) const {
  if (!json_->is_object()) fail(std::string("expected an object, found ") + json_->kind_name());
  const Json* found = json_->find(key);
  if (!found) fail("missing \"" + key + "\"");
  return JsonPart(*found, name_of(key));
}

std::optional<JsonPart> JsonPart::find(const std::string& key) const {
  if (!json_->is_object()) fail(std::string("expected an object, found ") + json_->kind_name());
  const Json* found = json_->find(key);
  if (!found || found->is_null()) return std::nullopt;
  return JsonPart(*found, name_of(key));
}

std::vector<JsonPart> JsonPart::items() const {
  if (!json_->is_array()) fail(std::string("expected an array, found ") + json_->kind_name());
  std::vector<JsonPart> out;
  for (const Json& item : json_->items()) out.emplace_back(item, name_ + "[" + std::to_string(out.size()) + "]");
  return out;
}

const std::string& JsonPart::text() const {
  if (!json_->is_string()) fail(std::string("expected a string, found ") + json_->kind_name());
  return json_->as_string();
}

std::string JsonPart::text_not_empty() const {
  if (text().empty()) fail("empty");
  return text();
}

int64_t JsonPart::integer() const {
  if (!json_->is_number()) fail(std::string("expected a number, found ") + json_->kind_name());
  try {
    return json_->as_int();
  } catch (const Error& e) {
    fail(e.what());
  }
}

bool JsonPart::is_zero() const {
  if (!json_->is_number()) return false;
  try {
    return json_->as_double() == 0;
  } catch (const Error&) {             // too large or too small for a double
    return false;
  }
}

bool JsonPart::flag(const std::string& key, bool fallback) const {
  auto found = find(key);
  if (!found) return fallback;
  if (!found->json().is_bool()) found->fail(std::string("expected a boolean, found ") + found->json().kind_name());
  return found->json().as_bool();
}

namespace {

int32_t checked_id(const JsonPart& part, int64_t id) {
  if (id < 0 || id >= kMaxIds) part.fail("token id " + std::to_string(id) + " is outside 0 to " + std::to_string(kMaxIds - 1));
  return static_cast<int32_t>(id);
}

void add_text(const JsonPart& part, Parts& parts, int32_t id, const std::string& text) {
  if (text.size() > kMaxTokenBytes)
    part.fail("token " + std::to_string(id) + " is longer than " + std::to_string(kMaxTokenBytes) + " bytes");
  if (parts.texts.has(id))
    part.fail("token id " + std::to_string(id) + " is given to \"" + std::string(parts.texts.text(id)) + "\" and to \"" + text + "\"");
  if (parts.texts.find(text) >= 0) part.fail("token \"" + text + "\" is there twice");
  parts.texts.add(id, text);
}

void read_vocabulary(const JsonPart& part, Parts& parts) {
  if (!part.json().is_object()) part.fail(std::string("expected an object, found ") + part.json().kind_name());
  const Json::Object& members = part.json().members();
  parts.texts.reserve(members.size());
  for (const auto& [text, id] : members) {
    if (!id.is_number()) part.fail("the id of \"" + text + "\" is not a number");
    add_text(part, parts, checked_id(part, JsonPart(id, "model.vocab").integer()), text);
  }
}

// "a b" or ["a", "b"].
std::pair<std::string_view, std::string_view> pair_of_merge(const Json& merge, const JsonPart& part, size_t index) {
  auto bad = [&]() { part.fail("merge " + std::to_string(index) + " is not two tokens"); };
  if (merge.is_array()) {
    const Json::Array& two = merge.items();
    if (two.size() != 2 || !two[0].is_string() || !two[1].is_string()) bad();
    return {two[0].as_string(), two[1].as_string()};
  }
  if (!merge.is_string()) bad();
  std::string_view line = merge.as_string();
  size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) bad();
  return {line.substr(0, space), line.substr(space + 1)};
}

void read_merges(const JsonPart& part, const TextTable& texts, Bpe& bpe) {
  if (!part.json().is_array()) part.fail(std::string("expected an array, found ") + part.json().kind_name());
  const Json::Array& merges = part.json().items();
  bpe.reserve_merges(merges.size());
  std::string joined;
  for (size_t i = 0; i < merges.size(); ++i) {
    if (merges[i].is_string() && merges[i].as_string().starts_with("#version")) continue;
    auto [a, b] = pair_of_merge(merges[i], part, i);
    joined.assign(a).append(b);
    int32_t left = texts.find(a), right = texts.find(b), both = texts.find(joined);
    if (left < 0 || right < 0 || both < 0) {
      std::string_view absent = left < 0 ? a : right < 0 ? b : joined;
      part.fail("merge " + std::to_string(i) + " needs token \"" + std::string(absent) + "\", which is not in the vocabulary");
    }
    bpe.set_merge(left, right, static_cast<uint32_t>(i), both);
  }
}

void refuse_unless_empty(const JsonPart& model, const std::string& key) {
  auto found = model.find(key);
  if (found && !found->text().empty()) found->fail("\"" + found->text() + "\" is not supported");
}

// The vocabulary must be read. Added tokens must not: the model does not see them.
void read_model(const JsonPart& model, bool byte_level, Parts& parts) {
  if (auto dropout = model.find("dropout"); dropout && !dropout->is_zero()) dropout->fail("not supported");
  refuse_unless_empty(model, "continuing_subword_prefix");
  refuse_unless_empty(model, "end_of_word_suffix");

  Bpe::Options options;
  options.byte_level = byte_level;
  options.byte_fallback = model.flag("byte_fallback", false);
  options.fuse_unknown = model.flag("fuse_unk", false);
  options.ignore_merges = model.flag("ignore_merges", false);
  auto unknown = model.find("unk_token");
  if (unknown) options.unknown = parts.texts.find(unknown->text());

  TextTable keys;
  if (byte_level) {
    keys.reserve(static_cast<size_t>(parts.texts.size()));
    std::string bytes;
    for (int32_t id = 0; id < parts.texts.size(); ++id)
      if (parts.texts.has(id) && bytes_of_byte_level(parts.texts.text(id), bytes)) keys.add(id, bytes);
  } else {
    keys = parts.texts;
  }
  parts.bpe.emplace(options, std::move(keys));
  bool complete = parts.bpe->has_every_byte() && (byte_level || options.byte_fallback);
  if (unknown && options.unknown < 0 && !complete) unknown->fail("token \"" + unknown->text() + "\" is not in the vocabulary");
  if (byte_level && options.byte_fallback && !complete) model.at("byte_fallback").fail("not supported with ByteLevel");
  read_merges(model.at("merges"), parts.texts, *parts.bpe);
}

void read_added_tokens(const JsonPart& list, Parts& parts) {
  std::vector<AddedToken> plain, normalized;
  std::vector<std::string> seen;
  size_t bytes = 0;
  for (const JsonPart& item : list.items()) {
    AddedToken token;
    token.content = item.at("content").text();
    token.id = checked_id(item, item.at("id").integer());
    token.special = item.flag("special", false);
    token.single_word = item.flag("single_word", false);
    token.lstrip = item.flag("lstrip", false);
    token.rstrip = item.flag("rstrip", false);
    if (token.content.empty()) continue;
    if (int32_t known = parts.texts.find(token.content); known < 0) add_text(item, parts, token.id, token.content);
    else if (known != token.id)
      item.fail("\"" + token.content + "\" has id " + std::to_string(token.id) + " here and " + std::to_string(known) +
                " in the vocabulary");
    parts.flags.resize(static_cast<size_t>(parts.texts.size()));
    if (token.special) parts.flags[static_cast<size_t>(token.id)] |= Parts::kSpecial;

    bool is_normalized = item.flag("normalized", !token.special);
    if (is_normalized) token.content = parts.normalizer.apply(token.content);
    if (token.content.empty() || token.content.size() > kMaxAddedBytes)
      item.fail("content must have 1 to " + std::to_string(kMaxAddedBytes) + " bytes when it is matched");
    if ((bytes += token.content.size()) > kMaxAddedTotal) list.fail("more than " + std::to_string(kMaxAddedTotal) + " bytes in all");
    seen.push_back((is_normalized ? "n" : "p") + token.content);
    (is_normalized ? normalized : plain).push_back(std::move(token));
  }
  std::sort(seen.begin(), seen.end());
  if (auto twice = std::adjacent_find(seen.begin(), seen.end()); twice != seen.end())
    list.fail("two tokens match the same text \"" + twice->substr(1) + "\"");
  parts.added.set(std::move(plain));
  parts.normalized_added.set(std::move(normalized));
}

// bos_token of tokenizer_config.json: a string, or an object with its content.
int32_t named_token(const Json& config, const char* key, const Parts& parts) {
  const Json* found = config.find(key);
  if (found && found->is_object()) found = found->find("content");
  return found && found->is_string() ? parts.texts.find(found->as_string()) : -1;
}

bool is_bpe(const JsonPart& model) {
  auto type = model.find("type");                  // files of the first years do not say
  if (type && type->text() != "BPE") type->fail("model type \"" + type->text() + "\" is not supported");
  return type || model.find("merges");
}

}  // namespace
}  // namespace tokenize

Tokenizer Tokenizer::from_huggingface(const Json& json, const Json& config) {
  using namespace tokenize;
  JsonPart file(json, "");
  if (auto version = file.find("version"); version && version->text() != "1.0")
    version->fail("version \"" + version->text() + "\" is not supported");
  JsonPart model = file.at("model");
  if (!is_bpe(model)) model.fail("missing \"type\"");

  Tokenizer tokenizer;
  Parts& parts = *tokenizer.parts_;
  bool byte_level = false;
  if (auto part = file.find("normalizer")) read_normalizer(*part, parts.normalizer);
  if (auto part = file.find("pre_tokenizer")) byte_level = read_pre_tokenizer(*part, parts.splitter);
  read_vocabulary(model.at("vocab"), parts);
  if (parts.texts.size() == 0) model.at("vocab").fail("empty");
  read_model(model, byte_level, parts);
  if (auto part = file.find("added_tokens")) read_added_tokens(*part, parts);
  parts.flags.resize(static_cast<size_t>(parts.texts.size()));
  if (auto part = file.find("post_processor")) read_post_processor(*part, parts);
  parts.decoder.kind = Decoder::Kind::spaced;
  if (auto part = file.find("decoder")) read_decoder(*part, parts.decoder);

  parts.bos = named_token(config, "bos_token", parts);
  parts.eos = named_token(config, "eos_token", parts);
  if (parts.bos < 0 && parts.prefix.size() == 1) parts.bos = parts.prefix[0];
  return tokenizer;
}

}  // namespace ibid::runtime
