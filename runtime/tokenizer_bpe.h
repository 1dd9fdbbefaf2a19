// Byte-pair encoding of one piece of text: symbols joined two by two, the best pair first, the leftmost of equals.
//
// Owns: the merges or the scores. Must not know: how a text was cut into pieces, files.
//
// 1. Two kinds of model, one procedure. "merges": a pair of ids has a rank and a result. "scores" (SentencePiece in GGUF): two
//    neighbours join when their text together is in the vocabulary, the highest score first.
// 2. Pieces of any length take O(n log n): short ones a quadratic loop over a few symbols, others a heap.
// 3. encode() is const and safe in many threads at once; what it remembers (whole_) is a function of the model alone.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "runtime/tokenizer_vocab.h"

namespace ibid::runtime::tokenize {

class Bpe {
 public:
  struct Options {
    bool byte_level = false;      // symbols are bytes; else characters
    bool byte_fallback = false;   // an unknown character becomes its <0xXX> tokens, if the vocabulary has all of them
    bool fuse_unknown = false;    // neighbouring unknown characters are one unknown token
    bool ignore_merges = false;   // a piece that is in the vocabulary is that token, whatever the merges say
    int32_t unknown = -1;         // -1: unknown characters give nothing
  };

  // `keys`: what a piece of text is looked up by; bytes for a byte-level model.
  Bpe(Options options, TextTable keys);

  // The pair joins into `joined`; lower ranks first. A pair given twice has its latest rank.
  void reserve_merges(size_t count);
  void set_merge(int32_t left, int32_t right, uint32_t rank, int32_t joined);
  // Turns to scores: by id, finite, as many as keys.size().
  void set_scores(const std::vector<float>& scores);

  bool has_every_byte() const;    // no text is unknown: all bytes are symbols, or have fallback tokens

  // Buffers that one caller keeps between pieces.
  struct Workspace;
  struct WorkspaceDeleter { void operator()(Workspace*) const; };
  using WorkspacePointer = std::unique_ptr<Workspace, WorkspaceDeleter>;
  static WorkspacePointer make_workspace();

  // Appends the ids of a piece. REQUIRES: fewer than 2^31 bytes, well-formed UTF-8 unless byte-level.
  void encode(std::string_view piece, Workspace& workspace, std::vector<int32_t>& ids) const;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Join { uint32_t rank = kNoRank; int32_t id = -1; };         // what a pair becomes, if its rank is not kNoRank
  struct Symbol { int32_t id; uint32_t begin, end; };                // bytes of the piece
  struct MergeSlot { int32_t left = -1, right = -1; Join join; };

  void add_symbols(std::string_view piece, std::vector<Symbol>& symbols) const;
  Join join_of(std::string_view piece, const Symbol& left, const Symbol& right) const;
  void merge_few(std::string_view piece, Workspace& workspace) const;
  void merge_many(std::string_view piece, Workspace& workspace) const;
  void append_symbols(std::string_view piece, const std::vector<Symbol>& symbols, std::vector<int32_t>& ids) const;
  size_t slot_of(int32_t left, int32_t right) const;

  Options options_;
  TextTable keys_;
  int32_t byte_ids_[256];                                            // byte-level: the symbol of a byte; else its fallback
  std::vector<MergeSlot> merges_;                                    // open addressing, a power of two, at most half full
  size_t merge_count_ = 0;
  std::vector<uint32_t> score_ranks_;                                // by id; empty for a model of merges
  enum : uint8_t { kUnknown, kWhole, kSplit };
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;                    // by id: does its own text encode to it alone?
};

}  // namespace ibid::runtime::tokenize
