// The inside of records.h: bytes with line numbers, and one parser per input format.
//
// Owns the reading of bytes and rows. Must not know ids or numbering: records.cc gives them. No other code includes this
// file but records*.cc.
#pragma once
#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/error.h"
#include "step/records.h"

namespace ibid::step {

constexpr size_t kLookedThrough = size_t{1} << 20;

// Whether `end` stands in the text behind its first byte that is neither a blank nor a line's end.
inline bool ends_behind_blanks(std::string_view text, std::string_view end) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text.find(end, first) != std::string_view::npos;
}

// Reads one input; drops a byte order mark at its start.
class ByteReader {
 public:
  explicit ByteReader(const Input& input);
  int peek() { return pos_ < end_ || fill() ? static_cast<unsigned char>(buffer_[pos_]) : -1; }   // -1: the end
  int get() {
    const int c = peek();
    if (c < 0) return c;
    ++pos_;
    line_ += c == '\n';
    return c;
  }
  // Takes the bytes that lie ready before the first that `stops` marks, the line feed among them; perhaps none.
  std::string_view take_until(const std::array<bool, 256>& stops) {
    const size_t from = pos_;
    while (pos_ < end_ && !stops[static_cast<unsigned char>(buffer_[pos_])]) ++pos_;
    return {buffer_.data() + from, pos_ - from};
  }
  // Appends the rest of the line without its end. False when there is no further line. Errors: bad_data, beyond the limit.
  bool read_line(std::string& out);
  // What lies ahead: a record (or more than kLookedThrough of one), the end of the input with no more than blanks before it, or nothing as
  // long as nobody writes. Takes in what lies ready, and asks `whole` of it: does it hold a record, with its end?
  enum class Ahead { record, end, nothing };
  Ahead look(const std::function<bool(std::string_view)>& whole);
  std::string where() const { return name_ + ":" + std::to_string(line_); }   // of the next byte
  const std::string& name() const { return name_; }

 private:
  bool fill();
  bool take_more();                                    // behind what is there; false at the end
  std::string name_;
  ByteSource source_;
  std::vector<char> buffer_;
  size_t pos_ = 0, end_ = 0, line_ = 1;
  bool ended_ = false;
};

// The inputs one after another, one of them open.
class InputSequence {
 public:
  explicit InputSequence(std::vector<Input> inputs) : inputs_(std::move(inputs)) {}
  // The open input, opening the next one when there is none; null at the end of all. `opened` tells that it is new.
  ByteReader* current(bool* opened = nullptr);
  void close() { reader_.reset(); }
  // Whether reading on would wait now, or may where one of the next inputs is opened.
  bool quiet(const std::function<bool(std::string_view)>& whole) {
    const ByteReader::Ahead ahead = reader_ ? reader_->look(whole) : ByteReader::Ahead::end;
    if (ahead != ByteReader::Ahead::end) return ahead == ByteReader::Ahead::nothing;
    const auto next = inputs_.begin() + static_cast<std::ptrdiff_t>(next_);
    return std::any_of(next, inputs_.end(), [](const Input& input) { return input.may_wait; });
  }

 private:
  std::vector<Input> inputs_;
  size_t next_ = 0;
  std::unique_ptr<ByteReader> reader_;
};

// One input format.
class RecordFormat {
 public:
  explicit RecordFormat(std::vector<Input> inputs) : inputs_(std::move(inputs)) {}
  virtual ~RecordFormat() = default;
  // Fills fields, or problem and raw, and where. False at the end.
  virtual bool next(Record& record) = 0;
  bool quiet() {
    return inputs_.quiet([this](std::string_view ready) { return holds_record(ready); });
  }

 protected:
  InputSequence inputs_;

 private:
  // Whether these bytes, which next() would read first, hold a record with its end. A wrong no costs time, a wrong yes lets next() wait.
  virtual bool holds_record(std::string_view ready) const = 0;
};

std::unique_ptr<RecordFormat> make_jsonl(std::vector<Input> inputs);
std::unique_ptr<RecordFormat> make_delimited(std::vector<Input> inputs, const InputSpec& spec, std::vector<std::string> kept);
std::unique_ptr<RecordFormat> make_text(std::vector<Input> inputs);
std::unique_ptr<RecordFormat> make_fasta(std::vector<Input> inputs);
std::unique_ptr<RecordFormat> make_files(std::vector<Input> inputs);

// Makes the record unreadable: no fields, its bytes escaped (a backslash as \\, a byte that is not UTF-8 as \xNN).
void spoil(Record& record, std::string problem, std::string_view bytes);

// Errors: bad_data when size is beyond kMaxRecordBytes.
inline void check_size(size_t size, const std::string& where) {
  if (size > kMaxRecordBytes)
    throw Error(ErrorKind::bad_data, where, "a record is longer than " + std::to_string(kMaxRecordBytes) + " bytes",
        "is a quote or a line break missing?");
}

}  // namespace ibid::step
