// See kv_cache.h.
#include "runtime/kv_cache.h"

#include <algorithm>
#include <map>

#include "runtime/error.h"

namespace ibid::runtime {
namespace {

using kernels::kBlock;

// Lexicographic, so that the child with the longest common prefix stands beside the place where a key would be inserted.
struct TokensLess {
  using is_transparent = void;
  bool operator()(TokenSpan a, TokenSpan b) const { return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end()); }
};

}  // namespace

struct PrefixNode {
  PrefixNode* parent = nullptr;        // null: the root
  int32_t page = -1;
  TokenSpan tokens;                    // the key under which the parent holds this node
  std::map<std::vector<int32_t>, std::unique_ptr<PrefixNode>, TokensLess> children;
  std::list<PrefixNode*>::iterator place;   // in idle_ or held_
};

int common_prefix(TokenSpan a, TokenSpan b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<int>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first - a.begin());
}

KvPages::KvPages(int pages, bool share_prefixes)
    : share_(share_prefixes), references_(pages, 0), node_(pages, nullptr), root_(new PrefixNode) {
  for (int32_t p = pages - 1; p >= 0; p--) free_.push_back(p);
}

KvPages::~KvPages() = default;

int32_t KvPages::acquire() {
  if (free_.empty()) evict_one();
  const int32_t page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  return page;
}

void KvPages::hold(int32_t page) {
  IBID_CHECK(references_[page] > 0);
  if (references_[page] == 1 && node_[page]) held_.splice(held_.end(), idle_, node_[page]->place);
  references_[page]++;
}

void KvPages::release(int32_t page) {
  IBID_CHECK(references_[page] > 0);
  references_[page]--;
  if (references_[page] == 1 && node_[page]) idle_.splice(idle_.end(), held_, node_[page]->place);
  if (references_[page] == 0) free_.push_back(page);
}

// Marks the idle ones of node and its ancestors as used now, the ancestors last, so that a leaf is older than what it hangs from.
// Those that sequences hold get their place when they are given back.
void KvPages::touch(PrefixNode* node) {
  for (; node->parent; node = node->parent)
    if (references_[node->page] == 1) idle_.splice(idle_.end(), idle_, node->place);
}

void KvPages::evict_one() {
  for (PrefixNode* node : idle_) {
    if (!node->children.empty()) continue;
    idle_.erase(node->place);
    node_[node->page] = nullptr;
    references_[node->page] = 0;
    free_.push_back(node->page);
    auto& siblings = node->parent->children;
    siblings.erase(siblings.find(node->tokens));
    return;
  }
  IBID_CHECK(!"available() promised a page");
}

PrefixMatch KvPages::match(TokenSpan prompt) {
  PrefixMatch m;
  m.node = root_.get();
  TokenSpan rest = prompt.first(prompt.size() - 1);
  while (share_) {
    const TokenSpan key = rest.first(std::min<size_t>(rest.size(), kBlock));
    auto after = m.node->children.lower_bound(key);
    if (key.size() == kBlock && after != m.node->children.end() && common_prefix(after->first, key) == kBlock) {
      m.node = after->second.get();
      m.pages.push_back(m.node->page);
      rest = rest.subspan(kBlock);
      continue;
    }
    PrefixNode* best = nullptr;
    auto consider = [&](PrefixNode* child) {
      const int common = common_prefix(child->tokens, key);
      if (common > m.copy_tokens) best = child, m.copy_tokens = common, m.copy_from = child->page;
    };
    if (after != m.node->children.begin()) consider(std::prev(after)->second.get());
    if (after != m.node->children.end()) consider(after->second.get());
    touch(best ? best : m.node);
    break;
  }
  return m;
}

PrefixNode* KvPages::publish(PrefixNode* parent, TokenSpan tokens, int32_t* page) {
  if (!share_ || !parent || tokens.empty()) return nullptr;
  const bool whole = tokens.size() == kBlock;
  auto at = parent->children.lower_bound(tokens);
  const bool covered = at != parent->children.end() && common_prefix(at->first, tokens) == static_cast<int>(tokens.size());
  if (covered) {
    touch(at->second.get());
    if (!whole) return nullptr;
    if (at->second->page != *page) {
      hold(at->second->page);
      release(*page);
      *page = at->second->page;
    }
    return at->second.get();
  }
  auto node = std::make_unique<PrefixNode>();
  PrefixNode* raw = node.get();
  at = parent->children.emplace_hint(at, std::vector<int32_t>(tokens.begin(), tokens.end()), std::move(node));
  raw->parent = parent;
  raw->page = *page;
  raw->tokens = at->first;
  raw->place = held_.insert(held_.end(), raw);
  references_[*page]++;                // the publisher still holds it, so it is not idle yet
  node_[*page] = raw;
  touch(raw);
  return whole ? raw : nullptr;
}

}  // namespace ibid::runtime
