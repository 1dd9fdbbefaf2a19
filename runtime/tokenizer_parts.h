// The parts of a tokenizer, as tokenizer_hf.cc and tokenizer_gguf.cc put them together and tokenizer.cc runs them:
//   text, added tokens, normalizer, added tokens that are matched normalized, splitter, BPE, ids
//   ids, decoder, text
//
// Must not know: tokenizer.json, GGUF.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "runtime/tokenizer_added.h"
#include "runtime/tokenizer_bpe.h"
#include "runtime/tokenizer_decoder.h"
#include "runtime/tokenizer_normalizer.h"
#include "runtime/tokenizer_split.h"
#include "runtime/tokenizer_vocab.h"

namespace ibid::runtime::tokenize {

struct Parts {
  TextTable texts;                     // as the vocabulary writes them, added tokens included
  enum : uint8_t { kSpecial = 1, kRawText = 2 };   // kRawText: decodes to its text, whatever alphabet the vocabulary has
  std::vector<uint8_t> flags;          // by id

  AddedTokens added;                   // matched in the text as it came
  Normalizer normalizer;
  AddedTokens normalized_added;        // matched behind the normalizer
  Splitter splitter;
  std::optional<Bpe> bpe;
  Decoder decoder;

  std::vector<int32_t> prefix, suffix; // ids that the model wants around a text
  int32_t bos = -1, eos = -1;          // -1: none

  // Appends the ids of text without what `added` matches. `at_start`: it is the beginning of the input.
  void encode(std::string_view text, bool at_start, bool recognise_special, Bpe::Workspace& workspace, std::vector<int32_t>& ids) const;
  uint8_t flags_of(int32_t id) const { return texts.has(id) ? flags[static_cast<size_t>(id)] : 0; }
};

}  // namespace ibid::runtime::tokenize
