// The inside of records.h: bytes with line numbers, and one parser per input format.
//
// Owns the reading of bytes and rows. Must not know ids or numbering: records.cc gives them. No other code includes this
// file but records*.cc.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/error.h"
#include "step/records.h"

namespace ibid::step {

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
  // Whether bytes up to this one or these are not there yet, and the source would wait for more.
  bool quiet(std::string_view end) const;
  std::string where() const { return name_ + ":" + std::to_string(line_); }   // of the next byte
  const std::string& name() const { return name_; }

 private:
  bool fill();
  std::string name_;
  ByteSource source_;
  std::vector<char> buffer_;
  size_t pos_ = 0, end_ = 0, line_ = 1;
};

// The inputs one after another, one of them open.
class InputSequence {
 public:
  explicit InputSequence(std::vector<Input> inputs) : inputs_(std::move(inputs)) {}
  // The open input, opening the next one when there is none; null at the end of all. `opened` tells that it is new.
  ByteReader* current(bool* opened = nullptr);
  void close() { reader_.reset(); }
  bool quiet(std::string_view end) const { return reader_ && reader_->quiet(end); }

 private:
  std::vector<Input> inputs_;
  size_t next_ = 0;
  std::unique_ptr<ByteReader> reader_;
};

// One input format.
class RecordFormat {
 public:
  // end: with which a record of it ends, as a rule; "": with its input.
  RecordFormat(std::vector<Input> inputs, std::string_view end) : inputs_(std::move(inputs)), end_(end) {}
  virtual ~RecordFormat() = default;
  // Fills fields, or problem and raw, and where. False at the end.
  virtual bool next(Record& record) = 0;
  bool quiet() const { return !end_.empty() && inputs_.quiet(end_); }

 protected:
  InputSequence inputs_;

 private:
  std::string_view end_;
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
