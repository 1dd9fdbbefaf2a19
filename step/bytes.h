// Whole numbers as little-endian bytes, and a digest as bytes: what the binary parts of our formats are made of.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "step/digest.h"

namespace ibid::step {

inline void put_le(std::string& out, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i));
}

// REQUIRES: that many bytes are there.
inline uint64_t get_le(const char* p, int bytes) {
  uint64_t v = 0;
  for (int i = 0; i < bytes; ++i) v |= static_cast<uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
  return v;
}

// A view: of a temporary digest it is good for the expression alone.
inline std::string_view bytes_of(const Digest& d) { return {reinterpret_cast<const char*>(d.data()), d.size()}; }

}  // namespace ibid::step
