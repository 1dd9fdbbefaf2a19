// The shim itself: it computes what CUDA says, and it catches what it is there to catch.
#include <set>
#include <string>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/mma.h"
#include "test/catch.h"
#include "test/simt/array.h"
#include "test/simt/asan.h"
#include "test/unit/random.h"

using ibid::kernels::launch;
using ibid::test::Array;
using ibid::test::Random;

namespace {

const simt::Schedule kSchedules[] = {{simt::Schedule::ascending, 0}, {simt::Schedule::descending, 0}, {simt::Schedule::shuffled, 1},
                                     {simt::Schedule::shuffled, 2}};

// The kernels here are about other things than waiting for each other.
const bool kAlone = (simt::machine().must_wait = false, true);

__global__ void waits(int* out) {
  ibid::kernels::wait_for_previous();
  out[threadIdx.x] = 1;
}
__global__ void half_waits(int* out) {
  if (threadIdx.x % 2 == 0) ibid::kernels::wait_for_previous();
  out[threadIdx.x] = 1;
}

std::string error_of(void (*kernel)(int*), unsigned threads) {
  Array<int> out(std::vector<int>(1024));
  try {
    launch(kernel, 1, threads, 0, nullptr, static_cast<int*>(out));
  } catch (const simt::Error& e) {
    return e.what();
  }
  return "";
}

__global__ void shuffles(int* out) {
  int lane = static_cast<int>(threadIdx.x % 32);
  int* to = out + threadIdx.x * 6;
  to[0] = __shfl_sync(0xffffffffu, lane * 10, 7);
  to[1] = __shfl_xor_sync(0xffffffffu, lane, 5);
  to[2] = __shfl_down_sync(0xffffffffu, lane, 4);
  to[3] = __shfl_up_sync(0xffffffffu, lane, 4, 16);
  to[4] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
  to[5] = static_cast<int>(__shfl_sync(0xffffffffu, int64_t{1} << lane, 31) >> 31);
}

// Half a warp exchanges while the other half does so more often.
__global__ void halves(int* out) {
  unsigned mask = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
  int v = static_cast<int>(threadIdx.x);
  for (int i = 0; i < (threadIdx.x < 16 ? 1 : 3); ++i) v += __shfl_xor_sync(mask, v, 1);
  out[threadIdx.x] = v + static_cast<int>(__reduce_max_sync(0xffffffffu, threadIdx.x));
}

template <bool kBarrier>
__global__ void reverse(int* data) {
  IBID_DYNAMIC_SHARED(int, shared);
  unsigned i = threadIdx.x, n = blockDim.x;
  shared[i] = data[blockIdx.x * n + i];
  if (kBarrier) __syncthreads();                 // guards shared[] against being read before its writer
  data[blockIdx.x * n + i] = shared[n - 1 - i];
}

template <bool kFloat>
__global__ void sum(float* floats, unsigned* integers) {
  float v = 1.0f / static_cast<float>(threadIdx.x + 1);
  if (kFloat) simt::atomic_add_float(floats, v);
  else atomicAdd(integers, static_cast<unsigned>(v * 65536.0f));
}

__global__ void some_return(int*) {
  if (threadIdx.x == 3) return;
  __syncthreads();
}
__global__ void some_wait_elsewhere(int* out) {
  if (threadIdx.x == 3) out[0] = __shfl_sync(0xffffffffu, 1, 0);
  __syncthreads();
}
__global__ void not_named(int* out) { out[0] = __shfl_sync(0xffu, 1, 0); }
__global__ void different_functions(int* out) {
  if (threadIdx.x == 3) __syncwarp();
  else out[0] = __shfl_sync(0xffffffffu, 1, 0);
}
__global__ void reads_unnamed(int* out) {
  if (threadIdx.x < 8) out[0] = __shfl_sync(0xffu, 1, 9);
}
__global__ void add_one(int* data) { data[blockIdx.x * blockDim.x + threadIdx.x] += 1; }

__global__ void multiply(const int8_t* a, const int8_t* b, int* c) {      // a (16, 32), b (8, 32) by columns, c (16, 8)
  int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  auto word = [](const int8_t* p) {
    uint32_t w;
    std::memcpy(&w, p, 4);
    return w;
  };
  uint32_t fa[4] = {word(a + g * 32 + 4 * t), word(a + (g + 8) * 32 + 4 * t), word(a + g * 32 + 16 + 4 * t),
                    word(a + (g + 8) * 32 + 16 + 4 * t)};
  uint32_t fb[2] = {word(b + g * 32 + 4 * t), word(b + g * 32 + 16 + 4 * t)};
  int d[4] = {1, 2, 3, 4};
  simt::mma_s8_m16n8k32(d, fa, fb);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i] - (i + 1);
}

}  // namespace

