// Values of the template language: what Python's values are to Jinja2. Owns their representation, str(), repr(), comparison,
// truth and iteration; must not know templates, filters or JSON text.
//
// 1. Values are immutable and shared, so copying is cheap. Only a namespace changes, and a generator that is read.
// 2. Everything that can grow is charged to the Budget before it is made; no function here recurses deeper than kMaxNesting.
// 3. A Fault is an error without a position; whoever evaluates the template adds it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ibid::runtime {

struct Fault { std::string what; };
[[noreturn]] void fault(std::string what);

// What a render may still spend. A step is an evaluated node, 64 bytes of text made or one item of a container made.
class Budget {
 public:
  Budget(int64_t steps, int64_t text_bytes) : steps_(steps), steps_left_(steps), text_bytes_(text_bytes) {}
  void spend(int64_t steps);
  void room(uint64_t bytes);                  // for a text of this size, before it is made
  void check_size(uint64_t bytes) const;      // of a text in the making, which is charged elsewhere: a Fault when it is too long

 private:
  int64_t steps_, steps_left_, text_bytes_;
};

constexpr int kMaxNesting = 250;              // of containers in containers; JSON itself is bounded at 200

enum class Kind : uint8_t {
  missing,                                    // no value at all: an argument not given; never seen by a template
  undefined, none, boolean, integer, real, string, list, tuple, view, generator, dict, name_space, loop, function
};

struct Object {
  virtual ~Object() = default;
  int nesting = 0;                            // containers below this one
};

class Value;
using Values = std::vector<Value>;

class Value {
 public:
  Value() = default;                          // none
  Value(bool v) : kind_(Kind::boolean) { scalar_.integer = v; }
  Value(int64_t v) : kind_(Kind::integer) { scalar_.integer = v; }
  Value(double v) : kind_(Kind::real) { scalar_.real = v; }
  Value(std::string v, bool safe = false);
  Value(const char* v) : Value(std::string(v)) {}
  Value(Kind kind, std::shared_ptr<Object> object) : kind_(kind), object_(std::move(object)) {}
  static Value missing() { return Value(Kind::missing, nullptr); }
  static Value undefined(std::string message, bool strict);
  static Value list(Values items) { return sequence(Kind::list, std::move(items)); }
  static Value tuple(Values items) { return sequence(Kind::tuple, std::move(items)); }
  static Value generator(Values items) { return sequence(Kind::generator, std::move(items)); }
  static Value view(std::string python_type, Values items);       // "dict_items", "range", ...

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_number() const { return kind_ == Kind::integer || kind_ == Kind::real || kind_ == Kind::boolean; }
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_sequence() const { return kind_ >= Kind::list && kind_ <= Kind::generator; }

  bool boolean() const { return scalar_.integer != 0; }           // REQUIRES for this and below: the kind that the name says
  int64_t integer() const { return scalar_.integer; }             // boolean too
  double real() const { return kind_ == Kind::real ? scalar_.real : static_cast<double>(scalar_.integer); }
  const std::string& text() const;
  bool safe() const;                                              // marked by |safe: `+` and `%` escape what they add to it
  const Values& items() const;                                    // list, tuple, view; of a generator all, read or not
  template <class T> T& as() const { return static_cast<T&>(*object_); }
  const std::shared_ptr<Object>& object() const { return object_; }
  int nesting() const { return object_ ? object_->nesting : 0; }

 private:
  static Value sequence(Kind kind, Values items);
  Kind kind_ = Kind::none;
  union { int64_t integer; double real; } scalar_ = {0};
  std::shared_ptr<Object> object_;
};

struct Text : Object {
  std::string bytes;
  bool safe = false;
};

struct Undefined : Object {
  std::string message;                        // "'x' is undefined"
  bool strict = false;
};

struct RangeBounds { int64_t start = 0, stop = 0, step = 1; };

struct List : Object {                        // and tuple, range, view, generator; scheduler.h has a Sequence
  Values items;
  std::string python_type;                    // of a view
  RangeBounds range;                          // of a range, which repr() shows and slices keep
  size_t read = 0;                            // of a generator: items already taken
};

// Insertion order; a string key is found by hash once there are many.
class Dict : public Object {
 public:
  using Member = std::pair<Value, Value>;
  void set(Value key, Value value, Budget& budget);               // Fault when the key cannot be one
  const Value* find(const Value& key, Budget& budget) const;
  const Value* find(std::string_view key) const;                  // whoever has the key has paid for its length
  const std::vector<Member>& members() const { return members_; }

 private:
  size_t position(std::string_view key) const;
  size_t position(const Value& key, Budget& budget) const;        // charged: of a key that is no string one by one
  std::vector<Member> members_;
  std::vector<uint32_t> table_;               // open addressing: member index + 1, 0 empty; only string keys, only when large
  void rebuild();
};

struct Namespace : Object {
  std::vector<std::pair<std::string, Value>> attributes;
};

Value make_dict(std::shared_ptr<Dict> dict);

// Everything below treats a strict undefined value as a Fault that names it.
bool truth(const Value& v);
std::string str(const Value& v, Budget& budget);                  // what {{ }} prints
std::string repr(const Value& v, Budget& budget);
bool equal(const Value& a, const Value& b, Budget& budget);
int compare(const Value& a, const Value& b, Budget& budget, const char* operation);   // <0, 0, >0; Fault when they have no order
const char* type_name(const Value& v);                            // Python's: "str", "NoneType"
bool is_range(const Value& v);
void check_hashable(const Value& v, Budget& budget);              // Fault when it cannot be the key of a dict
[[noreturn]] void fault_undefined(const Value& v);                // REQUIRES: undefined
void use(const Value& v);                                         // Fault when undefined, strict or not
void use_if_strict(const Value& v);                               // Fault when undefined and strict

Values iterate(const Value& v, Budget& budget);                   // a generator is used up; Fault: "... is not iterable"
int64_t length(const Value& v);
bool contains(const Value& container, const Value& item, Budget& budget);

std::string float_repr(double v);
void append_repr(std::string& out, std::string_view text);

}  // namespace ibid::runtime
