// See tokenizer_bpe.h.
#include "runtime/tokenizer_bpe.h"

#include <algorithm>
#include <functional>

#include "runtime/error.h"
#include "runtime/text_hash.h"
#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

constexpr size_t kFewSymbols = 32;      // up to here a scan beats a heap

// A pair that could join, as it stood when it was pushed.
struct Candidate {
  uint64_t order;                       // rank, then position: the best is the smallest
  uint32_t end;                         // of the right symbol; another end means that the pair is gone
  int32_t id;                           // of the joined symbol
  bool operator<(const Candidate& other) const { return order > other.order; }
};

}  // namespace

struct Bpe::Workspace {
  std::vector<Symbol> symbols;
  std::vector<Join> joins;              // of a symbol and the next
  std::vector<uint32_t> previous, next; // links between living symbols
  std::vector<Candidate> candidates;    // a heap
};

void Bpe::WorkspaceDeleter::operator()(Workspace* workspace) const { delete workspace; }
Bpe::WorkspacePointer Bpe::make_workspace() { return WorkspacePointer(new Workspace); }

Bpe::Bpe(Options options, TextTable keys)
    : options_(options), keys_(std::move(keys)), whole_(new std::atomic<uint8_t>[static_cast<size_t>(keys_.size()) + 1]()) {
  static const char* const hex = "0123456789ABCDEF";
  for (int b = 0; b < 256; ++b) {
    char byte = static_cast<char>(b);
    char fallback[] = {'<', '0', 'x', hex[b >> 4], hex[b & 15], '>'};
    byte_ids_[b] = keys_.find(options_.byte_level ? std::string_view(&byte, 1) : std::string_view(fallback, 6));
  }
}

bool Bpe::has_every_byte() const {
  return std::find(byte_ids_, byte_ids_ + 256, -1) == byte_ids_ + 256;
}

void Bpe::reserve_merges(size_t count) {
  IBID_CHECK(merges_.empty());
  size_t slots = 64;
  while (slots < count * 2) slots *= 2;
  merges_.assign(slots, MergeSlot{});
}

// Where the pair stands, or would.
size_t Bpe::slot_of(int32_t left, int32_t right) const {
  uint64_t pair = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  size_t mask = merges_.size() - 1;
  for (size_t i = hash_of(pair) & mask;; i = (i + 1) & mask) {
    const MergeSlot& slot = merges_[i];
    if (slot.left < 0 || (slot.left == left && slot.right == right)) return i;
  }
}

void Bpe::set_merge(int32_t left, int32_t right, uint32_t rank, int32_t joined) {
  IBID_CHECK(left >= 0 && right >= 0 && joined >= 0 && (merge_count_ + 1) * 2 <= merges_.size());
  MergeSlot& slot = merges_[slot_of(left, right)];
  if (slot.left < 0) ++merge_count_;
  slot = {left, right, {rank, joined}};
}

void Bpe::set_scores(const std::vector<float>& scores) {
  IBID_CHECK(scores.size() == static_cast<size_t>(keys_.size()));
  std::vector<float> distinct = scores;
  std::sort(distinct.begin(), distinct.end(), std::greater<>());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  score_ranks_.clear();
  for (float score : scores) {
    auto found = std::lower_bound(distinct.begin(), distinct.end(), score, std::greater<>());
    score_ranks_.push_back(static_cast<uint32_t>(found - distinct.begin()));
  }
}

Bpe::Join Bpe::join_of(std::string_view piece, const Symbol& left, const Symbol& right) const {
  if (!score_ranks_.empty()) {
    size_t size = right.end - left.begin;
    int32_t id = size <= keys_.longest() ? keys_.find(piece.substr(left.begin, size)) : -1;
    return id < 0 ? Join{} : Join{score_ranks_[static_cast<size_t>(id)], id};
  }
  if (merges_.empty() || left.id < 0) return {};
  return merges_[slot_of(left.id, right.id)].join;
}

