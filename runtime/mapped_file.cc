// See mapped_file.h.
#include "runtime/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "runtime/error.h"

namespace ibid::runtime {
namespace {

[[noreturn]] void fail_errno(const std::string& path, const char* verb) {
  int err = errno;
  if (err == ENOENT || err == ENOTDIR) throw Error(ErrorKind::not_found, path, "no such file");
  throw Error(unopened(err), path, std::string("cannot ") + verb + ": " + std::strerror(err));
}

// Closes the descriptor, unless somebody else has taken it.
struct Descriptor {
  int fd;
  ~Descriptor() { if (fd >= 0) ::close(fd); }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // O_NONBLOCK so that opening a FIFO returns and can be refused.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail_errno(path, "open");
  struct stat st;
  if (::fstat(file.fd, &st) != 0) fail_errno(path, "stat");
  if (!S_ISREG(st.st_mode)) throw Error(ErrorKind::not_found, path, "not a regular file");
  size_ = static_cast<size_t>(st.st_size);
  modified_ = st.st_mtim;
  changed_ = st.st_ctim;
  links_ = st.st_nlink;
  if (size_ > 0) {  // mmap refuses a length of 0
    void* p = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (p == MAP_FAILED) fail_errno(path, "map");
    data_ = static_cast<const char*>(p);
  }
  std::swap(fd_, file.fd);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<char*>(data_), size_);
  ::close(fd_);
}

static bool same(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

bool MappedFile::touched() const {
  struct stat st, named;
  if (::fstat(fd_, &st) != 0) {
    if (errno == ESTALE) return false;                 // another client of NFS removed it, so nobody can write to it
    fail_errno(path_, "stat");
  }
  if (static_cast<size_t>(st.st_size) != size_ || !same(st.st_mtim, modified_)) return true;
  if (same(st.st_ctim, changed_) || st.st_nlink != links_) return false;
  return ::stat(path_.c_str(), &named) == 0 && named.st_ino == st.st_ino && named.st_dev == st.st_dev;
}

size_t MappedFile::read(size_t at, char* to, size_t bytes) const {
  bytes = std::min(bytes, size_ - std::min(at, size_));
  if (bytes == 0) return 0;
  ssize_t got;
  do got = ::pread(fd_, to, bytes, static_cast<off_t>(at));
  while (got < 0 && errno == EINTR);
  if (got < 0) fail_errno(path_, "read");
  if (got == 0) throw Error(ErrorKind::io, path_, "became shorter while it was read");
  return static_cast<size_t>(got);
}

void MappedFile::forget(const void* from, size_t bytes) const {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<uintptr_t>(data_), begin = reinterpret_cast<uintptr_t>(from);
  if (!data_ || begin < base || begin + bytes > base + size_) return;
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  // A private mapping that was never written: the pages come back from the file when they are read again.
  if (first < last) (void)::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace ibid::runtime
