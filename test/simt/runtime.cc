// The runtime API of the shim: device memory that is host memory, streams that run at once or when somebody waits, graphs.
//
// Owns: allocations and their guards, pinned ranges, capture. Must not know: how threads run (fibers.cc).
//
// 1. Every allocation has guard bytes at both ends that are looked at when it is freed, and starts as garbage. Under AddressSanitizer
//    reading them is an error too.
// 2. While a stream records, whatever a device refuses is refused, and ends the recording.
// 3. Everything enqueued runs in the order of the calls, across streams too: real devices may do more at a time, never less.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "test/simt/asan.h"
#include "test/simt/simt.h"
#include "test/simt/simt_internal.h"

namespace simt {
namespace {

int live = 0, live_events = 0;
struct Counted {
  Counted() { ++live; }
  Counted(const Counted&) = delete;
  ~Counted() { --live; }
};

}  // namespace
}  // namespace simt

struct simt_graph { std::vector<std::function<void()>> nodes; simt::Counted counted{}; };
struct simt_graph_exec { std::vector<std::function<void()>> nodes; simt::Counted counted{}; };
struct simt_stream { simt_graph* recording = nullptr; bool spoiled = false; simt::Counted counted{}; };
struct simt_event { bool recorded = false; simt::Counted counted{}; };

namespace simt {
namespace {

constexpr size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xA5;

// A whole program under test is told by its environment what machine it finds.
Machine machine_of_environment() {
  Machine m;
  if (const char* v = std::getenv("SIMT_DRIVER_ERROR")) m.driver = static_cast<cudaError_t>(std::atoi(v));
  if (const char* v = std::getenv("SIMT_CONTEXT_ERROR")) m.context = static_cast<cudaError_t>(std::atoi(v));
  if (const char* v = std::getenv("SIMT_CODE_ERROR")) m.code = static_cast<cudaError_t>(std::atoi(v));
  if (const char* v = std::getenv("SIMT_LAUNCH_ERROR")) m.launch = static_cast<cudaError_t>(std::atoi(v));
  if (const char* v = std::getenv("SIMT_MEMORY")) m.memory = static_cast<size_t>(std::atoll(v));
  return m;
}

struct State {
  Machine machine = machine_of_environment();
  bool lazy = false;
  size_t used = 0;
  cudaError_t last = cudaSuccess;
  std::map<const unsigned char*, size_t> device, pinned;       // start, bytes
  std::map<const void*, int> shared_limit;
  std::vector<std::function<void()>> pending;
  std::vector<simt_stream*> recording;
};
State& state() {
  static State s;
  return s;
}

cudaError_t report(cudaError_t e) {
  if (e != cudaSuccess) state().last = e;
  return e;
}

void flush() {
  std::vector<std::function<void()>> work;
  work.swap(state().pending);
  for (auto& f : work) f();
}

// A call that no stream may be recording for.
cudaError_t not_while_recording() {
  if (state().recording.empty()) return cudaSuccess;
  for (simt_stream* s : state().recording) s->spoiled = true;
  return report(cudaErrorStreamCaptureUnsupported);
}

void enqueue(simt_stream* stream, std::function<void()> f) {
  if (stream && stream->recording) {
    stream->recording->nodes.push_back(std::move(f));
  } else if (state().lazy) {
    state().pending.push_back(std::move(f));
  } else {
    f();
  }
}

bool inside(const std::map<const unsigned char*, size_t>& ranges, const void* p) {
  auto next = ranges.upper_bound(static_cast<const unsigned char*>(p));
  if (next == ranges.begin()) return false;
  --next;
  return static_cast<const unsigned char*>(p) < next->first + next->second;
}

bool intact(const unsigned char* p, size_t bytes) {
  for (size_t i = 1; i <= kGuard; ++i) {
    if (p[-static_cast<ptrdiff_t>(i)] != kGuardByte || p[bytes + i - 1] != kGuardByte) return false;
  }
  return true;
}

}  // namespace

Machine& machine() { return state().machine; }
int live_objects() { return live; }
void set_lazy(bool lazy) {
  flush();
  state().lazy = lazy;
}

void launch(const void* kernel, std::function<void()> body, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            bool must_wait) {
  auto limit = state().shared_limit.find(kernel);
  size_t allowed = limit == state().shared_limit.end() ? 48 << 10 : static_cast<size_t>(limit->second);
  unsigned threads = block.x * block.y * block.z;
  if (shared_bytes > allowed)
    throw Error("a kernel asks for more dynamic shared memory than it was allowed: " + std::to_string(shared_bytes));
  if (threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535) {
    throw Error("a launch of a size that no device has: " + std::to_string(grid.x) + "x" + std::to_string(grid.y) + "x" +
                std::to_string(grid.z) + " blocks of " + std::to_string(threads) + " threads");
  }
  if (machine().launch != cudaSuccess) {
    report(machine().launch);
    return;
  }
  ++counters().launches;
  enqueue(stream, [=, body = std::move(body)] {
    uint64_t before = counters().waits, all = uint64_t{threads} * grid.x * grid.y * grid.z;
    run_grid(body, grid, block, shared_bytes);
    if (must_wait && machine().must_wait && counters().waits != before + all) {
      throw Error("of " + std::to_string(all) + " threads " + std::to_string(counters().waits - before) +
                  " waited for the kernel before theirs: each must, once");
    }
  });
}

void note_wait() { ++counters().waits; }

}  // namespace simt

