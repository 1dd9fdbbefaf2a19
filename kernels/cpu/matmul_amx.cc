// The matrix product by AMX-INT8: unsigned activation digits (tiles of 16 rows) times signed weight digits, 64 deep. The
// tile registers hold four sums, two activation tiles (H, L) and two weight tiles: the two halves of a panel when a weight
// has one digit, H and L of one half when it has two. Rows that one AVX-512 tile takes go there: they are bound by memory.
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/matmul_x512.h"

namespace ibid::kernels {
namespace {

constexpr size_t kPanelInL1 = 32 * 1024;   // of 48 KB; the rest is for sums, outputs and what passes by

// 16 rows and a panel. Two of them alternate: while the tile registers add up the sums of one, the epilogue of the other
// runs between the tile instructions.
template <int D>
struct Unit {
  alignas(64) int32_t sum[D][4][kTileRows][16];   // per digit of the weights: a_high half 0, a_low half 0, the same of half 1
  const int32_t* correction[D];                   // (kPanel) each
  Epilogue epilogue;
  size_t live = 0, next = 0;                      // rows that exist, row to finish next

  [[gnu::always_inline]] void finish_row() {
    if (next == live) return;
    const size_t t = next++;
    epilogue.template finish<D>(t, [&](auto half) IBID_INLINE {
      const auto load = [&](size_t digit, size_t low) IBID_INLINE {
        return _mm512_add_epi32(_mm512_load_si512(sum[digit][2 * half + low][t]), _mm512_load_si512(correction[digit] + 16 * half));
      };
      if constexpr (D == 2) return join(load(0, 0), _mm512_add_epi32(load(0, 1), load(1, 0)), load(1, 1));
      else return Sums{load(0, 0), load(0, 1)};
    });
  }
};

// The four sums of one digit of a panel with 16 rows. What else is to do, `pace` rows of `other` and the lines of `ahead` for each
// block, is spread between the tile instructions, which wait for each other and for memory: in one piece it came on top of them.
// `stay`: the panel is in L1 and shall stay there, so the rows pass it by.
// The tile instructions' operands are invisible to the compiler, hence the barriers.
template <int D, bool stay>
__attribute__((noinline)) void sum_digit(const int8_t* w, const uint8_t* a, size_t a_stride, size_t blocks,
                                         int32_t (*sum)[kTileRows][16], Unit<D>& other, size_t pace, Ahead ahead) {
  const auto between = [&](size_t quarter) IBID_INLINE {
    ahead.step(quarter, 4);
    for (size_t i = quarter; i < pace; i += 4) other.finish_row();
  };
  asm volatile("" ::: "memory");
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t b = 0; b < blocks; b++) {
    if constexpr (stay) _tile_stream_loadd(4, a, a_stride); else _tile_loadd(4, a, a_stride);
    _tile_loadd(6, w, kQuadBytes);
    _tile_dpbusd(0, 4, 6);
    between(0);
    if constexpr (stay) _tile_stream_loadd(5, a + kLow, a_stride); else _tile_loadd(5, a + kLow, a_stride);
    _tile_dpbusd(1, 5, 6);
    between(1);
    _tile_loadd(7, w + 64, kQuadBytes);
    _tile_dpbusd(2, 4, 7);
    between(2);
    _tile_dpbusd(3, 5, 7);
    between(3);
    a += kStepBytes;
    w += kBlockBytes * D;
  }
  _tile_stored(0, sum[0], 64);
  _tile_stored(1, sum[1], 64);
  _tile_stored(2, sum[2], 64);
  _tile_stored(3, sum[3], 64);
  asm volatile("" ::: "memory");
}

template <int D, bool stay>
void tile_panels(const MatmulJob& job, const MatmulPiece& piece) {
  const WeightView v = view(*job.w);
  const Tiles tiles;
  const size_t all = static_cast<size_t>(piece.rows), passes = (all + kTileRows - 1) / kTileRows, blocks = v.k / kDepthStep;
  const size_t panel = static_cast<size_t>(piece.panel), end = panel + static_cast<size_t>(piece.panels);
  const size_t wanted = static_cast<size_t>(piece.ahead);
  const size_t lines = kBlockBytes / 64, ahead_pace = (lines + passes - 1) / passes;
  const size_t pace = (kTileRows + D * blocks - 1) / (D * blocks);
  Unit<D> units[2];
  int now = 0;
  for (size_t p = panel; p < end; p++)
    for (size_t pass = 0; pass < passes; pass++, now ^= 1) {
      const int8_t* w = v.digit + p * v.panel_bytes();
      const size_t done = pass * kTileRows;
      const int first = piece.row + static_cast<int>(done);
      for (size_t d = 0; d < D; d++) {
        const Ahead ahead{w + v.panel_bytes() + (pass * D + d) * blocks * ahead_pace * 64, p + 1 < wanted ? ahead_pace : 0};
        sum_digit<D, stay>(w + d * kBlockBytes, quant_row(*job.a, first), quant_row_stride(job.a->k), blocks, units[now].sum[d],
                           units[now ^ 1], pace, ahead);
        units[now].correction[d] = v.correction + d * v.n + p * kPanel;
      }
      units[now].epilogue = Epilogue(job, v, p, static_cast<size_t>(first));
      units[now].live = all - done < kTileRows ? all - done : kTileRows;
      units[now].next = 0;
    }
  for (int i = 0; i < kTileRows; i++) units[now ^ 1].finish_row();
}

template <int D>
void tiles_of(const MatmulJob& job, const MatmulPiece& piece) {
  if (piece.rows <= DigitTile<D>::kRows) vector_tiles<DigitTile<D>>(job, piece);
  else if (view(*job.w).panel_bytes() <= kPanelInL1) tile_panels<D, true>(job, piece);
  else tile_panels<D, false>(job, piece);
}

void tiles(const MatmulJob& job, const MatmulPiece& piece) {
  if (job.w->profile == Profile::w16a16) tiles_of<2>(job, piece);
  else tiles_of<1>(job, piece);
}

int64_t burn(int64_t rounds) {
  const Tiles tiles;
  for (int64_t i = 0; i < rounds; i++) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 5, 6);
    _tile_dpbusd(2, 4, 7);
    _tile_dpbusd(3, 5, 7);
  }
  return rounds * 4 * kTileRows * 16 * kDepthStep;
}

}  // namespace

const MatmulTable kMatmulAmx = {Isa::amx, WeightLayout::panels, store_digits, tiles, burn};

}  // namespace ibid::kernels
