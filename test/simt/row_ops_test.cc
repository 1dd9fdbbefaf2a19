// Quantiser, norm, rotation, embedding and conversion of weights on the CUDA device: the scalar CPU bits for ragged
// shapes, under every schedule.
#include <cstring>
#include <functional>
#include <limits>

#include "kernels/cpu/row_ops.h"
#include "kernels/cuda/cuda_ops.h"
#include "test/catch.h"
#include "test/simt/shim_device.h"
#include "test/unit/rows.h"

using namespace ibid::kernels;
using namespace ibid::test;

namespace {

const int kWidths[] = {1, 3, 31, 33, 64, 70, 96, 127, 576, 1000, 4096, 17001};       // the last beyond what threads keep in registers
constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

struct Quantised {
  std::vector<int16_t> q;
  float scale = -1;
  bool operator==(const Quantised& o) const { return q == o.q && std::memcmp(&scale, &o.scale, 4) == 0; }
};

Quantised join(const int8_t* high, const int8_t* low, size_t step, int k, float scale) {
  Quantised r{{}, scale};
  for (int i = 0; i < k; ++i)
    r.q.push_back(static_cast<int16_t>(256 * high[static_cast<size_t>(i) * step] + low[static_cast<size_t>(i) * step]));
  return r;
}

Quantised row_of(const QuantRows& a, int row) {        // the shim's device memory is host memory
  cuda::RowsView v = cuda::view(a);
  return join(v.high(row), v.low(row), 1, a.k, *v.scale(row));
}

using Scalar = std::function<bool(int row, int16_t* q, float* scale)>;
using Op = std::function<void(Device&, const QuantRows&, uint8_t*)>;

// Runs op for `rows` rows of k and compares each with the scalar function.
void compare(Device& device, int rows, int k, const Op& op, const Scalar& scalar) {
  OnDevice<uint8_t> data(device, device.quant_rows_bytes(rows, k));
  OnDevice<uint8_t> bad(device, static_cast<size_t>(rows));
  QuantRows out{k, data};
  op(device, out, bad);
  std::vector<uint8_t> flags = bad.get();
  for (int row = 0; row < rows; ++row) {
    Quantised want{std::vector<int16_t>(static_cast<size_t>(k)), 0};
    bool ok = scalar(row, want.q.data(), &want.scale);
    INFO("row " << row << " of " << k);
    CHECK(row_of(out, row) == want);
    CHECK(flags[static_cast<size_t>(row)] == !ok);
  }
}

std::vector<float> make_rows(int k, int rows) {
  std::vector<float> x;
  for (int row = 0; row < rows; ++row) {
    std::vector<float> one = make_row(k, row % kKinds, static_cast<uint64_t>(k + row));
    x.insert(x.end(), one.begin(), one.end());
  }
  return x;
}

const float* at(const std::vector<float>& x, int row, int k) { return x.data() + static_cast<size_t>(row) * static_cast<size_t>(k); }

void compare_row_ops(Device& device) {
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    for (int k : kWidths) {
      int rows = k > 4096 ? 3 : kKinds + 2;
      std::vector<float> x = make_rows(k, rows), weight = make_row(k, 0, 99), temp(static_cast<size_t>(k));
      x[static_cast<size_t>(k) * (static_cast<size_t>(rows) - 1)] = kNan;
      x[static_cast<size_t>(k) * static_cast<size_t>(rows - 1) - 1] = -kInfinity;
      OnDevice<float> dx(device, x), dw(device, weight);
      INFO(name_of(s));
      compare(device, rows, k, [&](Device& d, const QuantRows& out, uint8_t* bad) { d.quantize(dx, rows, k, out, bad); },
              [&](int row, int16_t* q, float* scale) { return kRowOpsScalar.quantize(at(x, row, k), k, q, scale); });
      compare(device, rows, k, [&](Device& d, const QuantRows& out, uint8_t* bad) { d.norm_quantize(dx, dw, 1e-6f, rows, k, out, bad); },
              [&](int row, int16_t* q, float* scale) {
                return kRowOpsScalar.norm(at(x, row, k), weight.data(), 1e-6f, k, temp.data(), q, scale);
              });
    }
  }
}

}  // namespace

