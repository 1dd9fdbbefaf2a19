#include "kernels/cpu/matmul.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/matmul_isa.h"
#include "kernels/quantizer.h"

namespace ibid::kernels {
namespace {

// --- packing ---------------------------------------------------------------------------------------------------------

// Spreads a row of one digit over its panel: four bytes to each quad.
void scatter(const int8_t* digits, size_t k, int digit_count, int8_t* out) {
  for (size_t i = 0; i < k; i += kDepthStep, out += kBlockBytes * static_cast<size_t>(digit_count))
    for (size_t j = 0; j < kDepthStep; j += 4) std::memcpy(out + j * kPanel, digits + i + j, 4);
}

int16_t word_of(int8_t high, int8_t low) { return static_cast<int16_t>(256 * high + low); }

// The same into its strip: two words, or four bytes.
void scatter_words(const int8_t* high, const int8_t* low, size_t k, int8_t* out) {
  for (size_t i = 0; i < k; i += 2, out += kStripBytes) {
    int16_t two[2];
    for (size_t j = 0; j < 2; j++) two[j] = word_of(high[i + j], low[i + j]);
    std::memcpy(out, two, 4);
  }
}
void scatter_bytes(const int8_t* digits, size_t k, int8_t* out) {
  for (size_t i = 0; i < k; i += 4, out += kStripBytes) std::memcpy(out, digits + i, 4);
}

// Words into their panel of pairs.
void scatter_pairs(const int8_t* high, const int8_t* low, size_t k, int8_t* out) {
  for (size_t i = 0; i < k; i += 4, out += 2 * kQuadBytes) {
    int16_t pair[2][2];
    for (size_t j = 0; j < 4; j++) pair[j % 2][j / 2] = word_of(high[i + j], low[i + j]);
    for (size_t j = 0; j < 2; j++) std::memcpy(out + j * kQuadBytes, pair[j], 4);
  }
}

// Quantises x with inv into digits (high, and low when there are two) and returns their sums in sum[2].
template <int D>
void split_row(const float* x, int k, float inv, int8_t* high, int8_t* low, int32_t* sum) {
  int32_t sum_high = 0, sum_low = 0;
  for (int i = 0; i < k; i++) {
    const int32_t q = math::round_int(x[i] * inv);
    const int32_t h = D == 2 ? high_digit(q) : q;
    high[i] = static_cast<int8_t>(h);
    sum_high += h;
    if (D == 2) {
      low[i] = static_cast<int8_t>(q);      // modulo 256 that is q - 256 h
      sum_low += low_digit(q);
    }
  }
  sum[0] = sum_high;
  sum[1] = sum_low;
}

template <int D>
bool pack_row(const WeightView& v, WeightLayout layout, size_t row, const float* x, int k, int8_t* digits) {
  const RowScale s = row_scale(largest_magnitude(x, k), D == 2 ? kQuantMax : kQuantMax8);
  if (s.bad) return false;
  int32_t sum[2];
  split_row<D>(x, k, s.inverse, digits, digits + v.k, sum);
  v.scale[row] = s.scale;
  for (size_t d = 0; d < D; d++) v.correction[d * v.n + row] = -128 * sum[d];
  int8_t* panel = v.digit + row / kPanel * v.panel_bytes() + row % kPanel * 4;
  if (layout == WeightLayout::pairs && D == 2) scatter_pairs(digits, digits + v.k, v.k, panel);
  else if (layout == WeightLayout::strips && D == 2) scatter_words(digits, digits + v.k, v.k, v.strip(row));
  else if (layout == WeightLayout::strips) scatter_bytes(digits, v.k, v.strip(row));
  else for (size_t d = 0; d < D; d++) scatter(digits + d * v.k, v.k, D, panel + d * kBlockBytes);
  return true;
}

// --- sharing out -----------------------------------------------------------------------------------------------------

// A task is `panels` panels times `rows` rows.
struct Grain { int panels, rows; };

// Within a task each panel passes over all rows; the next task has the same panels and other rows, or the next panels. So rows
// and panels together should stay in an L2 (two megabytes on servers): panels get the greater part, which loads the rows less
// often. Panels, then rows, are cut further until the threads can end together.
Grain choose_grain(size_t panel_bytes, size_t row_bytes, int panels, int rows, int threads) {
  constexpr size_t kPanelCache = 1024 * 1024, kRowCache = 512 * 1024;
  constexpr int kTasksPerThread = 4;
  const int wanted = threads > 1 ? threads * kTasksPerThread : 1;
  const auto at_least_one = [](int value) { return value < 1 ? 1 : value; };
  const int cached_panels = at_least_one(static_cast<int>(kPanelCache / panel_bytes)), share = at_least_one(panels / wanted);
  Grain grain{share < cached_panels ? share : cached_panels, rows};
  const int across = (panels + grain.panels - 1) / grain.panels;
  const int cached_rows = at_least_one(static_cast<int>(kRowCache / row_bytes) / kRowGroup) * kRowGroup;
  const int for_cache = (rows + cached_rows - 1) / cached_rows, for_threads = (wanted + across - 1) / across;
  const int parts = for_cache > for_threads ? for_cache : for_threads;
  if (parts > 1) grain.rows = static_cast<int>(round_up(static_cast<size_t>((rows + parts - 1) / parts), kRowGroup));
  return grain;
}

void multiply(const MatmulTable& table, Pool& pool, const MatmulJob& job, int rows) {
  const Weight& w = *job.w;
  if (rows <= 0 || w.n <= 0) return;
  const int panels = static_cast<int>(padded_n(w.n) / kPanel);
  // that a product reads; for pairs it is half as much again, but counting that makes them no faster
  const size_t row_bytes = 2 * padded_k(job.a->k);
  const Grain grain = choose_grain(view(w).panel_bytes(), row_bytes, panels, rows, pool.threads());
  const int across = (panels + grain.panels - 1) / grain.panels, down = (rows + grain.rows - 1) / grain.rows;
  const auto panel_of = [&](int task) { return std::min(task / down * grain.panels, panels); };
  pool.run(across * down, [&](int task, int) {
    const int panel = panel_of(task), end = panel_of((task / down + 1) * down), row = task % down * grain.rows;
    // What the same worker reads next: while these rows are not the last, the same panels.
    const int ahead = task % down + 1 < down ? end : panel_of(pool.end_of_share(across * down, task));
    table.tiles(job, {panel, end - panel, row, std::min(grain.rows, rows - row), ahead});
  });
}

}  // namespace

WeightView view(const Weight& w) {
  WeightView v;
  v.n = padded_n(w.n);
  v.k = padded_k(w.k);
  v.digits = weight_digits(w.profile);
  v.digit = static_cast<int8_t*>(w.data);
  v.scale = reinterpret_cast<float*>(v.digit + v.n * v.k * static_cast<size_t>(v.digits));
  v.correction = reinterpret_cast<int32_t*>(v.scale + v.n);
  return v;
}

size_t matmul_weight_bytes(int n, int k, Profile profile) {
  const size_t digits = static_cast<size_t>(weight_digits(profile));
  return padded_n(n) * (padded_k(k) * digits + sizeof(float) + digits * sizeof(int32_t));
}

bool pack_rows(const MatmulTable& table, const Weight& w, int to_row, const int32_t* row_map, const float* rows, int count) {
  const WeightView v = view(w);
  std::vector<int8_t> digits(2 * v.k);      // the padding of k stays zero
  bool finite = true;
  for (int i = 0; i < count; i++) {
    const size_t row = static_cast<size_t>(to_row + (row_map ? row_map[i] : i));
    const float* x = rows + static_cast<size_t>(i) * static_cast<size_t>(w.k);
    finite &= v.digits == 2 ? pack_row<2>(v, table.layout, row, x, w.k, digits.data())
                            : pack_row<1>(v, table.layout, row, x, w.k, digits.data());
  }
  return finite;
}

const MatmulTable& matmul_table(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::amx) return kMatmulAmx;
  if (isa == Isa::avx512) return kMatmulAvx512;
  if (isa == Isa::avxvnni) return kMatmulAvxVnni;
  if (isa == Isa::avx2) return kMatmulAvx2;
#elif defined(__aarch64__)
  if (isa == Isa::neon) return kMatmulNeon;
#endif
  (void)isa;
  return kMatmulScalar;
}

void matmul(const MatmulTable& table, Pool& pool, const Weight& w, const QuantRows& a, int rows, float* y,
            const float* residual) {
  multiply(table, pool, {&w, &a, y, residual, w.n, false}, rows);
}

void gated_matmul(const MatmulTable& table, Pool& pool, const Weight& w, const QuantRows& a, int rows, int f, float* y) {
  multiply(table, pool, {&w, &a, y, nullptr, f, true}, rows);
}

}  // namespace ibid::kernels
