// See gzip.h.
#include "step/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "runtime/error.h"

namespace ibid::step {
namespace {

constexpr int kGzipWindow = 15 + 16;                   // the largest window; a gzip header and trailer, and no other

class Gunzip {
 public:
  Gunzip(ByteSource compressed, const std::string& name) : compressed_(std::move(compressed)), name_(name), buffer_(1 << 16) {
    if (inflateInit2(&z_, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~Gunzip() { inflateEnd(&z_); }
  Gunzip(const Gunzip&) = delete;

  size_t read(char* to, size_t n) {
    n = std::min(n, size_t{1} << 30);
    z_.next_out = reinterpret_cast<Bytef*>(to);
    z_.avail_out = static_cast<uInt>(n);
    while (z_.avail_out == n && (within_ || begin_member())) inflate_some();
    return n - z_.avail_out;
  }
  bool quiet() const { return z_.avail_in == 0 && compressed_.quiet(); }

 private:
  bool fill() {
    if (z_.avail_in > 0) return true;
    z_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
    z_.avail_in = static_cast<uInt>(compressed_(buffer_.data(), buffer_.size()));
    return z_.avail_in > 0;
  }

  // False when nothing but zeros is left.
  bool begin_member() {
    while (fill() && members_ > 0 && *z_.next_in == 0) {
      padded_ = true;
      ++z_.next_in;
      --z_.avail_in;
    }
    if (!fill()) return false;
    if (padded_ || inflateReset(&z_) != Z_OK) damaged("bytes after the end of the gzip data");
    ++members_;
    within_ = true;
    return true;
  }

  void inflate_some() {
    if (!fill()) damaged("cut short inside its gzip data");
    int result = inflate(&z_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result == Z_STREAM_END) within_ = false;
    else if (result != Z_OK) damaged(z_.msg ? z_.msg : "damaged gzip data");
  }

  [[noreturn]] void damaged(const std::string& what) const {
    throw Error(ErrorKind::bad_data, name_, "cannot read on: " + what,
                "is the file damaged or cut short? 'gzip -t' says; compare it with its source");
  }

  ByteSource compressed_;
  std::string name_;
  std::vector<char> buffer_;
  z_stream z_{};
  uint64_t members_ = 0;
  bool within_ = false, padded_ = false;
};

}  // namespace

bool is_gzip(std::string_view head) { return head.substr(0, 2) == "\x1f\x8b"; }

ByteSource gunzip(ByteSource compressed, const std::string& name) {
  auto stream = std::make_shared<Gunzip>(std::move(compressed), name);
  return {[stream](char* to, size_t n) { return stream->read(to, n); }, [stream] { return stream->quiet(); }};
}

}  // namespace ibid::step
