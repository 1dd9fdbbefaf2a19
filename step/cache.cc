// See cache.h.
#include "step/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "runtime/error.h"
#include "step/cli.h"
#include "step/output_file.h"

namespace ibid::step {
namespace {

constexpr uint64_t kFolders = 256, kBlock = 4096;      // what an entry costs is counted in blocks
constexpr time_t kTouchAfter = 3600, kForgottenAfter = 86400;
constexpr std::string_view kUnfinished = ".tmp-";

uint64_t cost_of(uint64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

bool make_folder(const std::string& path) { return ::mkdir(path.c_str(), 0777) == 0 || errno == EEXIST; }

// The whole file when it is regular and of a size that a sealed answer can have.
std::optional<std::string> read_entry(int fd, const struct stat& s) {
  if (!S_ISREG(s.st_mode) || s.st_size < static_cast<off_t>(kSealHead + kSealTail) || s.st_size > static_cast<off_t>(kMaxSealed))
    return std::nullopt;
  std::string bytes(static_cast<size_t>(s.st_size), '\0');
  for (size_t at = 0; at < bytes.size();) {
    ssize_t n = ::read(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    at += static_cast<size_t>(n);
  }
  return bytes;
}

struct Entry { timespec used; uint64_t cost; std::string name; };

bool used_before(const Entry& a, const Entry& b) {
  if (a.used.tv_sec != b.used.tv_sec) return a.used.tv_sec < b.used.tv_sec;
  if (a.used.tv_nsec != b.used.tv_nsec) return a.used.tv_nsec < b.used.tv_nsec;
  return a.name < b.name;
}

// Lists a folder's entries, and removes what killed processes left. What other processes remove meanwhile is not there.
std::vector<Entry> list_entries(const std::string& folder) {
  std::vector<Entry> entries;
  DIR* dir = ::opendir(folder.c_str());
  if (!dir) return entries;
  while (const dirent* d = ::readdir(dir)) {
    std::string name = d->d_name;
    struct stat s;
    if (::fstatat(::dirfd(dir), d->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(s.st_mode)) continue;
    if (name.rfind(kUnfinished, 0) == 0 && ::time(nullptr) - s.st_mtim.tv_sec > kForgottenAfter) ::unlinkat(::dirfd(dir), d->d_name, 0);
    else entries.push_back({s.st_mtim, cost_of(static_cast<uint64_t>(s.st_size)), std::move(name)});
  }
  ::closedir(dir);
  return entries;
}

}  // namespace

Cache::Cache(const std::string& folder, uint64_t max_bytes, bool with_top)
    : root_(folder + "/ibid-answers-1"), max_bytes_(max_bytes), with_top_(with_top) {
  if (!make_folder(folder) || !make_folder(root_))
    throw Error(ErrorKind::cannot_create, folder, std::string("cannot make the cache: ") + std::strerror(errno),
                errno == ENOTDIR || errno == EEXIST ? "a cache is a folder: name one, or a place for a new one"
                                                    : "does the folder above it exist, and may you write there?");
  std::random_device random;
  process_ = static_cast<uint64_t>(random()) << 32 | random();
  next_folder_ = static_cast<unsigned>(process_ % kFolders);
}

Cache::~Cache() {
  if (files_ > 0) trim_next();
}

std::string Cache::folder_of(unsigned number) const {
  static const char* const digits = "0123456789abcdef";
  return root_ + "/" + digits[number >> 4] + digits[number & 15];
}

std::string Cache::path_of(const Digest& key) const { return folder_of(key[0]) + "/" + hex(key).substr(2); }

std::optional<AnswerRecord> Cache::find(const Digest& key) {
  std::string path = path_of(key);
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  struct stat s;
  std::optional<AnswerRecord> answer;
  bool there = ::fstat(fd, &s) == 0;
  if (there)
    if (std::optional<std::string> bytes = read_entry(fd, s)) answer = unseal(*bytes, key, with_top_);
  // The time of the last use, exact enough and without a write for each.
  if (answer && ::time(nullptr) - s.st_mtim.tv_sec > kTouchAfter) (void)::futimens(fd, nullptr);
  ::close(fd);
  if (!answer && there && !damage_said_) {
    damage_said_ = true;
    warn("cache: " + path + " is damaged; its answer is computed again, and so are others like it");
  }
  return answer;
}

void Cache::keep(const Digest& key, const AnswerRecord& answer) {
  if (!writable_) return;
  std::string sealed = seal(key, answer, with_top_), path = path_of(key);
  if (!write(path, sealed)) {
    if (errno == EACCES) {                              // a folder that another user made; those that we make are ours to write
      if (!std::exchange(denied_said_, true))
        warn("cache: cannot write " + path + ": " + std::strerror(EACCES) + "; what belongs into such folders is not kept");
      return;
    }
    writable_ = false;
    return warn("cache: cannot write " + path + ": " + std::strerror(errno) + "; it is not written any more");
  }
  written_ += cost_of(sealed.size());
  if (written_ < max_bytes_ / 4096) return;
  written_ = 0;
  trim_next();
}

bool Cache::write(const std::string& path, const std::string& bytes) {
  std::string temporary = directory_of(path) + "/" + std::string(kUnfinished) + std::to_string(process_) + "-" + std::to_string(files_++);
  auto create = [&] { return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); };
  int fd = create();
  if (fd < 0 && errno == ENOENT && make_folder(directory_of(path))) fd = create();
  if (fd < 0) return false;
  bool written = write_fully(fd, bytes.data(), bytes.size());
  int code = errno;
  if (::close(fd) != 0 && written) {
    written = false;
    code = errno;
  }
  if (written && ::rename(temporary.c_str(), path.c_str()) == 0) return true;
  if (written) code = errno;
  ::unlink(temporary.c_str());
  errno = code;
  return false;
}

void Cache::trim_next() {
  std::string folder = folder_of(next_folder_);
  next_folder_ = (next_folder_ + 1) % kFolders;
  std::vector<Entry> entries = list_entries(folder);
  uint64_t share = max_bytes_ / kFolders, sum = 0;
  for (const Entry& e : entries) sum += e.cost;
  if (sum <= share) return;
  std::sort(entries.begin(), entries.end(), used_before);
  for (const Entry& e : entries) {
    if (sum <= share - share / 16) return;
    if (::unlink((folder + "/" + e.name).c_str()) == 0 || errno == ENOENT) sum -= e.cost;
  }
}

}  // namespace ibid::step
