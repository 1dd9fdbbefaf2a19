// See tokenizer.h: runs the parts that tokenizer_hf.cc or tokenizer_gguf.cc put together.
#include "runtime/tokenizer.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/tokenizer_parts.h"
#include "runtime/unicode.h"

namespace ibid::runtime {

const char* unicode_version() { return unicode_tables_version(); }

void tokenize::Parts::encode(std::string_view text, bool at_start, bool recognise_special, Bpe::Workspace& workspace,
                             std::vector<int32_t>& ids) const {
  std::string normalized;
  if (!normalizer.steps.empty()) {
    normalized = normalizer.apply(text);
    text = normalized;
  }
  if (text.size() >= size_t{1} << 31) throw Error(ErrorKind::bad_data, "", "normalized text of 2 GiB or more cannot be tokenized");
  auto encode_piece = [&](std::string_view piece) { bpe->encode(piece, workspace, ids); };
  for (const auto& part : normalized_added.split(text, recognise_special)) {
    if (part.id >= 0) ids.push_back(part.id);
    else splitter.run(part.text, at_start && part.text.data() == text.data(), encode_piece);
  }
}

Tokenizer::Tokenizer() : parts_(std::make_unique<tokenize::Parts>()) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, Specials specials, AddBos bos) const {
  if (text.size() >= size_t{1} << 31) throw Error(ErrorKind::bad_data, "", "text of 2 GiB or more cannot be tokenized");
  if (!is_utf8(text)) throw Error(ErrorKind::bad_data, "", "text is not valid UTF-8 and cannot be tokenized");
  std::vector<int32_t> ids;
  if (bos == AddBos::as_model_says) ids = parts_->prefix;
  bool recognise = specials == Specials::recognise;
  auto workspace = tokenize::Bpe::make_workspace();
  for (const auto& part : parts_->added.split(text, recognise)) {
    if (part.id >= 0) ids.push_back(part.id);
    else parts_->encode(part.text, part.text.data() == text.data(), recognise, *workspace, ids);
  }
  if (bos == AddBos::as_model_says) ids.insert(ids.end(), parts_->suffix.begin(), parts_->suffix.end());
  return ids;
}

// An unknown character may give a special id too (<unk>), so the ids alone do not tell: what recognition changes does.
int32_t Tokenizer::find_special(std::string_view text) const {
  const std::vector<int32_t> ids = encode(text, Specials::recognise, AddBos::no), plain = encode(text, Specials::as_text, AddBos::no);
  const auto differs = std::mismatch(ids.begin(), ids.end(), plain.begin(), plain.end()).first;
  const auto found = std::find_if(differs, ids.end(), [this](int32_t id) { return is_special(id); });
  return found == ids.end() ? -1 : *found;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  Stream stream(*this, skip_special);
  std::string text;
  for (int32_t id : ids) text += stream.push(id);
  return text + stream.finish();
}

int Tokenizer::size() const { return parts_->texts.size(); }
std::string_view Tokenizer::token_text(int32_t id) const { return parts_->texts.text(id); }
bool Tokenizer::is_special(int32_t id) const { return parts_->flags_of(id) & tokenize::Parts::kSpecial; }
int32_t Tokenizer::id_of(std::string_view token) const { return parts_->texts.find(token); }
int32_t Tokenizer::bos_id() const { return parts_->bos; }
int32_t Tokenizer::eos_id() const { return parts_->eos; }

std::string Tokenizer::Stream::push(int32_t id) {
  const tokenize::Parts& parts = *tokenizer_->parts_;
  if (!parts.texts.has(id) || (skip_special_ && tokenizer_->is_special(id))) return "";
  return parts.decoder.push(state_, parts.texts.text(id), parts.flags_of(id) & tokenize::Parts::kRawText);
}

std::string Tokenizer::Stream::finish() { return tokenizer_->parts_->decoder.finish(state_); }

}  // namespace ibid::runtime