TEST_CASE("quantise and norm give the scalar bits, bad rows among them") {
  const simt::Machine before = simt::machine();
  for (int multiprocessors : {1, 100}) {         // for which these rows are many, and few
    simt::machine().multiprocessors = multiprocessors;
    compare_row_ops(*shim_device());
  }
  simt::machine() = before;
}

TEST_CASE("norm and rotation: q, k and v land where cuda_ops.h says, with the scalar bits") {
  auto device = shim_device();
  const int heads = 6, rows = 5, layers = 2, pages = 3, max_pages = 2, positions = 200;
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    for (int dim : {2, 16, 64, 80, 128, 256}) for (bool normed : {false, true}) {
      KvShape shape{layers, 2, dim};
      std::vector<float> norms = make_row(2 * dim, 0, 3);
      norms[static_cast<size_t>(dim) + 1] = 0x1p127f;              // heads of k that are finite until they are normalised
      const int vectors = heads + 2 * shape.kv_heads;
      std::vector<float> qkv = make_rows(dim, rows * vectors), angles(static_cast<size_t>(dim * positions));
      std::vector<float> temp(static_cast<size_t>(dim)), turned(static_cast<size_t>(dim));
      qkv[7] = dim == 64 ? kNan : qkv[7];
      rope_table(10000.0, dim, nullptr, positions, angles.data());
      std::vector<int32_t> position = {127, 128, 129, 0, 1}, sequence = {0, 0, 0, 1, 1}, table = {2, 0, 1, -1};
      OnDevice<float> dqkv(*device, qkv), dangles(*device, angles), dnorms(*device, norms);
      OnDevice<int32_t> dposition(*device, position), dsequence(*device, sequence), dtable(*device, table);
      OnDevice<uint8_t> cache(*device, device->kv_page_bytes(shape) * pages), q(*device, device->quant_heads_bytes(rows, heads, dim));
      OnDevice<uint8_t> bad(*device, rows);
      Batch batch{rows, nullptr, dposition, dsequence, dtable, max_pages, 3, 199};
      KvCache kv{shape, static_cast<uint8_t*>(cache)};
      const float* on_device = dnorms;
      device->rope_store(dqkv, heads, batch, {dangles, normed ? on_device : nullptr, normed ? on_device + dim : nullptr, 1e-6f}, 1, kv,
                         {static_cast<uint8_t*>(q)}, bad);
      cuda::HeadsView heads_view = cuda::view(QuantHeads{static_cast<uint8_t*>(q)}, heads, dim);
      cuda::KvView kv_view = cuda::view(kv);
      std::vector<uint8_t> want_bad(rows, 0);
      for (int row = 0; row < rows; ++row) {
        for (int i = 0; i < vectors; ++i) {
          INFO(name_of(s) << ", dim " << dim << ", row " << row << ", vector " << i);
          const float* x = at(qkv, row * vectors + i, dim);
          Quantised want{std::vector<int16_t>(static_cast<size_t>(dim)), 0};
          bool value = i >= heads + shape.kv_heads;
          bool bad_head = false;
          if (!value && normed) {
            bad_head = !kRowOpsScalar.norm(x, &norms[i < heads ? 0 : static_cast<size_t>(dim)], 1e-6f, dim, turned.data(), want.q.data(),
                                           &want.scale);
            if (bad_head) std::fill(turned.begin(), turned.end(), 0.0f);
            x = turned.data();
          }
          if (bad_head) want_bad[row] = 1;
          if (!value) kRowOpsScalar.rotate(x, &angles[static_cast<size_t>(position[row] * dim)], dim, temp.data());
          if (!kRowOpsScalar.quantize(value ? x : temp.data(), dim, want.q.data(), &want.scale)) want_bad[row] = 1;
          if (i < heads) {
            const int8_t* high = heads_view.head(row, i);
            CHECK(join(high, high + heads_view.depth, 1, dim, *heads_view.scale(row, i)) == want);
            continue;
          }
          int at_position = position[row] % kBlock, head = (i - heads) % shape.kv_heads;
          uint8_t* block = kv_view.block(table[sequence[row] * max_pages + position[row] / kBlock], 1, head);
          const int8_t* high = value ? kv_view.v(block, 0) + at_position : kv_view.k(block, at_position);
          if (value) CHECK(join(high, high + kBlock, 2 * kBlock, dim, kv_view.v_scale(block)[at_position]) == want);
          else CHECK(join(high, high + kv_view.depth, 1, dim, kv_view.k_scale(block)[at_position]) == want);
        }
      }
      CHECK(bad.get() == want_bad);
    }
  }
}

