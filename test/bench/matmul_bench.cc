// How near the matrix product comes to what the machine can do. For each instruction set, profile and shape: one row as a
// share of the read bandwidth, many rows as a share of the int8 rate over the digit products (for w16's four
// AVX-512 and AVX-VNNI take three instructions), packing in weights per second.
// Usage: matmul_bench [threads [isa [n k rows]...]]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "kernels/cpu/matmul.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

using namespace ibid::kernels;

namespace {

struct Shape { int n, k, rows; };

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// One thread is timed by the time that it ran, so that a busy machine disturbs less.
double spent(const Pool& pool) { return pool.threads() == 1 ? static_cast<double>(std::clock()) / CLOCKS_PER_SEC : now(); }

struct Free { void operator()(void* p) const { std::free(p); } };
using Memory = std::unique_ptr<void, Free>;

Memory zeroed(size_t bytes) {
  const size_t page = size_t{2} << 20, size = round_up(bytes, page);
  Memory memory(std::aligned_alloc(page, size));
  if (!memory) std::exit(1);
#if defined(__linux__)
  madvise(memory.get(), size, MADV_HUGEPAGE);
#endif
  std::memset(memory.get(), 0, size);
  return memory;
}

// Few rows are bound by memory, so there they meet enough copies of the weight that none stays in cache.
int copies_for(Shape s, size_t bytes) {
  constexpr size_t kBeyondCache = size_t{600} << 20;
  constexpr int kManyRows = 128;
  return s.rows >= kManyRows ? 1 : static_cast<int>(kBeyondCache / bytes) + 1;
}

// Packs the copies and returns the weights packed per second.
double pack(const MatmulTable& table, const std::vector<Weight>& weights, Pool& pool) {
  const Weight& first = weights.front();
  std::vector<float> rows(static_cast<size_t>(kPanel) * static_cast<size_t>(first.k));
  for (size_t i = 0; i < rows.size(); i++) rows[i] = static_cast<float>(static_cast<int>(i * 2654435761u % 2001) - 1000);
  const int panels = (first.n + kPanel - 1) / kPanel;
  const double start = spent(pool);
  pool.run(panels * static_cast<int>(weights.size()), [&](int task, int) {
    const int row = task % panels * kPanel, left = first.n - row;
    pack_rows(table, weights[static_cast<size_t>(task / panels)], row, nullptr, rows.data(), left < kPanel ? left : kPanel);
  });
  return static_cast<double>(first.n) * first.k * static_cast<double>(weights.size()) / (spent(pool) - start);
}

void measure(const MatmulTable& table, Pool& pool, Shape s, Profile profile, double bandwidth, double rate) {
  const size_t bytes = round_up(matmul_weight_bytes(s.n, s.k, profile), 64);
  const int copies = copies_for(s, bytes);
  const Memory blobs = zeroed(bytes * static_cast<size_t>(copies)), rows = zeroed(matmul_quant_rows_bytes(s.rows, s.k));
  std::vector<Weight> weights;
  for (int i = 0; i < copies; i++)
    weights.push_back({s.n, s.k, profile, static_cast<uint8_t*>(blobs.get()) + bytes * static_cast<size_t>(i), nullptr});
  const double packed = pack(table, weights, pool);
  const QuantRows a{s.k, rows.get()};
  std::vector<int16_t> q(static_cast<size_t>(s.k));
  for (int t = 0; t < s.rows; t++) {
    for (int i = 0; i < s.k; i++) q[static_cast<size_t>(i)] = static_cast<int16_t>((i * 7919 + t * 104729) % (2 * kQuantMax) - kQuantMax);
    table.store_row(a, t, q.data(), 1e-4f);
  }
  std::vector<float> y(static_cast<size_t>(s.rows) * static_cast<size_t>(s.n));
  double best = 1e9;
  const double start = now();
  for (int pass = 0; pass < 3 || now() - start < 0.3; pass++) {
    const double begin = spent(pool);
    for (const Weight& one : weights) matmul(table, pool, one, a, s.rows, y.data(), nullptr);
    const double seconds = (spent(pool) - begin) / copies;
    if (seconds < best) best = seconds;
  }
  const double read = static_cast<double>(bytes) / best, macs = 2.0 * weight_digits(profile) * s.n * s.k * s.rows / best;
  std::printf("%-7s w%-2d n %6d k %5d rows %4d  %9.1f us  %6.1f GB/s (%3.0f %%)  %7.1f Gmac/s (%3.0f %%)  pack %.0f M/s\n",
              isa_name(table.isa), 8 * weight_digits(profile), s.n, s.k, s.rows, best * 1e6, read * 1e-9, 100 * read / bandwidth,
              macs * 1e-9, 100 * macs / rate, packed * 1e-6);
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);   // a line at a time also into a pipe
  Pool pool(argc > 1 ? std::atoi(argv[1]) : default_threads());
  std::vector<Shape> shapes;
  for (int i = 3; i + 2 < argc; i += 3) shapes.push_back({std::atoi(argv[i]), std::atoi(argv[i + 1]), std::atoi(argv[i + 2])});
  if (shapes.empty())
    shapes = {{2048, 2048, 1}, {1536, 576, 1}, {2048, 2048, 8}, {2048, 2048, 32}, {4864, 896, 512}, {2048, 2048, 512}, {8192, 2048, 512}};
  const double bandwidth = measure_read_bandwidth(pool).best;
  std::printf("%d threads, read %.1f GB/s\n", pool.threads(), bandwidth * 1e-9);
  for (Isa isa : kIsas) {
    if (!isa_available(isa) || (argc > 2 ? std::strcmp(argv[2], isa_name(isa)) != 0 : isa == Isa::scalar)) continue;
    const double rate = measure_int8_rate(pool, matmul_table(isa)).best;
    std::printf("%s: int8 %.1f Gmac/s\n", isa_name(isa), rate * 1e-9);
    for (const Shape& shape : shapes)
      for (Profile profile : {Profile::w16a16, Profile::w8a16}) measure(matmul_table(isa), pool, shape, profile, bandwidth, rate);
  }
}
