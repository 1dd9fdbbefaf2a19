// See archive.h.
#include "step/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/error.h"
#include "step/gzip.h"

namespace ibid::step {
namespace {

constexpr uint64_t kTarBlock = 512;
constexpr size_t kFolder = SIZE_MAX;                   // among places of entries: none
uint64_t round_up(uint64_t n) { return (n + kTarBlock - 1) / kTarBlock * kTarBlock; }

struct ReadArchive {
  archive* handle = archive_read_new();
  ~ReadArchive() { archive_read_free(handle); }
};

std::string message(archive* a) { return archive_error_string(a) ? archive_error_string(a) : "unknown failure"; }

int open_for_reading(const std::string& path, int flags = 0) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) throw Error(unopened(errno), path, std::strerror(errno));
  struct stat s;
  if (::fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) {
    ::close(fd);
    throw Error(ErrorKind::bad_data, path, "is a folder, not a file");
  }
  return fd;
}

// Octal number of a tar header field; 0 when it is not one.
uint64_t octal(const char* field, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n && field[i] >= '0' && field[i] <= '7'; ++i) v = v * 8 + static_cast<uint64_t>(field[i] - '0');
  return v;
}

// Whether these bytes, as far as they go, are those that a zstd frame begins with, or a skippable one, of whose first byte a half is free.
bool begins_as_zstd(std::string_view head) {
  constexpr std::string_view kFrame = "\x28\xB5\x2F\xFD", kSkippable = "\x50\x2A\x4D\x18";
  std::string begin(head.substr(0, kFrame.size()));
  if (!begin.empty() && (begin[0] & 0xF0) == 0x50) begin[0] = 0x50;
  return kFrame.starts_with(begin) || kSkippable.starts_with(begin);
}
bool is_zstd(std::string_view head) { return head.size() >= 4 && begins_as_zstd(head); }
// Whether more bytes could make gzip or zstd data of these.
bool may_become_packed(std::string_view head) { return head.size() < 4 && (head == "\x1f" || begins_as_zstd(head)); }

// The bytes of a file or pipe as they are, the first of them looked at before.
class RawInput {
 public:
  RawInput(int fd, std::string name) : fd_(fd), name_(std::move(name)), buffer_(1 << 16), begun_(state()) {
    while (may_become_packed(head()) && fill()) continue;              // a pipe may have one byte yet
  }
  ~RawInput() {
    if (fd_ > STDIN_FILENO) ::close(fd_);
  }
  RawInput(const RawInput&) = delete;
  std::string_view head() const { return {buffer_.data(), size_}; }
  // What lies ready, else what the system gives next; empty at the end. It stays until the next call.
  std::string_view next() {
    if (given_) size_ = 0;
    if (size_ == 0) fill();
    given_ = true;
    return head();
  }
  // Whether next() would wait now.
  bool quiet() const {
    pollfd asked{fd_, POLLIN, 0};
    return (given_ || size_ == 0) && ::poll(&asked, 1, 0) == 0;
  }

