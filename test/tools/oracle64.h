// A second forward pass of Llama, Qwen2 and Qwen3 models in plain loops: float64 as the truth, and bf16 as what others compute.
//
// Owns: its own arithmetic, from the model's stored weights to logits. Shares with the product only the reading of files and
// dequantize_rows. Must not know: devices, profiles, engines.
//
// 1. Rotary pairs are taken where the file stores them (interleaved or in halves), so a wrong row map elsewhere shows here.
// 2. Whole sequences go through one layer at a time: each weight is dequantised once for all of them, never kept.
// 3. Sums run over ascending indices in the arithmetic's own type. Nothing here is meant to be fast beyond a minute or two.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/ops.h"
#include "runtime/error.h"
#include "runtime/model_files.h"

// One source, several instruction sets, chosen at run time: not with sanitizers, which dislike early resolvers.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define IBID_ORACLE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define IBID_ORACLE_CLONES
#endif

namespace ibid::oracle {

struct Float64 {
  using Real = double;
  static Real round(Real x) { return x; }
};

// Weights and the result of every op rounded to bf16, sums and the insides of norm, softmax and silu in float32.
struct Bf16 {
  using Real = float;
  static Real round(Real x) {
    uint32_t bits = std::bit_cast<uint32_t>(x);
    return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000);
  }
};

constexpr int kTile = 32;        // tokens of a tile
constexpr int kStripe = 4;       // weight rows that share the loads of a tile

// out(r, t) = sum_k w(r, k) x(k, t): w (kStripe, k), x (k, kTile), out (kStripe, kTile)
template <class Real>
inline __attribute__((always_inline)) void tile_product(const Real* w, const Real* x, int k, Real* out) {
  typedef Real Vector __attribute__((vector_size(64)));
  constexpr int lanes = 64 / sizeof(Real), vectors = kTile / lanes;
  Vector sum[kStripe][vectors] = {};
  for (int i = 0; i < k; ++i) {
    Vector column[vectors];
    std::memcpy(column, x + static_cast<size_t>(i) * kTile, sizeof column);
    for (int r = 0; r < kStripe; ++r)
      for (int v = 0; v < vectors; ++v) sum[r][v] += w[static_cast<size_t>(r) * k + i] * column[v];
  }
  std::memcpy(out, sum, sizeof sum);
}
IBID_ORACLE_CLONES static void tile_product_of(const double* w, const double* x, int k, double* out) { tile_product(w, x, k, out); }
IBID_ORACLE_CLONES static void tile_product_of(const float* w, const float* x, int k, float* out) { tile_product(w, x, k, out); }

// Calls work(i) for i in [0, count), interleaved over the threads.
inline void in_parallel(int count, int threads, const std::function<void(int)>& work) {
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] { for (int i = t; i < count; i += threads) work(i); });
  for (std::thread& thread : pool) thread.join();
}

template <class Arithmetic>
class Oracle {
 public:
  using Real = typename Arithmetic::Real;
  Oracle(const runtime::ModelFiles& model, int threads) : model_(model), c_(model.config), threads_(threads), frequencies_(frequencies()) {}

  // The final hidden states of whole sequences, one after the other: (all rows, hidden).
  std::vector<Real> forward(const std::vector<std::vector<int32_t>>& sequences) {
    std::vector<int> position, first;   // of each row: its place in its sequence, and the row where that begins
    std::vector<int32_t> tokens;
    for (const std::vector<int32_t>& s : sequences) {
      int begin = static_cast<int>(tokens.size());
      for (size_t i = 0; i < s.size(); ++i) { position.push_back(static_cast<int>(i)); first.push_back(begin); tokens.push_back(s[i]); }
    }
    std::vector<Real> x = embed(tokens);
    for (int layer = 0; layer < c_.layers; ++layer) {
      const std::string name = "model.layers." + std::to_string(layer) + ".";
      add(x, attention(name, norm(x, name + "input_layernorm.weight", c_.hidden), position, first));
      add(x, mlp(name, norm(x, name + "post_attention_layernorm.weight", c_.hidden)));
    }
    return norm(x, "model.norm.weight", c_.hidden);
  }

  // (rows, vocab) from (rows, hidden). Not rounded to bf16: that would only flatter what is compared with it.
  std::vector<Real> logits(const Real* hidden, int rows) {
    const char* name = model_.tensors.count("lm_head.weight") ? "lm_head" : "model.embed_tokens";
    return linear(name, std::vector<Real>(hidden, hidden + static_cast<size_t>(rows) * c_.hidden), c_.vocab, c_.hidden, false);
  }

 private:
  static Real round(Real x) { return Arithmetic::round(x); }

