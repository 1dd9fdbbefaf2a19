// See records.h: what all formats share (bytes, ids, canonical form).
#include "step/records.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <unordered_set>

#include "step/digest.h"
#include "step/record_formats.h"

namespace ibid::step {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 16;

struct IdHash {
  uint64_t high = 0, low = 0;
  bool operator==(const IdHash&) const = default;
};
struct IdHasher { size_t operator()(const IdHash& h) const { return static_cast<size_t>(h.low); } };

// 128 bits of SHA-256: two ids meet by chance once in 2^64 records, and nobody can make them meet.
IdHash hash_of(std::string_view id) {
  const Digest digest = sha256(id);
  IdHash out;
  std::memcpy(&out.high, digest.data(), 8);
  std::memcpy(&out.low, digest.data() + 8, 8);
  return out;
}

// Why this cannot be an id; "" when it can.
std::string id_complaint(const std::string& id) {
  if (id.empty()) return "is empty";
  if (id.size() > kMaxIdBytes) return "is longer than " + std::to_string(kMaxIdBytes) + " bytes";
  for (char c : id)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return "holds a control character";
  return "";
}

std::string problem_of(const std::string& id_field, const std::string& complaint) {
  return "the field '" + id_field + "', which names the record, " + complaint;
}

std::string id_field_of(const InputSpec& spec) {
  if (spec.format == InputFormat::fasta) return "id";
  if (spec.format == InputFormat::files) return "name";
  return spec.format == InputFormat::text ? "" : spec.id;
}

std::unique_ptr<RecordFormat> make_format(const InputSpec& spec, std::vector<Input> inputs, std::vector<std::string> kept = {}) {
  switch (spec.format) {
    case InputFormat::jsonl: return make_jsonl(std::move(inputs));
    case InputFormat::csv:
    case InputFormat::tsv: return make_delimited(std::move(inputs), spec, std::move(kept));
    case InputFormat::text: return make_text(std::move(inputs));
    case InputFormat::fasta: return make_fasta(std::move(inputs));
    case InputFormat::files: return make_files(std::move(inputs));
  }
  IBID_CHECK(!"unknown input format");
}

// The inverse of spoil(). From a text that spoil() does not write come bytes of which it would write another text: callers compare.
std::string unspoiled(std::string_view raw) {
  std::string out;
  for (size_t i = 0; i < raw.size(); ++i) {
    unsigned byte = 0;
    if (raw[i] != '\\') out += raw[i];
    else if (raw.substr(i, 2) == "\\\\") out += raw[i++];
    else if (raw.substr(i, 2) == "\\x" && i + 4 <= raw.size() &&
             std::from_chars(raw.data() + i + 2, raw.data() + i + 4, byte, 16).ptr == raw.data() + i + 4) {
      out += static_cast<char>(byte);
      i += 3;
    } else out += raw[i];
  }
  return out;
}

std::string with_carriage_returns(const std::string& lines) {
  std::string out;
  for (char c : lines) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

}  // namespace

std::string packed_as(std::string_view head) {
  static constexpr std::pair<std::string_view, const char*> kBegin[] = {
      {"\x1f\x8b", "gzip data"}, {"\x28\xb5\x2f\xfd", "zstd data"}, {"\xfd" "7zXZ", "xz data"},
      {"PK\x03\x04", "a zip archive, as an .xlsx is"}, {"%PDF-1.", "a PDF"}};
  for (const auto& [begin, what] : kBegin)
    if (head.starts_with(begin)) return what;
  return head.size() > 4 && head.starts_with("BZh") && head.substr(4).starts_with("1AY&SY") ? "bzip2 data" : "";
}

// --- bytes ---

ByteReader::ByteReader(const Input& input) : name_(input.name), source_(input.open()), buffer_(kBufferBytes) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  auto begun = [&] { return std::string_view(buffer_.data(), end_); };
  while (end_ < kMark.size() && kMark.starts_with(begun()) && take_more()) continue;   // a source may give its first bytes one by one
  if (begun().starts_with(kMark)) pos_ = kMark.size();
}

