// Every op of numerics v1, once: shapes, and the arithmetic in words (the rules themselves: NUMERICS.md).
//
// Owns: the face of a device. A device has memory and ops; the forward pass (runtime/model.cc) is written once over it.
// Must not know: models, files, tokenizers, batch policy.
//
// 1. Matrices are row-major: (rows, cols), the last index contiguous. Sizes are elements unless they say bytes.
// 2. An op's result for a row depends on that row's inputs alone: never on other rows, threads, the batch or a split.
// 3. Ops allocate nothing; buffers come from alloc() before the first step.
// 4. An op that quantises a row with a NaN or an infinity sets bad[row] = 1 and stores zeros for that row; the caller decides
//    whether the answer depends on it. bad is never cleared by an op.
// 5. Calls on one device come from one thread; ops may return before they are done, download() and sync() wait.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ibid::kernels {

constexpr int kBlock = 128;        // absolute positions of an attention block, and of a K/V page
constexpr int kPanel = 32;         // weight rows of a panel; a weight matrix is padded to it
constexpr int kQuantMax = 32639;   // largest magnitude of a 16-bit quantised value: both base-256 digits fit int8
constexpr int kQuantMax8 = 127;    // the same for 8-bit weights

// The types of stored values that can be read, and how a row holds each: `block` elements in `bytes` bytes, one block after another.
enum class DType : uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs };
struct Storage { const char* name; int block, bytes, align; };     // name: the files' own; align: bytes of the widest value inside
inline constexpr Storage kStorage[] = {
    {"F32", 1, 4, 4},    {"F16", 1, 2, 2},    {"BF16", 1, 2, 2},    {"Q8_0", 32, 34, 2},   {"Q4_0", 32, 18, 2},   {"Q4_1", 32, 20, 2},
    {"Q5_0", 32, 22, 2}, {"Q5_1", 32, 24, 2}, {"Q2_K", 256, 84, 2}, {"Q3_K", 256, 110, 2}, {"Q4_K", 256, 144, 2}, {"Q5_K", 256, 176, 2},
    {"Q6_K", 256, 210, 2}, {"IQ4_NL", 32, 18, 2}, {"IQ4_XS", 256, 136, 2}};
static_assert(sizeof kStorage / sizeof kStorage[0] == static_cast<size_t>(DType::iq4_xs) + 1);
static constexpr Storage storage(DType dtype) { return kStorage[static_cast<int>(dtype)]; }

enum class Profile : uint8_t { w16a16, w8a16 };                    // weights of two digits or of one; activations of two
inline int weight_digits(Profile p) { return p == Profile::w16a16 ? 2 : 1; }

// A matrix as a model file stores it: row-major; a row is a run of blocks. Host memory.
struct StoredMatrix {
  const void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0;
};
size_t stored_row_bytes(DType dtype, int64_t cols);                // REQUIRES: cols a multiple of storage(dtype).block

// Converts rows [row, row + count) to float32, exactly as the storage format defines them. out: (count, cols)
void dequantize_rows(const StoredMatrix& m, int64_t row, int64_t count, float* out);

// A weight matrix (n outputs, k inputs) quantised per output channel, in the device's own layout, all in one buffer.
struct Weight {
  int n = 0, k = 0;
  Profile profile = Profile::w16a16;
  void* data = nullptr;            // weight_bytes(n, k, profile) bytes of device memory
  const float* bias = nullptr;     // (n) on the device, or null
};

// The outputs of a gated weight come in pairs, a gate and what it gates. Its rows are kGate gates, then the kGate that they gate, and so
// on, so that any tile that a device works on has both of a pair.
constexpr int kGate = 8;
static_assert(kPanel % (2 * kGate) == 0);                                      // no pair is in two panels
inline int gated_rows(int f) { return (f + kGate - 1) / kGate * 2 * kGate; }   // of a weight with f pairs
inline int gate_row(int i) { return i / kGate * 2 * kGate + i % kGate; }       // of pair i; the other row is kGate further

// Activations: rows of k values quantised per row to 16 bits, in the device's own layout.
struct QuantRows {
  int k = 0;
  void* data = nullptr;            // quant_rows_bytes(max_rows, k) bytes of device memory
};

// Queries: per (row, head) a vector of head_dim int16 and a scale, in the device's own layout.
struct QuantHeads {
  void* data = nullptr;            // quant_heads_bytes(max_rows, heads, head_dim) bytes of device memory
};

// K/V cache: pages of kBlock absolute positions, all layers of them; int16 with one scale per head vector.
struct KvShape { int layers = 0, kv_heads = 0, head_dim = 0; };
struct KvCache {
  KvShape shape;
  void* pages = nullptr;           // page p starts at pages + p * kv_page_bytes(shape)
};

