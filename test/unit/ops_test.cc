// Norm, quantiser, rotation, embedding and storage formats: every instruction set equals the scalar one by bits, a
// row does not see its batch, bad rows are named.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/row_ops.h"
#include "kernels/math.h"
#include "kernels/ops.h"
#include "test/catch.h"
#include "test/unit/rows.h"

using namespace ibid::kernels;
using namespace ibid::test;

namespace {

const int kWidths[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 96, 127, 576, 896, 1000, 4864};

std::vector<Isa> fast_isas() {
  std::vector<Isa> out;
  for (Isa isa : kIsas) {
    if (isa != Isa::scalar && isa_available(isa)) out.push_back(isa);
  }
  return out;
}

// What a row op leaves behind.
struct Result {
  bool ok = false;
  float scale = -1;
  std::vector<int16_t> q;
  bool operator==(const Result& o) const { return ok == o.ok && math::bits(scale) == math::bits(o.scale) && q == o.q; }
};

Result run_quantize(const RowOps& ops, const std::vector<float>& x) {
  Result r;
  r.q.assign(x.size(), 77);
  r.ok = ops.quantize(x.data(), static_cast<int>(x.size()), r.q.data(), &r.scale);
  return r;
}

Result run_norm(const RowOps& ops, const std::vector<float>& x, const std::vector<float>& weight) {
  Result r;
  r.q.assign(x.size(), 77);
  std::vector<float> temp(x.size());
  r.ok = ops.norm(x.data(), weight.data(), 1e-6f, static_cast<int>(x.size()), temp.data(), r.q.data(), &r.scale);
  return r;
}

std::vector<uint8_t> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("quantise, norm: every instruction set gives the scalar bits") {
  for (Isa isa : fast_isas()) {
    for (int k : kWidths) {
      std::vector<float> weight = make_row(k, 0, 99);
      for (int kind = 0; kind < kKinds; ++kind) {
        INFO(isa_name(isa) << " k " << k << " kind " << kind);
        std::vector<float> x = make_row(k, kind, static_cast<uint64_t>(k));
        CHECK(run_quantize(row_ops(isa), x) == run_quantize(kRowOpsScalar, x));
        CHECK(run_norm(row_ops(isa), x, weight) == run_norm(kRowOpsScalar, x, weight));
      }
    }
  }
}

TEST_CASE("the quantiser's rule, on values worked out by hand") {
  Result r = run_quantize(kRowOpsScalar, {32639.0f, 0.5f, 1.5f, -2.5f, -32639.0f, 0.49f});
  CHECK(r.ok);
  CHECK(r.scale == 1.0f);
  CHECK(r.q == std::vector<int16_t>{32639, 0, 2, -2, -32639, 0});
  r = run_quantize(kRowOpsScalar, {0x1p-96f, 0});
  CHECK(r.q == std::vector<int16_t>{32639, 0});
  r = run_quantize(kRowOpsScalar, {0x1.fffffep-97f, 0});
  CHECK((r.ok && r.scale == 0 && r.q == std::vector<int16_t>{0, 0}));
  r = run_quantize(kRowOpsScalar, {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max()});
  CHECK((r.ok && r.q == std::vector<int16_t>{32639, -32639}));
}

TEST_CASE("a NaN or an infinity anywhere is found, and gives zeros") {
  float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<Isa> isas = fast_isas();
  isas.push_back(Isa::scalar);
  for (Isa isa : isas) {
    for (int k : {1, 17, 96}) {
      for (float poison : {inf, -inf, nan, -nan}) {
        for (int at = 0; at < k; at += 5) {
          std::vector<float> x = make_row(k, 0, 5), one(static_cast<size_t>(k), 1.0f);
          x[static_cast<size_t>(at)] = poison;
          Result want;
          want.scale = 0;
          want.q.assign(static_cast<size_t>(k), 0);
          CHECK(run_quantize(row_ops(isa), x) == want);
          CHECK(run_norm(row_ops(isa), x, one) == want);
          CHECK_FALSE(row_ops(isa).all_finite(x.data(), k));
        }
      }
    }
  }
}

TEST_CASE("norm agrees with float64") {
  for (int k : {16, 576, 4864}) {
    std::vector<float> x = make_row(k, 0, 3), weight = make_row(k, 0, 4);
    Result r = run_norm(row_ops(best_isa()), x, weight);
    double squares = 0, largest = 0;
    for (float v : x) squares += static_cast<double>(v) * v;
    std::vector<double> want;
    for (size_t i = 0; i < x.size(); ++i) {
      want.push_back(x[i] / std::sqrt(squares / k + 1e-6) * weight[i]);
      largest = std::fmax(largest, std::fabs(want[i]));
    }
    // half a step of the quantiser, plus the mean square's bias of at most 6.4e-7 and float32 roundings
    for (size_t i = 0; i < x.size(); ++i)
      CHECK_FALSE(std::fabs(r.q[i] * static_cast<double>(r.scale) - want[i]) > largest * (0.5 / 32639 + 2e-6));
  }
}

TEST_CASE("rotation: every instruction set gives the scalar bits; a rotation keeps lengths") {
  for (int dim : {2, 6, 16, 64, 80, 128, 256}) {
    std::vector<float> table(static_cast<size_t>(dim * 1000)), x = make_row(dim, 0, 8), want(x.size()), got(x.size());
    rope_table(500000.0, dim, nullptr, 1000, table.data());
    for (int p : {0, 1, 999}) {
      kRowOpsScalar.rotate(x.data(), &table[static_cast<size_t>(p * dim)], dim, want.data());
      double before = 0, after = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        before += static_cast<double>(x[i]) * x[i];
        after += static_cast<double>(want[i]) * want[i];
      }
      CHECK(std::fabs(after / before - 1) < 1e-6);
      if (p == 0) CHECK(same_bits(want, x));
      for (Isa isa : fast_isas()) {
        row_ops(isa).rotate(x.data(), &table[static_cast<size_t>(p * dim)], dim, got.data());
        CHECK(same_bits(got, want));
      }
    }
  }
}

