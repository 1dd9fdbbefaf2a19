// `ibid selftest`: proves that this machine keeps the promise. Every op and one whole generation are recomputed on every
// instruction set that the machine has, and their digests compared with those that numerics v1 fixed once and for all.
#include <cstdio>

#include "runtime/selftest.h"
#include "step/commands.h"
#include "step/selftest_golden.h"
#include "step/session.h"

namespace ibid::step {

namespace {

// The checks whose digests are not as they should be; `computed` hears of each.
std::vector<std::string> selftest_failures(kernels::Device& device,
                                           const std::function<void(const std::string&, const std::string&)>& computed) {
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

// Runs all checks on one device and says how they ended. True when every digest is as it should be.
bool check_device(const std::string& name, kernels::Device& device, const Args& args) {
  std::vector<std::string> failures = selftest_failures(device, [&](const std::string& check, const std::string& digest) {
    if (args.has("--print")) std::printf("    {\"%s\", \"%s\"},\n", check.c_str(), digest.c_str());
  });
  std::printf("%-8s %s\n", name.c_str(), failures.empty() ? "all digests as numerics v1 fixes them" : "DIFFERS");
  for (const std::string& f : failures) std::printf("         %s\n", f.c_str());
  return failures.empty();
}

bool check_cpu(const Args& args) {
  int threads = static_cast<int>(args.number("--threads", kernels::default_threads(), 1, 1024));
  const std::optional<kernels::Isa> asked = asked_isa(args);
  bool sound = true;
  for (kernels::Isa isa : kernels::kIsas) {
    if (asked && *asked != isa) continue;
    if (!kernels::isa_available(isa)) {
      std::printf("%-8s not on this machine\n", kernels::isa_name(isa));
      continue;
    }
    sound &= check_device(kernels::isa_name(isa), *kernels::make_cpu_device(isa, threads), args);
  }
  return sound;
}

}  // namespace

int command_selftest(const Args& args) {
  std::unique_ptr<kernels::Device> gpu = open_gpu(args);
  bool sound = args.text("--device", "auto").rfind("cuda", 0) == 0 || check_cpu(args);
  if (gpu) {
    note(gpu->describe());
    sound &= check_device("cuda", *gpu, args);
  }
  if (!sound)
    throw Error(ErrorKind::internal, "", "this machine or this build does not keep the promise",
                "please report the lines above with the output of 'ibid --version --verbose'");
  return kDone;
}

}  // namespace ibid::step
