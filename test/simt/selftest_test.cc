// The golden digests of numerics v1 on the CUDA device, under every schedule, and with everything enqueued as late as can be.
#include "runtime/selftest.h"

#include "step/digest.h"
#include "step/selftest_golden.h"
#include "test/catch.h"
#include "test/simt/shim_device.h"

using namespace ibid;

namespace {

void check_golden(kernels::Device& device, const std::string& circumstances) {
  size_t next = 0;
  runtime::run_selftest(device, [&](const std::string& name, std::string_view bytes) {
    INFO(circumstances << ": " << name);
    REQUIRE(next < std::size(step::kSelftestGolden));
    CHECK(name == step::kSelftestGolden[next].name);
    CHECK(step::digest_of(bytes) == step::kSelftestGolden[next].digest);
    ++next;
  });
  CHECK(next == std::size(step::kSelftestGolden));
}

}  // namespace

TEST_CASE("every op and whole generations give the digests that version 1 fixed") {
  for (simt::Schedule s : test::kSchedules) {
    simt::set_schedule(s);
    check_golden(*test::shim_device(), test::name_of(s));
  }
  simt::set_schedule({});
  simt::set_lazy(true);
  check_golden(*test::shim_device(), "lazy");
  simt::set_lazy(false);
}
