// Our own integer generator (SplitMix64), for inputs that must be the same on every machine. Not for sampling.
#pragma once
#include <cmath>
#include <cstdint>

namespace ibid::runtime {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // In [0, n), n small: the bias of the remainder does not matter here.
  int below(int n) { return static_cast<int>(next() % static_cast<uint64_t>(n)); }
  // In [-2^exponent, 2^exponent), every value exact: an integer of 24 bits, scaled.
  float uniform(int exponent) { return std::ldexp(static_cast<float>(static_cast<int32_t>(next() >> 40) - (1 << 23)), exponent - 23); }

 private:
  uint64_t state_;
};

}  // namespace ibid::runtime