TEST_CASE("the RoPE table agrees with long double to the last bit but one, divisors included") {
  const int dim = 64, positions = 5000;
  std::vector<double> divisor(32, 1.0);
  for (size_t i = 16; i < 32; ++i) divisor[i] = 8.0;
  std::vector<float> table(static_cast<size_t>(dim * positions));
  rope_table(10000.0, dim, divisor.data(), positions, table.data());
  int differing = 0;
  for (int p = 0; p < positions; p += 7) {
    for (int i = 0; i < dim / 2; ++i) {
      long double angle = p * (std::pow(10000.0L, -2.0L * i / dim) / divisor[static_cast<size_t>(i)]);
      float c = table[static_cast<size_t>(p * dim + i)], s = table[static_cast<size_t>(p * dim + dim / 2 + i)];
      differing += c != static_cast<float>(std::cos(angle)) || s != static_cast<float>(std::sin(angle));
    }
  }
  CHECK(differing <= 2);        // of 45,760: a float64 angle and a long double one may fall on two sides of a rounding boundary
}

TEST_CASE("storage formats: every instruction set equals the reference values by bits") {
  const std::string folder = "model-golden/gguf-quant-blocks/";
  std::string all = ibid::test::data_file(folder + "all_block_types.gguf");
  if (all.empty()) return;
  std::vector<uint8_t> gguf = read_file(all);
  for (size_t i = 0; i < std::size(kStorage); ++i) {
    const Storage& f = kStorage[i];
    const DType dtype = static_cast<DType>(i);
    std::vector<uint8_t> want = read_file(ibid::test::data_file(folder + f.name + std::string(".dequant.f32")));
    REQUIRE(want.size() == 64 * 256 * 4);
    // The tensor's place: its name, then its number of dimensions, two sizes, its type and its offset into the data section.
    std::string name = std::string("t.") + f.name;
    std::string key(8, '\0');
    key[0] = static_cast<char>(name.size());
    key += name;
    auto at = std::search(gguf.begin(), gguf.end(), key.begin(), key.end());
    REQUIRE(at != gguf.end());
    uint64_t offset = 0;
    std::memcpy(&offset, &*at + key.size() + 4 + 16 + 4, 8);
    size_t bytes = 64 * stored_row_bytes(dtype, 256);
    std::vector<uint8_t> first = read_file(ibid::test::data_file(folder + "F32.dequant.f32"));
    // The data section starts where the F32 tensor's bytes are found.
    auto data = std::search(gguf.begin(), gguf.end(), first.begin(), first.end());
    REQUIRE(data != gguf.end());
    const uint8_t* stored = &*data + offset;
    REQUIRE(static_cast<size_t>(stored - gguf.data()) + bytes <= gguf.size());
    std::vector<Isa> isas = fast_isas();
    isas.push_back(Isa::scalar);
    for (Isa isa : isas) {
      INFO(f.name << " " << isa_name(isa));
      std::vector<float> got(64 * 256);
      for (int r = 0; r < 64; ++r)
        row_ops(isa).dequantize(dtype, stored + static_cast<size_t>(r) * stored_row_bytes(dtype, 256), 256,
                                &got[static_cast<size_t>(r * 256)]);
      CHECK(std::memcmp(got.data(), want.data(), want.size()) == 0);
    }
    StoredMatrix m{stored, dtype, 64, 256};
    std::vector<float> rows(3 * 256);
    dequantize_rows(m, 5, 3, rows.data());
    CHECK(std::memcmp(rows.data(), want.data() + 5 * 256 * 4, rows.size() * 4) == 0);
  }
}

