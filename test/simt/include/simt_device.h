// Device functions: barriers, warp collectives, atomics, intrinsics. Part of cuda_runtime.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace simt {

// Where the running thread stands.
struct Place {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
  unsigned linear;                             // number of the thread in its block; its lane is linear % 32
};
extern thread_local const Place* here;

void* dynamic_shared();

// Waits for every thread of the block; counts those that vote.
unsigned barrier(bool vote);

// Waits for the lanes of `mask`, whose `data` the last of them hands to `resolve` (null for lanes outside).
using Resolve = void (*)(uint32_t mask, void* const* data);
void collective(uint32_t mask, Resolve resolve, void* data);

// Ends the launch with an error that names the thread. Does not return.
[[noreturn]] void fail(const char* what);

// Copies into shared memory that their thread does not wait for (cp.async): the first `bytes` of `whole`, zeros behind them. The schedule
// says when they land: at once, when they are waited for, or either; what nobody waits for may never land.
void copy(void* to, const void* from, size_t bytes, size_t whole);
void end_copies();                             // ends a group of copies
void wait_copies(unsigned groups);             // until at most this many of the last groups are on their way

struct Shuffle { uint64_t in, out; int source; };
void resolve_shuffle(uint32_t mask, void* const* data);
void resolve_nothing(uint32_t mask, void* const* data);
struct Vote { uint32_t in, out; };
void resolve_ballot(uint32_t mask, void* const* data);

inline unsigned lane() { return here->linear % 32; }

template <class T>
T shuffle(uint32_t mask, T value, int source) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "CUDA shuffles 32-bit and 64-bit numbers");
  Shuffle s{0, 0, source};
  std::memcpy(&s.in, &value, sizeof value);
  collective(mask, resolve_shuffle, &s);
  std::memcpy(&value, &s.out, sizeof value);
  return value;
}

template <class T>
struct Reduce { T in, out; };
template <class T, class F>
T reduce(uint32_t mask, T value, F) {
  Reduce<T> r{value, value};
  collective(mask, [](uint32_t m, void* const* data) {
    bool first = true;
    T sum{};
    for (unsigned i = 0; i < 32; ++i) {
      if (!(m >> i & 1)) continue;
      T in = static_cast<Reduce<T>*>(data[i])->in;
      sum = first ? in : F{}(sum, in);
      first = false;
    }
    for (unsigned i = 0; i < 32; ++i) if (m >> i & 1) static_cast<Reduce<T>*>(data[i])->out = sum;
  }, &r);
  return r.out;
}

// mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32, with the fragments of the PTX manual, d accumulating. g = lane / 4, t = lane % 4:
//   a[0] row g, columns 4 t .. 4 t + 3; a[1] row g + 8; a[2] row g, columns + 16; a[3] row g + 8, columns + 16
//   b[0] rows 4 t .. 4 t + 3 of column g; b[1] rows + 16
//   d[0], d[1] row g, columns 2 t, 2 t + 1; d[2], d[3] row g + 8
void mma_s8_m16n8k32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

}  // namespace simt

#define threadIdx (simt::here->thread)
#define blockIdx (simt::here->block)
#define blockDim (simt::here->block_dim)
#define gridDim (simt::here->grid_dim)
constexpr int warpSize = 32;

