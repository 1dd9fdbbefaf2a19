// A cublasLt for machines without one: exact, slow, and strict about what the real one asks of its callers.
#pragma once
#include <cstdint>

namespace simt {

// What load_library() finds from now on. Offered or not, devices made before keep what they have.
void offer_cublas(bool offered);

struct CublasCounters {
  uint64_t products = 0, heuristics = 0;
  uint64_t algorithms = 0;                       // bit i: algorithm i was used
  int live = 0;                                  // handles, descriptions, layouts, preferences that were not destroyed
};
CublasCounters& cublas_counters();

// What it fails at from now on.
struct CublasFaults {
  bool loading = false;                          // opening it takes more memory than there is
  int products = 1 << 30;                        // that are taken before one is refused
  int heuristics = 1 << 30;                      // that are answered before one has nothing to offer
};
CublasFaults& cublas_faults();

constexpr int kCublasAlgorithms = 3;             // usable ones among what the heuristic offers

}  // namespace simt
