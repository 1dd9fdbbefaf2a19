// The tile registers of AMX, as the matrix product and attention use them: eight of 16 lines of 64 bytes.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace ibid::kernels {
namespace {

constexpr int kTileRows = 16;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Loaded for each task and given back after it, so that a thread's state stays its own.
struct Tiles {
  Tiles() {
    TileConfig config;
    for (int i = 0; i < 8; i++) {
      config.row_bytes[i] = 64;
      config.rows[i] = kTileRows;
    }
    asm volatile("" : : "r"(&config) : "memory");   // gcc 12's intrinsic owns up to reading the first 8 bytes only
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
};

}  // namespace
}  // namespace ibid::kernels