 private:
  bool fill() {
    if (ended_) return false;                          // asked again, a terminal would read on
    ssize_t n;
    do n = ::read(fd_, buffer_.data() + size_, buffer_.size() - size_);
    while (n < 0 && (errno == EINTR || would_block(fd_, POLLIN)));
    if (n < 0) throw Error(ErrorKind::io, name_, std::string("cannot read: ") + std::strerror(errno));
    if (n == 0 && state() != begun_)
      throw Error(ErrorKind::io, name_, "was written to, or touched, while it was read", "run again when nothing writes to it any more");
    size_ += static_cast<size_t>(n);
    ended_ = n == 0;
    return n > 0;
  }
  // Of a file, its length and when it was last written to; of a stream, nothing.
  std::array<int64_t, 3> state() const {
    struct stat s;
    if (::fstat(fd_, &s) != 0 || !S_ISREG(s.st_mode)) return {};
    return {s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
  }
  int fd_;
  std::string name_;
  std::vector<char> buffer_;
  std::array<int64_t, 3> begun_;
  size_t size_ = 0;
  bool given_ = false, ended_ = false;
};

// Hands out what `next` gives, each piece before it asks for another; a piece stays until then, and an empty one is the end.
// All of them come, one way or another, out of `raw`.
ByteSource pieces_of(std::function<std::string_view()> next, std::shared_ptr<const RawInput> raw) {
  auto rest = std::make_shared<std::string_view>();
  auto read = [next = std::move(next), rest](char* to, size_t n) {
    if (rest->empty()) *rest = next();
    const size_t got = rest->copy(to, n);
    rest->remove_prefix(got);
    return got;
  };
  return {std::move(read), [rest, raw] { return rest->empty() && raw->quiet(); }};
}

// A libarchive reader over a RawInput; an Error cannot cross libarchive's C frames.
struct RawArchive {
  explicit RawArchive(std::shared_ptr<RawInput> input) : raw(std::move(input)) {}
  std::shared_ptr<RawInput> raw;
  std::exception_ptr failure;
  ReadArchive archive;
  static la_ssize_t read(struct archive* handle, void* client, const void** bytes) {
    auto* self = static_cast<RawArchive*>(client);
    try {
      std::string_view piece = self->raw->next();
      *bytes = piece.data();
      return static_cast<la_ssize_t>(piece.size());
    } catch (...) {
      self->failure = std::current_exception();
      archive_set_error(handle, EIO, "reading failed");
      return ARCHIVE_FATAL;
    }
  }
  // The next bytes that are unpacked, as they come (archive_read_data waits until it has as many as it is asked for); empty at the end.
  std::string_view next_block(const std::string& name) {
    const void* bytes = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(archive.handle, &bytes, &size, &offset);
    if (result != ARCHIVE_OK && result != ARCHIVE_EOF) failed(name);
    return {static_cast<const char*>(bytes), result == ARCHIVE_EOF ? 0 : size};
  }
  [[noreturn]] void failed(const std::string& name) const {
    if (failure) std::rethrow_exception(failure);
    throw Error(ErrorKind::bad_data, name, "cannot read on: " + message(archive.handle),
                "is the file damaged or cut short? compare it with its source");
  }
};

}  // namespace

ByteSource open_input(const std::string& path) {
  std::string name = path == "-" ? "<stdin>" : path;
  auto raw = std::make_shared<RawInput>(path == "-" ? STDIN_FILENO : open_for_reading(path), name);
  ByteSource as_it_is = pieces_of([raw] { return raw->next(); }, raw);
  if (is_gzip(raw->head())) return gunzip(std::move(as_it_is), name);
  if (!is_zstd(raw->head())) return as_it_is;         // libarchive would wait for more of it
  auto in = std::make_shared<RawArchive>(raw);
  struct archive* handle = in->archive.handle;
  archive_read_support_filter_zstd(handle);
  archive_read_support_format_raw(handle);
  archive_read_support_format_empty(handle);
  if (archive_read_open(handle, in.get(), nullptr, &RawArchive::read, nullptr) != ARCHIVE_OK) in->failed(name);
  archive_entry* entry = nullptr;
  int opened = archive_read_next_header(handle, &entry);
  if (opened == ARCHIVE_EOF) return [](char*, size_t) -> size_t { return 0; };
  if (opened != ARCHIVE_OK) in->failed(name);
  constexpr int kOnce = 2;                             // filters: zstd, and none
  if (archive_filter_count(handle) > kOnce)
    throw Error(ErrorKind::bad_data, name, "is packed more than once", "one layer of zstd or gzip is unpacked: unpack it first");
  return pieces_of([in, name] { return in->next_block(name); }, raw);
}

struct TarWriter::State {
  archive* handle = archive_write_new();
  OutputFile* out = nullptr;
  std::exception_ptr failure;                         // an Error cannot cross libarchive's C frames
  ~State() { archive_write_free(handle); }
  // Always "written": libarchive frees its buffers only for an archive that it could end. What comes after a failure, or when out is
  // null, goes nowhere.
  static la_ssize_t write(archive*, void* client, const void* bytes, size_t n) {
    auto* state = static_cast<State*>(client);
    try {
      if (state->out && !state->failure) state->out->write({static_cast<const char*>(bytes), n});
    } catch (...) {
      state->failure = std::current_exception();
    }
    return static_cast<la_ssize_t>(n);
  }
  void check(la_ssize_t result) {
    if (failure) std::rethrow_exception(failure);
    if (result < ARCHIVE_OK) throw Error(ErrorKind::io, out->path(), message(handle));
  }
};

