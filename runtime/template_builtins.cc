// See template_builtins.h. Binding of arguments, the helpers that several tables share, the functions a template can call.
#include "runtime/template_builtins.h"

#include <algorithm>

#include "runtime/template_eval.h"
#include "runtime/template_unicode.h"

namespace ibid::runtime {

Values Arguments::bind(const std::string& function, std::initializer_list<const char*> parameters, size_t required) const {
  if (positional.size() > parameters.size())
    fault(function + "() takes at most " + std::to_string(parameters.size()) + " arguments (" + std::to_string(positional.size()) +
          " given)");
  Values out = positional;
  out.resize(parameters.size(), Value::missing());
  for (const auto& [name, value] : named) {
    auto found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) fault(function + "() got an unexpected keyword argument '" + name + "'");
    Value& slot = out[static_cast<size_t>(found - parameters.begin())];
    if (!slot.is(Kind::missing)) fault(function + "() got multiple values for argument '" + name + "'");
    slot = value;
  }
  for (size_t i = 0; i < required; ++i)
    if (out[i].is(Kind::missing)) fault(function + "() missing required argument '" + *(parameters.begin() + i) + "'");
  return out;
}

const std::string& text_of(const Value& v, const char* function) {
  use(v);
  if (!v.is(Kind::string)) fault(std::string(function) + " needs a string, not " + type_name(v));
  return v.text();
}

int64_t integer_of(const Value& v, const char* what) {
  use(v);
  if (!v.is_integral()) fault(std::string(what) + " needs an integer, not " + type_name(v));
  return v.integer();
}

int64_t integer_or(const Value& v, int64_t when_missing, const char* what) {
  return v.is(Kind::missing) ? when_missing : integer_of(v, what);
}
bool truth_or(const Value& v, bool when_missing) { return v.is(Kind::missing) ? when_missing : truth(v); }
Value same_safety(const Value& like, std::string bytes) { return Value(std::move(bytes), like.safe()); }

std::string escape_html(std::string_view s, Budget& budget) {
  budget.room(s.size() * 5);
  std::string out;
  for (char c : s) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&#34;";
    else if (c == '\'') out += "&#39;";
    else out += c;
  }
  return out;
}

std::string replace_all(std::string_view s, std::string_view from, std::string_view to, int64_t count, Budget& budget) {
  budget.room(s.size());
  std::string out;
  size_t at = 0;
  for (int64_t done = 0; count < 0 || done < count; ++done) {
    size_t found = text::find(s, from, at);
    if (found == std::string_view::npos) break;
    if (from.empty()) {                                  // between characters, at both ends too
      out += to;
      if (at >= s.size()) { at = s.size() + 1; break; }
      size_t start = at;
      text::next(s, at);
      out += s.substr(start, at - start);
    } else {
      (out += s.substr(at, found - at)) += to;
      at = found + from.size();
    }
    budget.check_size(out.size());
  }
  if (at < s.size()) out += s.substr(at);
  budget.room(out.size());
  return out;
}

Value range_value(const RangeBounds& r, Budget& budget) {
  constexpr int64_t kMaxRange = 100000;                  // the sandbox's own limit
  __int128 span = r.step > 0 ? static_cast<__int128>(r.stop) - r.start : static_cast<__int128>(r.start) - r.stop;
  __int128 stride = r.step > 0 ? r.step : -static_cast<__int128>(r.step);
  __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (count > kMaxRange) fault("range too big: the sandbox blocks ranges larger than 100000");
  budget.spend(static_cast<int64_t>(count));
  Values items;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i)
    items.push_back(Value(static_cast<int64_t>(r.start + static_cast<__int128>(i) * r.step)));
  Value v = Value::view("range", std::move(items));
  v.as<List>().range = r;
  return v;
}

namespace {

// Key and value pairs of dict(...) and namespace(...): one mapping or list of pairs, then names.
std::shared_ptr<Dict> members_of(Interpreter& in, const Arguments& arguments, const char* function) {
  auto dict = std::make_shared<Dict>();
  if (arguments.positional.size() > 1) fault(std::string(function) + "() takes at most 1 positional argument");
  for (const Value& source : arguments.positional) {
    use(source);
    if (source.is(Kind::dict)) {
      for (const auto& [key, value] : source.as<Dict>().members()) dict->set(key, value, in.budget());
      continue;
    }
    for (const Value& pair : iterate(source, in.budget())) {
      Values two = iterate(pair, in.budget());
      if (two.size() != 2) fault(std::string(function) + "() needs pairs of a key and a value");
      dict->set(two[0], two[1], in.budget());
    }
  }
  for (const auto& [name, value] : arguments.named) dict->set(Value(name), value, in.budget());
  in.budget().spend(static_cast<int64_t>(dict->members().size()));
  return dict;
}

Value global_dict(Interpreter& in, const Arguments& arguments) { return make_dict(members_of(in, arguments, "dict")); }

Value global_namespace(Interpreter& in, const Arguments& arguments) {
  std::vector<std::pair<std::string, Value>> attributes;
  const std::shared_ptr<Dict> members = members_of(in, arguments, "namespace");
  for (const auto& [key, value] : members->members()) attributes.emplace_back(text_of(key, "namespace()"), value);
  return in.make_namespace(std::move(attributes));
}

Value global_range(Interpreter& in, const Arguments& arguments) {
  Values a = arguments.bind("range", {"start", "stop", "step"}, 1);
  int64_t start = a[1].is(Kind::missing) ? 0 : integer_of(a[0], "range()");
  int64_t stop = integer_of(a[1].is(Kind::missing) ? a[0] : a[1], "range()");
  int64_t step = integer_or(a[2], 1, "range()");
  if (step == 0) fault("range() arg 3 must not be zero");
  return range_value({start, stop, step}, in.budget());
}

Value global_raise(Interpreter& in, const Arguments& arguments) {
  fault(str(arguments.bind("raise_exception", {"message"}, 1)[0], in.budget()));
}

Value global_strftime(Interpreter& in, const Arguments& arguments) {
  Values a = arguments.bind("strftime_now", {"format"}, 1);
  const std::string& format = text_of(a[0], "strftime_now()");
  if (in.context().date.empty()) fault("the template asks for the date, and none is given");
  in.budget().room(format.size() * 32);
  return Value(format_date(in.context().date, format));
}

Value global_file(Interpreter& in, const Arguments& arguments) {
  Values a = arguments.bind("file", {"name"}, 1);
  const std::string& name = text_of(a[0], "file()");
  auto found = in.context().files->find(name);
  if (found == in.context().files->end()) fault("no file named '" + name + "'");
  in.budget().room(found->second.size());
  return Value(found->second);
}

}  // namespace

GlobalFunction find_global(std::string_view name) {
  static constexpr Named<GlobalFunction> table[] = {{"dict", global_dict}, {"file", global_file}, {"namespace", global_namespace},
                                                    {"raise_exception", global_raise}, {"range", global_range},
                                                    {"strftime_now", global_strftime}};
  return look_up(table, name);
}

FilterFunction find_filter(std::string_view name) {
  FilterFunction found = find_text_filter(name);
  return found ? found : find_sequence_filter(name);
}

}  // namespace ibid::runtime
