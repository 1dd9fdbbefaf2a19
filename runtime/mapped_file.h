// A whole file mapped read-only, and held open.
//
// Owns: the file's bytes in memory. Must not know: what the bytes mean.
//
// 1. Only a regular file is mapped: a FIFO or a device would block, or change under the reader.
// 2. Bytes that are written over the file show in the mapping. touched() sees it by the time of modification; where a writer has set
//    that back, by the time of change (ctime), which renaming and linking move too. It asks the open file, so another file that
//    takes the name changes nothing here.
// 3. A file that shrinks ends the process with SIGBUS when what is gone is read:
//    nobody can check that before (step/cli.h says it in words).
#pragma once
#include <time.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace ibid::runtime {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path);          // errors: not_found, io, temporary (memory)
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::string_view bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Whether it may have been written to since it was mapped. Errors: io.
  bool touched() const;
  // From the open file, never by its path: up to `bytes` of those that were there when it was mapped; 0 behind the last. Errors: io.
  size_t read(size_t at, char* to, size_t bytes) const;
  // These bytes will hardly be read again: they stop counting as this process's memory. Ignored when they are not of this file.
  void forget(const void* from, size_t bytes) const;

 private:
  std::string path_;
  int fd_ = -1;
  timespec modified_{}, changed_{};    // mtime and ctime when it was mapped
  unsigned long links_ = 0;            // names (hard links) then
  const char* data_ = nullptr;         // null: the file is empty
  size_t size_ = 0;
};

}  // namespace ibid::runtime