TEST_CASE("shuffles and votes") {
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    Array<int> out(std::vector<int>(64 * 6));
    launch(shuffles, 1, 64, 0, nullptr, static_cast<int*>(out));
    std::vector<int> got = out.get();
    for (int i = 0; i < 64; ++i) {
      int lane = i % 32;
      const int* v = got.data() + i * 6;
      CHECK(v[0] == 70);
      CHECK(v[1] == (lane ^ 5));
      CHECK(v[2] == (lane + 4 < 32 ? lane + 4 : lane));
      CHECK(v[3] == (lane % 16 >= 4 ? lane - 4 : lane));
      CHECK(v[4] == 0x49249249);
      CHECK(v[5] == 1);
    }
    Array<int> half(std::vector<int>(32));
    launch(halves, 1, 32, 0, nullptr, static_cast<int*>(half));
    std::vector<int> h = half.get();
    CHECK(h[0] == 0 + 1 + 31);
    CHECK(h[16] == (16 + 17) * 4 + 31);
  }
}

TEST_CASE("barriers hold, and a removed one shows") {
  std::vector<int> in(3 * 128);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i);
  std::set<std::vector<int>> with, without;
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    Array<int> a(in), b(in);
    launch(reverse<true>, 3, 128, 128 * sizeof(int), nullptr, static_cast<int*>(a));
    launch(reverse<false>, 3, 128, 128 * sizeof(int), nullptr, static_cast<int*>(b));
    with.insert(a.get());
    without.insert(b.get());
    CHECK(a.get()[0] == 127);
  }
  CHECK(with.size() == 1);
  CHECK(without.size() > 1);
  CHECK(without.count(*with.begin()) == 0);
}

TEST_CASE("a sum of floats by atomics depends on the schedule, a sum of integers does not") {
  std::set<float> floats;
  std::set<unsigned> integers;
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    Array<float> f(std::vector<float>(1));
    Array<unsigned> u(std::vector<unsigned>(1));
    launch(sum<true>, 4, 96, 0, nullptr, static_cast<float*>(f), static_cast<unsigned*>(u));
    launch(sum<false>, 4, 96, 0, nullptr, static_cast<float*>(f), static_cast<unsigned*>(u));
    floats.insert(f.get()[0]);
    integers.insert(u.get()[0]);
  }
  CHECK(floats.size() > 1);
  CHECK(integers.size() == 1);
}

TEST_CASE("divergence is an error, not a hang") {
  for (simt::Schedule s : kSchedules) {
    simt::set_schedule(s);
    CHECK(error_of(some_return, 64).find("divergent threads") == 0);
    CHECK(error_of(some_wait_elsewhere, 64).find("divergent threads") == 0);
    CHECK(error_of(not_named, 32).find("does not name it") != std::string::npos);
    CHECK(error_of(different_functions, 32).find("different warp functions") != std::string::npos);
    CHECK(error_of(reads_unnamed, 32).find("reads a lane") != std::string::npos);
    CHECK(error_of(add_one, 32).empty());
    CHECK(error_of(add_one, 2048).find("no device has") != std::string::npos);
  }
}

TEST_CASE("a kernel of which a thread does not wait for the kernel before is an error") {
  simt::machine().must_wait = true;
  CHECK(error_of(waits, 64) == "");
  CHECK(error_of(half_waits, 64) == "of 64 threads 32 waited for the kernel before theirs: each must, once");
  simt::machine().must_wait = false;
  CHECK(error_of(half_waits, 64) == "");
}

TEST_CASE("s8 mma and dp4a equal plain loops") {
  Random random(3);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<int8_t> a(16 * 32), b(8 * 32);
    for (auto* m : {&a, &b}) for (int8_t& v : *m) v = trial == 0 ? int8_t{-128} : static_cast<int8_t>(random.below(256) - 128);
    Array<int8_t> da(a), db(b);
    Array<int> dc(std::vector<int>(16 * 8));
    simt::set_schedule(kSchedules[trial % 4]);
    launch(multiply, 1, 32, 0, nullptr, static_cast<int8_t*>(da), static_cast<int8_t*>(db), static_cast<int*>(dc));
    std::vector<int> c = dc.get();
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 8; ++j) {
        int want = 0;
        for (int k = 0; k < 32; ++k) want += a[static_cast<size_t>(i * 32 + k)] * b[static_cast<size_t>(j * 32 + k)];
        CHECK(c[static_cast<size_t>(i * 8 + j)] == want);
      }
    }
  }
  CHECK(__dp4a(static_cast<int>(0x80FF7F01), static_cast<int>(0x8002FF03), 5) == 128 * 128 - 2 - 127 + 3 + 5);
  CHECK(__dp4a(0x7f7f7f7f, 0x7f7f7f7f, 0x7fffffff) == static_cast<int>(0x7fffffffu + 4u * 127 * 127));
}