  const runtime::Tensor& tensor(const std::string& name) const {
    auto it = model_.tensors.find(name);
    if (it == model_.tensors.end()) throw Error(ErrorKind::bad_data, model_.path, "the oracle misses tensor " + name);
    return it->second;
  }

  kernels::StoredMatrix matrix(const std::string& name, int64_t rows, int64_t cols) const {
    const runtime::Tensor& t = tensor(name);
    int64_t size = 1;
    for (int64_t n : t.shape) size *= n;
    if (size != rows * cols) throw Error(ErrorKind::bad_data, model_.path, "the oracle finds tensor " + name + " misshapen");
    return {t.data, t.dtype, rows, cols};
  }

  std::vector<Real> vector_of(const std::string& name, int64_t size) const {
    std::vector<float> stored(size);
    kernels::dequantize_rows(matrix(name, 1, size), 0, 1, stored.data());
    std::vector<Real> out(stored.begin(), stored.end());
    for (Real& v : out) v = round(v);
    return out;
  }

  std::vector<Real> embed(const std::vector<int32_t>& tokens) const {
    kernels::StoredMatrix table = matrix("model.embed_tokens.weight", c_.vocab, c_.hidden);
    std::vector<float> row(c_.hidden);
    std::vector<Real> x;
    for (int32_t token : tokens) {
      kernels::dequantize_rows(table, token, 1, row.data());
      for (float v : row) x.push_back(round(v));
    }
    return x;
  }

  std::vector<Real> norm(const std::vector<Real>& x, const std::string& name, int k) const {
    const std::vector<Real> weight = vector_of(name, k);
    std::vector<Real> y(x.size());
    for (size_t row = 0; row < x.size(); row += k) {
      Real squares = 0;
      for (int i = 0; i < k; ++i) squares += x[row + i] * x[row + i];
      Real r = 1 / std::sqrt(squares / k + static_cast<Real>(c_.norm_eps));
      for (int i = 0; i < k; ++i) y[row + i] = round(round(x[row + i] * r) * weight[i]);
    }
    return y;
  }

  static void add(std::vector<Real>& x, const std::vector<Real>& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = round(x[i] + y[i]);
  }

  // x (rows, k) in tiles of (k, kTile), the last one padded with zeros.
  static std::vector<Real> tiles_of(const std::vector<Real>& x, int k) {
    const size_t rows = x.size() / k, tiles = (rows + kTile - 1) / kTile;
    std::vector<Real> out(tiles * k * kTile);
    for (size_t t = 0; t < rows; ++t)
      for (int i = 0; i < k; ++i) out[(t / kTile * k + i) * kTile + t % kTile] = x[t * k + i];
    return out;
  }

  // y (rows, n) = x (rows, k) times NAME.weight (n, k) transposed, plus NAME.bias where the model has one.
  std::vector<Real> linear(const std::string& name, const std::vector<Real>& x, int n, int k, bool rounded) const {
    const kernels::StoredMatrix weight = matrix(name + ".weight", n, k);
    const std::vector<Real> bias = model_.tensors.count(name + ".bias") ? vector_of(name + ".bias", n) : std::vector<Real>(n);
    const std::vector<Real> tiles = tiles_of(x, k);
    const int rows = static_cast<int>(x.size() / k), tile_count = (rows + kTile - 1) / kTile;
    std::vector<Real> y(static_cast<size_t>(rows) * n);
    in_parallel((n + kStripe - 1) / kStripe, threads_, [&](int stripe) {
      const int from = stripe * kStripe, count = std::min(kStripe, n - from);
      std::vector<float> stored(static_cast<size_t>(count) * k);
      kernels::dequantize_rows(weight, from, count, stored.data());
      std::vector<Real> w(static_cast<size_t>(kStripe) * k);
      for (size_t i = 0; i < stored.size(); ++i) w[i] = round(stored[i]);
      Real out[kStripe * kTile];
      for (int tile = 0; tile < tile_count; ++tile) {
        tile_product_of(w.data(), tiles.data() + static_cast<size_t>(tile) * k * kTile, k, out);
        for (int t = tile * kTile; t < std::min(rows, (tile + 1) * kTile); ++t)
          for (int r = 0; r < count; ++r) {
            Real v = out[r * kTile + t % kTile] + bias[from + r];
            y[static_cast<size_t>(t) * n + from + r] = rounded ? round(v) : v;
          }
      }
    });
    return y;
  }

