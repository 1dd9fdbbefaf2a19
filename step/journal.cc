// See journal.h.
#include "step/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/error.h"
#include "step/bytes.h"
#include "step/cli.h"
#include "step/clock.h"
#include "step/output_file.h"

namespace ibid::step {
namespace {

constexpr std::string_view kMagic = "ibidjnl1";
constexpr size_t kHeaderBytes = kMagic.size() + sizeof(Digest) + 8;

std::string header_of(const std::string& config_id) {
  std::string out(kMagic);
  Digest config = parse_digest(config_id);
  out += bytes_of(config);
  Digest check = sha256(out);
  out += bytes_of(check).substr(0, 8);
  return out;
}

}  // namespace

size_t Journal::KeyHash::operator()(const Digest& d) const {
  size_t h;
  std::memcpy(&h, d.data(), sizeof h);
  return h;
}

std::string Journal::path_beside(const std::string& output) {
  return directory_of(output) + "/" + name_with("." + base_name(output), ".ibid-journal");
}

Journal::Journal(const std::string& path, const std::string& config_id, bool with_top)
    : path_(path), with_top_(with_top), synced_(monotonic_seconds()) {
  try {
    std::string header = header_of(config_id);
    uint64_t size = open(), sound = load(header);
    if (sound == 0 && size > header.size()) {
      if (!alone())
        throw Error(ErrorKind::cannot_create, path, "is the journal of a run of another step that is not over",
                    "wait for it, or name another output");
      set_aside();
      size = open();
    }
    if (sound == 0 && alone() && ::rename(aside(header).c_str(), path.c_str()) == 0) {      // the one of this step was set aside before
      ::close(fd_);
      size = open(), sound = load(header);
    }
    if (sound > 0 && sound == size) return;
    if (!alone()) return;                              // what looks torn may be another run's next answer
    if (sound > 0 && sound < size) note("the journal's last " + std::to_string(size - sound) + " bytes are torn; they are dropped");
    if (sound < size && ::ftruncate(fd_, static_cast<off_t>(sound)) != 0)
      throw Error(ErrorKind::io, path, std::string("cannot cut the journal: ") + std::strerror(errno));
    if (sound == 0) append(header);
    share();
  } catch (...) {
    if (fd_ >= 0) ::close(fd_);
    throw;
  }
}

uint64_t Journal::open() {
  // Appending, so that two runs that share an output by mistake damage no more than each other's unfinished tail.
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct stat s{};
  if (fd_ < 0 || ::fstat(fd_, &s) != 0 || !S_ISREG(s.st_mode))
    throw Error(ErrorKind::cannot_create, path_, std::string("cannot open the journal: ") + std::strerror(fd_ < 0 ? errno : EINVAL),
                "may you write in that folder, and is the journal yours?");
  share();
  return static_cast<uint64_t>(s.st_size);
}

// Every run that has a journal open shares its lock; whoever would take it away from another asks for all of it.
// Not every file system has locks.
void Journal::share() const { (void)::flock(fd_, LOCK_SH | LOCK_NB); }

// Whether no other run has it open, and its name still leads to this file.
bool Journal::alone() const {
  struct stat open{}, named{};
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    share();                                           // asking may have given up ours
    return false;
  }
  return ::fstat(fd_, &open) == 0 && ::stat(path_.c_str(), &named) == 0 && open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

std::string Journal::aside(std::string_view header) const {
  const std::string step = header.substr(0, kMagic.size()) == kMagic ? sha256_hex(header).substr(0, 8) + "." : "";
  return directory_of(path_) + "/" + name_with(base_name(path_), "." + step + "old");
}

// Hours of answers may be in it, and the other step be the mistake: each step's has a name of its own.
void Journal::set_aside() {
  const std::string old = aside(read(0, kHeaderBytes));
  if (::rename(path_.c_str(), old.c_str()) != 0)
    throw Error(ErrorKind::cannot_create, old, std::string("cannot keep the journal of another step: ") + std::strerror(errno));
  ::close(fd_);
  fd_ = -1;
  warn("the journal " + path_ + " is of another step, or damaged: it is kept as " + base_name(old) + ", and a new one begins");
}

Journal::~Journal() {
  struct stat s{};
  if (empty_ && ::fstat(fd_, &s) == 0 && static_cast<uint64_t>(s.st_size) <= kHeaderBytes) remove();
  ::close(fd_);
}

std::string Journal::read(uint64_t offset, uint64_t size) const {
  std::string out(size, '\0');
  uint64_t at = 0;
  while (at < size) {
    ssize_t n = ::pread(fd_, out.data() + at, size - at, static_cast<off_t>(offset + at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(ErrorKind::io, path_, std::string("cannot read the journal: ") + std::strerror(errno));
    if (n == 0) break;
    at += static_cast<uint64_t>(n);
  }
  out.resize(at);
  return out;
}

uint64_t Journal::load(const std::string& header) {
  if (read(0, header.size()) != header) return 0;
  uint64_t at = header.size();
  while (true) {
    stop_if_interrupted();
    std::optional<uint64_t> length = sealed_length(read(at, kSealHead));
    struct stat s;
    // A length that a torn head only claims must not be allocated.
    if (!length || ::fstat(fd_, &s) != 0 || *length > static_cast<uint64_t>(s.st_size) - at) return at;
    std::optional<Digest> key = sealed_key(read(at, *length));
    if (!key) return at;
    known_.emplace(*key, Place{at, *length});
    empty_ = false;
    at += *length;
  }
}

std::optional<AnswerRecord> Journal::find(const Digest& key) {
  auto found = known_.find(key);
  if (found == known_.end()) return std::nullopt;
  return unseal(read(found->second.offset, found->second.size), key, with_top_);
}

void Journal::keep(const Digest& key, const AnswerRecord& answer) {
  append(seal(key, answer, with_top_));
  empty_ = false;
  ++kept_;
  if (monotonic_seconds() - synced_ < kSyncSeconds) return;
  if (::fdatasync(fd_) != 0) throw Error(ErrorKind::io, path_, std::string("fdatasync of the journal failed: ") + std::strerror(errno));
  synced_ = monotonic_seconds();
}

void Journal::append(const std::string& bytes) {
  if (!write_fully(fd_, bytes.data(), bytes.size()))
    throw Error(ErrorKind::io, path_, std::string("writing the journal failed: ") + std::strerror(errno),
                "make room and run again with --resume: what was finished is kept");
}

void Journal::remove() {
  if (alone()) ::unlink(path_.c_str());
}

}  // namespace ibid::step
