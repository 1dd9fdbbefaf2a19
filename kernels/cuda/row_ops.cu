// Quantiser and RMSNorm: one block per row (NUMERICS 3, 5).
//
// Owns: how a row is shared out to threads. Must not know: the arithmetic of a scale (quantizer.h), what the digits are for.
//
// Per row of k values: quantize reads 4 k bytes and writes 2 k; norm_quantize reads 8 k (weights from cache) and writes 2 k.
// 3 and 8 operations per value: both are bound by memory when there are many rows and by the latency of their barriers (2 per
// reduction) when there are few. A thread keeps its values in registers up to kHeld groups of four (rows of 16,384); what is
// beyond is read, and computed, once more.
//
// 1. Threads meet in maxima and sums of integers alone.
// 2. Barriers are those of block_reduce; they guard its shared array and nothing else.
#include "kernels/cuda/block.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/quantizer.h"

namespace ibid::kernels::cuda {

namespace {

constexpr int kHeld = 4;                         // groups of four values that a thread keeps
constexpr int kThreads = 1024;

__device__ float4 load4(const float* x, int i, int k) {
  if (k % 4 == 0) return *reinterpret_cast<const float4*>(x + i);              // then every row is 16-byte aligned
  return make_float4(x[i], i + 1 < k ? x[i + 1] : 0, i + 2 < k ? x[i + 2] : 0, i + 3 < k ? x[i + 3] : 0);
}

// Where a row's values come from: what is read for four of them, from column i, zero behind k; and the values that it makes.
struct Plain {
  using Read = float4;
  const float* x;
  int k;
  __device__ void seek(int row) { x += static_cast<size_t>(row) * static_cast<size_t>(k); }
  __device__ Read read(int i) const { return load4(x, i, k); }
  __device__ float4 made(const Read& v) const { return v; }
};

// The values of one thread: groups of four, blockDim.x groups apart.
template <class Source>
struct Share {
  const Source& source;
  float4 held[kHeld];

