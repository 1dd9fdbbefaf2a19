// `ibid selftest`: proves that this machine keeps the promise. Every op and one whole generation are recomputed on every
// instruction set that the machine has, and their digests compared with those that numerics v1 fixed once and for all.
#include <cstdio>

#include "runtime/selftest.h"
#include "step/commands.h"
#include "step/selftest_golden.h"
#include "step/session.h"

namespace ibid::step {

std::vector<std::string> selftest_failures(kernels::Device& device, const std::function<void(const std::string&, const std::string&)>& computed) {
  std::vector<std::string> failures;
  size_t next = 0;
  runtime::run_selftest(device, [&](std::string_view name, std::string_view bytes) {
    std::string digest = digest_of(bytes);
    computed(std::string(name), digest);
    bool known = next < std::size(kSelftestGolden) && name == kSelftestGolden[next].name;
    if (!known || digest != kSelftestGolden[next].digest) failures.push_back(std::string(name));
    ++next;
  });
  for (; next < std::size(kSelftestGolden); ++next) failures.push_back(std::string(kSelftestGolden[next].name) + " (not run)");
  return failures;
}

int command_selftest(const Args& args) {
  int threads = static_cast<int>(args.number("--threads", kernels::default_threads(), 1, 1024));
  bool any_failure = false;
  for (kernels::Isa isa : {kernels::Isa::scalar, kernels::Isa::avx2, kernels::Isa::avx512, kernels::Isa::amx}) {
    if (args.has("--isa") && *args.get("--isa") != kernels::isa_name(isa)) continue;
    if (!kernels::isa_available(isa)) {
      if (args.has("--isa")) throw Error(ErrorKind::unavailable, "--isa", "this machine does not have " + *args.get("--isa"));
      std::printf("%-8s not on this machine\n", kernels::isa_name(isa));
      continue;
    }
    std::unique_ptr<kernels::Device> device = kernels::make_cpu_device(isa, threads);
    std::vector<std::string> failures = selftest_failures(*device, [&](const std::string& name, const std::string& digest) {
      if (args.has("--print")) std::printf("    {\"%s\", \"%s\"},\n", name.c_str(), digest.c_str());
    });
    std::printf("%-8s %s\n", kernels::isa_name(isa), failures.empty() ? "all digests as numerics v1 fixes them" : "DIFFERS");
    for (const std::string& f : failures) std::printf("         %s\n", f.c_str());
    any_failure = any_failure || !failures.empty();
  }
  if (any_failure) throw Error(ErrorKind::internal, "", "this machine or this build does not keep the promise", "please report the lines above with the output of 'ibid --version --verbose'");
  return kDone;
}

}  // namespace ibid::step