TEST_CASE("embedding, gathering and conversion of weights, from every storage format") {
  auto device = shim_device();
  const int rows = 40;
  for (size_t type = 0; type < std::size(kStorage); ++type) {
    const DType dtype = static_cast<DType>(type);
    const int cols = kStorage[type].block == 256 ? 512 : 96;
    size_t row_bytes = stored_row_bytes(dtype, cols);
    std::vector<uint8_t> stored(row_bytes * rows);
    Random random(static_cast<uint64_t>(dtype));
    StoredMatrix m{stored.data(), dtype, rows, cols};
    std::vector<float> values(static_cast<size_t>(rows * cols));
    for (size_t row = 0; row < rows; ++row) {
      float* value = &values[row * static_cast<size_t>(cols)];
      do {                                                              // any bytes whose values are finite
        for (size_t b = 0; b < row_bytes; ++b)
          stored[row * row_bytes + b] = static_cast<uint8_t>(random.below(dtype == DType::f32 && b % 4 == 3 ? 70 : 256));
        dequantize_rows(m, static_cast<int64_t>(row), 1, value);
      } while (!std::all_of(value, value + cols, [](float v) { return std::isfinite(v); }));
    }

    std::vector<int32_t> token = {39, 0, 7, 7};
    OnDevice<int32_t> dtoken(*device, token);
    OnDevice<uint8_t> table(*device, device->table_bytes(m));
    OnDevice<float> x(*device, token.size() * cols), y(*device, token.size() * cols);
    Batch batch;
    batch.rows = static_cast<int>(token.size());
    batch.token = dtoken;
    device->embed(device->place_table(m, static_cast<uint8_t*>(table)), batch, x);
    OnDevice<float> dvalues(*device, values);
    device->gather_rows(dvalues, dtoken, batch.rows, cols, y);
    std::vector<float> gx = x.get(), gy = y.get();
    CHECK(std::memcmp(gx.data(), gy.data(), gx.size() * 4) == 0);
    CHECK(std::memcmp(gx.data() + cols, values.data(), cols * 4) == 0);

    for (Profile profile : {Profile::w16a16, Profile::w8a16}) {
      std::vector<int32_t> map(rows);
      for (int i = 0; i < rows; ++i) map[static_cast<size_t>(i)] = (i * 7) % rows;
      OnDevice<uint8_t> data(*device, device->weight_bytes(rows + 3, cols, profile));
      Weight w{rows + 3, cols, profile, static_cast<uint8_t*>(data), nullptr};
      REQUIRE(device->convert_weight(w, 3, m, map.data()));
      cuda::WeightView v = cuda::view(w);
      int most = profile == Profile::w16a16 ? kQuantMax : kQuantMax8;
      for (int i = 0; i < rows; ++i) {
        const float* source = at(values, i, cols);
        float amax = 0;
        for (int c = 0; c < cols; ++c) amax = std::fmax(amax, std::fabs(source[c]));
        int to = 3 + map[static_cast<size_t>(i)];
        bool zero = amax < 0x1p-96f;
        CHECK(v.scale[to] == (zero ? 0.0f : amax / static_cast<float>(most)));
        float inverse = static_cast<float>(most) / amax;
        for (int c = 0; c < cols; ++c) {
          int want = zero ? 0 : static_cast<int>(std::nearbyint(source[c] * inverse));
          int got = v.digits == 2 ? 256 * v.row(to)[c] + v.row(to)[v.depth + static_cast<size_t>(c)] : v.row(to)[c];
          CHECK(got == want);
        }
        for (size_t c = cols; c < v.depth; ++c) CHECK(v.row(to)[c] == 0);
      }
      CHECK(v.scale[0] == 0.0f);
    }
  }
}

