// See output_file.h.
#include "step/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <random>

#include "runtime/error.h"
#include "step/digest.h"

namespace ibid::step {
namespace {

constexpr size_t kBuffer = 1 << 16;
constexpr size_t kNameBytes = 255;                     // a file's name has no more

// The temporary files that exist, for remove_temporaries(); a signal handler may read it at any moment.
std::array<std::atomic<const char*>, 32> g_temporaries{};

void register_temporary(const char* path) {
  for (std::atomic<const char*>& slot : g_temporaries) {
    const char* empty = nullptr;
    if (slot.compare_exchange_strong(empty, path)) return;
  }
}

void unregister_temporary(const char* path) {
  for (std::atomic<const char*>& slot : g_temporaries)
    if (slot.load() == path) slot.store(nullptr);
}

bool is_written_in_place(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 && !S_ISREG(s.st_mode);
}

// The regular file that an output will replace, a link to one being none. Errors: cannot_create, for a name that no file can have.
std::optional<struct stat> old_file(const std::string& path) {
  struct stat s;
  if (::lstat(path.c_str(), &s) == 0) return S_ISREG(s.st_mode) ? std::optional(s) : std::nullopt;
  if (errno == ENAMETOOLONG) throw Error(ErrorKind::cannot_create, path, std::strerror(errno), "name the output with 255 bytes or fewer");
  return std::nullopt;
}

// A file that was mounted into its place, as containers do; false where the system cannot tell. By its number, since the C library that
// we ask for is older than the function.
bool is_mounted(const std::string& path) {
#ifdef STATX_MNT_ID
  struct statx file{}, folder{};
  const auto ask = [](const std::string& of, struct statx& s) {
    return ::syscall(SYS_statx, AT_FDCWD, of.c_str(), AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &s) == 0 && (s.stx_mask & STATX_MNT_ID);
  };
  return ask(path, file) && ask(directory_of(path) + "/.", folder) && file.stx_mnt_id != folder.stx_mnt_id;
#else
  (void)path;
  return false;
#endif
}

// In a sticky folder, as /tmp is, only a file's owner may replace it, and the folder's.
bool is_kept_by_folder(const std::string& path, const struct stat& old) {
  struct stat folder;
  const uid_t me = ::geteuid();
  return me != 0 && ::stat(directory_of(path).c_str(), &folder) == 0 && (folder.st_mode & S_ISVTX) && old.st_uid != me &&
         folder.st_uid != me;
}

// A file that is protected is not replaced; for root, whom nothing stops, as for everyone.
// What renaming would find out is said before anything is computed.
void require_replaceable(const std::string& path, const std::optional<struct stat>& old) {
  if (!old) return;
  std::string why, hint = "name another output, or remove it first";
  if (!(old->st_mode & (S_IWUSR | S_IWGRP | S_IWOTH))) why = "it is read-only";
  else if (::access(path.c_str(), W_OK) != 0) why = std::strerror(errno);
  else if (is_kept_by_folder(path, *old)) why = "it is another user's, in a folder where files are replaced by their owners alone";
  else if (is_mounted(path)) why = "it is a mount point", hint = "mount its folder instead";
  if (!why.empty()) throw Error(ErrorKind::cannot_create, path, "exists and may not be replaced: " + why, hint);
}

// Gives a file the access control list of another, or none, as that has none (it may have one from its folder);
// false when it could not be done.
bool copy_acl(const std::string& from, int to) {
  constexpr const char* kAcl = "system.posix_acl_access";
  char list[4096];
  const ssize_t size = ::lgetxattr(from.c_str(), kAcl, list, sizeof list);
  if (size >= 0) return ::fsetxattr(to, kAcl, list, static_cast<size_t>(size), 0) == 0;
  const auto none = [] { return errno == ENODATA || errno == ENOTSUP; };
  return none() && (::fremovexattr(to, kAcl) == 0 || none());
}

// Swaps the files of two names in one step; false where the file system cannot.
bool exchange(const std::string& a, const std::string& b) {
  constexpr unsigned kExchange = 2;                     // RENAME_EXCHANGE, where the C library is old
  return ::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), kExchange) == 0;
}

// In containers every process has one of the same few numbers: what a killed one left may have our name already.
// `taken`: then random digits are added.
std::string temporary_name(const std::string& path, bool taken) {
  std::string process = std::to_string(::getpid());
  if (taken) {
    char digits[16];
    std::snprintf(digits, sizeof digits, "-%08x", std::random_device()());
    process += digits;
  }
  return directory_of(path) + "/" + name_with("." + base_name(path), "." + process + ".ibid-tmp");
}

bool is_folder(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
}