ByteReader::Ahead ByteReader::look(const std::function<bool(std::string_view)>& whole) {
  auto ready = [&] { return std::string_view(buffer_.data() + pos_, end_ - pos_); };
  while (ready().size() < kLookedThrough && !whole(ready())) {
    if (source_.quiet()) return Ahead::nothing;
    if (!take_more()) return ready().find_first_not_of(" \t\r\n") == std::string_view::npos ? Ahead::end : Ahead::record;
  }
  return Ahead::record;
}

bool ByteReader::take_more() {
  std::copy(buffer_.begin() + pos_, buffer_.begin() + end_, buffer_.begin());
  end_ -= pos_;
  pos_ = 0;
  if (end_ == buffer_.size()) buffer_.resize(2 * end_);
  const size_t got = ended_ ? 0 : source_(buffer_.data() + end_, buffer_.size() - end_);
  IBID_CHECK(got <= buffer_.size() - end_);
  ended_ = got == 0;
  end_ += got;
  return got > 0;
}

bool ByteReader::fill() {
  pos_ = end_;
  return take_more();
}

bool ByteReader::read_line(std::string& out) {
  if (peek() < 0) return false;
  const std::string start = where();
  while (peek() >= 0) {
    const char* from = buffer_.data() + pos_;
    const char* stop = static_cast<const char*>(std::memchr(from, '\n', end_ - pos_));
    const size_t count = stop ? static_cast<size_t>(stop - from) : end_ - pos_;
    out.append(from, count);
    pos_ += count;
    check_size(out.size(), start);
    if (stop) { get(); break; }
  }
  if (!out.empty() && out.back() == '\r') out.pop_back();
  return true;
}

ByteReader* InputSequence::current(bool* opened) {
  if (opened) *opened = !reader_;
  if (!reader_ && next_ < inputs_.size()) reader_ = std::make_unique<ByteReader>(inputs_[next_++]);
  return reader_.get();
}

void spoil(Record& record, std::string problem, std::string_view bytes) {
  static const char* const hex = "0123456789abcdef";
  record.fields.clear();
  record.problem = std::move(problem);
  record.raw.clear();
  for (size_t i = 0; i < bytes.size();) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    const size_t length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    std::string_view one = bytes.substr(i, length);
    if (c == '\\') record.raw += "\\\\";
    else if (is_utf8(one)) record.raw += one;
    else {
      record.raw.append("\\x").append(1, hex[c >> 4]).append(1, hex[c & 15]);
      one = bytes.substr(i, 1);
    }
    i += one.size();
  }
}

// --- records ---

std::string field_kind(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_number()) return "number";
  if (value.is_bool()) return value.as_bool() ? "true" : "false";
  return value.is_null() ? "null" : "json";
}

std::string field_lexeme(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_number()) return value.lexeme();
  return value.is_array() || value.is_object() ? value.dump() : "";
}

std::string one_column_hint(InputFormat format) {
  return std::string("the first row is one column: are its fields apart by something else than a ") +
         (format == InputFormat::tsv ? "tab?" : "comma?");
}

std::string field_text(const Json& value) { return value.is_bool() ? value.dump() : field_lexeme(value); }

const Json* Record::find(std::string_view name) const {
  for (const Field& field : fields)
    if (field.name == name) return &field.value;
  return nullptr;
}

Json Record::variables() const {
  Json::Object members;
  for (const Field& field : fields) members.emplace_back(field.name, field.value);
  return Json(std::move(members));
}

std::string record_canonical(const Record& record) {
  std::string out = "[";
  auto append = [&out](std::string_view name, std::string_view kind, std::string_view lexeme) {
    if (out.size() > 1) out += ',';
    char before = '[';
    for (std::string_view part : {name, kind, lexeme}) {
      out += before;
      append_json_string(out, part);
      before = ',';
    }
    out += ']';
  };
  if (record.problem && record.fields.empty()) append("", "bad_record", record.raw);
  for (const Field& field : record.fields) append(field.name, field_kind(field.value), field_lexeme(field.value));
  return out + "]";
}

