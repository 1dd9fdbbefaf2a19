// Single values of a stored row (NUMERICS 4.4, 4.6), as threads read them.
//
// Owns: the storage formats on a device. Must not know: which matrix, what becomes of the value.
//
// 1. REQUIRES: a row starts at an address that is a multiple of 2, for f32 of 4; both follow from a matrix that starts aligned.
#pragma once
#include "kernels/cuda/launch.h"
#include "kernels/k_quants.h"
#include "kernels/math.h"
#include "kernels/ops.h"

namespace ibid::kernels::cuda {

__device__ inline float half_at(const uint8_t* p) { return math::half_to_float(*reinterpret_cast<const uint16_t*>(p)); }

// Four bits of element i of a block whose 16 bytes start at p: low halves first, then high halves.
__device__ inline int nibble(const uint8_t* p, int i) { return i < 16 ? p[i] & 15 : p[i - 16] >> 4; }

// Bit i of the four bytes at p, as the fifth of element i.
__device__ inline int fifth_bit(const uint8_t* p, int i) { return (p[i / 8] >> i % 8 & 1) << 4; }

__device__ inline float stored_value(DType dtype, const uint8_t* row, int i) {
  switch (dtype) {
    case DType::f32: return reinterpret_cast<const float*>(row)[i];
    case DType::f16: return half_at(row + 2 * static_cast<size_t>(i));
    case DType::bf16: return math::from_bits(static_cast<uint32_t>(reinterpret_cast<const uint16_t*>(row)[i]) << 16);
    case DType::q8_0: {
      const uint8_t* block = row + static_cast<size_t>(i / 32) * 34;
      return static_cast<float>(static_cast<int8_t>(block[2 + i % 32])) * half_at(block);
    }
    case DType::q4_0: {
      const uint8_t* block = row + static_cast<size_t>(i / 32) * 18;
      return static_cast<float>(nibble(block + 2, i % 32) - 8) * half_at(block);
    }
    case DType::q4_1: {
      const uint8_t* block = row + static_cast<size_t>(i / 32) * 20;
      return static_cast<float>(nibble(block + 4, i % 32)) * half_at(block) + half_at(block + 2);
    }
    case DType::q5_0: {
      const uint8_t* block = row + static_cast<size_t>(i / 32) * 22;
      return static_cast<float>((nibble(block + 6, i % 32) | fifth_bit(block + 2, i % 32)) - 16) * half_at(block);
    }
    case DType::q5_1: {
      const uint8_t* block = row + static_cast<size_t>(i / 32) * 24;
      return static_cast<float>(nibble(block + 8, i % 32) | fifth_bit(block + 4, i % 32)) * half_at(block) + half_at(block + 2);
    }
    case DType::iq4_nl: {
      const uint8_t* block = row + static_cast<size_t>(i / 32) * 18;
      return static_cast<float>(iq4_value(nibble(block + 2, i % 32))) * half_at(block);
    }
    case DType::q2_k:
    case DType::q3_k:
    case DType::q4_k:
    case DType::q5_k:
    case DType::q6_k:
    case DType::iq4_xs: {
      const int place = i % kRunBlock, length = run_length(dtype);
      const uint8_t* block = row + static_cast<size_t>(i / kRunBlock) * run_block_bytes(dtype);
      return run_value(run_of(dtype, block, place / length), place % length);
    }
  }
  return 0;
}

}  // namespace ibid::kernels::cuda