// The open descriptor that a path names, as /dev/stdout and /dev/fd/3 do; -1: it names none. Renaming over such a name would
// replace the name for everybody and not reach what is open.
int named_descriptor(std::filesystem::path path) {
  for (const auto& [name, number] : {std::pair{"/dev/stdout", STDOUT_FILENO}, {"/dev/stderr", STDERR_FILENO}})
    if (path == name) return number;                   // known also where /proc is not mounted
  std::error_code failed;
  const std::filesystem::path descriptors = std::filesystem::canonical("/proc/self/fd", failed);
  for (int links = 0; !failed && links < 8; ++links) {
    const std::filesystem::path folder = std::filesystem::canonical(directory_of(path), failed);
    const std::string name = path.filename();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (folder == descriptors && std::to_string(number) == name) return number;
    path = folder / std::filesystem::read_symlink(path, failed);
  }
  return -1;
}

}  // namespace

bool would_block(int fd, short events) {
  if (errno != EAGAIN) return false;
  pollfd p{fd, events, 0};
  return ::poll(&p, 1, -1) >= 0 || errno == EINTR;
}

bool write_fully(int fd, const char* data, size_t size) {
  while (size > 0) {
    ssize_t n = ::write(fd, data, size);
    if (n < 0 && (errno == EINTR || would_block(fd, POLLOUT))) continue;
    if (n < 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

void remove_temporaries() {
  for (std::atomic<const char*>& slot : g_temporaries)
    if (const char* path = slot.load()) ::unlink(path);
}

std::string directory_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string base_name(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string name_with(const std::string& name, const std::string& suffix) {
  if (name.size() + suffix.size() <= kNameBytes) return name + suffix;
  const std::string told = "." + sha256_hex(name).substr(0, 16) + suffix;
  size_t cut = kNameBytes - told.size();
  for (int i = 0; i < 3 && (name[cut] & 0xC0) == 0x80; ++i) --cut;            // some file systems refuse a part of a character
  return name.substr(0, cut) + told;
}

std::string read_file(const std::string& path, size_t max_bytes) {
  std::FILE* f = std::fopen(path.c_str(), "rb");
  if (!f) throw Error(unopened(errno), path, std::strerror(errno));
  std::string out;
  char piece[1 << 16];
  size_t n;
  while ((n = std::fread(piece, 1, sizeof piece, f)) > 0 && out.size() <= max_bytes) out.append(piece, n);
  int failure = std::ferror(f) ? errno : 0;
  std::fclose(f);
  if (failure) throw Error(ErrorKind::io, path, std::strerror(failure));
  if (out.size() > max_bytes) throw Error(ErrorKind::bad_data, path, "larger than " + std::to_string(max_bytes) + " bytes");
  return out;
}

// The folders in which files are published, locked while that lasts: when two runs write the same files, those that stay are all of
// one run. Not every file system can lock or sync a folder, or lock it for other hosts; it is done where it can be.
class OutputFile::LockedFolders {
 public:
  explicit LockedFolders(const std::vector<OutputFile*>& files) {
    std::map<std::pair<dev_t, ino_t>, int> in_order;   // the same for everyone on this host, so that none waits for another in a circle
    for (const OutputFile* file : files) {
      if (!file->is_file_) continue;
      const int folder = ::open(directory_of(file->path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      struct stat s;
      if (folder < 0) continue;
      if (::fstat(folder, &s) != 0 || !in_order.emplace(std::pair(s.st_dev, s.st_ino), folder).second) ::close(folder);
    }
    for (const auto& [place, folder] : in_order) {
      lock(folder);
      open_.push_back(folder);
    }
  }
  ~LockedFolders() {
    for (int folder : open_) ::close(folder);
  }
  LockedFolders(const LockedFolders&) = delete;
  void release() const {                               // and makes the renames themselves durable
    for (int folder : open_) (void)::flock(folder, LOCK_UN);
    for (int folder : open_) (void)::fsync(folder);
  }

 private:
  // Whoever publishes is done in a moment. Whoever holds the lock for longer means something else by it, and may wait for us:
  // 'flock FOLDER ibid ...'.
  static void lock(int folder) {
    constexpr int kTries = 500, kPauseUs = 10'000;
    for (int i = 0; i < kTries && ::flock(folder, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR); ++i)
      ::usleep(kPauseUs);
  }
  std::vector<int> open_;
};

OutputFile::OutputFile(const std::string& path) : path_(path) {
  const int open_as = path == "-" ? STDOUT_FILENO : named_descriptor(path);
  if (open_as >= 0) {
    fd_ = ::dup(open_as);
  } else if (is_folder(path) || base_name(path).empty()) {
    throw Error(ErrorKind::cannot_create, path, path.empty() ? "an output without a name" : "names a folder, not a file",
                path.empty() ? "is a variable empty?" : "name a file in it");
  } else if (is_written_in_place(path)) {
    fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    const std::optional<struct stat> old = old_file(path);
    require_replaceable(path, old);
    is_file_ = true;
    for (int tries = 0; fd_ < 0 && tries < 100; ++tries) {
      temporary_ = temporary_name(path, tries > 0);
      fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, old ? 0600 : 0666);
      if (fd_ < 0 && errno != EEXIST) break;
    }
  }
  if (fd_ < 0) {
    int code = errno;
    temporary_.clear();
    throw Error(ErrorKind::cannot_create, path, std::string("cannot create: ") + std::strerror(code),
                code == ENOENT || code == EACCES ? "does the folder exist, and may you write there?" : "");
  }
  if (is_file_) register_temporary(temporary_.c_str());
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  drop_temporary();
}

void OutputFile::drop_temporary() {
  if (temporary_.empty()) return;
  const bool moved = placed_ == Placed::moved || placed_ == Placed::replaced;       // then the name may be another's by now
  if (!moved) ::unlink(temporary_.c_str());
  unregister_temporary(temporary_.c_str());
  temporary_.clear();
}

void OutputFile::write_all(const char* data, size_t size) {
  if (write_fully(fd_, data, size)) return;
  const bool full = errno == ENOSPC || errno == EDQUOT;
  throw Error(ErrorKind::io, path_, std::string("writing failed: ") + std::strerror(errno),
              full ? "make room and run again; what --resume or --cache kept is not computed again" : "");
}

void OutputFile::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= kBuffer) flush();
}

void OutputFile::flush() {
  write_all(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void OutputFile::finish() {
  flush();
  if (!temporary_.empty()) take_mode();
  // fsync is refused by pipes and terminals; for a file its failure is the disk's.
  if (!temporary_.empty() && ::fsync(fd_) != 0) throw Error(ErrorKind::io, path_, std::string("fsync failed: ") + std::strerror(errno));
  int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0) throw Error(ErrorKind::io, path_, std::string("closing failed: ") + std::strerror(errno));
}

// The mode, group and access control list of the file that is replaced. Where we may not give it its group, or the list, whose bits stand
// in the group's place, that group's rights go to nobody.
void OutputFile::take_mode() {
  const std::optional<struct stat> old = old_file(path_);
  require_replaceable(path_, old);
  if (!old) return;
  const bool grouped = ::fchown(fd_, static_cast<uid_t>(-1), old->st_gid) == 0 && copy_acl(path_, fd_);
  (void)::fchmod(fd_, old->st_mode & (S_IRWXU | (grouped ? S_IRWXG : 0) | S_IRWXO));
}

// What was there before, a link too, is kept under the temporary name until all outputs are in place;
// where names cannot be exchanged it is gone.
void OutputFile::publish() {
  if (temporary_.empty()) return;
  struct stat s;
  const bool there = ::lstat(path_.c_str(), &s) == 0;
  if (there && !S_ISDIR(s.st_mode) && exchange(temporary_, path_)) placed_ = Placed::exchanged;
  else if (::rename(temporary_.c_str(), path_.c_str()) == 0) placed_ = there ? Placed::replaced : Placed::moved;
  else throw Error(ErrorKind::cannot_create, path_, std::string("cannot rename into place: ") + std::strerror(errno));
}

void OutputFile::take_back() {
  if (placed_ == Placed::exchanged && !exchange(temporary_, path_)) {      // what was there before stays, at least under that name
    unregister_temporary(temporary_.c_str());
    temporary_.clear();
  }
  if (placed_ == Placed::moved) (void)::unlink(path_.c_str());
}

void OutputFile::commit(const std::vector<OutputFile*>& files) {
  for (OutputFile* file : files) file->finish();
  LockedFolders folders(files);
  try {
    for (OutputFile* file : files) file->publish();
  } catch (...) {
    for (OutputFile* file : files) file->take_back();
    throw;
  }
  for (OutputFile* file : files) file->drop_temporary();
  folders.release();
}

SpoolFile::SpoolFile(const std::string& beside) : where_(directory_of(beside)) {
  fd_ = ::open(where_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd_ >= 0) return;
  // Not every file system has files without a name. Here one is left behind if the process is killed before it is taken away.
  std::string name = where_ + "/.ibid-spool-XXXXXX";  // the X are mkostemp's to fill
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) throw Error(ErrorKind::cannot_create, where_, std::string("cannot create a temporary file: ") + std::strerror(errno));
  ::unlink(name.c_str());
}

SpoolFile::~SpoolFile() { ::close(fd_); }

void SpoolFile::append(std::string_view bytes) {
  size_ += bytes.size();
  buffer_ += bytes;
  if (buffer_.size() >= kBuffer) flush();
}

void SpoolFile::flush() {
  if (!write_fully(fd_, buffer_.data(), buffer_.size()))
    throw Error(ErrorKind::io, where_, std::string("writing a temporary file failed: ") + std::strerror(errno),
                "make room in that folder and run again");
  buffer_.clear();
}

size_t SpoolFile::read_at(uint64_t offset, char* to, size_t n) {
  ssize_t got = ::pread(fd_, to, n, static_cast<off_t>(offset));
  if (got <= 0) throw Error(ErrorKind::io, where_, "reading a temporary file back failed");
  return static_cast<size_t>(got);
}

void SpoolFile::clear() {
  buffer_.clear();
  size_ = 0;
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0) throw Error(ErrorKind::io, where_, "emptying a temporary file failed");
}

}  // namespace ibid::step