  // All is asked for before anything is made of it, so that memory is waited for once.
  __device__ explicit Share(const Source& s) : source(s) {
    typename Source::Read read[kHeld];
    for (int n = 0; n < kHeld; ++n) {
      if (column(n) < s.k) read[n] = s.read(column(n));
    }
    for (int n = 0; n < kHeld; ++n) {
      if (column(n) < s.k) held[n] = s.made(read[n]);
    }
  }
  // The same columns of a source that is made of two others.
  template <class A, class B>
  __device__ Share(const Source& s, const Share<A>& a, const Share<B>& b) : source(s) {
    for (int n = 0; n < kHeld; ++n) {
      if (column(n) < s.k) held[n] = s.made({a.held[n], b.held[n]});
    }
  }
  __device__ static int column(int n) { return 4 * (n * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)); }
  // Calls f(column, values) for every group of this thread.
  template <class F>
  __device__ void each(F f) const {
    for (int n = 0; n < kHeld; ++n) {
      if (column(n) < source.k) f(column(n), held[n]);
    }
    for (int n = kHeld; column(n) < source.k; ++n) f(column(n), source.made(source.read(column(n))));
  }
};

__device__ unsigned largest_of(float4 v) { return max(max(magnitude(v.x), magnitude(v.y)), max(magnitude(v.z), magnitude(v.w))); }

// Four digits as the bytes of a word, the first lowest.
__device__ unsigned pack4(int a, int b, int c, int d) {
  return (static_cast<unsigned>(a) & 255) | (static_cast<unsigned>(b) & 255) << 8 | (static_cast<unsigned>(c) & 255) << 16 |
         static_cast<unsigned>(d) << 24;
}

__device__ void store4(int8_t* high, int8_t* low, int i, float4 v, const RowScale& s) {
  int a = quantized(v.x, s), b = quantized(v.y, s), c = quantized(v.z, s), d = quantized(v.w, s);
  *reinterpret_cast<unsigned*>(high + i) = pack4(high_digit(a), high_digit(b), high_digit(c), high_digit(d));
  *reinterpret_cast<unsigned*>(low + i) = pack4(low_digit(a), low_digit(b), low_digit(c), low_digit(d));
}

template <class Source>
__device__ RowScale scale_of(const Share<Source>& share, unsigned* shared) {
  unsigned largest = 0;
  share.each([&](int, float4 v) { largest = max(largest, largest_of(v)); });
  return row_scale(block_max(largest, shared), kQuantMax);
}

template <class Source>
__device__ void store_row(const Share<Source>& share, const RowScale& s, const RowsView& out, int row, uint8_t* bad) {
  share.each([&](int i, float4 v) { store4(out.high(row), out.low(row), i, v, s); });
  if (threadIdx.x != 0) return;
  *out.scale(row) = s.scale;
  if (s.bad) bad[row] = 1;
}

__global__ void __launch_bounds__(kThreads) quantize_kernel(Plain x, RowsView out, uint8_t* bad) {
  __shared__ unsigned shared[32];
  wait_for_previous();
  int row = static_cast<int>(blockIdx.x);
  x.seek(row);
  Share<Plain> share(x);
  store_row(share, scale_of(share, shared), out, row, bad);
}

// A row of x times one number times its weights: what is quantised after the norm.
struct Normed {
  struct Read { float4 x, weight; };
  Plain x, weight;
  float r;
  int k;
  __device__ Read read(int i) const { return {x.read(i), weight.read(i)}; }
  __device__ float4 made(const Read& v) const {
    return make_float4((v.x.x * r) * v.weight.x, (v.x.y * r) * v.weight.y, (v.x.z * r) * v.weight.z, (v.x.w * r) * v.weight.w);
  }
};

// The weights are on their way before x is there: in decoding they come from memory, and would be waited for behind two reductions.
__global__ void __launch_bounds__(kThreads) norm_kernel(Plain x, Plain weight, float eps, RowsView out, uint8_t* bad) {
  __shared__ unsigned shared[32];
  __shared__ long long sums[32];
  Share<Plain> weights(weight);
  wait_for_previous();
  int row = static_cast<int>(blockIdx.x);
  x.seek(row);
  Share<Plain> share(x);
  RowScale s = scale_of(share, shared);
  long long squares = 0;
  share.each([&](int, float4 v) {
    squares += square(quantized(v.x, s)) + square(quantized(v.y, s)) + square(quantized(v.z, s)) + square(quantized(v.w, s));
  });
  float r = inverse_rms(block_sum(squares, sums), s.scale, x.k, eps);
  Normed normed{x, weight, r, x.k};
  Share<Normed> y(normed, share, weights);
  RowScale t = s.bad ? s : scale_of(y, shared);  // s is the same in every thread, so all take part or none
  store_row(y, t, out, row, bad);
}

// Whole warps, with a group of four for each thread where rows are few, since then barriers are what takes time. Where there are many a
// thread has all that it can hold: a multiprocessor then has several rows in work, one reading while another waits.
dim3 block_for(const Context& c, int rows, int k) {
  const int groups = (k + 3) / 4, wanted = rows > 2 * c.multiprocessors ? (groups + kHeld - 1) / kHeld : groups;
  return dim3(static_cast<unsigned>(min(round_up(static_cast<size_t>(wanted), 32), size_t{kThreads})));
}

}  // namespace

void quantize(Context& c, const float* x, int rows, int k, const QuantRows& out, uint8_t* bad) {
  if (rows > 0) launch(quantize_kernel, dim3(static_cast<unsigned>(rows)), block_for(c, rows, k), 0, c.stream, Plain{x, k}, view(out), bad);
}

void norm_quantize(Context& c, const float* x, const float* weight, float eps, int rows, int k, const QuantRows& out, uint8_t* bad) {
  if (rows > 0)
    launch(norm_kernel, dim3(static_cast<unsigned>(rows)), block_for(c, rows, k), 0, c.stream, Plain{x, k}, Plain{weight, k}, eps,
           view(out), bad);
}

}  // namespace ibid::kernels::cuda
