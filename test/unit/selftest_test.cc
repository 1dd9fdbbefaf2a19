// The selftest names the right op: every op in turn gets one bit of its result flipped, and the checks that change are
// examined. Threads and instruction sets give the same bytes.
#include "runtime/selftest.h"

#include <algorithm>
#include <functional>
#include <map>

#include "runtime/device_proxy.h"
#include "test/catch.h"
#include "test/unit/promise.h"

using namespace ibid;
using namespace ibid::runtime;

namespace {

using Results = std::vector<std::pair<std::string, std::string>>;      // check, bytes

Results results_of(kernels::Device& device) {
  Results results;
  run_selftest(device, [&](const std::string& name, std::string_view bytes) { results.emplace_back(name, std::string(bytes)); });
  return results;
}

// Flips one bit of what one named op gives: always the same bit of the first value. Only for devices in host memory.
class OneBit : public DeviceProxy {
 public:
  OneBit(kernels::Device& to, std::string op) : DeviceProxy(to), op_(std::move(op)) {}

  bool convert_weight(kernels::Weight& w, int to_row, const kernels::StoredMatrix& src, const int32_t* row_map) override {
    const bool finite = to_.convert_weight(w, to_row, src, row_map);
    if (to_row == 0) flip("convert_weight", w.data);                    // once for each weight, or flips would cancel
    return finite;
  }
  void embed(const kernels::StoredMatrix& table, const kernels::Batch& batch, float* x) override {
    to_.embed(table, batch, x);
    flip("embed", x);
  }
  void norm_quantize(const float* x, const float* weight, float eps, int rows, int k, const kernels::QuantRows& out,
                     uint8_t* bad) override {
    to_.norm_quantize(x, weight, eps, rows, k, out, bad);
    flip("norm_quantize", out.data);
  }
  void quantize(const float* x, int rows, int k, const kernels::QuantRows& out, uint8_t* bad) override {
    to_.quantize(x, rows, k, out, bad);
    flip("quantize", out.data);
  }
  void matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, float* y, const float* residual) override {
    to_.matmul(w, a, rows, y, residual);
    flip("matmul", y);
  }
  void gated_matmul(const kernels::Weight& w, const kernels::QuantRows& a, int rows, int f, float* y) override {
    to_.gated_matmul(w, a, rows, f, y);
    flip("gated_matmul", y);
  }
  void rope_store(const float* qkv, int heads, const kernels::Batch& batch, const kernels::Rope& rope, int layer,
                  const kernels::KvCache& kv, const kernels::QuantHeads& q_out, uint8_t* bad) override {
    to_.rope_store(qkv, heads, batch, rope, layer, kv, q_out, bad);
    flip("rope_store", q_out.data);
  }
  void attention(const kernels::QuantHeads& q, int heads, const kernels::Batch& batch, const int32_t* query_rows, int queries, int layer,
                 const kernels::KvCache& kv, float* out) override {
    to_.attention(q, heads, batch, query_rows, queries, layer, kv, out);
    flip("attention", out);
  }
  void gather_rows(const float* x, const int32_t* index, int rows, int k, float* out) override {
    to_.gather_rows(x, index, rows, k, out);
    flip("gather_rows", out);
  }
  void sample(const float* logits, int rows, int vocab, int stride, const kernels::SampleSpec* specs, kernels::Sampled* out,
              kernels::TokenLogprob* top, int max_top) override {
    to_.sample(logits, rows, vocab, stride, specs, out, top, max_top);
    flip("sample", &out->logprob);
  }
  // A copy that leaves the target as it was.
  void copy_page(const kernels::KvCache& kv, int from, int to) override {
    if (op_ != "copy_page") to_.copy_page(kv, from, to);
  }

 private:
  void flip(const char* op, void* first_value) {
    if (op_ == op) static_cast<uint8_t*>(first_value)[3] ^= 0x40;       // of a float: a high bit of the exponent
  }
  std::string op_;
};

const Results& expected() {
  static const Results results = [] {
    auto device = kernels::make_cpu_device(kernels::Isa::scalar, 1);
    return results_of(*device);
  }();
  return results;
}

}  // namespace

TEST_CASE("the checks are reported in the order and by the names that are announced, and none is empty or equal to another") {
  REQUIRE(expected().size() == selftest_checks().size());
  std::map<std::string, std::string> by_bytes;
  for (size_t i = 0; i < expected().size(); i++) {
    INFO(expected()[i].first);
    CHECK(expected()[i].first == selftest_checks()[i].name);
    CHECK(expected()[i].second.size() > 100);
    CHECK(by_bytes.emplace(expected()[i].second, expected()[i].first).second);
  }
}

TEST_CASE("every instruction set and number of threads gives the same bytes") {
  for (kernels::Isa isa : test::available_isas()) {
    for (int threads : {1, 7}) {
      auto device = kernels::make_cpu_device(isa, threads);
      const Results found = results_of(*device);
      REQUIRE(found.size() == expected().size());
      for (size_t i = 0; i < found.size(); i++) {
        INFO(kernels::isa_name(isa) << ", " << threads << " threads: " << found[i].first);
        CHECK(found[i].second == expected()[i].second);
      }
    }
  }
}

TEST_CASE("one flipped bit in one op changes the check of that name, first one that lists it, and none that does not") {
  for (const char* op : {"embed", "gather_rows", "sample", "quantize", "norm_quantize", "matmul", "gated_matmul", "convert_weight",
                         "rope_store", "attention", "copy_page"}) {
    // On scalar code: AVX-512 stores activations twice, and a high digit that is off by a little is made good by the words beside it.
    auto device = kernels::make_cpu_device(kernels::Isa::scalar, 1);
    OneBit spoilt(*device, op);
    const Results found = results_of(spoilt);
    bool named = false, first = true;
    for (size_t i = 0; i < found.size(); i++) {
      const SelftestCheck& check = selftest_checks()[i];
      const bool lists = std::count(check.ops.begin(), check.ops.end(), op) > 0, changed = found[i].second != expected()[i].second;
      INFO(op << " spoilt, check " << check.name);
      if (changed) CHECK(lists);
      if (lists && first) CHECK(changed);
      if (lists) first = false;
      named |= changed && check.name.compare(0, std::string(op).size(), op) == 0;
    }
    INFO(op);
    CHECK(named);
  }
}