// Unknown characters: a model of scores keeps them as symbols without an id (their text may still join), a model of merges puts
// the fallback bytes or the unknown token in their place at once. Unknown tokens wait in `unknown` to be fused; fallback bytes
// do not flush them: that is how the reference does it.
void Bpe::add_symbols(std::string_view piece, std::vector<Symbol>& symbols) const {
  symbols.clear();
  Symbol unknown{-1, 0, 0};
  const char* end = piece.data() + piece.size();
  for (uint32_t i = 0; i < piece.size();) {
    uint32_t size = options_.byte_level ? 1 : static_cast<uint32_t>(utf8_at(piece.data() + i, end).size);
    std::string_view text = piece.substr(i, size);
    int32_t id = options_.byte_level ? byte_ids_[static_cast<unsigned char>(text[0])] : keys_.find(text);
    Symbol symbol{id, i, i + size};
    i += size;
    if (id >= 0 || !score_ranks_.empty()) {
      if (unknown.id >= 0) symbols.push_back(unknown);
      unknown.id = -1;
      symbols.push_back(symbol);
      continue;
    }
    auto has_fallback = [this](char c) { return byte_ids_[static_cast<unsigned char>(c)] >= 0; };
    if (options_.byte_fallback && !options_.byte_level && std::all_of(text.begin(), text.end(), has_fallback)) {
      for (uint32_t k = 0; k < size; ++k)
        symbols.push_back({byte_ids_[static_cast<unsigned char>(text[k])], symbol.begin + k, symbol.begin + k + 1});
      continue;
    }
    if (options_.unknown < 0) continue;
    if (unknown.id >= 0 && !options_.fuse_unknown) symbols.push_back(unknown);
    unknown = {options_.unknown, unknown.id >= 0 && options_.fuse_unknown ? unknown.begin : symbol.begin, symbol.end};
  }
  if (unknown.id >= 0) symbols.push_back(unknown);
}

void Bpe::merge_few(std::string_view piece, Workspace& workspace) const {
  std::vector<Symbol>& symbols = workspace.symbols;
  std::vector<Join>& joins = workspace.joins;
  joins.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) joins.push_back(join_of(piece, symbols[i], symbols[i + 1]));
  while (!joins.empty()) {
    size_t best = 0;
    for (size_t i = 1; i < joins.size(); ++i)
      if (joins[i].rank < joins[best].rank) best = i;
    if (joins[best].rank == kNoRank) return;
    auto at = static_cast<ptrdiff_t>(best);
    symbols[best] = {joins[best].id, symbols[best].begin, symbols[best + 1].end};
    symbols.erase(symbols.begin() + at + 1);
    joins.erase(joins.begin() + at);
    if (best < joins.size()) joins[best] = join_of(piece, symbols[best], symbols[best + 1]);
    if (best > 0) joins[best - 1] = join_of(piece, symbols[best - 1], symbols[best]);
  }
}

void Bpe::merge_many(std::string_view piece, Workspace& workspace) const {
  std::vector<Symbol>& symbols = workspace.symbols;
  std::vector<Candidate>& heap = workspace.candidates;
  std::vector<uint32_t>&previous = workspace.previous, &next = workspace.next;
  auto count = static_cast<uint32_t>(symbols.size());
  heap.clear();
  previous.resize(count);
  next.resize(count);
  auto add = [&](uint32_t left, uint32_t right) {
    Join join = join_of(piece, symbols[left], symbols[right]);
    if (join.rank != kNoRank) heap.push_back({static_cast<uint64_t>(join.rank) << 32 | left, symbols[right].end, join.id});
    return join.rank != kNoRank;
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i - 1;                                     // the first one's is never used: see `left > 0` below
    next[i] = i + 1;
    if (i + 1 < count) add(i, i + 1);
  }
  std::make_heap(heap.begin(), heap.end());
  std::vector<bool> dead(count);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    Candidate top = heap.back();
    heap.pop_back();
    auto left = static_cast<uint32_t>(top.order);
    uint32_t right = next[left];
    if (dead[left] || right == count || symbols[right].end != top.end) continue;
    symbols[left] = {top.id, symbols[left].begin, symbols[right].end};
    dead[right] = true;
    next[left] = next[right];
    if (next[left] < count) {
      previous[next[left]] = left;
      if (add(left, next[left])) std::push_heap(heap.begin(), heap.end());
    }
    if (left > 0 && add(previous[left], left)) std::push_heap(heap.begin(), heap.end());
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i = next[i]) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

void Bpe::append_symbols(std::string_view piece, const std::vector<Symbol>& symbols, std::vector<int32_t>& ids) const {
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) { ids.push_back(symbol.id); continue; }
    for (char c : piece.substr(symbol.begin, symbol.end - symbol.begin)) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
  }
}

void Bpe::encode(std::string_view piece, Workspace& workspace, std::vector<int32_t>& ids) const {
  int32_t whole = piece.size() <= keys_.longest() ? keys_.find(piece) : -1;
  std::atomic<uint8_t>* known = whole < 0 ? nullptr : &whole_[static_cast<size_t>(whole)];
  if (known && (options_.ignore_merges || known->load(std::memory_order_relaxed) == kWhole)) {
    ids.push_back(whole);
    return;
  }
  add_symbols(piece, workspace.symbols);
  if (workspace.symbols.size() <= kFewSymbols) merge_few(piece, workspace);
  else merge_many(piece, workspace);
  const std::vector<Symbol>& symbols = workspace.symbols;
  if (known) known->store(symbols.size() == 1 && symbols[0].id == whole ? kWhole : kSplit, std::memory_order_relaxed);
  append_symbols(piece, symbols, ids);
}

}  // namespace ibid::runtime::tokenize
