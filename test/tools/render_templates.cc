// Renders templates for an oracle to compare: JSON lines {"template", "variables", "date", "strict"} in, {"output"} or
// {"error", "where"} and {"free"} out. test/tools/template_golden.py drives it.
#include <fstream>
#include <iostream>
#include <string>

#include "runtime/error.h"
#include "runtime/template.h"

namespace {

using ibid::Json;
namespace rt = ibid::runtime;

Json render(const Json& job) {
  Json result;
  try {
    bool strict = job.find("strict") && job.at("strict").as_bool();
    rt::Template t(job.at("template").as_string(), "t", strict ? rt::UndefinedIs::an_error : rt::UndefinedIs::empty);
    Json::Array free;
    for (const std::string& name : t.free_variables()) free.push_back(name);
    result.set("free", std::move(free));
    rt::RenderContext context;
    context.variables = job.at("variables");
    if (job.find("date")) context.date = job.at("date").as_string();
    result.set("output", t.render(context));
  } catch (const ibid::Error& e) {
    result.set("error", e.what());
    result.set("where", e.where);
  }
  return result;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << render(Json::parse(line, "stdin")).dump() << "\n";
}