  // Radians per position of each rotary pair, with Llama 3's published rule or GGUF's stored divisors.
  std::vector<double> frequencies() const {
    const runtime::RopeScaling& s = c_.rope_scaling;
    std::vector<double> out(c_.head_dim / 2);
    for (size_t i = 0; i < out.size(); ++i) {
      double f = std::pow(c_.rope_theta, -2.0 * static_cast<double>(i) / c_.head_dim);
      if (!model_.rope_divisors.empty()) f /= static_cast<double>(model_.rope_divisors[i]);
      double turns = static_cast<double>(s.original_context) * f / (2 * std::acos(-1.0));   // in the original context
      if (s.llama3 && turns < s.low_freq_factor) f /= s.factor;
      else if (s.llama3 && turns < s.high_freq_factor) {
        double share = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
        f = (1 - share) * f / s.factor + share * f;
      }
      out[i] = f;
    }
    return out;
  }

  void rotate(std::vector<Real>& x, int heads, const std::vector<int>& position) const {
    const int half = c_.head_dim / 2;
    for (size_t row = 0; row < position.size(); ++row)
      for (int head = 0; head < heads; ++head) {
        Real* v = x.data() + (row * heads + head) * c_.head_dim;
        for (int i = 0; i < half; ++i) {
          Real& a = model_.interleaved_rope ? v[2 * i] : v[i];
          Real& b = model_.interleaved_rope ? v[2 * i + 1] : v[i + half];
          double angle = position[row] * frequencies_[i];
          Real cos = round(static_cast<Real>(std::cos(angle))), sin = round(static_cast<Real>(std::sin(angle)));
          Real rotated = round(round(a * cos) - round(b * sin));
          b = round(round(b * cos) + round(a * sin));
          a = rotated;
        }
      }
  }

  std::vector<Real> attention(const std::string& name, const std::vector<Real>& x, const std::vector<int>& position,
                              const std::vector<int>& first) const {
    const int d = c_.head_dim, q_size = c_.heads * d, kv_size = c_.kv_heads * d;
    std::vector<Real> q = linear(name + "self_attn.q_proj", x, q_size, c_.hidden, true);
    std::vector<Real> k = linear(name + "self_attn.k_proj", x, kv_size, c_.hidden, true);
    const std::vector<Real> v = linear(name + "self_attn.v_proj", x, kv_size, c_.hidden, true);
    if (c_.head_norms) {
      q = norm(q, name + "self_attn.q_norm.weight", d);
      k = norm(k, name + "self_attn.k_norm.weight", d);
    }
    rotate(q, c_.heads, position);
    rotate(k, c_.kv_heads, position);
    std::vector<Real> out(q.size());
    in_parallel(static_cast<int>(position.size()), threads_, [&](int row) {
      for (int head = 0; head < c_.heads; ++head) {
        const size_t kv_at = static_cast<size_t>(first[row]) * kv_size + static_cast<size_t>(head / (c_.heads / c_.kv_heads)) * d;
        const size_t at = static_cast<size_t>(row) * q_size + static_cast<size_t>(head) * d;
        attend(&q[at], &k[kv_at], &v[kv_at], position[row] + 1, kv_size, &out[at]);
      }
    });
    return linear(name + "self_attn.o_proj", out, c_.hidden, q_size, true);
  }

  // One query over `count` keys and values that lie `stride` apart.
  void attend(const Real* q, const Real* k, const Real* v, int count, int stride, Real* out) const {
    const int d = c_.head_dim;
    std::vector<Real> p(count);
    Real most = -INFINITY, sum = 0;
    for (int j = 0; j < count; ++j) {
      Real score = 0;
      for (int i = 0; i < d; ++i) score += q[i] * k[static_cast<size_t>(j) * stride + i];
      p[j] = score / std::sqrt(static_cast<Real>(d));
      most = std::max(most, p[j]);
    }
    for (Real& e : p) sum += e = std::exp(e - most);
    std::vector<Real> o(d);
    for (int j = 0; j < count; ++j) {
      Real weight = round(p[j] / sum);
      for (int i = 0; i < d; ++i) o[i] += weight * v[static_cast<size_t>(j) * stride + i];
    }
    for (int i = 0; i < d; ++i) out[i] = round(o[i]);
  }

  std::vector<Real> mlp(const std::string& name, const std::vector<Real>& x) const {
    std::vector<Real> gate = linear(name + "mlp.gate_proj", x, c_.intermediate, c_.hidden, true);
    const std::vector<Real> up = linear(name + "mlp.up_proj", x, c_.intermediate, c_.hidden, true);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = round(round(gate[i] / (1 + std::exp(-gate[i]))) * up[i]);
    return linear(name + "mlp.down_proj", gate, c_.hidden, c_.intermediate, true);
  }

  const runtime::ModelFiles& model_;
  const runtime::ModelConfig& c_;
  int threads_;
  std::vector<double> frequencies_;   // (head_dim / 2)
};

}  // namespace ibid::oracle