// The rows of one step, arrays on the device. Rows of one sequence are contiguous, their positions ascending by one.
// The last three say what the arrays hold, for the choice of a kernel alone: a bound too far off costs time and changes no bit.
struct Batch {
  int rows = 0;
  const int32_t* token = nullptr;       // (rows)
  const int32_t* position = nullptr;    // (rows) absolute, from 0
  const int32_t* sequence = nullptr;    // (rows) row of page_table
  const int32_t* page_table = nullptr;  // (sequences, max_pages): page of positions [128 i, 128 i + 128) of a sequence
  int max_pages = 0;
  int longest_run = 0;                  // at least the rows of any one sequence
  int last_position = 0;                // at least any row's position
  int alone = 0;                        // at most the number of rows, from the first on, that are each the only one of their sequence
};

// The most that the steps of an engine will ask of a device at once.
struct StepLimits {
  int rows = 0, wanted = 0;             // batch rows, and rows of logits
  int heads = 0, kv_heads = 0, head_dim = 0;
  int max_pages = 0;                    // of a sequence
  int widest = 0;                       // outputs of the widest matrix
  int vocab = 0;
};

// How one row's next token is chosen. All of it is host memory.
struct SampleSpec {
  float temperature = 0;                // 0: greedy, the largest logit, lowest id first
  int top_k = 0;                        // 0: off
  float top_p = 1;                      // 1: off
  float min_p = 0;                      // 0: off
  float repetition_penalty = 1;         // 1: off; > 0
  const int32_t* seen = nullptr;        // (seen_count) distinct ids that the repetition penalty applies to
  int seen_count = 0;
  const uint32_t* mask = nullptr;       // (ceil(vocab / 32)) bit id % 32 of word id / 32 set: allowed; null: all allowed
  uint64_t noise_key = 0;               // from (seed, record)
  uint32_t sample_index = 0;
  uint32_t position = 0;                // absolute position of the token being chosen
  int top_logprobs = 0;                 // how many (id, log-probability) pairs to report, most likely first, lowest id first
};
struct TokenLogprob { int32_t id = -1; float logprob = 0; };
struct Sampled {
  int32_t token = -1;                   // -1: bad, or nothing allowed by the mask
  float logprob = 0;                    // of the token, from the raw logits (before mask, penalty and temperature)
  int32_t runner_up = -1;               // second in the order that chose the token; -1 when there is none
  float margin = 0;                     // winning score - runner-up's score, in that order's own units (greedy: logits)
  uint8_t bad = 0;                      // a logit was NaN or infinite
};

// What becomes of the heads of q and k before they are stored.
struct Rope {
  const float* table = nullptr;         // (max position, head_dim): cos in [0, head_dim/2), sin after it
  const float* q_norm = nullptr;        // (head_dim) weights of an RMSNorm before the rotation; null: there is none
  const float* k_norm = nullptr;        // (head_dim) with q_norm or not at all
  float eps = 0;
};

// avxvnni is AVX2 with AVX-VNNI. avx512 means AVX-512 F, BW, DQ, VL and VNNI; amx adds AMX-INT8.
// neon is that of arm64, with dot products (armv8.2-a+dotprod).
enum class Isa : uint8_t { scalar, avx2, avxvnni, avx512, amx, neon };
constexpr Isa kIsas[] = {Isa::scalar, Isa::avx2, Isa::avxvnni, Isa::avx512, Isa::amx, Isa::neon};
const char* isa_name(Isa isa);
bool isa_available(Isa isa);
Isa best_isa();
int default_threads();                                             // affinity and cgroup quota, at least 1

// Something per second, measured in many short windows. On a machine shared with others the windows differ as the neighbours do: the median
// says what could be had in these seconds, the best what the machine can do.
struct Rate { double median = 0, best = 0; };
struct Roofline { Rate read_bytes, int8_macs; };                   // bytes read; multiply-adds of int8

class Device {
 public:
  virtual ~Device() = default;
  virtual std::string describe() const = 0;                        // one line for the run record: "cpu avx512 2 threads"

  // --- memory. alloc: 64-byte aligned, zeroed, null when it cannot be had (the caller names the sizes).
  virtual void* alloc(size_t bytes) = 0;
  virtual void release(void* p, size_t bytes) = 0;
  // upload: `from` stays as it is until download(), sample() or sync() has returned: a device may read it that late.
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_page(const KvCache& kv, int from, int to) = 0; // a whole page; a new owner overwrites what it does not share
  virtual void sync() = 0;
  virtual size_t free_bytes() const = 0;                           // that alloc() could still give; 0: nobody can say

  // Takes the scratch memory for steps within these limits, so that no op allocates later. False when it cannot be had.
  virtual bool reserve(const StepLimits& limits) = 0;

  // Runs `ops`, which does nothing but call ops of this device with `batch`. Calls with equal rows and wanted rows pass equal
  // pointers: a device may record the work of one call and replay it for another.
  virtual void step(const Batch& batch, int wanted_rows, const std::function<void()>& ops) = 0;

  virtual int step_rows() const = 0;                               // rows of a step beyond which more make it hardly faster per row

  virtual size_t weight_bytes(int n, int k, Profile profile) const = 0;
  virtual size_t quant_rows_bytes(int max_rows, int k) const = 0;
  virtual size_t quant_heads_bytes(int max_rows, int heads, int head_dim) const = 0;
  virtual size_t kv_page_bytes(const KvShape& shape) const = 0;
  virtual size_t table_bytes(const StoredMatrix& table) const = 0;  // of device memory; 0: embed() reads the host's

