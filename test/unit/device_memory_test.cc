// Buffers of the CPU's device: zeroed, aligned, apart from each other, and none where there is no memory.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/ops.h"
#include "test/catch.h"
#include "test/unit/random.h"

using namespace ibid::kernels;
using ibid::test::Random;

namespace {

struct Buffer {
  uint8_t* data;
  size_t bytes;
  uint8_t mark;
  bool holds(uint8_t value) const { return std::all_of(data, data + bytes, [&](uint8_t b) { return b == value; }); }
};

}  // namespace

TEST_CASE("buffers are zeroed, aligned, and keep what was written to them while others come and go") {
  const auto device = make_cpu_device(Isa::scalar, 1);
  Random random(1);
  std::vector<Buffer> live;
  auto take = [&](size_t bytes) {
    Buffer b{static_cast<uint8_t*>(device->alloc(bytes)), bytes, static_cast<uint8_t>(1 + random.below(255))};
    REQUIRE((b.data && reinterpret_cast<uintptr_t>(b.data) % 64 == 0));
    REQUIRE(b.holds(0));
    std::fill(b.data, b.data + bytes, b.mark);
    live.push_back(b);
  };
  auto give_back = [&](size_t i) {
    REQUIRE(live[i].holds(live[i].mark));
    device->release(live[i].data, live[i].bytes);
    live[i] = live.back();
    live.pop_back();
  };
  constexpr int kMost = 20 << 20;                          // beyond what shares a piece of address space with others
  for (int round = 0; round < 400; ++round) {
    take(static_cast<size_t>(1 + random.below(1 << (4 + round % 20))));
    if (round % 40 == 0) take(static_cast<size_t>(kMost - random.below(8 << 20)));
    if (live.size() > 12) give_back(static_cast<size_t>(random.below(static_cast<int>(live.size()))));
  }
  while (!live.empty()) give_back(live.size() - 1);
  for (size_t absurd : {SIZE_MAX, SIZE_MAX - 100'000, SIZE_MAX - (size_t{2} << 20) + 5'000, SIZE_MAX / 2, size_t{1} << 60})
    CHECK(device->alloc(absurd) == nullptr);
  device->release(nullptr, 1);
}
