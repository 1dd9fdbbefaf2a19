// One segment of a bundle's stream: up to 8,192 leaves and the table that lets one of them be read and proved alone.
//
// Format (all integers little-endian):
//   body     the leaves, each followed by '\n', in order
//   table    count x { u64 offset, u64 length (without '\n'), 32 bytes leaf digest }
//   index    count x { 16 bytes: head of SHA-256 of the record's id, u32 row }, ascending by those 16 bytes, then by row
//   trailer  64 bytes: "ibidseg1", u64 first, u64 count, u64 table offset, u64 index offset, 24 zero bytes
// 1. The body starts at 0 and leaves no gaps; table, index and trailer follow it without gaps. Nothing else is accepted.
// 2. A leaf digest is SHA-256(HMAC-SHA-256(key, record id) || leaf without '\n');
//    the key is the 23 bytes "ibid public leaf key v1" (BUNDLE.md).
// 3. A segment's root is the Merkle root (RFC 6962) over the leaf digests: a node of the lowest level is SHA-256(0x00 || leaf digest).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "step/archive.h"
#include "step/digest.h"

namespace ibid::step {

constexpr uint64_t kSegmentRecords = 8192;            // segments are cut at multiples of this, by absolute record number

Digest leaf_digest(std::string_view record_id, std::string_view leaf);

// Gathers the leaves of one segment in a spool file, or (with no folder to spool in) only their digests.
class SegmentWriter {
 public:
  SegmentWriter(const std::optional<std::string>& spool_beside, uint64_t first);
  void add(std::string_view record_id, std::string_view leaf);
  uint64_t first() const { return first_; }
  uint64_t count() const { return rows_.size(); }
  struct Closed { std::string digest; uint64_t size = 0; Digest root; };   // digest and size: only when spooled
  Closed close();                                     // appends table, index and trailer; once
  SpoolFile& content() { return *spool_; }            // REQUIRES: spooled and closed

 private:
  struct Row { uint64_t offset, length; Digest leaf, id; };
  void put(std::string_view bytes);
  uint64_t first_, size_ = 0;
  std::optional<SpoolFile> spool_;
  Sha256 hash_;
  std::vector<Row> rows_;
};

// Reads a segment inside a tar. Nothing of it is believed before it is checked: the table, by the constructor, against the root that the
// caller trusts; a leaf, by prove(), against the table. Of the index only the form is checked.
class SegmentReader {
 public:
  // Errors: corrupt, naming the entry and what is wrong.
  SegmentReader(const TarFile& tar, const TarEntry& entry, uint64_t first, uint64_t count, const Digest& root);
  const std::string& path() const { return tar_.path(); }
  uint64_t first() const { return first_; }
  uint64_t count() const { return rows_.size(); }
  std::optional<uint64_t> find(std::string_view record_id) const;    // row inside the segment
  std::string leaf_text(uint64_t row) const;                         // unproved; prove() checks it once the id is known
  void prove(uint64_t row, std::string_view record_id, std::string_view leaf) const;

 private:
  struct Row { uint64_t offset, length; Digest leaf; };
  [[noreturn]] void damaged(const std::string& what) const;
  void read_table(const std::string& tail, uint64_t table, uint64_t index, uint64_t count);
  const TarFile& tar_;
  const TarEntry& entry_;
  uint64_t first_;
  std::vector<Row> rows_;
  std::string index_;                                 // the raw index, 20 bytes a row
};

}  // namespace ibid::step
