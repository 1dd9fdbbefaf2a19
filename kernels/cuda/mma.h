// The tensor core's integer product, and the loads that feed it.
//
// Owns: m16n8k32 of signed bytes; how a lane reads its operands; copies from global into shared memory that do not wait.
// Must not know: tiles, ops. With launch.h the only header that asks whether nvcc compiles it.
//
// 1. A lane is g = lane / 4 and t = lane % 4. A Piece is 16 consecutive bytes of a row of 64: lane (g, t) reads piece t of row g.
//    Its four words serve two products, the first two words one and the last two the other. Both operands are read alike, so that a
//    term of the sum meets its partner: only the order of the terms differs from the row's, which integers do not see.
// 2. Sums wrap modulo 2^32 (no .satfinite); callers keep the true sum within int32 (NUMERICS 13).
#pragma once
#include <cstdint>

#include "kernels/cuda/launch.h"

namespace ibid::kernels::cuda {

using Piece = uint4;
constexpr int kPieceBytes = 16, kSliceBytes = 64;        // of a lane, and of a quad: what two products take of a row
constexpr int kTileRows = 16, kTileColumns = 8;          // of a product

#ifdef __CUDACC__

// d (16 x 8) += a (16 x 32) b (32 x 8). Lane (g, t) holds d(g, 2 t), d(g, 2 t + 1), d(g + 8, 2 t), d(g + 8, 2 t + 1).
// volatile: the whole warp must come to it, and without it the compiler may move it into a branch that only some lanes take.
__device__ __forceinline__ void mma_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Reads what is read once: it does not displace in L1 what is read again.
__device__ __forceinline__ Piece load_once(const int8_t* p) {
  Piece v;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}

// The same of rows of weights, of which L2 is asked for 256 bytes at a time: rows are read 64 bytes here and there. (A stream without gaps,
// the probe's, loses 8 % by it on an H200.)
__device__ __forceinline__ Piece load_weights(const int8_t* p) {
  Piece v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}

// Asks for the 128-byte line of p to be in L2 soon.
__device__ __forceinline__ void fetch_ahead(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// Starts a copy of one piece into shared memory; both 16-byte aligned. It is there for this thread after wait_copies, for others
// after a barrier behind that.
__device__ __forceinline__ void copy_piece(int8_t* to_shared, const int8_t* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
               ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to_shared))), "l"(from) : "memory");
}
// The same of the first `bytes` of a piece, and zeros behind them.
__device__ __forceinline__ void copy_front(void* to_shared, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to_shared))), "l"(from), "r"(bytes) : "memory");
}
// Ends a group of copies, which may be empty.
__device__ __forceinline__ void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `groups` of this thread's groups are on their way.
template <int groups>
__device__ __forceinline__ void wait_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory"); }

#else

inline void mma_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { simt::mma_s8_m16n8k32(d, a, b); }
inline Piece load_weights(const int8_t* p) { return *reinterpret_cast<const Piece*>(p); }
inline Piece load_once(const int8_t* p) { return *reinterpret_cast<const Piece*>(p); }
inline void fetch_ahead(const void*) {}
inline void copy_piece(int8_t* to_shared, const int8_t* from) { simt::copy(to_shared, from, kPieceBytes, kPieceBytes); }
inline void copy_front(void* to_shared, const void* from, int bytes) {
  simt::copy(to_shared, from, static_cast<size_t>(bytes), kPieceBytes);
}
inline void end_copies() { simt::end_copies(); }
template <int groups>
void wait_copies() { simt::wait_copies(groups); }

#endif

__device__ __forceinline__ Piece load_piece(const int8_t* p) { return *reinterpret_cast<const Piece*>(p); }
__device__ __forceinline__ Piece zero_piece() { return make_uint4(0, 0, 0, 0); }

// Pieces of rows g and g + 8, in the order in which the two products take their words.
struct RowPair { Piece first, second; };
__device__ __forceinline__ RowPair row_pair(const Piece& upper, const Piece& lower) {
  return {make_uint4(upper.x, lower.x, upper.y, lower.y), make_uint4(upper.z, lower.z, upper.w, lower.w)};
}

// d += the product of a slice of 64; column is a piece of column g.
__device__ __forceinline__ void mma_slice(int (&d)[4], const RowPair& rows, const Piece& column) {
  const uint32_t a0[4] = {rows.first.x, rows.first.y, rows.first.z, rows.first.w}, b0[2] = {column.x, column.y};
  const uint32_t a1[4] = {rows.second.x, rows.second.y, rows.second.z, rows.second.w}, b1[2] = {column.z, column.w};
  mma_s8(d, a0, b0);
  mma_s8(d, a1, b1);
}
__device__ __forceinline__ void mma_slice(int (&d)[4], const Piece& upper, const Piece& lower, const Piece& column) {
  mma_slice(d, row_pair(upper, lower), column);
}

// The four products of digits of a slice; H and L of the rows.
__device__ __forceinline__ void multiply_digits(int (&sum)[3][4], const RowPair (&row)[2], const Piece& high, const Piece& low) {
  mma_slice(sum[0], row[0], high);
  mma_slice(sum[1], row[0], low);
  mma_slice(sum[1], row[1], high);
  mma_slice(sum[2], row[1], low);
}

// The whole sum of element v of a tile whose products of digits are summed by weight: 65536 HH + 256 (HL + LH) + LL where both
// operands have two digits, 256 H + L where one has a single digit.
template <int sums>
__device__ __forceinline__ int64_t put_together(const int (&sum)[sums][4], int v) {
  int64_t s = sum[0][v];
#pragma unroll
  for (int i = 1; i < sums; ++i) s = s * 256 + sum[i][v];
  return s;
}

}  // namespace ibid::kernels::cuda
