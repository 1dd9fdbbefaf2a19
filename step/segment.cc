// See segment.h.
#include "step/segment.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/error.h"
#include "step/bytes.h"

namespace ibid::step {
namespace {

constexpr char kMagic[] = "ibidseg1";
constexpr uint64_t kTableRow = 48, kIndexRow = 20, kIdHead = 16, kTrailer = 64;

// The HMAC key of a bundle that is not redacted. Public on purpose: it only gives every leaf the same form.
constexpr std::string_view kPublicKey = "ibid public leaf key v1";

}  // namespace

Digest leaf_digest(std::string_view record_id, std::string_view leaf) {
  Sha256 h;
  h.update(bytes_of(hmac_sha256(kPublicKey, record_id)));
  h.update(leaf);
  return h.finish();
}

SegmentWriter::SegmentWriter(const std::optional<std::string>& spool_beside, uint64_t first) : first_(first) {
  if (spool_beside) spool_.emplace(*spool_beside);
}

void SegmentWriter::put(std::string_view bytes) {
  size_ += bytes.size();
  if (!spool_) return;
  spool_->append(bytes);
  hash_.update(bytes);
}

void SegmentWriter::add(std::string_view record_id, std::string_view leaf) {
  rows_.push_back({size_, leaf.size(), leaf_digest(record_id, leaf), sha256(record_id)});
  put(leaf);
  put("\n");
}

SegmentWriter::Closed SegmentWriter::close() {
  std::string tail;
  uint64_t table = size_, index = table + kTableRow * rows_.size();
  std::vector<Digest> hashed;
  for (const Row& r : rows_) {
    put_le(tail, r.offset, 8);
    put_le(tail, r.length, 8);
    tail += bytes_of(r.leaf);
    hashed.push_back(merkle_leaf(bytes_of(r.leaf)));
  }
  std::vector<uint32_t> order(rows_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return std::memcmp(rows_[a].id.data(), rows_[b].id.data(), kIdHead) < 0; });
  for (uint32_t row : order) {
    tail += bytes_of(rows_[row].id).substr(0, kIdHead);
    put_le(tail, row, 4);
  }
  tail.append(kMagic, 8);
  for (uint64_t v : {first_, static_cast<uint64_t>(rows_.size()), table, index}) put_le(tail, v, 8);
  tail.append(24, '\0');
  put(tail);
  return {digest_text(hash_.finish()), size_, merkle_root(hashed)};
}

void SegmentReader::damaged(const std::string& what) const {
  throw Error(ErrorKind::corrupt, tar_.path(), "segment " + entry_.name + ": " + what);
}

SegmentReader::SegmentReader(const TarFile& tar, const TarEntry& entry, uint64_t first, uint64_t count, const Digest& root)
    : tar_(tar), entry_(entry), first_(first) {
  if (count > kSegmentRecords || entry.size < kTrailer) damaged("has no room for its trailer");
  std::string trailer = tar.read(entry, entry.size - kTrailer, kTrailer);
  uint64_t table = get_le(trailer.data() + 24, 8), index = get_le(trailer.data() + 32, 8);
  bool sound = trailer.compare(0, 8, kMagic) == 0 && get_le(trailer.data() + 8, 8) == first && get_le(trailer.data() + 16, 8) == count &&
               trailer.find_first_not_of('\0', 40) == std::string::npos && table <= entry.size && index == table + kTableRow * count &&
               index + kIndexRow * count + kTrailer == entry.size;
  if (!sound) damaged("its trailer does not fit the bundle's configuration");
  std::string tail = tar.read(entry, table, entry.size - kTrailer - table);
  read_table(tail, table, index, count);
  std::vector<Digest> hashed;
  for (const Row& r : rows_) hashed.push_back(merkle_leaf(bytes_of(r.leaf)));
  if (merkle_root(hashed) != root) damaged("its table does not give the Merkle root that the bundle commits to");
}

void SegmentReader::read_table(const std::string& tail, uint64_t table, uint64_t index, uint64_t count) {
  uint64_t expected = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const char* p = tail.data() + kTableRow * i;
    Row r{get_le(p, 8), get_le(p + 8, 8), {}};
    std::memcpy(r.leaf.data(), p + 16, 32);
    if (r.offset != expected || r.length >= table || r.offset + r.length + 1 > table)
      damaged("row " + std::to_string(i) + " of its table lies outside the body");
    expected = r.offset + r.length + 1;
    rows_.push_back(r);
  }
  if (expected != table) damaged("its table does not cover its body");
  index_ = tail.substr(index - table);
  for (uint64_t i = 0; i < count; ++i) {
    if (get_le(index_.data() + kIndexRow * i + kIdHead, 4) >= count) damaged("its index names a row that does not exist");
    if (i > 0 && std::memcmp(index_.data() + kIndexRow * (i - 1), index_.data() + kIndexRow * i, kIdHead) > 0)
      damaged("its index is not in order");
  }
}

std::optional<uint64_t> SegmentReader::find(std::string_view record_id) const {
  Digest id = sha256(record_id);
  uint64_t low = 0, high = rows_.size();
  while (low < high) {
    uint64_t middle = (low + high) / 2;
    if (std::memcmp(index_.data() + kIndexRow * middle, id.data(), kIdHead) < 0) low = middle + 1;
    else high = middle;
  }
  if (low == rows_.size() || std::memcmp(index_.data() + kIndexRow * low, id.data(), kIdHead) != 0) return std::nullopt;
  return get_le(index_.data() + kIndexRow * low + kIdHead, 4);
}

std::string SegmentReader::leaf_text(uint64_t row) const {
  IBID_CHECK(row < rows_.size());
  std::string text = tar_.read(entry_, rows_[row].offset, rows_[row].length + 1);
  if (text.back() != '\n') damaged("record " + std::to_string(first_ + row + 1) + " does not end where the table says");
  text.pop_back();
  return text;
}

void SegmentReader::prove(uint64_t row, std::string_view record_id, std::string_view leaf) const {
  if (leaf_digest(record_id, leaf) != rows_[row].leaf)
    damaged("record " + std::to_string(first_ + row + 1) + " (" + std::string(record_id) +
            ") does not have the digest that its table commits to");
}

}  // namespace ibid::step
