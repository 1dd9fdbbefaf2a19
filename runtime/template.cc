// See template.h. Compiles, converts the caller's JSON, renders; a chat prompt is one way to fill the variables.
#include "runtime/template.h"

#include "runtime/error.h"
#include "runtime/template_eval.h"
#include "runtime/template_parser.h"
#include "runtime/template_scopes.h"

namespace ibid::runtime {
struct Template::Impl {
  Program program;
  NamesRead read;
  std::set<std::string> free_variables;
  UndefinedIs undefined;
  TemplateLimits limits;

  // Only what the template reads is converted: a record may hold much that it does not.
  Values variables(const Json& given, Budget& budget) const {
    Values out(program.names.size(), Value::missing());
    for (Symbol s : read.outside) {
      const std::string& name = program.names[s];
      const Json* json = given.find(name);
      if (!json) continue;
      try {
        out[s] = from_json(*json, budget);
      } catch (const Fault& f) {
        throw Error(ErrorKind::bad_data, program.name, "variable '" + name + "': " + f.what);
      }
    }
    return out;
  }
};

Template::Template(std::string source, std::string name, UndefinedIs undefined, TemplateLimits limits) : impl_(std::make_unique<Impl>()) {
  impl_->undefined = undefined;
  impl_->limits = limits;
  impl_->program = parse_template(std::move(source), std::move(name), limits.max_depth, WhitespaceRules());
  impl_->read = analyse_scopes(impl_->program);
  for (Symbol s : impl_->read.outside)
    if (!find_global(impl_->program.names[s])) impl_->free_variables.insert(impl_->program.names[s]);
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

std::string Template::render(const RenderContext& context) const {
  Interpreter interpreter(impl_->program, impl_->limits, impl_->undefined, context);
  return interpreter.run(impl_->variables(context.variables, interpreter.budget()));
}

const std::set<std::string>& Template::free_variables() const { return impl_->free_variables; }
const std::set<std::string>& Template::file_names() const { return impl_->read.files; }

// What transformers passes: tools and documents are always there, a special token only if the tokenizer has it.
std::string render_chat(const Template& chat_template, const ChatPrompt& prompt) {
  RenderContext context;
  Json& variables = context.variables;
  variables.set("messages", prompt.messages);
  variables.set("tools", Json());
  variables.set("documents", Json());
  variables.set("add_generation_prompt", prompt.add_generation_prompt);
  if (!prompt.bos_token.empty()) variables.set("bos_token", prompt.bos_token);
  if (!prompt.eos_token.empty()) variables.set("eos_token", prompt.eos_token);
  if (prompt.template_args.is_object())
    for (const auto& [name, value] : prompt.template_args.members()) variables.set(name, value);
  context.date = prompt.date;
  return chat_template.render(context);
}

}  // namespace ibid::runtime
