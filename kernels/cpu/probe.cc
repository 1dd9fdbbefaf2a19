// What the machine can reach, in many short windows: reading memory, and the instruction set's int8 multiply-add. For `ibid bench`
// only; no result depends on it.
#include <chrono>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>

#include "kernels/cpu/matmul.h"
#include "kernels/windows.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ibid::kernels {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

constexpr size_t kBufferBytes = size_t{1} << 30;     // several times the largest L3 in use
constexpr size_t kPieceBytes = size_t{1} << 20;

// Fetches ahead as the kernels do: without that an Intel server shows a fifth less, and with a distance that suits the other maker's
// processors (matmul_panels.h, matmul_avx2.cc) each of Intel and AMD shows up to a tenth less. So a short and a long one are tried.
constexpr size_t kAheads[] = {1024 / sizeof(uint64_t), 4096 / sizeof(uint64_t)};
uint64_t read_piece(const uint64_t* p, size_t ahead) {
  constexpr size_t kWords = kPieceBytes / sizeof(uint64_t);
  uint64_t sum[8] = {};
  for (size_t i = 0; i < kWords; i += 8) {
    __builtin_prefetch(p + (i + ahead < kWords ? i + ahead : i), 0, 2);
    for (size_t j = 0; j < 8; j++) sum[j] += p[i + j];
  }
  uint64_t total = 0;
  for (uint64_t s : sum) total += s;
  return total;
}

struct Free {
  void operator()(uint64_t* p) const { ::operator delete(p, std::align_val_t(size_t{2} << 20)); }
};

}  // namespace

Rate measure_read_bandwidth(Pool& pool) {
  const std::align_val_t page{size_t{2} << 20};
  std::unique_ptr<uint64_t, Free> buffer(static_cast<uint64_t*>(::operator new(kBufferBytes, page, std::nothrow)));
  if (!buffer) return {};
#if defined(__linux__)
  madvise(buffer.get(), kBufferBytes, MADV_HUGEPAGE);
#endif
  constexpr int kPieces = static_cast<int>(kBufferBytes / kPieceBytes), kPasses = 4, kWindow = 64;
  const size_t step = kPieceBytes / sizeof(uint64_t);
  // Written, not merely reserved: untouched pages would all be the one zero page.
  pool.run(kPieces, [&](int piece, int) { std::memset(buffer.get() + static_cast<size_t>(piece) * step, piece + 1, kPieceBytes); });
  std::atomic<uint64_t> sink{0};
  std::vector<double> windows[std::size(kAheads)];
  for (int first = 0; first < kPasses * kPieces; first += kWindow) {
    const size_t way = static_cast<size_t>(first / kPieces) % std::size(kAheads), ahead = kAheads[way];
    const double start = now();
    pool.run(kWindow, [&](int i, int) {
      const size_t piece = static_cast<size_t>((first + i) % kPieces);
      sink.fetch_add(read_piece(buffer.get() + piece * step, ahead), std::memory_order_relaxed);
    });
    windows[way].push_back(static_cast<double>(kWindow * kPieceBytes) / (now() - start));
  }
  Rate rate;
  for (const std::vector<double>& way : windows)
    rate = {std::max(rate.median, rate_of(way).median), std::max(rate.best, rate_of(way).best)};
  return rate;
}

Rate measure_int8_rate(Pool& pool, const MatmulTable& table) {
  constexpr double kPassSeconds = 0.002;
  constexpr int kPasses = 100, kTasksPerThread = 2;
  int64_t rounds = 64;
  for (double seconds = 0; seconds < kPassSeconds / kTasksPerThread && rounds < (int64_t{1} << 40);) {
    rounds *= 2;
    const double start = now();
    table.burn(rounds);
    seconds = now() - start;
  }
  std::vector<double> windows;
  for (int pass = 0; pass < kPasses; pass++) {
    std::atomic<int64_t> done{0};
    const double start = now();
    pool.run(pool.threads() * kTasksPerThread, [&](int, int) { done.fetch_add(table.burn(rounds), std::memory_order_relaxed); });
    windows.push_back(static_cast<double>(done.load()) / (now() - start));
  }
  return rate_of(windows);
}

}  // namespace ibid::kernels