TarWriter::TarWriter(OutputFile& out) : state_(std::make_unique<State>()) {
  state_->out = &out;
  archive_write_set_format_pax_restricted(state_->handle);
  archive_write_set_bytes_in_last_block(state_->handle, 1);
  state_->check(archive_write_open(state_->handle, state_.get(), nullptr, &State::write, nullptr));
}
TarWriter::~TarWriter() { state_->out = nullptr; }    // an unfinished archive is never completed by the destructor

void TarWriter::begin(const std::string& name, uint64_t size) {
  std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  state_->check(archive_write_header(state_->handle, entry.get()));
}

void TarWriter::data(std::string_view bytes) {
  if (bytes.empty()) return;
  la_ssize_t n = archive_write_data(state_->handle, bytes.data(), bytes.size());
  state_->check(n);
  IBID_CHECK(static_cast<size_t>(n) == bytes.size());
}

void TarWriter::add(const std::string& name, std::string_view bytes) {
  begin(name, bytes.size());
  data(bytes);
}

void TarWriter::finish() { state_->check(archive_write_close(state_->handle)); }

// A FIFO is refused, not waited for. "-" is a file that is standard input.
TarFile::TarFile(const std::string& path) : path_(path), fd_(path == "-" ? ::dup(STDIN_FILENO) : open_for_reading(path, O_NONBLOCK)) {
  struct stat s;
  if (::fstat(fd_, &s) != 0 || !S_ISREG(s.st_mode)) {
    ::close(fd_);
    throw Error(ErrorKind::not_found, path, "not a regular file; a bundle is read at several places",
                "write the pipe's content to a file first");
  }
  file_size_ = static_cast<uint64_t>(s.st_size);
  try {
    list_entries();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

TarFile::~TarFile() { ::close(fd_); }

// The file as libarchive reads it; that the system cannot read is not damage.
struct TarFile::Listing {
  explicit Listing(const TarFile& of) : tar(of), buffer(1 << 16) {}
  const TarFile& tar;
  std::vector<char> buffer;
  uint64_t at = 0;
  std::exception_ptr failure;
  ReadArchive archive;
  static la_ssize_t read(struct archive* handle, void* client, const void** bytes) {
    auto* self = static_cast<Listing*>(client);
    try {
      const size_t n = self->tar.read_at(self->at, self->buffer.data(), self->buffer.size());
      self->at += n;
      *bytes = self->buffer.data();
      return static_cast<la_ssize_t>(n);
    } catch (...) {
      self->failure = std::current_exception();
      archive_set_error(handle, EIO, "reading failed");
      return ARCHIVE_FATAL;
    }
  }
  // Never behind the end, where an entry's padding may lie.
  static la_int64_t skip(struct archive*, void* client, la_int64_t n) {
    auto* self = static_cast<Listing*>(client);
    const uint64_t skipped = std::min(static_cast<uint64_t>(n), self->tar.file_size_ - std::min(self->at, self->tar.file_size_));
    self->at += skipped;
    return static_cast<la_int64_t>(skipped);
  }
  [[noreturn]] void damaged(const std::string& what, const std::string& hint = "") const {
    if (failure) std::rethrow_exception(failure);
    throw Error(ErrorKind::corrupt, tar.path_, what, hint);
  }
};

size_t TarFile::read_at(uint64_t at, char* to, size_t n) const {
  size_t got = 0;
  while (got < n) {
    ssize_t more = ::pread(fd_, to + got, n - got, static_cast<off_t>(at + got));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) throw Error(ErrorKind::io, path_, std::string("cannot read: ") + std::strerror(errno));
    if (more == 0) break;
    got += static_cast<size_t>(more);
  }
  return got;
}

void TarFile::list_entries() {
  Listing listing(*this);
  struct archive* in = listing.archive.handle;
  archive_read_support_format_tar(in);
  if (archive_read_open2(in, &listing, nullptr, &Listing::read, &Listing::skip, nullptr) != ARCHIVE_OK)
    listing.damaged("not a tar file, so not a bundle",
                    "a bundle is what 'ibid run --bundle FILE' writes; if it was compressed since, unpack it first");
  uint64_t end = 0;
  archive_entry* entry = nullptr;
  int result;
  // a name of an owner that it cannot convert
  while ((result = archive_read_next_header(in, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
    const char* name = archive_entry_pathname(entry);
    std::string at = name ? name : "(unnamed)";
    const bool folder = archive_entry_filetype(entry) == AE_IFDIR && archive_entry_size(entry) == 0;   // as skopeo and tar write them
    if ((!folder && archive_entry_filetype(entry) != AE_IFREG) || archive_entry_hardlink(entry))
      throw Error(ErrorKind::corrupt, path_, "entry " + at + " is not a regular file");
    if (folder && (at.starts_with('/') || ("/" + at + "/").find("/../") != std::string::npos))
      throw Error(ErrorKind::corrupt, path_, "entry " + at + " leads out of the tar");
    if (!places_.emplace(at, folder ? kFolder : entries_.size()).second)
      throw Error(ErrorKind::corrupt, path_, "entry " + at + " stands twice");
    const auto header = static_cast<uint64_t>(archive_read_header_position(in));
    if (header != end) throw Error(ErrorKind::corrupt, path_, "entry " + at + " does not begin where the one before it ends");
    TarEntry e{at, 0, static_cast<uint64_t>(archive_entry_size(entry))};
    e.offset = data_offset(header, e);
    if (e.offset > file_size_ || e.size > file_size_ - e.offset) throw Error(ErrorKind::corrupt, path_, "cut short inside entry " + at);
    end = e.offset + round_up(e.size);
    if (!folder) entries_.push_back(std::move(e));
  }
  if (result != ARCHIVE_EOF)
    listing.damaged("damaged tar after entry " + (entries_.empty() ? "(none)" : entries_.back().name) + ": " + message(in));
  check_end(end);
}

void TarFile::check_end(uint64_t end) const {
  if (file_size_ < end + 2 * kTarBlock) throw Error(ErrorKind::corrupt, path_, "cut short: the end marker of the tar is missing");
  char piece[1 << 14];
  for (uint64_t at = end; at < file_size_;) {
    const size_t n = read_at(at, piece, sizeof piece);
    if (n == 0) throw Error(ErrorKind::io, path_, "became shorter while it was read");
    if (std::any_of(piece, piece + n, [](char c) { return c != 0; }))
      throw Error(ErrorKind::corrupt, path_, "bytes after the end of the tar");
    at += n;
  }
}

// libarchive says where the first header of an entry stands. A pax header ('x', entries of 8 GiB and more) comes before the
// entry's own; the name is compared so that a surprise is an error and never a wrong offset.
uint64_t TarFile::data_offset(uint64_t header, const TarEntry& entry) const {
  constexpr uint64_t kLargest = uint64_t{1} << 33;     // that a header's own field holds, and one less
  char block[kTarBlock];
  auto load = [&](uint64_t at) {
    if (read_at(at, block, sizeof block) != sizeof block) throw Error(ErrorKind::corrupt, path_, "cut short at entry " + entry.name);
  };
  load(header);
  if (block[156] == 'x') {
    header += kTarBlock + round_up(octal(block + 124, 12));
    load(header);
  }
  // A file or folder of this length, and not one of pieces that claims more than stands there.
  const bool plain = std::string_view("05").find(block[156]) != std::string_view::npos || block[156] == '\0';
  const bool whole = entry.size >= kLargest || octal(block + 124, 12) == entry.size;
  if (!plain || !whole || entry.name != std::string(block, strnlen(block, 100)))
    throw Error(ErrorKind::corrupt, path_, "entry " + entry.name + " has a header that ibid does not write");
  return header + kTarBlock;
}

const TarEntry* TarFile::find(std::string_view name) const {
  auto place = places_.find(std::string(name));
  return place == places_.end() || place->second == kFolder ? nullptr : &entries_[place->second];
}

std::string TarFile::read(const TarEntry& entry, uint64_t from, uint64_t size) const {
  if (from > entry.size || size > entry.size - from)
    throw Error(ErrorKind::corrupt, path_, entry.name + " is shorter than its own table says");
  std::string out(size, '\0');
  if (read_at(entry.offset + from, out.data(), size) != size) throw Error(ErrorKind::io, path_, "became shorter while it was read");
  return out;
}

void TarFile::stream(const TarEntry& entry, const std::function<void(std::string_view)>& sink) const {
  constexpr uint64_t kPiece = 1 << 20;
  for (uint64_t at = 0; at < entry.size; at += kPiece) sink(read(entry, at, std::min(kPiece, entry.size - at)));
}

}  // namespace ibid::step
