// What this processor, this kernel and this container let us use.
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>

#include "kernels/ops.h"

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace ibid::kernels {
namespace {

#if defined(__x86_64__)
constexpr uint64_t bits(std::initializer_list<int> positions) {
  uint64_t mask = 0;
  for (int position : positions) mask |= uint64_t{1} << position;
  return mask;
}

bool has(uint64_t value, uint64_t mask) { return (value & mask) == mask; }

// Which register state the kernel saves: bits of XCR0.
constexpr uint64_t kSavesAvx = bits({1, 2}), kSavesAvx512 = bits({1, 2, 5, 6, 7}), kSavesAmx = bits({17, 18});

uint64_t saved_state() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux hands out the tile registers (8 KiB per thread) on request only; once granted it holds for the process.
bool request_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;   // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

// Not all processors with AVX-512 have it: Ice Lake and Zen 4 do not.
bool has_avx_vnni() {
  uint32_t a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && has(a, bits({4}));
}

Isa detect() {
  uint32_t a, b, c, d, b7, c7, d7;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::scalar;
  if (!has(c, bits({12, 27, 28, 29}))) return Isa::scalar;      // FMA, OSXSAVE, AVX, F16C
  const uint64_t saved = saved_state();
  if (!has(saved, kSavesAvx) || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return Isa::scalar;
  if (!has(b7, bits({5, 8}))) return Isa::scalar;               // AVX2, BMI2
  if (!has(b7, bits({16, 17, 30, 31})) || !has(c7, bits({11})) || !has(saved, kSavesAvx512))        // F DQ BW VL, VNNI
    return has_avx_vnni() ? Isa::avxvnni : Isa::avx2;
  if (!has(d7, bits({24, 25})) || !has(saved, kSavesAmx) || !request_tiles()) return Isa::avx512;   // AMX-TILE, AMX-INT8
  return Isa::amx;
}
#elif defined(__aarch64__) && defined(__linux__)
Isa detect() {
  constexpr unsigned long kDotProduct = 1 << 20;                // HWCAP_ASIMDDP
  return getauxval(AT_HWCAP) & kDotProduct ? Isa::neon : Isa::scalar;
}
#else
Isa detect() { return Isa::scalar; }
#endif
#if !defined(__x86_64__)
bool has_avx_vnni() { return false; }
#endif

#if defined(__linux__)
// The first line of a small file, "" when there is none.
std::string first_line(const std::string& path) {
  std::string line;
  if (std::FILE* file = std::fopen(path.c_str(), "r")) {
    char buffer[256];
    if (std::fgets(buffer, sizeof buffer, file)) line = buffer;
    std::fclose(file);
  }
  return line;
}

// CPUs that one control group's quota allows; 0 when it sets none.
int group_cpus(const std::string& v2, const std::string& v1) {
  long long quota = 0, period = 0;
  if (std::sscanf(first_line(v2 + "/cpu.max").c_str(), "%lld %lld", &quota, &period) != 2) {
    if (std::sscanf(first_line(v1 + "/cpu.cfs_quota_us").c_str(), "%lld", &quota) != 1) return 0;
    if (std::sscanf(first_line(v1 + "/cpu.cfs_period_us").c_str(), "%lld", &period) != 1) return 0;
  }
  if (quota <= 0 || period <= 0) return 0;
  const long long cpus = quota / period;
  return cpus < 1 ? 1 : cpus > 4096 ? 4096 : static_cast<int>(cpus);
}

// This process's group for the cpu controller: the path of the line "ID:CONTROLLERS:PATH" that names cpu, or has no names (v2).
std::string cpu_group() {
  std::string found;
  if (std::FILE* file = std::fopen("/proc/self/cgroup", "r")) {
    char buffer[4096];
    while (std::fgets(buffer, sizeof buffer, file)) {
      std::string line(buffer);
      while (!line.empty() && line.back() == '\n') line.pop_back();
      const size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
      if (second == std::string::npos) continue;
      const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
      if (names == ",," && found.empty()) found = line.substr(second + 1);
      if (names.find(",cpu,") != std::string::npos) found = line.substr(second + 1);
    }
    std::fclose(file);
  }
  return found == "/" ? "" : found;
}

// The tightest quota from this process's group up to the root (which, in a container, is where its own group is mounted).
int quota_cpus() {
  int least = 0;
  for (std::string group = cpu_group();;) {
    const int cpus = group_cpus("/sys/fs/cgroup" + group, "/sys/fs/cgroup/cpu" + group);
    if (cpus > 0 && (least == 0 || cpus < least)) least = cpus;
    if (group.empty()) return least;
    const size_t slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

// CPUs that this thread may run on; 0 when nobody says.
int affinity_cpus() {
  constexpr int kMaxCpus = 8192;                   // as many as any machine has, so that the call below cannot fail for want of room
  cpu_set_t* set = CPU_ALLOC(kMaxCpus);
  if (!set) return 0;
  const size_t bytes = CPU_ALLOC_SIZE(kMaxCpus);
  const int cpus = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
  CPU_FREE(set);
  return cpus;
}
#else
int quota_cpus() { return 0; }
int affinity_cpus() { return static_cast<int>(std::thread::hardware_concurrency()); }
#endif

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::scalar: return "scalar";
    case Isa::avx2: return "avx2";
    case Isa::avxvnni: return "avxvnni";
    case Isa::avx512: return "avx512";
    case Isa::amx: return "amx";
    case Isa::neon: return "neon";
  }
  return "unknown";
}

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

bool isa_available(Isa isa) {
  if (isa == Isa::neon || best_isa() == Isa::neon) return isa == Isa::scalar || isa == best_isa();
  if (isa == Isa::avxvnni && !has_avx_vnni()) return false;
  return isa <= best_isa();                        // of x86-64, each includes those before it, but for avxvnni
}

int default_threads() {
  const int affinity = affinity_cpus(), quota = quota_cpus();
  const int threads = quota > 0 && quota < affinity ? quota : affinity;
  return threads < 1 ? 1 : threads;
}

}  // namespace ibid::kernels
