// The filters, tests, methods and functions that a template can name: tables from names to code. Owns the calling convention;
// must not know the syntax tree.
//
// 1. A table is small and searched from its beginning; nothing depends on its order.
// 2. Arguments bind as Python's do: by position, then by name; what is left over or absent is a Fault.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/json.h"
#include "runtime/template_value.h"

namespace ibid::runtime {

class Interpreter;

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;

  // One value for each parameter, Kind::missing where not given. Parameters from `required` on may be absent.
  Values bind(const std::string& function, std::initializer_list<const char*> parameters, size_t required) const;
};

using FilterFunction = Value (*)(Interpreter&, const Value& input, const Arguments&);
using TestFunction = bool (*)(Interpreter&, const Value& input, const Arguments&);
using MethodFunction = Value (*)(Interpreter&, const Value& self, const Arguments&);
using GlobalFunction = Value (*)(Interpreter&, const Arguments&);

template <class Function>
struct Named { const char* name; Function function; };

// Null when the table has no such name.
template <class Function, size_t N>
Function look_up(const Named<Function> (&table)[N], std::string_view name) {
  for (const Named<Function>& entry : table)
    if (name == entry.name) return entry.function;
  return nullptr;
}

FilterFunction find_filter(std::string_view name);
FilterFunction find_text_filter(std::string_view name);           // the two halves of find_filter
FilterFunction find_sequence_filter(std::string_view name);
TestFunction find_test(std::string_view name);
MethodFunction find_method(Kind kind, std::string_view name);     // of string, list, tuple, dict
GlobalFunction find_global(std::string_view name);                // file() among them, though it may be absent at run time

bool is_refused_method(std::string_view name);                    // a method of Python's str or dict that is not here
bool is_forbidden_method(Kind kind, std::string_view name);       // changes a list or dict: the sandbox forbids it
bool is_refused_attribute(const Value& v, std::string_view name); // Python's value has it, and it is not here

// A value that can be called. Its text is nowhere: printing one is a Fault.
struct Callable : Object {
  virtual Value call(Interpreter&, const Arguments&) = 0;
  virtual Value attribute(Interpreter&, std::string_view) const { return Value::missing(); }      // Kind::missing when it has none
  // an attribute of Python's that is not here
  virtual bool refuses(std::string_view) const { return false; }
};

// Used by several of the tables.
const std::string& text_of(const Value& v, const char* function);                 // Fault when not a string
int64_t integer_of(const Value& v, const char* what);
int64_t integer_or(const Value& v, int64_t when_missing, const char* what);
bool truth_or(const Value& v, bool when_missing);
Value same_safety(const Value& like, std::string bytes);
std::string escape_html(std::string_view s, Budget& budget);
std::string replace_all(std::string_view s, std::string_view from, std::string_view to, int64_t count, Budget& budget);   // count < 0: all
Value from_json(const Json& json, Budget& budget);
std::string to_json(const Value& v, const Arguments& arguments, Budget& budget);  // json.dumps(v, **arguments)
std::string percent_format(const Value& format, const Value& values, Budget& budget);            // '%s' % values
std::string brace_format(const Value& format, const Arguments& arguments, Budget& budget);       // '{}'.format(...)
std::string format_date(std::string_view iso_date, std::string_view format);      // strftime at midnight
double round_half_even(double v, int64_t digits);                                 // Python's round()
Value range_value(const RangeBounds& range, Budget& budget);

}  // namespace ibid::runtime
