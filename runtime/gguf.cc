// Owns: reading a GGUF file and checking every declared size against the bytes that are there.
// Must not know: models, beyond the two spellings of a tensor's name.
//
// 1. No count, length, dimension or offset is used before it is checked; products are checked for overflow.
// 2. Tensors lie one behind another, each padded to the alignment, the last one too; any other offset is refused.
// 3. A metadata value that is not what its type says (a NaN, an infinity, a boolean that is neither 0 nor 1, text that is not
//    UTF-8) becomes null. It harms nobody who does not ask for it, and whoever does finds null where a value should be.
#include "runtime/gguf.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <unordered_set>

#include "runtime/error.h"
#include "runtime/text_hash.h"

namespace ibid::runtime {
namespace {

constexpr uint64_t kMaxKey = 65'535;               // bytes; the format's bound
constexpr uint64_t kMaxName = 63;                  // bytes; what every reader of the format accepts
constexpr uint64_t kMaxString = uint64_t{1} << 26; // bytes; the longest in use are chat templates
constexpr uint64_t kMaxItems = uint64_t{1} << 23;  // of all arrays together: a Json takes forty times the byte it came from
constexpr uint32_t kMaxDims = 4;

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64, kValueTypes };
constexpr uint64_t kMinBytes[kValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};   // of one value

struct BlockInfo { uint32_t id; const char* name; uint32_t elements, bytes; };
constexpr BlockInfo kBlocks[] = {
    {0, "F32", 1, 4}, {1, "F16", 1, 2}, {2, "Q4_0", 32, 18}, {3, "Q4_1", 32, 20}, {6, "Q5_0", 32, 22}, {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34}, {9, "Q8_1", 32, 36}, {10, "Q2_K", 256, 84}, {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144},
    {13, "Q5_K", 256, 176}, {14, "Q6_K", 256, 210}, {15, "Q8_K", 256, 292}, {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50}, {20, "IQ4_NL", 32, 18}, {21, "IQ3_S", 256, 110}, {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1}, {25, "I16", 1, 2}, {26, "I32", 1, 4}, {27, "I64", 1, 8}, {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56}, {30, "BF16", 1, 2}, {34, "TQ1_0", 256, 54}, {35, "TQ2_0", 256, 66}, {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36}, {41, "Q1_0", 128, 18}, {42, "Q2_0", 64, 18},
};

// What is checked here is what kernels read.
constexpr bool agrees(const BlockInfo& b, const kernels::Storage& s) {
  return std::string_view(b.name) != s.name || (b.elements == static_cast<uint32_t>(s.block) && b.bytes == static_cast<uint32_t>(s.bytes));
}
static_assert([] {
  for (const BlockInfo& b : kBlocks)
    for (const kernels::Storage& s : kernels::kStorage)
      if (!agrees(b, s)) return false;
  return true;
}());

const BlockInfo* find_block(uint32_t id) {
  for (const BlockInfo& b : kBlocks)
    if (b.id == id) return &b;
  return nullptr;
}

// The shortest decimal that reads back as the same value; JSON has no other numbers, so NaN and infinities give null.
template <typename T>
Json number_or_null(T v) {
  if (!std::isfinite(v)) return Json();
  char text[40];
  auto [end, err] = std::to_chars(text, text + sizeof text, v);
  IBID_CHECK(err == std::errc());
  return Json::number(std::string(text, end));
}

class Reader {
 public:
  Reader(std::string_view file, const std::string& where) : file_(file), where_(where) {}

  GgufFile read() {
    read_header();
    GgufFile out;
    out.metadata = Json(Json::Object{});
    for (uint64_t i = 0; i < kv_count_; ++i) read_pair(out.metadata.members());
    for (uint64_t i = 0; i < tensor_count_; ++i) out.tensors.push_back(read_tensor());
    place_tensors(out.tensors);
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::bad_data, where_, what + " (near byte " + std::to_string(pos_) + ")",
                "fetch the file again; if it is whole, this ibid does not know its kind");
  }

  uint64_t left() const { return file_.size() - pos_; }

  template <typename T>
  T read_le(const char* what) {
    if (left() < sizeof(T)) fail(std::string("the file ends inside ") + what);
    T v = load_le<T>(file_.data() + pos_);
    pos_ += sizeof(T);
    return v;
  }