  // --- weights. Row i of the source becomes row to_row + (row_map ? row_map[i] : i) of w. Rows never written stay zero.
  // Returns false when the source holds a NaN or an infinity. REQUIRES: src.cols == w.k.
  virtual bool convert_weight(Weight& w, int to_row, const StoredMatrix& src, const int32_t* row_map) = 0;

  // An embedding table as embed() wants it: its copy in `to`, table_bytes(table) bytes of device memory, or itself.
  virtual StoredMatrix place_table(const StoredMatrix& table, void* to) = 0;

  // --- ops, in the order of a forward pass -------------------------------------------------------------------------
  // x(i, :) = row token[i] of the table, from its stored format.                table as place_table gave it, x (rows, cols)
  virtual void embed(const StoredMatrix& table, const Batch& batch, float* x) = 0;

  // RMSNorm, then the row quantiser: y = (x * r) * weight, r = 1/sqrt(ms + eps), ms the mean square of the quantised x.
  //                                                                                x (rows, k), weight (k), bad (rows)
  virtual void norm_quantize(const float* x, const float* weight, float eps, int rows, int k, const QuantRows& out, uint8_t* bad) = 0;

  // The row quantiser alone.                                                                 x (rows, k), bad (rows)
  virtual void quantize(const float* x, int rows, int k, const QuantRows& out, uint8_t* bad) = 0;

  // y(t, n) = (float(sum_k qa(t,k) qw(n,k)) * sa(t)) * sw(n), then + bias(n), then + residual(t, n), each rounded.
  // y, residual (rows, w.n); residual may be null or y itself.                                   REQUIRES: a.k == w.k
  virtual void matmul(const Weight& w, const QuantRows& a, int rows, float* y, const float* residual) = 0;

  // y(t, i) = silu(gate) * up, both outputs of a product as above, of rows gate_row(i) and gate_row(i) + kGate of w.
  // y (rows, f)                                                       REQUIRES: a.k == w.k, w.n == gated_rows(f)
  virtual void gated_matmul(const Weight& w, const QuantRows& a, int rows, int f, float* y) = 0;

  // Normalises the heads of q and k where there are weights for it, rotates them in halves; quantises q to q_out, k and v into
  // the pages of their positions, each head vector as a row of its own: what is stored as zeros (4) is the vector that is bad.
  //                                                  qkv (rows, (heads + 2 kv_heads) * head_dim), q then k then v; bad (rows)
  virtual void rope_store(const float* qkv, int heads, const Batch& batch, const Rope& rope, int layer, const KvCache& kv,
                          const QuantHeads& q_out, uint8_t* bad) = 0;

  // Causal attention over absolute blocks of kBlock positions. Query i is row query_rows[i] of the batch (null: row i).
  // Head h reads kv head h / (heads / kv_heads).                                        out (queries, heads * head_dim)
  virtual void attention(const QuantHeads& q, int heads, const Batch& batch, const int32_t* query_rows, int queries, int layer,
                         const KvCache& kv, float* out) = 0;

  // out(i, :) = x(index[i], :)                              x (any number, k), index (rows) on the device, out (rows, k)
  virtual void gather_rows(const float* x, const int32_t* index, int rows, int k, float* out) = 0;

  // Chooses one token per row of logits (rows, stride), of which the first vocab columns count. specs, out (rows) and top (rows,
  // max_top) are host memory; top is filled up to each spec's top_logprobs, and may be null when max_top is 0. Waits for the result.
  virtual void sample(const float* logits, int rows, int vocab, int stride, const SampleSpec* specs, Sampled* out,
                      TokenLogprob* top, int max_top) = 0;

  // --- what this device can reach, measured now (seconds of work); for `ibid bench` only.
  virtual Roofline measure_roofline() = 0;
};

// REQUIRES: isa_available(isa), threads >= 1.
std::unique_ptr<Device> make_cpu_device(Isa isa, int threads);

// What stands between this process and a GPU; `why` in words when there is none.
enum class GpuState : uint8_t { ready, not_built, absent, busy };  // busy: there, but it cannot be had now
struct GpuProbe { GpuState state = GpuState::absent; std::string why; };
GpuProbe probe_cuda(int ordinal);

struct CudaOptions {
  bool graphs = true;                  // record the steps of decoding and replay them
  int gemm_algorithm = 0;              // which of the library's algorithms to take, by its own ranking; no bit depends on it
  int gemm_rows = 0;                   // rows from which the library's product is taken; 0: the device's own choice
};

// REQUIRES: probe_cuda(ordinal).state == GpuState::ready.
std::unique_ptr<Device> make_cuda_device(int ordinal, const CudaOptions& options);

// The table of RoPE angles (NUMERICS 6.1 to 6.3): frequencies, and angle = position * frequency, in float64; cos and sin by our own float64
// functions, each rounded once to float32. divisor: (head_dim / 2) divisors of the frequencies, or null.
// out: (positions, head_dim), cos then sin.
void rope_table(double theta, int head_dim, const double* divisor, int positions, float* out);

}  // namespace ibid::kernels
