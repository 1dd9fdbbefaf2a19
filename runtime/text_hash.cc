// See text_hash.h. Each word is mixed into the state by a product with a secret factor whose halves are folded onto each other: whoever
// does not know the key cannot tell which words meet, nor take back what stood before them.
#include "runtime/text_hash.h"

#include <sys/auxv.h>

#include <cstring>

namespace ibid {
namespace {

uint64_t folded(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

struct Key {
  uint64_t start = 0x9E3779B97F4A7C15u, factor = 0xD1B54A32D192ED03u;
  Key() {
    const auto* random = reinterpret_cast<const char*>(::getauxval(AT_RANDOM));   // 16 bytes that the kernel gives every process
    if (!random) return;
    uint64_t words[2];
    std::memcpy(words, random, sizeof words);
    start ^= words[0];
    factor = (factor ^ words[1]) | 1;
  }
};

const Key& key() {
  static const Key made;
  return made;
}

}  // namespace

uint64_t hash_of(std::string_view text) {
  const Key& k = key();
  uint64_t state = k.start ^ text.size();
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    state = folded(state ^ word, k.factor);
  }
  uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, at, left);
  return folded(state ^ tail, k.factor);
}

uint64_t hash_of(uint64_t number) {
  const Key& k = key();
  return folded(k.start ^ number, k.factor);
}

}  // namespace ibid
