// See tokenizer_decoder.h.
#include "runtime/tokenizer_decoder.h"

#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/tokenizer_normalizer.h"
#include "runtime/tokenizer_vocab.h"
#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

constexpr size_t kMaxPiece = size_t{1} << 22;                 // steps that a hostile file stacks up could fill the memory

std::string apply_step(const DecodeStep& step, std::string piece, bool first) {
  switch (step.kind) {
    case DecodeStep::Kind::replace: return replace_all(piece, step.text, step.with, kMaxPiece);
    case DecodeStep::Kind::metaspace: return replace_all(piece, step.text, first && step.drop_first ? "" : " ", kMaxPiece);
    case DecodeStep::Kind::strip: break;
  }
  std::string_view rest = piece;
  for (size_t i = 0; i < step.start && rest.starts_with(step.text); ++i) rest.remove_prefix(step.text.size());
  for (size_t i = 0; i < step.stop && rest.ends_with(step.text); ++i) rest.remove_suffix(step.text.size());
  return std::string(rest);
}

void apply_steps(const std::vector<DecodeStep>& steps, std::string& piece, bool first) {
  for (const DecodeStep& step : steps) {
    piece = apply_step(step, std::move(piece), first);
    if (piece.size() > kMaxPiece) throw Error(ErrorKind::bad_data, "tokenizer", "the decoder makes more than 4 MiB of one token");
  }
}

// The byte of "<0xE2>", -1 for any other token.
int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = 0;
  for (char c : token.substr(3, 2)) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return -1;
    byte = byte * 16 + digit;
  }
  return byte;
}

}  // namespace

std::string Decoder::push(DecodeState& state, std::string_view token, bool is_text) const {
  if (kind == Kind::byte_level) return push_bytes(state, token, is_text);
  if (kind == Kind::spaced) return (state.pieces++ ? " " : "") + std::string(token);
  std::string piece(token);
  apply_steps(before, piece, state.pieces == 0);
  if (!byte_fallback) return emit(state, std::move(piece));
  if (int byte = byte_of_token(piece); byte >= 0) {
    state.pending += static_cast<char>(byte);
    return "";
  }
  std::string out = flush_run(state);
  return out + emit(state, std::move(piece));
}

std::string Decoder::finish(DecodeState& state) const {
  if (kind != Kind::byte_level) return flush_run(state);
  std::string out = replace_malformed(state.pending);
  state.pending.clear();
  return out;
}

std::string Decoder::push_bytes(DecodeState& state, std::string_view token, bool is_text) const {
  std::string bytes;
  if (is_text || !bytes_of_byte_level(token, bytes)) bytes = token;
  state.pending += bytes;
  size_t ready = state.pending.size() - incomplete_tail(state.pending);
  std::string out = replace_malformed(std::string_view(state.pending).substr(0, ready));
  state.pending.erase(0, ready);
  return out;
}

// A piece behind ByteFallback: the steps for pieces, then what is taken from the start of the whole text.
std::string Decoder::emit(DecodeState& state, std::string piece) const {
  apply_steps(after, piece, state.pieces == 0);
  ++state.pieces;
  std::string_view rest = piece;
  while (state.stripped < strip_start && rest.starts_with(strip_text)) {
    rest.remove_prefix(strip_text.size());
    ++state.stripped;
  }
  if (!rest.empty()) state.stripped = strip_start;
  return std::string(rest);
}

std::string Decoder::flush_run(DecodeState& state) const {
  std::string run = std::move(state.pending);
  state.pending.clear();
  if (run.empty()) return "";
  if (is_utf8(run)) return emit(state, std::move(run));
  std::string replacement, out;
  append_utf8(replacement, 0xFFFD);
  for (size_t i = 0; i < run.size(); ++i) out += emit(state, replacement);
  return out;
}

}  // namespace ibid::runtime::tokenize