struct RecordNames::Impl {
  std::string id_field;                                // "": records are numbered
  std::unordered_set<IdHash, IdHasher> ids;            // asked, never walked through
};

RecordNames::RecordNames(const InputSpec& spec) : impl_(std::make_unique<Impl>()) { impl_->id_field = id_field_of(spec); }
RecordNames::~RecordNames() = default;

std::string RecordNames::doubled(const InputSpec& spec, const Record& record) {
  return problem_of(id_field_of(spec), "names an earlier record too: " + record.id);
}

void RecordNames::name(Record& record) {
  auto& [id_field, ids] = *impl_;
  const std::string number = std::to_string(record.index + 1);
  record.id = number;
  if (!record.problem && id_field.empty()) return;
  if (!record.problem) {
    std::string id, complaint = "is missing";
    if (const Json* value = record.find(id_field)) {
      id = field_lexeme(*value);
      complaint = value->is_string() || value->is_number() ? id_complaint(id) : std::string("is a JSON ") + value->kind_name();
    }
    if (complaint.empty() && !ids.insert(hash_of(id)).second) complaint = "names an earlier record too: " + id;
    record.id = std::move(id);
    if (complaint.empty()) return;
    record.problem = problem_of(id_field, complaint);
  }
  record.id = number;
  do {
    record.id.insert(record.id.begin(), '#');          // once more while somebody's own id looks like ours
  } while (!id_field.empty() && !ids.insert(hash_of(record.id)).second);
}

struct RecordReader::Impl {
  RecordNames names;
  std::unique_ptr<RecordFormat> format;
  uint64_t count = 0;
};

std::string why_unreadable(const InputSpec& spec, const std::string& raw) {
  std::string name = "record", text = unspoiled(raw);
  std::vector<std::string> headers{""};
  if (spec.format == InputFormat::files) {
    name = text.substr(0, text.find('\n'));
    text.erase(0, name.size() + 1);
  } else {
    if (spec.format == InputFormat::fasta) text = with_carriage_returns(text);
    else if (spec.format == InputFormat::csv) headers = {"a,b\n", "a,b,c\n"};
    else if (spec.format == InputFormat::tsv) headers = {"a\tb\n", "a\tb\tc\n"};
    text += '\r';                                       // of each line's end one is dropped: so none of the record's
  }
  for (const std::string& header : headers) {           // a row fits one of them at most
    Record record, further;
    std::unique_ptr<RecordFormat> format = make_format({spec.format, "", spec.escapes, spec.quotes},
                                                       {{name, [&] { return text_source("\xEF\xBB\xBF" + header + text); }}});
    if (format->next(record) && record.problem && record.raw == raw && !format->next(further)) return *record.problem;
  }
  return "";
}

bool numbers_records(const InputSpec& spec) { return id_field_of(spec).empty(); }

RecordReader::RecordReader(const InputSpec& spec, std::vector<Input> inputs, std::vector<std::string> kept)
    : impl_(new Impl{RecordNames(spec), make_format(spec, std::move(inputs), std::move(kept))}) {}

RecordReader::~RecordReader() = default;

bool RecordReader::next(Record& record) {
  record = Record{};
  if (!impl_->format->next(record)) return false;
  record.index = impl_->count++;
  impl_->names.name(record);
  return true;
}

bool RecordReader::quiet() { return impl_->format->quiet(); }

ByteSource text_source(std::string text) {
  auto rest = std::make_shared<std::pair<std::string, size_t>>(std::move(text), 0);
  return [rest](char* buffer, size_t size) {
    const size_t count = rest->first.copy(buffer, size, rest->second);
    rest->second += count;
    return count;
  };
}

}  // namespace ibid::step