inline void __syncthreads() { simt::barrier(false); }
inline int __syncthreads_count(int p) { return static_cast<int>(simt::barrier(p != 0)); }
inline int __syncthreads_or(int p) { return simt::barrier(p != 0) != 0; }
inline int __syncthreads_and(int p) { return simt::barrier(p == 0) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  int nothing = 0;
  simt::collective(mask, simt::resolve_nothing, &nothing);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { simt::fail("__trap"); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  int lane = static_cast<int>(simt::lane()), segment = lane & ~(width - 1);
  return simt::shuffle(mask, value, segment | (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  int lane = static_cast<int>(simt::lane()), source = lane ^ lanes;
  return simt::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  int lane = static_cast<int>(simt::lane()), source = lane + static_cast<int>(delta);
  return simt::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  int lane = static_cast<int>(simt::lane()), source = lane - static_cast<int>(delta);
  return simt::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source);
}
inline unsigned __ballot_sync(unsigned mask, int p) {
  simt::Vote v{p != 0, 0};
  simt::collective(mask, simt::resolve_ballot, &v);
  return v.out;
}
inline int __any_sync(unsigned mask, int p) { return __ballot_sync(mask, p) != 0; }
inline int __all_sync(unsigned mask, int p) { return __ballot_sync(mask, p) == mask; }

namespace simt {
struct Add {
  template <class T> T operator()(T a, T b) const { return static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b)); }
};
struct Max { template <class T> T operator()(T a, T b) const { return a > b ? a : b; } };
struct Min { template <class T> T operator()(T a, T b) const { return a < b ? a : b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
}  // namespace simt
inline int __reduce_add_sync(unsigned mask, int v) { return simt::reduce(mask, v, simt::Add{}); }
inline unsigned __reduce_add_sync(unsigned mask, unsigned v) { return simt::reduce(mask, v, simt::Add{}); }
inline int __reduce_max_sync(unsigned mask, int v) { return simt::reduce(mask, v, simt::Max{}); }
inline unsigned __reduce_max_sync(unsigned mask, unsigned v) { return simt::reduce(mask, v, simt::Max{}); }
inline int __reduce_min_sync(unsigned mask, int v) { return simt::reduce(mask, v, simt::Min{}); }
inline unsigned __reduce_min_sync(unsigned mask, unsigned v) { return simt::reduce(mask, v, simt::Min{}); }
inline unsigned __reduce_or_sync(unsigned mask, unsigned v) { return simt::reduce(mask, v, simt::Or{}); }

// Blocks run one after the other on one thread of the system, so read, change and write is atomic as it stands.
#define SIMT_ATOMIC(T)                                                                                                               \
  inline T atomicAdd(T* at, T v) {                                                                                                   \
    T old = *at;                                                                                                                     \
    *at = static_cast<T>(static_cast<std::make_unsigned_t<T>>(old) + static_cast<std::make_unsigned_t<T>>(v));                       \
    return old;                                                                                                                      \
  }                                                                                                                                  \
  inline T atomicMax(T* at, T v) { T old = *at; *at = old > v ? old : v; return old; }                                               \
  inline T atomicMin(T* at, T v) { T old = *at; *at = old < v ? old : v; return old; }                                               \
  inline T atomicOr(T* at, T v) { T old = *at; *at = old | v; return old; }                                                          \
  inline T atomicAnd(T* at, T v) { T old = *at; *at = old & v; return old; }                                                         \
  inline T atomicExch(T* at, T v) { T old = *at; *at = v; return old; }                                                              \
  inline T atomicCAS(T* at, T compare, T v) { T old = *at; *at = old == compare ? v : old; return old; }
SIMT_ATOMIC(int)
SIMT_ATOMIC(unsigned)
SIMT_ATOMIC(unsigned long long)
#undef SIMT_ATOMIC

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> void __stcs(T* p, T v) { *p = v; }

inline int __dp4a(int a, int b, int c) {
  unsigned sum = static_cast<unsigned>(c);
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<unsigned>(static_cast<int8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i));
  }
  return static_cast<int>(sum);
}
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v ? __builtin_clz(static_cast<unsigned>(v)) : 32; }
inline int __clzll(long long v) { return v ? __builtin_clzll(static_cast<unsigned long long>(v)) : 64; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __ffsll(long long v) { return __builtin_ffsll(v); }
inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (v >> i & 1) << (31 - i);
  return r;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline int __mulhi(int a, int b) { return static_cast<int>(int64_t{a} * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  uint64_t bytes = uint64_t{b} << 32 | a;
  unsigned r = 0;
  for (int i = 0; i < 4; ++i) {
    unsigned s = selector >> 4 * i & 15, byte = static_cast<unsigned>(bytes >> 8 * (s & 7)) & 255;
    r |= (s & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
  }
  return r;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31));
}
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline long long __float2ll_rn(float x) { return static_cast<long long>(std::nearbyint(x)); }
inline int __float_as_int(float x) { int v; std::memcpy(&v, &x, 4); return v; }
inline unsigned __float_as_uint(float x) { unsigned v; std::memcpy(&v, &x, 4); return v; }
inline float __int_as_float(int v) { float x; std::memcpy(&x, &v, 4); return x; }
inline float __uint_as_float(unsigned v) { float x; std::memcpy(&x, &v, 4); return x; }

template <class T, std::enable_if_t<std::is_integral_v<T>, int> = 0> constexpr T min(T a, T b) { return b < a ? b : a; }
template <class T, std::enable_if_t<std::is_integral_v<T>, int> = 0> constexpr T max(T a, T b) { return a < b ? b : a; }
