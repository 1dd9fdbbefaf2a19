// What the kernels see of CUDA when they are compiled as plain C++: found in place of the toolkit's header of this name.
//
// Owns: the spelling of the language and of the runtime. Must not know: ibid, its kernels; how threads run (simt.h, simt.cc).
//
// 1. What CUDA leaves undefined is an error here where it can be seen: divergent barriers, lanes that a mask does not name,
//    allocation while a graph is recorded, large shared memory that was not asked for.
// 2. Memory from cudaMalloc and dynamic shared memory start as garbage, as on a device. What is declared __shared__ does not: a block finds
//    there what the one before it left, the first zeros.
// 3. There is no atomic addition of floats: its order would be a result.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static thread_local       // a block runs on one thread of the system, and no other block meanwhile
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 { unsigned x, y, z; };

#define SIMT_VECTOR(T, name, bytes2, bytes4)                                                             \
  struct __align__(bytes2) name##2 { T x, y; };                                                          \
  struct __align__(bytes4) name##4 { T x, y, z, w; };                                                    \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                             \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
SIMT_VECTOR(int, int, 8, 16)
SIMT_VECTOR(unsigned, uint, 8, 16)
SIMT_VECTOR(float, float, 8, 16)
SIMT_VECTOR(short, short, 4, 8)
SIMT_VECTOR(unsigned short, ushort, 4, 8)
SIMT_VECTOR(signed char, char, 2, 4)
SIMT_VECTOR(unsigned char, uchar, 2, 4)
#undef SIMT_VECTOR
struct __align__(16) longlong2 { long long x, y; };
struct __align__(16) ulonglong2 { unsigned long long x, y; };
struct __align__(16) double2 { double x, y; };
inline longlong2 make_longlong2(long long x, long long y) { return {x, y}; }
inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) { return {x, y}; }

#include "simt_runtime.h"
#include "simt_device.h"