  std::string_view read_text(uint64_t max, const char* what) {
    uint64_t n = read_le<uint64_t>(what);
    if (n > max) fail(std::string(what) + " of " + std::to_string(n) + " bytes; at most " + std::to_string(max));
    if (n > left()) fail(std::string(what) + " of " + std::to_string(n) + " bytes is longer than the file");
    std::string_view text = file_.substr(pos_, n);
    pos_ += n;
    return text;
  }

  void read_header() {
    if (file_.substr(0, 4) != "GGUF")
      throw Error(ErrorKind::bad_data, where_, "not a GGUF file: it does not begin with GGUF",
                  "a model is a GGUF file, or a folder with config.json, tokenizer.json and model*.safetensors");
    pos_ = 4;
    uint32_t version = read_le<uint32_t>("the header");
    if (version == 0x03000000 || version == 0x02000000) fail("a big-endian GGUF file; ibid reads little-endian ones");
    if (version != 2 && version != 3) fail("GGUF version " + std::to_string(version) + "; ibid reads 2 and 3");
    tensor_count_ = read_le<uint64_t>("the header");
    kv_count_ = read_le<uint64_t>("the header");
    // The smallest pair is a key of one byte with one byte of value; the smallest tensor has one dimension.
    if (kv_count_ > left() / (8 + 1 + 4 + 1)) fail(std::to_string(kv_count_) + " metadata pairs do not fit the file");
    if (tensor_count_ > left() / (8 + 1 + 4 + 8 + 4 + 8)) fail(std::to_string(tensor_count_) + " tensors do not fit the file");
  }

  void read_pair(Json::Object& metadata) {
    std::string key(read_text(kMaxKey, "a metadata key"));
    if (key.empty() || !is_utf8(key)) fail("a metadata key is empty or not UTF-8");
    if (!keys_.insert(key).second) fail("duplicate metadata key \"" + key + "\"");
    uint32_t type = read_le<uint32_t>("a metadata type");
    if (type >= kValueTypes) fail("metadata \"" + key + "\" has unknown type " + std::to_string(type));
    if (key == "general.alignment") {
      if (type != kU32) fail("general.alignment is not of type u32");
      alignment_ = read_le<uint32_t>("general.alignment");
      if (!std::has_single_bit(alignment_)) fail("general.alignment " + std::to_string(alignment_) + " is not a power of two");
      metadata.emplace_back(std::move(key), Json(static_cast<uint64_t>(alignment_)));
      return;
    }
    Json value = type == kArray ? read_array(key) : read_scalar(type);
    metadata.emplace_back(std::move(key), std::move(value));
  }

  Json read_scalar(uint32_t type) {
    const char* what = "a metadata value";
    switch (type) {
      case kU8: return Json(int64_t{read_le<uint8_t>(what)});
      case kI8: return Json(int64_t{static_cast<int8_t>(read_le<uint8_t>(what))});
      case kU16: return Json(int64_t{read_le<uint16_t>(what)});
      case kI16: return Json(int64_t{static_cast<int16_t>(read_le<uint16_t>(what))});
      case kU32: return Json(int64_t{read_le<uint32_t>(what)});
      case kI32: return Json(int64_t{static_cast<int32_t>(read_le<uint32_t>(what))});
      case kU64: return Json(uint64_t{read_le<uint64_t>(what)});
      case kI64: return Json(static_cast<int64_t>(read_le<uint64_t>(what)));
      case kF32: return number_or_null(std::bit_cast<float>(read_le<uint32_t>(what)));
      case kF64: return number_or_null(std::bit_cast<double>(read_le<uint64_t>(what)));
      case kBool: { uint8_t v = read_le<uint8_t>(what); return v <= 1 ? Json(v == 1) : Json(); }
      default: { std::string_view text = read_text(kMaxString, "a metadata string"); return is_utf8(text) ? Json(text) : Json(); }
    }
  }

  Json read_array(const std::string& key) {
    uint32_t type = read_le<uint32_t>("an array's type");
    uint64_t count = read_le<uint64_t>("an array's length");
    if (type == kArray) fail("metadata \"" + key + "\" is an array of arrays");
    if (type >= kValueTypes) fail("metadata \"" + key + "\" is an array of unknown type " + std::to_string(type));
    if (count > left() / kMinBytes[type]) fail("metadata \"" + key + "\": " + std::to_string(count) + " items do not fit the file");
    if (count > kMaxItems - items_) fail("metadata arrays of more than " + std::to_string(kMaxItems) + " items together");
    items_ += count;
    Json::Array items;
    items.reserve(count);
    for (uint64_t i = 0; i < count; ++i) items.push_back(read_scalar(type));
    return Json(std::move(items));
  }

