// The page bookkeeping by itself: counts, sharing, exact matches, eviction order.
#include "runtime/kv_cache.h"

#include "runtime/error.h"
#include "test/catch.h"

using namespace ibid::runtime;
using ibid::kernels::kBlock;

namespace {

std::vector<int32_t> ramp(int count, int32_t first) {
  std::vector<int32_t> v(count);
  for (int i = 0; i < count; i++) v[i] = first + i;
  return v;
}

std::vector<int32_t> operator+(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Acquires, publishes and gives up the pages of a whole prompt; returns the pages that hold it now.
std::vector<int32_t> store(KvPages& pages, const std::vector<int32_t>& prompt) {
  std::vector<int32_t> held;
  PrefixNode* behind = pages.root();
  for (size_t at = 0; at < prompt.size(); at += kBlock) {
    held.push_back(pages.acquire());
    behind = pages.publish(behind, TokenSpan(prompt).subspan(at, std::min<size_t>(kBlock, prompt.size() - at)), &held.back());
  }
  for (int32_t page : held) pages.release(page);
  return held;
}

}  // namespace

TEST_CASE("pages are handed out once, lowest first, and come back") {
  KvPages pages(3, true);
  CHECK(pages.available() == 3);
  CHECK(pages.acquire() == 0);
  CHECK(pages.acquire() == 1);
  CHECK(pages.acquire() == 2);
  CHECK(pages.available() == 0);
  CHECK_THROWS_AS(pages.acquire(), ibid::Error);
  pages.hold(1);
  pages.release(1);
  CHECK(pages.available() == 0);
  pages.release(1);
  CHECK(pages.available() == 1);
  CHECK(pages.acquire() == 1);
  pages.release(1);
  CHECK_THROWS_AS(pages.release(1), ibid::Error);
}

TEST_CASE("a cached prompt is found page by page and then token by token, its last token excepted") {
  KvPages pages(8, true);
  const auto prompt = ramp(2 * kBlock + 40, 0);
  const auto held = store(pages, prompt);
  CHECK(pages.available() == 8);
  CHECK(pages.idle() == 3);

  PrefixMatch m = pages.match(prompt);                              // the same prompt: all but the last token
  CHECK(m.pages == std::vector<int32_t>{held[0], held[1]});
  CHECK(m.copy_from == held[2]);
  CHECK(m.copy_tokens == 39);
  m = pages.match(prompt + ramp(300, 5000));                        // a longer one: all that is cached
  CHECK(m.tokens() == 2 * kBlock + 40);
  m = pages.match(ramp(kBlock, 0));                                 // exactly one page: not the page, or no logits were left
  CHECK(m.pages.empty());
  CHECK(m.copy_from == held[0]);
  CHECK(m.copy_tokens == kBlock - 1);
  m = pages.match(ramp(kBlock + 1, 0));
  CHECK(m.pages.size() == 1);
  CHECK(m.copy_from == -1);
  m = pages.match(ramp(100, 0) + ramp(200, 7000));                  // diverges within the first page
  CHECK(m.pages.empty());
  CHECK(m.copy_from == held[0]);
  CHECK(m.copy_tokens == 100);
  m = pages.match(ramp(kBlock - 1, 0) + ramp(10, 3));                // diverges in the last token of the first page
  CHECK(m.pages.empty());
  CHECK(m.copy_from == held[0]);
  CHECK(m.copy_tokens == kBlock - 1);
  m = pages.match(ramp(10, 1));
  CHECK(m.tokens() == 0);
  CHECK(m.copy_from == -1);
  m = pages.match(ramp(1, 0));
  CHECK(m.tokens() == 0);
}

TEST_CASE("the longest common beginning is found among many siblings") {
  KvPages pages(64, true);
  const auto system = ramp(50, 0);
  std::vector<int32_t> page_of;
  for (int i = 0; i < 20; i++) page_of.push_back(store(pages, system + ramp(i + 1, 1000) + ramp(30, 2000 + 100 * i))[0]);
  for (int i = 0; i < 20; i++) {
    const PrefixMatch m = pages.match(system + ramp(i + 1, 1000) + ramp(10, 2000 + 100 * i) + ramp(5, 9000));
    CHECK(m.copy_from == page_of[i]);
    CHECK(m.copy_tokens == 50 + i + 1 + 10);
  }
  CHECK(pages.match(system + ramp(9, 3)).copy_tokens == 50);
}

TEST_CASE("a duplicate page is swapped for the cached one and given back") {
  KvPages pages(4, true);
  const auto prompt = ramp(kBlock, 0);
  int32_t first = pages.acquire(), second = pages.acquire();
  PrefixNode* a = pages.publish(pages.root(), prompt, &first);
  const int32_t duplicate = second;
  PrefixNode* b = pages.publish(pages.root(), prompt, &second);
  CHECK(a == b);
  CHECK(second == first);
  CHECK(second != duplicate);
  CHECK(pages.available() == 3);
  pages.release(first);
  CHECK(pages.idle() == 0);                                         // the second holder still has it
  pages.release(second);
  CHECK(pages.idle() == 1);
}

TEST_CASE("eviction takes the least recently used leaf, never a page in use or one with something behind it") {
  KvPages pages(4, true);
  const auto a = store(pages, ramp(2 * kBlock, 0));                  // a chain of two pages
  const auto b = store(pages, ramp(kBlock, 5000));
  const auto c = store(pages, ramp(kBlock, 6000));
  CHECK(pages.available() == 4);
  CHECK(pages.match(ramp(3 * kBlock, 0)).pages == a);               // a is now the most recently used
  CHECK(pages.acquire() == b[0]);
  CHECK(pages.match(ramp(2 * kBlock, 5000)).tokens() == 0);
  CHECK(pages.acquire() == c[0]);
  const PrefixMatch m = pages.match(ramp(kBlock + 1, 0));
  pages.hold(m.pages[0]);                                            // a sequence uses the first page of the chain
  CHECK(pages.available() == 1);
  CHECK(pages.acquire() == a[1]);
  CHECK(pages.available() == 0);
  pages.release(m.pages[0]);
  CHECK(pages.acquire() == a[0]);
}

TEST_CASE("eviction passes over a page with something behind it, though it was given back first") {
  KvPages pages(2, true);
  const auto a = store(pages, ramp(2 * kBlock, 0));
  CHECK(pages.acquire() == a[1]);
  CHECK(pages.acquire() == a[0]);
}

TEST_CASE("the beginning of a page that a match takes was used just now") {
  KvPages pages(2, true);
  const auto a = store(pages, ramp(40, 0)), b = store(pages, ramp(40, 5000));
  CHECK(pages.match(ramp(40, 0) + ramp(10, 9000)).copy_from == a[0]);
  CHECK(pages.acquire() == b[0]);
}

TEST_CASE("nothing is published behind a short page, and one that is offered again was used just now") {
  KvPages pages(3, true);
  const auto prompt = ramp(40, 0);
  const auto a = store(pages, prompt), b = store(pages, ramp(40, 5000));
  int32_t again = pages.acquire(), other = again;
  CHECK(pages.publish(pages.root(), prompt, &again) == nullptr);
  CHECK(again == other);                                             // the cache keeps its own
  pages.release(again);
  CHECK(pages.acquire() == other);
  CHECK(pages.acquire() == b[0]);
  CHECK(pages.publish(pages.root(), ramp(30, 7000), &other) == nullptr);
}

TEST_CASE("what a sequence gives back was used just now") {
  KvPages pages(3, true);
  const auto a = store(pages, ramp(kBlock, 0)), b = store(pages, ramp(kBlock, 5000)), c = store(pages, ramp(kBlock, 6000));
  pages.hold(a[0]);
  pages.hold(b[0]);
  CHECK(pages.idle() == 1);
  pages.release(b[0]);
  pages.release(a[0]);
  CHECK(pages.acquire() == c[0]);
  CHECK(pages.acquire() == b[0]);
  CHECK(pages.acquire() == a[0]);
}

TEST_CASE("without sharing nothing is found and nothing is kept") {
  KvPages pages(4, false);
  store(pages, ramp(2 * kBlock, 0));
  CHECK(pages.available() == 4);
  CHECK(pages.idle() == 0);
  CHECK(pages.match(ramp(2 * kBlock, 0)).tokens() == 0);
}