TEST_CASE("every f16 and bf16 value: the instruction sets agree, and f16 equals its definition") {
  std::vector<uint16_t> codes;
  for (uint32_t h = 0; h < 65536; ++h) {
    if ((h & 0x7c00) != 0x7c00 || (h & 0x3ff) == 0) codes.push_back(static_cast<uint16_t>(h));      // NaN payloads are nobody's business
  }
  std::vector<float> want(codes.size()), got(codes.size());
  for (DType dtype : {DType::f16, DType::bf16}) {
    kRowOpsScalar.dequantize(dtype, codes.data(), static_cast<int64_t>(codes.size()), want.data());
    for (Isa isa : fast_isas()) {
      row_ops(isa).dequantize(dtype, codes.data(), static_cast<int64_t>(codes.size()), got.data());
      CHECK(same_bits(got, want));
    }
    if (dtype == DType::bf16) continue;
    for (size_t i = 0; i < codes.size(); ++i) {
      int exponent = codes[i] >> 10 & 31, fraction = codes[i] & 1023;
      if (exponent == 31) continue;
      double value = exponent ? std::ldexp(1024.0 + fraction, exponent - 25) : std::ldexp(static_cast<double>(fraction), -24);
      CHECK_FALSE(want[i] != (codes[i] >> 15 ? -value : value));
    }
  }
}

TEST_CASE("f16, bf16 and f32 rows of any length: the scalar values, and nothing behind them") {
  std::vector<uint8_t> stored(4 * 40);
  for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<uint8_t>(i * 37 & 0x3b);      // no infinities
  for (DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    for (int n = 1; n <= 40; ++n) {
      std::vector<float> want(static_cast<size_t>(n) + 1, 7.0f);
      kRowOpsScalar.dequantize(dtype, stored.data(), n, want.data());
      CHECK(want.back() == 7.0f);
      for (Isa isa : fast_isas()) {
        std::vector<float> got(want.size(), 7.0f);
        row_ops(isa).dequantize(dtype, stored.data(), n, got.data());
        CHECK(same_bits(got, want));
      }
    }
  }
}

// --- through the device ----------------------------------------------------------------------------------------------------

TEST_CASE("a row alone equals the row in a batch, for 1, 2 and 7 threads") {
  const int k = 896, rows = 65;
  std::vector<float> x;
  for (int r = 0; r < rows; ++r) {
    std::vector<float> row = make_row(k, r % kKinds, static_cast<uint64_t>(r));
    x.insert(x.end(), row.begin(), row.end());
  }
  std::vector<float> weight = make_row(k, 0, 1);
  using Op = std::function<void(Device&, const float*, int, const QuantRows&, uint8_t*)>;
  const Op ops[] = {
      [&](Device& d, const float* in, int n, const QuantRows& out, uint8_t* bad) {
        d.norm_quantize(in, weight.data(), 1e-5f, n, k, out, bad);
      },
      [&](Device& d, const float* in, int n, const QuantRows& out, uint8_t* bad) { d.quantize(in, n, k, out, bad); },
  };
  for (Isa isa : kIsas) {
    if (!isa_available(isa)) continue;
    for (const Op& op : ops) {
      std::vector<uint8_t> want;
      for (int threads : {1, 2, 7}) {
        std::unique_ptr<Device> d = make_cpu_device(isa, threads);
        size_t bytes = d->quant_rows_bytes(rows, k), one = d->quant_rows_bytes(1, k);
        QuantRows all{k, d->alloc(bytes)}, single{k, d->alloc(one)};
        std::vector<uint8_t> bad(rows, 0);
        op(*d, x.data(), rows, all, bad.data());
        std::vector<uint8_t> got(static_cast<uint8_t*>(all.data), static_cast<uint8_t*>(all.data) + bytes);
        if (want.empty()) want = got;
        CHECK(got == want);
        op(*d, x.data() + 3 * k, 1, single, bad.data());
        CHECK(std::memcmp(single.data, quant_row(all, 3), quant_row_stride(k)) == 0);
        d->release(all.data, bytes);
        d->release(single.data, one);
      }
    }
  }
}

