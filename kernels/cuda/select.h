// Exact selection among ranks, by their digits from the highest down: which rank is the last of the first k, or the last one that
// less than a given weight stands ahead of.
//
// Owns: the histogram of one digit, and its barriers. Must not know: what a rank means; logits.
//
// 1. Ranks are 64-bit and distinct; larger ranks come first. A rank of 0 is out of the running.
// 2. Counts and weights are integers, added by integer atomics in shared memory: no order changes them.
// 3. All threads of the block call, and get the same answer.
#pragma once
#include "kernels/cuda/block.h"

namespace ibid::kernels::cuda {

using Rank = unsigned long long;

constexpr int kBins = 256, kDigitBits = 8;

struct Histogram {
  unsigned count[kBins];
  unsigned long long weight[kBins];
  int bin;                                       // what find_bin() found
  unsigned long long ahead;                      // before the bin
};

// The last bin from above, among those that hold anything, that less than `limit` stands ahead of; amount(bin) is what it holds.
// Thread 0 walks the bins: 256 reads of shared memory, once per digit.
template <class Amount>
__device__ void find_bin(Histogram& h, unsigned long long ahead, unsigned long long limit, Amount amount) {
  __syncthreads();                               // the histogram is complete before it is read
  if (threadIdx.x == 0) {
    for (int bin = kBins - 1; bin >= 0 && ahead < limit; --bin) {
      unsigned long long here = amount(bin);
      if (here == 0) continue;
      h.bin = bin;
      h.ahead = ahead;
      ahead += here;
    }
  }
  __syncthreads();                               // bin and ahead stand before anyone reads them
}

// The smallest rank that is kept, when those are kept that `limit` is more than the weight of all larger ones.
// rank(i), weight(i): of items 0 .. n - 1. REQUIRES: 0 < limit < the weight of all; kCount: every weight is 1.
template <bool kCount, class RankOf, class WeightOf>
__device__ Rank last_kept(Histogram& h, int n, unsigned long long limit, RankOf rank, WeightOf weight) {
  Rank prefix = 0;
  unsigned long long ahead = 0;
  for (int shift = 64 - kDigitBits; shift >= 0; shift -= kDigitBits) {
    for (int i = static_cast<int>(threadIdx.x); i < kBins; i += static_cast<int>(blockDim.x)) h.count[i] = 0, h.weight[i] = 0;
    __syncthreads();                             // the histogram is empty before anyone counts
    Rank above = shift + kDigitBits < 64 ? ~Rank{0} << (shift + kDigitBits) : 0;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) {
      Rank r = rank(i);
      if (r == 0 || (r & above) != prefix) continue;
      int bin = static_cast<int>(r >> shift) & (kBins - 1);
      atomicAdd(&h.count[bin], 1u);
      if (!kCount) atomicAdd(&h.weight[bin], static_cast<unsigned long long>(weight(i)));
    }
    find_bin(h, ahead, limit, [&](int bin) { return kCount ? static_cast<unsigned long long>(h.count[bin]) : h.weight[bin]; });
    prefix |= static_cast<Rank>(h.bin) << shift;
    ahead = h.ahead;
    unsigned here = h.count[h.bin];
    __syncthreads();                             // everyone has read the histogram before it is emptied
    if (here == 1 || (kCount && ahead + here == limit)) return prefix;   // one is left, or all that are left are kept
  }
  return prefix;
}

}  // namespace ibid::kernels::cuda
