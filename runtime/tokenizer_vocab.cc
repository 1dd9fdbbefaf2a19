// See tokenizer_vocab.h.
#include "runtime/tokenizer_vocab.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/text_hash.h"
#include "runtime/unicode.h"

namespace ibid::runtime::tokenize {
namespace {

// Byte by character code, -1 for characters outside the alphabet. Bytes that are printable in Latin-1 stand for themselves,
// the others follow from U+0100 on in ascending order.
constexpr std::array<int16_t, 0x144> make_byte_level_alphabet() {
  std::array<int16_t, 0x144> byte_of{};
  for (int16_t& b : byte_of) b = -1;
  size_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    byte_of[printable ? static_cast<size_t>(b) : next++] = static_cast<int16_t>(b);
  }
  return byte_of;
}

constexpr std::array<int16_t, 0x144> kByteLevelAlphabet = make_byte_level_alphabet();

}  // namespace

void TextTable::reserve(size_t texts) {
  spans_.reserve(texts);
  bytes_.reserve(texts * 8);
  size_t slots = 64;
  while (slots < texts * 2) slots *= 2;
  if (slots > slots_.size()) rehash(slots);
}

void TextTable::add(int32_t id, std::string_view text) {
  IBID_CHECK(id >= 0 && id < kMaxIds && !has(id) && text.size() <= kMaxTokenBytes && bytes_.size() + text.size() < kNone);
  if (used_ * 2 >= slots_.size()) rehash(std::max<size_t>(64, slots_.size() * 2));
  if (id >= size()) spans_.resize(static_cast<size_t>(id) + 1);
  const auto hash = static_cast<uint32_t>(hash_of(text));
  uint32_t offset = static_cast<uint32_t>(bytes_.size()), length = static_cast<uint32_t>(text.size());
  Slot& slot = slots_[slot_of(text, hash)];
  IBID_CHECK(slot.id < 0);
  ++used_;
  bytes_.append(text);
  slot = {hash, offset, length, id};
  spans_[static_cast<size_t>(id)] = {offset, length};
  longest_ = std::max(longest_, text.size());
}

int32_t TextTable::find(std::string_view text) const {
  if (slots_.empty()) return -1;
  return slots_[slot_of(text, static_cast<uint32_t>(hash_of(text)))].id;
}

size_t TextTable::longest_search() const {
  size_t longest = 0;
  for (size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].id >= 0) longest = std::max(longest, ((i - slots_[i].hash) & (slots_.size() - 1)) + 1);
  return longest;
}

std::string_view TextTable::text(int32_t id) const {
  if (!has(id)) return {};
  Span span = spans_[static_cast<size_t>(id)];
  return std::string_view(bytes_).substr(span.offset, span.length);
}

// Where the text stands, or would.
size_t TextTable::slot_of(std::string_view text, uint32_t hash) const {
  size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id < 0) return i;
    if (slot.hash == hash && slot.length == text.size() && std::memcmp(bytes_.data() + slot.offset, text.data(), text.size()) == 0)
      return i;
  }
}

void TextTable::rehash(size_t slots) {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(slots, Slot{});
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    size_t i = slot.hash & (slots - 1);
    while (slots_[i].id >= 0) i = (i + 1) & (slots - 1);
    slots_[i] = slot;
  }
}

std::string byte_level_symbol(uint8_t byte) {
  const auto found = std::find(kByteLevelAlphabet.begin(), kByteLevelAlphabet.end(), int16_t{byte});
  std::string out;
  append_utf8(out, static_cast<char32_t>(found - kByteLevelAlphabet.begin()));
  return out;
}

bool bytes_of_byte_level(std::string_view text, std::string& bytes) {
  bytes.clear();
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    Utf8Char c = utf8_at(p, end);
    if (c.code >= kByteLevelAlphabet.size() || kByteLevelAlphabet[c.code] < 0) return false;
    bytes += static_cast<char>(kByteLevelAlphabet[c.code]);
    p += c.size;
  }
  return true;
}

}  // namespace ibid::runtime::tokenize