TEST_CASE("how the caller rounds does not matter, not even for a row that needs no other thread") {
  const int k = 896;
  const std::vector<float> x = make_row(k, 0, 3);
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 1);
  const size_t bytes = d->quant_rows_bytes(1, k);
  QuantRows nearest{k, d->alloc(bytes)}, upward{k, d->alloc(bytes)};
  uint8_t bad = 0;
  d->quantize(x.data(), 1, k, nearest, &bad);
  std::vector<float> table(64 * 100), other(64 * 100);
  rope_table(10000.0, 64, nullptr, 100, table.data());
  std::fesetround(FE_UPWARD);
  d->quantize(x.data(), 1, k, upward, &bad);
  std::fesetround(FE_UPWARD);
  rope_table(10000.0, 64, nullptr, 100, other.data());
  std::fesetround(FE_TONEAREST);
  CHECK(std::memcmp(nearest.data, upward.data, bytes) == 0);
  CHECK(same_bits(table, other));
  d->release(nearest.data, bytes);
  d->release(upward.data, bytes);
}

TEST_CASE("a bad row is named and leaves the others untouched") {
  const int k = 96, rows = 5;
  for (Isa isa : {Isa::scalar, best_isa()}) {
    std::unique_ptr<Device> d = make_cpu_device(isa, 2);
    size_t bytes = d->quant_rows_bytes(rows, k);
    std::vector<float> x, one(static_cast<size_t>(k), 1.0f);
    for (int r = 0; r < rows; ++r) {
      std::vector<float> row = make_row(k, 0, static_cast<uint64_t>(r));
      x.insert(x.end(), row.begin(), row.end());
    }
    QuantRows clean{k, d->alloc(bytes)}, dirty{k, d->alloc(bytes)};
    std::vector<uint8_t> bad(rows, 0);
    d->norm_quantize(x.data(), one.data(), 1e-5f, rows, k, clean, bad.data());
    CHECK(bad == std::vector<uint8_t>(rows, 0));
    for (int i = 0; i < k; ++i) x[static_cast<size_t>(2 * k + i)] = 0;
    d->norm_quantize(x.data(), one.data(), 1e-5f, rows, k, clean, bad.data());
    x[2 * k + 50] = std::numeric_limits<float>::quiet_NaN();
    bad[0] = 9;
    d->norm_quantize(x.data(), one.data(), 1e-5f, rows, k, dirty, bad.data());
    CHECK(bad == std::vector<uint8_t>{9, 0, 1, 0, 0});                       // never cleared
    CHECK(std::memcmp(clean.data, dirty.data, bytes) == 0);                  // a bad row equals a row of zeros
    d->release(clean.data, bytes);
    d->release(dirty.data, bytes);
  }
}

TEST_CASE("embed and gather take the rows asked for") {
  const int k = 64;
  std::vector<float> table;
  for (int i = 0; i < 10 * k; ++i) table.push_back(static_cast<float>(i) * 0.25f);
  std::unique_ptr<Device> d = make_cpu_device(best_isa(), 2);
  StoredMatrix m{table.data(), DType::f32, 10, k};
  std::vector<int32_t> token = {3, 9, 0, 3}, index = {2, 0};
  Batch batch;
  batch.rows = 4;
  batch.token = token.data();
  std::vector<float> x(4 * k), some(2 * k);
  d->embed(m, batch, x.data());
  for (size_t r = 0; r < 4; ++r) CHECK(std::memcmp(&x[r * k], &table[static_cast<size_t>(token[r]) * k], k * 4) == 0);
  d->gather_rows(x.data(), index.data(), 2, k, some.data());
  CHECK(std::memcmp(&some[0], &x[2 * k], k * 4) == 0);
  CHECK(std::memcmp(&some[k], &x[0], k * 4) == 0);
}

TEST_CASE("negative control: a float sum does depend on its order, and this comparison would see it") {
  std::vector<float> x = make_row(4864, 1, 12);
  float forward = 0, backward = 0;
  for (size_t i = 0; i < x.size(); ++i) forward += x[i] * x[i];
  for (size_t i = x.size(); i > 0; --i) backward += x[i - 1] * x[i - 1];
  CHECK(math::bits(forward) != math::bits(backward));
  // the quantised mean square of the same row does not: its sum is an integer
  std::vector<float> reversed(x.rbegin(), x.rend()), one(x.size(), 1.0f);
  Result a = run_norm(row_ops(best_isa()), x, one), b = run_norm(row_ops(best_isa()), reversed, one);
  CHECK(std::vector<int16_t>(b.q.rbegin(), b.q.rend()) == a.q);
  CHECK(math::bits(a.scale) == math::bits(b.scale));
}