using namespace simt;

const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorDevicesUnavailable: return "cudaErrorDevicesUnavailable";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
    case cudaErrorECCUncorrectable: return "cudaErrorECCUncorrectable";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    default: return "cudaErrorUnknown";
  }
}
const char* cudaGetErrorString(cudaError_t e) { return cudaGetErrorName(e); }

// --- memory -----------------------------------------------------------------------------------------------------------------

cudaError_t simt_malloc(void** p, size_t bytes) {
  *p = nullptr;
  if (cudaError_t e = not_while_recording()) return e;
  if (machine().context != cudaSuccess) return report(machine().context);
  if (bytes > machine().memory - std::min(machine().memory, state().used)) return report(cudaErrorMemoryAllocation);
  size_t whole = (bytes + 2 * kGuard + 255) / 256 * 256;
  auto* base = static_cast<unsigned char*>(std::aligned_alloc(256, whole));
  if (!base) return report(cudaErrorMemoryAllocation);
  std::memset(base, kGuardByte, whole);
  std::memset(base + kGuard, 0xFE, bytes);
  ASAN_POISON_MEMORY_REGION(base, kGuard);
  ASAN_POISON_MEMORY_REGION(base + kGuard + bytes, whole - kGuard - bytes);
  state().device[base + kGuard] = bytes;
  state().used += bytes;
  ++counters().allocations;
  *p = base + kGuard;
  return cudaSuccess;
}

cudaError_t cudaFree(void* p) {
  if (!p) return machine().context;
  if (cudaError_t e = not_while_recording()) return e;
  flush();
  auto at = state().device.find(static_cast<unsigned char*>(p));
  if (at == state().device.end()) return report(cudaErrorInvalidValue);
  ASAN_UNPOISON_MEMORY_REGION(at->first - kGuard, at->second + 2 * kGuard);
  if (!intact(at->first, at->second)) {
    std::fprintf(stderr, "simt: something wrote beyond an allocation of %zu bytes\n", at->second);
    std::abort();
  }
  state().used -= at->second;
  std::free(static_cast<unsigned char*>(p) - kGuard);
  state().device.erase(at);
  return cudaSuccess;
}