TEST_CASE("a weight that is not finite is refused, wherever it stands") {
  auto device = shim_device();
  for (float value : {kNan, kInfinity, -kInfinity}) {
    std::vector<float> source(33 * 5, 1.0f);
    OnDevice<uint8_t> data(*device, device->weight_bytes(5, 33, Profile::w16a16));
    Weight w{5, 33, Profile::w16a16, static_cast<uint8_t*>(data), nullptr};
    CHECK(device->convert_weight(w, 0, {source.data(), DType::f32, 5, 33}, nullptr));
    source[4 * 33 + 32] = value;
    CHECK_FALSE(device->convert_weight(w, 0, {source.data(), DType::f32, 5, 33}, nullptr));
  }
}

TEST_CASE("embedding and gathering of rows that are more than one block moves") {
  auto device = shim_device();
  simt::set_schedule({});
  for (int cols : {1023, 1024, 1025, 2500}) {
    INFO(cols);
    std::vector<float> values = make_row(3 * cols, 0, 7);
    const std::vector<int32_t> token = {2, 0, 1, 1};
    std::vector<float> want;
    for (int32_t t : token) want.insert(want.end(), at(values, t, cols), at(values, t + 1, cols));
    OnDevice<float> table(*device, values), x(*device, want.size());
    OnDevice<int32_t> dtoken(*device, token);
    device->gather_rows(table, dtoken, 4, cols, x);
    CHECK(x.get() == want);
    device->upload(x, values.data(), sizeof(float));
    Batch batch;
    batch.rows = 4;
    batch.token = dtoken;
    OnDevice<float> y(*device, want.size());
    device->embed({static_cast<float*>(table), DType::f32, 3, cols}, batch, y);
    CHECK(y.get() == want);
  }
}

