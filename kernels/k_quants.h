// Values of GGUF's K formats and of IQ4_XS, blocks of 256 (NUMERICS 4.6), and the table of IQ4_NL: one source for host and device.
//
// Owns: where the bits of a value lie. Must not know: matrices, threads, instruction sets.
//
// 1. A run of values shares a scale and a minimum, and their bits lie in the same places of consecutive bytes: a loop over a run
//    vectorises, and a thread reads one value alone.
// 2. Everything has internal linkage, as in math.h, 4.
// 3. All instruction sets and devices run this source, so their agreement proves nothing about it: the published values
//    (test/unit/ops_test.cc) and the second implementation (test/numerics) do.
#pragma once
#include "kernels/math.h"
#include "kernels/ops.h"

namespace ibid::kernels {

// value(i) = scale * float(v - zero) - minimum, v = low bits | high bits << high_place, or what the table has for that
struct Run {
  const uint8_t *low, *high;                     // the byte of value 0; the next value's is the next
  int low_shift, low_mask;
  int high_shift, high_mask, high_place;         // bits above the low ones, if any
  int zero;                                      // what stands for 0
  float scale, minimum;
  bool from_table = false;
};

constexpr int kRunBlock = 256;

IBID_HD int run_length(DType dtype) { return dtype == DType::q4_k || dtype == DType::q5_k ? 32 : 16; }
// storage().bytes, which a device cannot look up.
IBID_HD constexpr int run_block_bytes(DType dtype) {
  switch (dtype) {
    case DType::q2_k: return 84;
    case DType::q3_k: return 110;
    case DType::q4_k: return 144;
    case DType::q5_k: return 176;
    case DType::q6_k: return 210;
    case DType::iq4_xs: return 136;
    default: return 0;
  }
}
static_assert(run_block_bytes(DType::q2_k) == storage(DType::q2_k).bytes && run_block_bytes(DType::q3_k) == storage(DType::q3_k).bytes &&
              run_block_bytes(DType::q4_k) == storage(DType::q4_k).bytes && run_block_bytes(DType::q5_k) == storage(DType::q5_k).bytes &&
              run_block_bytes(DType::q6_k) == storage(DType::q6_k).bytes && run_block_bytes(DType::iq4_xs) == storage(DType::iq4_xs).bytes);

// What a nibble of IQ4_NL and IQ4_XS stands for, T of NUMERICS 4.4. Two words hold eight values each, the first in the lowest byte: a shift
// in place of a look-up.
IBID_HD int iq4_value(int nibble) {
  const uint64_t values = nibble < 8 ? 0xf6eaddcfbfad9881u : 0x7159453526190d01u;
  return static_cast<int8_t>(values >> 8 * (nibble & 7));
}

// Formats without minima have a minimum of +0: subtracting it changes nothing, not even a zero's sign.
IBID_HD float run_value(const Run& r, int i) {
  const int bits = (r.low[i] >> r.low_shift & r.low_mask) | (r.high[i] >> r.high_shift & r.high_mask) << r.high_place;
  const int v = r.from_table ? iq4_value(bits) : bits;
  return r.scale * static_cast<float>(v - r.zero) - r.minimum;
}

IBID_HD float half_from(const uint8_t* p) { return math::half_to_float(static_cast<uint16_t>(p[0] | p[1] << 8)); }

// The scales and minima of Q4_K and Q5_K: eight pairs of 6 bits in 12 bytes.
IBID_HD int packed_scale(const uint8_t* s, int run) { return run < 4 ? s[run] & 63 : (s[run + 4] & 15) | s[run - 4] >> 6 << 4; }
IBID_HD int packed_minimum(const uint8_t* s, int run) { return run < 4 ? s[run + 4] & 63 : s[run + 4] >> 4 | s[run] >> 6 << 4; }
// The scales of Q3_K: sixteen of 6 bits in 12 bytes.
IBID_HD int packed_scale16(const uint8_t* s, int run) {
  return (s[run % 8] >> run / 8 * 4 & 15) | (s[8 + run % 4] >> run / 4 * 2 & 3) << 4;
}

// Run `run` of a block.
IBID_HD Run run_of(DType dtype, const uint8_t* block, int run) {
  const int first = 32 * (run / 8) + 16 * (run % 2), pair = run % 8 / 2;   // of Q2_K, Q3_K, Q6_K: 32 bytes hold four pairs of runs
  switch (dtype) {
    case DType::q2_k: {
      const uint8_t *s = block, *b = block + 16, *d = block + 80;
      return {b + first, b, 2 * pair, 3, 0, 0, 0, 0,
              half_from(d) * static_cast<float>(s[run] & 15), half_from(d + 2) * static_cast<float>(s[run] >> 4)};
    }
    case DType::q3_k: {
      const uint8_t *h = block, *b = block + 32, *s = block + 96, *d = block + 108;
      return {b + first, h + 16 * (run % 2), 2 * pair, 3, run / 2, 1, 2, 4,
              half_from(d) * static_cast<float>(packed_scale16(s, run) - 32), 0};
    }
    case DType::q4_k:
    case DType::q5_k: {
      const bool five = dtype == DType::q5_k;
      const uint8_t *d = block, *s = block + 4, *h = block + 16, *b = block + (five ? 48 : 16);
      return {b + 32 * (run / 2), h, run % 2 * 4, 15, run, five ? 1 : 0, 4, 0,
              half_from(d) * static_cast<float>(packed_scale(s, run)), half_from(d + 2) * static_cast<float>(packed_minimum(s, run))};
    }
    case DType::q6_k: {
      const uint8_t *b = block + 32 * (run / 8 + pair % 2), *h = block + 128, *s = block + 192, *d = block + 208;
      return {b + first, h + first, pair / 2 * 4, 15, 2 * pair, 3, 4, 32,
              half_from(d) * static_cast<float>(static_cast<int8_t>(s[run])), 0};
    }
    case DType::iq4_xs: {
      const int half = run / 2;                                            // 16 bytes hold two runs, which share a scale
      const uint8_t *d = block, *h = block + 2, *s = block + 4, *b = block + 8 + 16 * half;
      const int scale = (s[half / 2] >> half % 2 * 4 & 15) | (h[half / 4] >> half % 4 * 2 & 3) << 4;
      return {b, b, run % 2 * 4, 15, 0, 0, 0, 0, half_from(d) * static_cast<float>(scale - 32), 0, true};
    }
    default: return {};
  }
}

// A row; cols is a multiple of kRunBlock.
IBID_HD void dequantize_runs(DType dtype, const uint8_t* __restrict at, int64_t cols, float* __restrict out) {
  const int length = run_length(dtype);
  for (; cols > 0; cols -= kRunBlock, at += run_block_bytes(dtype))
    for (int run = 0; run < kRunBlock / length; run++, out += length) {
      const Run r = run_of(dtype, at, run);
      for (int i = 0; i < length; i++) out[i] = run_value(r, i);
    }
}

}  // namespace ibid::kernels