cudaError_t simt_malloc_host(void** p, size_t bytes) {
  *p = nullptr;
  if (cudaError_t e = not_while_recording()) return e;
  if (machine().pinned != cudaSuccess) return report(machine().pinned);
  auto* base = static_cast<unsigned char*>(std::aligned_alloc(256, (bytes + 256) / 256 * 256));
  if (!base) return report(cudaErrorMemoryAllocation);
  std::memset(base, 0xFE, bytes);
  state().pinned[base] = bytes;
  ++counters().allocations;
  *p = base;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* p) {
  if (cudaError_t e = not_while_recording()) return e;
  flush();
  if (p) state().pinned.erase(static_cast<unsigned char*>(p));
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  if (cudaError_t e = not_while_recording()) return e;
  flush();
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

// Copies from or to memory that is not pinned "might be synchronous", says the toolkit: a lazy machine's are not. Nothing records them.
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  bool bytes = width > 0 && height > 0, known_to = inside(state().device, to), known_from = inside(state().device, from);
  if ((kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) && bytes && !known_to) return report(cudaErrorInvalidValue);
  if ((kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) && bytes && !known_from) return report(cudaErrorInvalidValue);
  bool pinned = (known_to || inside(state().pinned, to)) && (known_from || inside(state().pinned, from));
  if (!pinned && stream && stream->recording) return not_while_recording();
  enqueue(stream, [=] {
    for (size_t i = 0; i < height; ++i) {
      std::memmove(static_cast<unsigned char*>(to) + i * to_pitch, static_cast<const unsigned char*>(from) + i * from_pitch, width);
    }
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  if (cudaError_t e = not_while_recording()) return e;
  flush();
  std::memset(to, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  if (machine().context != cudaSuccess) return report(machine().context);
  *total = machine().memory;
  *free_bytes = machine().memory - std::min(machine().memory, state().used);
  return cudaSuccess;
}

// --- devices ----------------------------------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  *count = machine().driver == cudaSuccess ? machine().devices : 0;
  if (machine().driver == cudaSuccess && machine().devices == 0) return report(cudaErrorNoDevice);
  return report(machine().driver);
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= machine().devices) return report(cudaErrorInvalidDevice);
  return report(machine().context);
}
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device < 0 || device >= machine().devices) return report(cudaErrorInvalidDevice);
  *p = {};
  std::snprintf(p->name, sizeof p->name, "SIMT shim");
  p->totalGlobalMem = machine().memory;
  p->sharedMemPerBlock = 48 << 10;
  p->sharedMemPerBlockOptin = 227 << 10;
  p->sharedMemPerMultiprocessor = 228 << 10;
  p->major = 9;
  p->multiProcessorCount = machine().multiprocessors;
  p->warpSize = 32;
  p->maxThreadsPerBlock = 1024;
  p->l2CacheSize = 50 << 20;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (cudaError_t e = cudaGetDeviceProperties(&p, device)) return e;
  switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlockOptin); break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
  }
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  return *version = machine().driver == cudaErrorInsufficientDriver ? 0 : 13000, cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetLastError() {
  cudaError_t e = state().last;
  state().last = cudaSuccess;
  return e;
}
cudaError_t cudaPeekAtLastError() { return state().last; }
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  attributes->ptxVersion = 90;
  return report(machine().code);
}
cudaError_t simt_func_set_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value > 227 << 10) return report(cudaErrorInvalidValue);
  state().shared_limit[kernel] = value;
  return cudaSuccess;
}

// --- streams and events --------------------------------------------------------------------------------------------------

cudaError_t cudaDeviceSynchronize() {
  if (cudaError_t e = not_while_recording()) return e;
  flush();
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return *stream = new simt_stream, cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  flush();
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  if (machine().wait != cudaSuccess) return report(machine().wait);
  return cudaDeviceSynchronize();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  if (live_events >= machine().events) return report(cudaErrorMemoryAllocation);
  ++live_events;
  return *event = new simt_event, cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return cudaEventCreate(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  --live_events;
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) { return event->recorded = true, cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaDeviceSynchronize(); }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) { return *ms = 1, cudaSuccess; }

// --- graphs -------------------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!stream || stream->recording) return report(cudaErrorStreamCaptureUnsupported);
  if (machine().record != cudaSuccess) return report(machine().record);
  stream->recording = new simt_graph;
  stream->spoiled = false;
  state().recording.push_back(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!stream || !stream->recording) return report(cudaErrorInvalidValue);
  simt_graph* recorded = stream->recording;
  stream->recording = nullptr;
  std::erase(state().recording, stream);
  if (stream->spoiled) {
    delete recorded;
    return report(cudaErrorStreamCaptureInvalidated);
  }
  ++counters().captures;
  *graph = recorded;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (machine().instantiate != cudaSuccess) return report(machine().instantiate);
  return *exec = new simt_graph_exec{graph->nodes}, cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (machine().replay != cudaSuccess) return report(machine().replay);
  ++counters().graph_launches;
  for (const auto& node : exec->nodes) enqueue(stream, node);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  flush();
  delete exec;
  return cudaSuccess;
}
