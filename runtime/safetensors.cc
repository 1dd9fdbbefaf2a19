// Owns: reading a safetensors header and checking every promise of the format against the file.
// Must not know: models, tensor names, other files.
//
// 1. A file is accepted only whole: the data ranges start at 0, touch without holes or overlap, and end with the file.
// 2. Duplicate keys are refused (the format says so; its reference implementation keeps the last one).
// 3. White space is accepted on both sides of the header, as the reference implementation does.
#include "runtime/safetensors.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "runtime/error.h"

namespace ibid::runtime {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;   // the format's own bound

struct DTypeInfo { const char* name; int bits; };
constexpr DTypeInfo kDTypes[] = {
    {"F32", 32}, {"F16", 16}, {"BF16", 16}, {"F64", 64}, {"BOOL", 8}, {"U8", 8}, {"I8", 8}, {"U16", 16}, {"I16", 16}, {"U32", 32},
    {"I32", 32}, {"U64", 64}, {"I64", 64}, {"C64", 64}, {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6},
    {"F4", 4},
};

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::bad_data, where, what, "the file is damaged or was not written by a safetensors writer; fetch it again");
}

// A size or offset: a JSON number written as a plain non-negative integer of at most 63 bits.
uint64_t read_size(const Json& value, const std::string& where, const std::string& what) {
  uint64_t v = 0;
  if (value.is_number()) {
    const std::string& s = value.lexeme();
    auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (err == std::errc() && end == s.data() + s.size() && v >> 63 == 0) return v;
  }
  fail(where, what + " is not a size: " + value.dump().substr(0, 40));
}

const Json& member(const Json& info, const char* key, const std::string& where, const std::string& tensor) {
  const Json* found = info.find(key);
  if (!found) fail(where, tensor + " has no " + key);
  return *found;
}

int dtype_bits(const std::string& name) {
  for (const DTypeInfo& t : kDTypes)
    if (name == t.name) return t.bits;
  return 0;
}

uint64_t needed_bytes(const TensorEntry& t, const std::string& where, const std::string& what) {
  uint64_t bits = static_cast<uint64_t>(dtype_bits(t.type));
  if (bits == 0) fail(where, what + " has an unknown dtype \"" + t.type + "\"");
  for (int64_t n : t.shape)
    if (!multiply(bits, static_cast<uint64_t>(n), &bits)) fail(where, what + " has a shape that overflows");
  if (bits % 8 != 0) fail(where, what + " does not fill whole bytes");
  return bits / 8;
}

// offset is left relative to the data section, as the header has it.
TensorEntry read_entry(const std::string& name, const Json& info, const std::string& where) {
  const std::string what = "tensor \"" + name + "\"";
  if (!info.is_object()) fail(where, what + " is not an object");
  if (info.members().size() != 3) fail(where, what + " has keys besides dtype, shape and data_offsets");
  TensorEntry t;
  t.name = name;
  const Json& dtype = member(info, "dtype", where, what);
  if (!dtype.is_string()) fail(where, what + " has a dtype that is not a string");
  t.type = dtype.as_string();
  const Json& shape = member(info, "shape", where, what);
  const Json& offsets = member(info, "data_offsets", where, what);
  if (!shape.is_array()) fail(where, what + " has a shape that is not an array");
  if (!offsets.is_array() || offsets.items().size() != 2) fail(where, what + " has data_offsets that are not two numbers");
  for (const Json& n : shape.items()) t.shape.push_back(static_cast<int64_t>(read_size(n, where, "a dimension of " + what)));
  t.offset = read_size(offsets.items()[0], where, "the beginning of " + what);
  uint64_t end = read_size(offsets.items()[1], where, "the end of " + what);
  if (end < t.offset) fail(where, what + " ends before it begins");
  t.bytes = end - t.offset;
  uint64_t needed = needed_bytes(t, where, what);
  if (t.bytes != needed)
    fail(where, what + " takes " + std::to_string(t.bytes) + " bytes, its shape needs " + std::to_string(needed));
  return t;
}

void check_metadata(const Json& metadata, const std::string& where) {
  if (!metadata.is_object()) fail(where, "__metadata__ is not an object");
  for (const auto& [key, value] : metadata.members())
    if (!value.is_string()) fail(where, "__metadata__ \"" + key + "\" is not a string");
}

// Ranges must tile [0, data_bytes) exactly: that rules out holes, overlap, aliases and bytes that no tensor owns.
void check_tiling(const std::vector<TensorEntry>& tensors, uint64_t data_bytes, const std::string& where) {
  uint64_t next = 0;
  for (const TensorEntry& t : tensors) {
    if (t.offset != next)
      fail(where,
           "tensor \"" + t.name + "\" begins at " + std::to_string(t.offset) + ", the one before it ends at " + std::to_string(next));
    next += t.bytes;   // both below 2^63
    if (next > data_bytes) fail(where, "tensor \"" + t.name + "\" ends beyond the file");
  }
  if (next != data_bytes) fail(where, std::to_string(data_bytes - next) + " bytes after the last tensor");
}

}  // namespace

std::vector<TensorEntry> parse_safetensors(std::string_view file, const std::string& where) {
  if (file.size() < kLengthBytes) fail(where, "shorter than the length of its header");
  uint64_t header_bytes = load_le<uint64_t>(file.data());
  if (header_bytes > kMaxHeader)
    fail(where, "header of " + std::to_string(header_bytes) + " bytes; at most " + std::to_string(kMaxHeader));
  if (header_bytes > file.size() - kLengthBytes)
    fail(where, "header of " + std::to_string(header_bytes) + " bytes is longer than the file");
  uint64_t data_start = kLengthBytes + header_bytes;
  Json header = Json::parse(file.substr(kLengthBytes, header_bytes), where + " (header)");
  if (!header.is_object()) fail(where, std::string("header is not an object but ") + header.kind_name());
  std::vector<TensorEntry> tensors;
  for (const auto& [name, info] : header.members()) {
    if (name == "__metadata__") check_metadata(info, where);
    else tensors.push_back(read_entry(name, info, where));
  }
  // Empty tensors share their offset with what follows: they sort first; names make the order total.
  std::sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  check_tiling(tensors, file.size() - data_start, where);
  for (TensorEntry& t : tensors) t.offset += data_start;
  return tensors;
}

}  // namespace ibid::runtime
