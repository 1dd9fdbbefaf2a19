// Seconds since some moment of this machine's past, for how long something takes. Volatile: nothing that is digested may know them.
#pragma once
#include <time.h>

namespace ibid::step {

inline double monotonic_seconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace ibid::step