  // offset is left relative to the data section, as the table has it.
  TensorEntry read_tensor() {
    TensorEntry t;
    t.name = read_text(kMaxName, "a tensor's name");
    if (t.name.empty() || !is_utf8(t.name)) fail("a tensor's name is empty or not UTF-8");
    if (!names_.insert(t.name).second) fail("duplicate tensor \"" + t.name + "\"");
    uint32_t dims = read_le<uint32_t>("a tensor's dimensions");
    if (dims > kMaxDims)
      fail("tensor \"" + t.name + "\" has " + std::to_string(dims) + " dimensions; at most " + std::to_string(kMaxDims));
    t.shape.resize(dims);
    for (uint32_t i = 0; i < dims; ++i) {
      uint64_t n = read_le<uint64_t>("a tensor's dimensions");
      if (n >> 63) fail("tensor \"" + t.name + "\" has a negative dimension");
      t.shape[dims - 1 - i] = static_cast<int64_t>(n);
    }
    size_tensor(t, read_le<uint32_t>("a tensor's type"));
    t.offset = read_le<uint64_t>("a tensor's offset");
    return t;
  }

  void size_tensor(TensorEntry& t, uint32_t type) const {
    const BlockInfo* block = find_block(type);
    if (!block) fail("tensor \"" + t.name + "\" has unknown type " + std::to_string(type));
    t.type = block->name;
    uint64_t elements = 1;
    for (int64_t n : t.shape)
      if (!multiply(elements, static_cast<uint64_t>(n), &elements) || elements >> 63)
        fail("tensor \"" + t.name + "\" has a shape that overflows");
    uint64_t row = t.shape.empty() ? 1 : static_cast<uint64_t>(t.shape.back());
    if (row % block->elements != 0)
      fail("tensor \"" + t.name + "\" has rows of " + std::to_string(row) + ", not whole blocks of " + t.type);
    if (!multiply(elements / block->elements, block->bytes, &t.bytes) || t.bytes >> 62)
      fail("tensor \"" + t.name + "\" has a size that overflows");
  }

  // Below 2^63 for any value below 2^62: the alignment has 32 bits.
  uint64_t padded(uint64_t n) const { return (n + alignment_ - 1) & ~(uint64_t{alignment_} - 1); }

  void place_tensors(std::vector<TensorEntry>& tensors) const {
    uint64_t start = padded(pos_), next = 0;
    for (TensorEntry& t : tensors) {
      if (t.offset != next)
        fail("tensor \"" + t.name + "\" begins at " + std::to_string(t.offset) + ", not at " + std::to_string(next) +
             " behind the one before it");
      if (start > file_.size() || padded(t.bytes) > file_.size() - start - next)
        fail("tensor \"" + t.name + "\" of " + std::to_string(t.bytes) + " bytes ends beyond the file");
      next += padded(t.bytes);
      t.offset += start;
    }
  }

  std::string_view file_;
  const std::string& where_;
  uint64_t pos_ = 0;
  uint64_t tensor_count_ = 0, kv_count_ = 0, items_ = 0;
  uint32_t alignment_ = 32;   // the format's default
  std::unordered_set<std::string, TextHash> keys_, names_;
};

struct NamePair { std::string_view gguf, huggingface; };
constexpr NamePair kWholeNames[] = {
    {"token_embd.weight", "model.embed_tokens.weight"}, {"output_norm.weight", "model.norm.weight"}, {"output.weight", "lm_head.weight"}};
constexpr NamePair kLayerNames[] = {
    {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"}, {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"}, {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_gate", "mlp.gate_proj"}, {"ffn_up", "mlp.up_proj"}, {"ffn_down", "mlp.down_proj"}};

}  // namespace

GgufFile parse_gguf(std::string_view file, const std::string& where) { return Reader(file, where).read(); }

std::string huggingface_name(std::string_view name) {
  for (const NamePair& pair : kWholeNames)
    if (name == pair.gguf) return std::string(pair.huggingface);
  size_t number_end = name.find('.', 4), part_end = name.rfind('.');
  if (name.substr(0, 4) != "blk." || number_end == name.npos || part_end <= number_end) return "";
  std::string_view number = name.substr(4, number_end - 4), part = name.substr(number_end + 1, part_end - number_end - 1);
  for (const NamePair& pair : kLayerNames)
    if (part == pair.gguf)
      return "model.layers." + std::string(number) + "." + std::string(pair.huggingface) + std::string(name.substr(part_end));
  return "";
}

}  // namespace ibid::runtime