TEST_CASE("capture and replay; what a device refuses meanwhile is refused") {
  simt::set_schedule({});
  Array<int> data(std::vector<int>(64));
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaStreamCreate(&stream);
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  launch(add_one, 2, 32, 0, stream, static_cast<int*>(data));
  launch(add_one, 2, 32, 0, stream, static_cast<int*>(data));
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(data.get()[0] == 0);                     // recorded, not run
  CHECK(cudaGraphInstantiate(&exec, graph) == cudaSuccess);
  for (int i = 0; i < 3; ++i) CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
  CHECK(data.get() == std::vector<int>(64, 6));
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);

  int on_host = 0;
  void* p = nullptr;
  auto refused = [&](auto call) {
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    cudaError_t e = call();
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaGetLastError() != cudaSuccess);
    return e;
  };
  CHECK(refused([&] { return cudaMalloc(&p, 16); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(refused([&] { return cudaStreamSynchronize(stream); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(refused([&] { return cudaMemcpyAsync(&on_host, data, 4, cudaMemcpyDeviceToHost, stream); }) == cudaErrorStreamCaptureUnsupported);
  cudaStreamDestroy(stream);
}

TEST_CASE("a forgotten wait shows when the shim is lazy") {
  Array<int> data(std::vector<int>(32));
  int* pinned = nullptr;
  cudaMallocHost(&pinned, 32 * sizeof(int));
  pinned[0] = -1;
  simt::set_lazy(true);
  launch(add_one, 1, 32, 0, nullptr, static_cast<int*>(data));
  cudaMemcpyAsync(pinned, data, 32 * sizeof(int), cudaMemcpyDeviceToHost, nullptr);
  CHECK(pinned[0] == -1);
  cudaDeviceSynchronize();
  CHECK(pinned[0] == 1);
  simt::set_lazy(false);
  cudaFreeHost(pinned);
}

TEST_CASE("memory: what is beyond the device is refused, shared memory has its limit") {
  size_t before = simt::machine().memory, free_bytes = 0, total = 0;
  simt::machine().memory = 1 << 20;
  void* p = nullptr;
  CHECK(cudaMalloc(&p, 2 << 20) == cudaErrorMemoryAllocation);
  CHECK(cudaMalloc(&p, 1 << 19) == cudaSuccess);
  CHECK(cudaMemGetInfo(&free_bytes, &total) == cudaSuccess);
  CHECK(free_bytes == size_t{1} << 19);
  cudaFree(p);
  simt::machine().memory = before;

  Array<int> data(std::vector<int>(128));
  CHECK_THROWS_AS(launch(reverse<true>, 1, 128, 100 << 10, nullptr, static_cast<int*>(data)), simt::Error);
  CHECK(cudaFuncSetAttribute(reverse<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10) == cudaSuccess);
  CHECK_NOTHROW(launch(reverse<true>, 1, 128, 100 << 10, nullptr, static_cast<int*>(data)));
}

#ifdef SIMT_ASAN
TEST_CASE("what lies beside an allocation may not be read") {
  char* p = nullptr;
  REQUIRE(cudaMalloc(&p, 100) == cudaSuccess);
  CHECK(__asan_region_is_poisoned(p, 100) == nullptr);
  CHECK(__asan_address_is_poisoned(p - 1));
  CHECK(__asan_address_is_poisoned(p + 100));
  CHECK(__asan_address_is_poisoned(p + 355));
  CHECK(cudaFree(p) == cudaSuccess);
}
#endif

// Each thread copies a piece and shows what it has of it, then what its neighbour has: waiting and meeting, or not.
template <bool waits_for_copies, bool meets>
__global__ void copies_pieces(const int8_t* from, int* out) {
  using namespace ibid::kernels::cuda;
  ibid::kernels::wait_for_previous();
  __shared__ __align__(16) int8_t piece[32][16];
  const int i = static_cast<int>(threadIdx.x);
  for (int8_t& b : piece[i]) b = -1;
  __syncthreads();
  i % 2 ? copy_piece(piece[i], from + 16 * i) : copy_front(piece[i], from + 16 * i, 4);
  end_copies();
  end_copies();                                  // an empty group
  if (waits_for_copies) wait_copies<1>();
  if (meets) __syncthreads();
  int sum = 0;
  for (int8_t b : piece[i ^ 1]) sum += b;
  out[i] = sum;
}

TEST_CASE("a copy that nobody waits for is not there, and with it lie zeros") {
  std::vector<int8_t> bytes(32 * 16);
  Random random(5);
  for (int8_t& b : bytes) b = static_cast<int8_t>(random.below(100));
  std::vector<int> want(32);
  for (size_t i = 0; i < 32; i++)
    for (size_t j = 0; j < ((i ^ 1) % 2 ? 16u : 4u); j++) want[i] += bytes[(i ^ 1) * 16 + j];
  Array<int8_t> from(bytes);
  const auto run = [&](void (*kernel)(const int8_t*, int*)) {
    Array<int> out(std::vector<int>(32));
    launch(kernel, 1, 32, 0, nullptr, static_cast<int8_t*>(from), static_cast<int*>(out));
    return out.get();
  };
  int forgot_wait = 0, forgot_barrier = 0;
  for (const simt::Schedule& schedule : kSchedules) {
    simt::set_schedule(schedule);
    CHECK(run(copies_pieces<true, true>) == want);
    forgot_wait += run(copies_pieces<false, true>) != want;
    forgot_barrier += run(copies_pieces<true, false>) != want;
  }
  simt::set_schedule({});
  CHECK(forgot_wait == 3);                       // ascending: copies land at once
  CHECK(forgot_barrier == 4);
}
