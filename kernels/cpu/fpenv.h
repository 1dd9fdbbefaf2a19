// The floating point environment of numerics v1: round to nearest even, denormals kept, every exception masked.
//
// It is per-thread state that any library loaded later may have changed, so each thread sets it for itself: the pool's workers at their
// start; a caller in every Pool::run, and wherever it computes without the pool.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace ibid::kernels {

inline void set_fp_env() {
#if defined(__x86_64__)
  _mm_setcsr(0x1F80);
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(uint64_t{0}));
#endif
}

}  // namespace ibid::kernels
