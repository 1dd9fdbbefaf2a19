// The matrix product as the specification reads; also what every other file is compared with.
#include <cstring>

#include "kernels/cpu/matmul_isa.h"

namespace ibid::kernels {
namespace {

void store_row(const QuantRows& a, int row, const int16_t* q, float scale) {
  uint8_t* to = quant_row(a, row);
  std::memset(to, 0, 2 * padded_k(a.k));
  std::memcpy(to, q, sizeof(int16_t) * static_cast<size_t>(a.k));
  *quant_row_scale(a, row) = scale;
}

// qw(n, k): a word, or a byte.
int64_t weight_at(const WeightView& v, size_t n, size_t k) {
  if (v.digits == 1) return v.strip(n)[k / 4 * kStripBytes + k % 4];
  int16_t word;
  std::memcpy(&word, v.strip(n) + k / 2 * kStripBytes + k % 2 * 2, sizeof word);
  return word;
}

int64_t product(const MatmulJob& job, const WeightView& v, size_t t, size_t n) {
  const int16_t* qa = reinterpret_cast<const int16_t*>(quant_row(*job.a, static_cast<int>(t)));
  int64_t sum = 0;
  for (size_t k = 0; k < v.k; k++) sum += qa[k] * weight_at(v, n, k);
  return sum;
}

void tiles(const MatmulJob& job, const MatmulPiece& piece) {
  const WeightView v = view(*job.w);
  const size_t from = static_cast<size_t>(piece.panel) * kPanel, width = static_cast<size_t>(job.w->n);
  size_t to = from + static_cast<size_t>(piece.panels) * kPanel;
  if (to > width) to = width;
  for (size_t t = static_cast<size_t>(piece.row); t < static_cast<size_t>(piece.row + piece.rows); t++)
    for (size_t n = from; n < to; n += kLine) finish_outputs(job, v, t, n, [&](size_t i) { return product(job, v, t, n + i); });
}

int64_t burn(int64_t rounds) {
  uint32_t sum = 0;
  for (int64_t i = 0; i < rounds; i++) {
    sum += static_cast<uint32_t>(static_cast<int8_t>(i) * static_cast<int8_t>(i >> 3));
    asm volatile("" : "+r"(sum));           // one multiply-add after the other, as the loop above has them
  }
  return rounds;
}

}  // namespace

const MatmulTable kMatmulScalar = {Isa::scalar, WeightLayout::strips, store_row, tiles, burn};

}  // namespace ibid::kernels
