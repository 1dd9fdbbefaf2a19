// An output that appears whole or not at all.
//
// 1. A regular target is written as a temporary file beside it, fsynced, and renamed over it by commit(); a run that stops
//    before leaves the old target untouched and removes the temporary file (after kill -9 a file named .TARGET.PID.ibid-tmp stays,
//    or .TARGET.PID-DIGITS.ibid-tmp where there was one: on a shared file system nobody here can know that its writer is dead).
//    Several outputs appear together: each is whole on the disk, or taken by its reader, before the first is renamed; and where the file
//    system can lock a folder, nobody else's appear meanwhile; when one cannot be renamed after all, those before it are taken back (where
//    the file system can exchange two names). A target keeps its mode, group and access control list; one that is protected is refused at
//    once. A symbolic link is replaced, never written through: in an engine's work folder it leads to another task's file.
// 2. "-" is standard output, and so is what names it (/dev/stdout, /dev/fd/N are what is open under that number); an existing FIFO
//    or device is written in place, never renamed over.
// 3. A folder, and a path that ends in none, are refused at once.
// 4. Every write, the flush and the close are checked. Errors: cannot_create, io (a closed pipe and a full disk included).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::step {

class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view bytes);
  void flush();                                       // hands what was written to the system; streaming readers see it
  void commit() { commit({this}); }                   // once, last
  static void commit(const std::vector<OutputFile*>& files);
  const std::string& path() const { return path_; }
  bool is_file() const { return is_file_; }           // a regular target, not a stream

 private:
  class LockedFolders;
  void write_all(const char* data, size_t size);
  void finish();                                      // nothing can fail any more but publish()
  void take_mode();
  void publish();
  void take_back();                                   // after another's publish() failed
  void drop_temporary();
  std::string path_, temporary_;                      // temporary_ is empty when the target is written in place
  bool is_file_ = false;
  enum class Placed { no, moved, replaced, exchanged } placed_ = Placed::no;
  int fd_ = -1;
  std::string buffer_;
};

// An unnamed file for data that waits for its turn: written, then read back from the start. Lives in the folder of `beside`.
class SpoolFile {
 public:
  explicit SpoolFile(const std::string& beside);
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  void append(std::string_view bytes);
  uint64_t size() const { return size_; }
  // Calls sink with the whole content in order, in pieces.
  template <class Sink>
  void replay(Sink&& sink) {
    flush();
    char piece[1 << 16];
    for (uint64_t at = 0; at < size_;) {
      size_t n = read_at(at, piece, sizeof piece);
      sink(std::string_view(piece, n));
      at += n;
    }
  }
  void clear();
  // Up to n bytes from an offset; 0 at the end.
  size_t read(uint64_t offset, char* to, size_t n) {
    flush();
    return offset < size_ ? read_at(offset, to, n) : 0;
  }

 private:
  void flush();
  size_t read_at(uint64_t offset, char* to, size_t n);
  std::string where_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::string buffer_;
};

// After a read or write that failed: true when it would have had to wait, in a stream that another program has set not to;
// waits until it is ready.
bool would_block(int fd, short events);
// False with errno when not all could be written.
bool write_fully(int fd, const char* data, size_t size);

// Removes the temporary file of every OutputFile that is open. For a signal handler that is about to end the process.
void remove_temporaries();

// Folder part of a path ("." when there is none) and its last part.
std::string directory_of(const std::string& path);
std::string base_name(const std::string& path);
// The name of a file that belongs to a file. One longer than a name may be is cut between two characters, and digits of its digest tell
// it from others that begin alike.
std::string name_with(const std::string& name, const std::string& suffix);

// The whole content of a small file. Errors: not_found, io, bad_data (larger than max_bytes).
std::string read_file(const std::string& path, size_t max_bytes);

}  // namespace ibid::step
