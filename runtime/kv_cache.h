// Who holds which K/V page, and which prompts' pages can be used again.
//
// Owns: reference counts of all pages, the free list, and the tree of cached prompt prefixes. It is bookkeeping only: the
// bytes of a page lie on the device, and whoever gets a copy order (PrefixMatch::copy_from) carries it out.
// Must not know: devices, models, requests.
//
// 1. A page holds kBlock absolute positions. It is free (0 references), or held by sequences and perhaps by the cache.
// 2. The cache is a tree; a path from the root spells the exact token ids of a whole prefix, compared id by id: no hash is
//    ever trusted. A node of kBlock ids may have children; a shorter one is a leaf whose page is valid in its first ids only.
// 3. Only the one sequence that published a short node's page still writes to that page, and only behind the published ids;
//    everyone else copies it. So nobody ever writes to a position that another one reads.
// 4. A sequence that holds a node's page holds the pages of all its ancestors: publish() swaps a duplicate for the cached one.
//    Hence a page that only the cache holds is "idle": it and everything below it can be evicted, leaf by leaf.
// 5. Eviction takes the least recently used idle leaf; a page that a sequence gives back counts as used just then. The order is that
//    of calls, never of time. Pages that sequences hold are not walked past: with long contexts they are thousands.
// 6. What is published was computed without a numeric error; the caller sees to it.
#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "kernels/ops.h"

namespace ibid::runtime {

using TokenSpan = std::span<const int32_t>;

inline int pages_for(int positions) { return (positions + kernels::kBlock - 1) / kernels::kBlock; }
int common_prefix(TokenSpan a, TokenSpan b);

struct PrefixNode;

// What the cache has of a prompt: whole pages to be shared, then perhaps the beginning of one more to be copied.
struct PrefixMatch {
  std::vector<int32_t> pages;          // shared by reference
  PrefixNode* node = nullptr;          // of the last of them; the root when there is none
  int32_t copy_from = -1;              // a page whose first copy_tokens positions go on; -1: none
  int copy_tokens = 0;
  int tokens() const { return static_cast<int>(pages.size()) * kernels::kBlock + copy_tokens; }
};

class KvPages {
 public:
  KvPages(int pages, bool share_prefixes);
  ~KvPages();
  KvPages(const KvPages&) = delete;
  KvPages& operator=(const KvPages&) = delete;

  int count() const { return static_cast<int>(references_.size()); }
  int available() const { return static_cast<int>(free_.size() + idle_.size()); }   // pages that acquire() can give, one after another
  int idle() const { return static_cast<int>(idle_.size()); }
  bool shares() const { return share_; }

  int32_t acquire();                   // one reference for the caller. REQUIRES: available() > 0
  void hold(int32_t page);             // one more reference. REQUIRES: the page is held or cached
  void release(int32_t page);

  // The longest cached prefix of prompt, its last token excepted (whose logits are always computed anew). Takes no references.
  PrefixMatch match(TokenSpan prompt);

  // Offers a page whose positions hold tokens (kBlock of them, or fewer at the end of a prompt), behind parent's prefix. The
  // caller's reference moves to the page in *page, which is another one when the cache already has these tokens. Returns the
  // node to publish behind; null when there is none (a short page, or sharing is off).
  PrefixNode* publish(PrefixNode* parent, TokenSpan tokens, int32_t* page);

  PrefixNode* root() { return root_.get(); }

 private:
  void touch(PrefixNode* node);
  void evict_one();

  bool share_;
  std::vector<int> references_;        // of sequences and of the cache
  std::vector<PrefixNode*> node_;      // of each page; null: the cache does not hold it
  std::vector<int32_t> free_;          // a stack
  std::unique_ptr<PrefixNode> root_;
  std::list<PrefixNode*> idle_;        // least recently used first
  std::list<PrefixNode*> held_;        // by sequences too, in no order
};

}  // namespace ibid::runtime