// The last rows of a batch give what they give alone.
TEST_CASE("more rows than a grid is high") {
  auto device = shim_device();
  simt::set_schedule({});
  const int rows = 65'535 + 2, last = 3, dim = 2, vectors = 3, pages = rows / kBlock + 1;
  std::vector<int32_t> position(rows), table(pages);
  std::vector<float> values(rows), qkv = make_row(rows * vectors * dim, 0, 5);
  for (int i = 0; i < rows; ++i) position[static_cast<size_t>(i)] = i, values[static_cast<size_t>(i)] = static_cast<float>(rows - i);
  for (int i = 0; i < pages; ++i) table[static_cast<size_t>(i)] = i;
  qkv[static_cast<size_t>((rows - 1) * vectors * dim)] = kNan;
  OnDevice<int32_t> dposition(*device, position), dtable(*device, table), dsequence(*device, static_cast<size_t>(rows));
  OnDevice<float> dvalues(*device, values), x(*device, static_cast<size_t>(rows)), dqkv(*device, qkv);
  Batch batch{rows, dposition, dposition, dsequence, dtable, pages, rows, rows - 1};
  device->gather_rows(dvalues, dposition, rows, 1, x);
  CHECK(x.get() == values);
  OnDevice<float> y(*device, static_cast<size_t>(rows));
  device->embed({static_cast<float*>(dvalues), DType::f32, rows, 1}, batch, y);
  CHECK(y.get() == values);

  std::vector<float> angles(static_cast<size_t>(rows * dim));
  rope_table(10000.0, dim, nullptr, rows, angles.data());
  OnDevice<float> dangles(*device, angles);
  const KvShape shape{1, 1, dim};
  const size_t kv_bytes = device->kv_page_bytes(shape) * static_cast<size_t>(pages), row_bytes = device->quant_heads_bytes(1, 1, dim);
  OnDevice<uint8_t> all_pages(*device, kv_bytes), last_pages(*device, kv_bytes);
  OnDevice<uint8_t> all_q(*device, row_bytes * rows), last_q(*device, row_bytes * last);
  OnDevice<uint8_t> all_bad(*device, static_cast<size_t>(rows)), last_bad(*device, last);
  device->rope_store(dqkv, 1, batch, {dangles}, 0, {shape, static_cast<uint8_t*>(all_pages)}, {static_cast<uint8_t*>(all_q)}, all_bad);
  const int from = rows - last;
  const Batch few{last, dposition + from, dposition + from, dsequence + from, dtable, pages, last, rows - 1};
  device->rope_store(dqkv + from * vectors * dim, 1, few, {dangles}, 0, {shape, static_cast<uint8_t*>(last_pages)},
                     {static_cast<uint8_t*>(last_q)}, last_bad);
  const std::vector<uint8_t> q = all_q.get(), bad = all_bad.get(), all_kv = all_pages.get(), last_kv = last_pages.get();
  CHECK(std::vector<uint8_t>(q.end() - static_cast<ptrdiff_t>(row_bytes * last), q.end()) == last_q.get());
  CHECK(last_bad.get() == std::vector<uint8_t>{0, 0, 1});
  CHECK(std::count(bad.begin(), bad.end(), 1) == 1);
  CHECK(bad.back() == 1);
  // The last page holds nothing of other rows.
  const size_t page = device->kv_page_bytes(shape) * static_cast<size_t>(pages - 1);
  REQUIRE((pages - 1) * kBlock >= from);
  CHECK(std::equal(all_kv.begin() + static_cast<ptrdiff_t>(page), all_kv.end(), last_kv.begin() + static_cast<ptrdiff_t>(page)));
}

TEST_CASE("a weight of more pieces than travel at a time, by a device that reads them late") {
  auto device = shim_device();
  simt::set_schedule({});
  const int rows = 130, cols = 66'048;           // 16 MiB are 63 rows
  std::vector<float> source(static_cast<size_t>(rows) * cols);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c)
      source[static_cast<size_t>(r) * cols + static_cast<size_t>(c)] = static_cast<float>((r + 1) * (c % 7 - 3));
  std::vector<int32_t> map(rows);
  for (int i = 0; i < rows; ++i) map[static_cast<size_t>(i)] = rows - 1 - i;
  OnDevice<uint8_t> data(*device, device->weight_bytes(rows, cols, Profile::w8a16));
  Weight w{rows, cols, Profile::w8a16, static_cast<uint8_t*>(data), nullptr};
  for (bool mapped : {true, false}) {
    simt::set_lazy(true);
    CHECK(device->convert_weight(w, 0, {source.data(), DType::f32, rows, cols}, mapped ? map.data() : nullptr));
    simt::set_lazy(false);
    const cuda::WeightView v = cuda::view(w);
    for (int r = 0; r < rows; ++r) {
      const int to = mapped ? map[static_cast<size_t>(r)] : r;
      INFO("row " << r << " mapped " << mapped);
      CHECK(v.scale[to] == static_cast<float>(3 * (r + 1)) / static_cast<float>(kQuantMax8));
      CHECK(v.row(to)[0] == -kQuantMax8);
      CHECK(v.row(to)[6] == kQuantMax8);
      CHECK(v.row(to)[cols - 1] == -42);       // a third
    }
  }
}
