// Tar files in and out, and decompressed input. The only door to libarchive.
//
// 1. A tar that ibid writes is fixed for each version of the format: pax_restricted (ustar until 8 GiB), time 0, owner 0,
//    mode 0644, entries in the order they are added.
// 2. Reading trusts nothing: entries are regular files (folders are passed over), lie one behind the other,
//    and the end marker and zeros end it.
// 3. Input is decompressed by content (zstd here, gzip in gzip.h), never by its name; a checksum that does not hold is an error. What is
//    not packed is passed through as it comes.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/text_hash.h"
#include "step/output_file.h"

namespace ibid::step {

// Fills up to n bytes, returns how many; 0 at the end. Errors: io, bad_data (a damaged compressed stream).
class ByteSource {
 public:
  using Read = std::function<size_t(char* to, size_t n)>;
  template <class F>
    requires std::is_constructible_v<Read, F>
  ByteSource(F read, std::function<bool()> quiet = nullptr) : read_(std::move(read)), quiet_(std::move(quiet)) {}
  size_t operator()(char* to, size_t n) const { return read_(to, n); }
  // Whether it would wait now, for somebody to write into a pipe. What unpacks may still hold bytes when this is true, and may wait for
  // more than there is when it is false.
  bool quiet() const { return quiet_ && quiet_(); }

 private:
  Read read_;
  std::function<bool()> quiet_;
};

// path "-" is standard input. Errors: not_found, io.
ByteSource open_input(const std::string& path);

class TarWriter {
 public:
  explicit TarWriter(OutputFile& out);
  ~TarWriter();
  void add(const std::string& name, std::string_view bytes);
  void begin(const std::string& name, uint64_t size); // then data() until size bytes are there
  void data(std::string_view bytes);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct TarEntry {
  std::string name;
  uint64_t offset = 0;                                // of its bytes in the file
  uint64_t size = 0;
};

// A tar file opened for reading at any place.
class TarFile {
 public:
  explicit TarFile(const std::string& path);          // errors: not_found, io, corrupt (what, at which entry)
  ~TarFile();
  TarFile(const TarFile&) = delete;
  TarFile& operator=(const TarFile&) = delete;
  const std::string& path() const { return path_; }
  const std::vector<TarEntry>& entries() const { return entries_; }
  const TarEntry* find(std::string_view name) const;
  // Bytes [from, from + size) of an entry. Errors: corrupt when they are not there, io.
  std::string read(const TarEntry& entry, uint64_t from, uint64_t size) const;
  // The whole entry in pieces.
  void stream(const TarEntry& entry, const std::function<void(std::string_view)>& sink) const;

 private:
  struct Listing;
  void list_entries();
  void check_end(uint64_t end) const;
  uint64_t data_offset(uint64_t header, const TarEntry& entry) const;
  size_t read_at(uint64_t at, char* to, size_t n) const;             // as many as there are. Errors: io
  std::string path_;
  int fd_ = -1;
  uint64_t file_size_ = 0;
  std::vector<TarEntry> entries_;
  std::unordered_map<std::string, size_t, TextHash> places_;         // of every name; a hostile manifest names as many as there are
};

}  // namespace ibid::step
