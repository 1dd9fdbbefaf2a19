// Prompt templates: the subset of Jinja2 that chat templates use, rendered byte for byte as the reference environment does
// (Jinja2 sandbox, trim_blocks, lstrip_blocks, loop controls, generation blocks; tojson without HTML escaping).
//
// 1. A template is a program by a stranger: it runs under limits on steps, depth and output, and touches nothing outside.
// 2. It sees no clock, randomness, environment or file: strftime_now() renders the given date or is an error.
// 3. What is not supported is refused when the template is compiled, with line and column, never skipped.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>

#include "runtime/json.h"

namespace ibid::runtime {

struct TemplateLimits {
  int64_t max_steps = 10'000'000;       // what a step is: template_value.h, Budget
  int64_t max_output = 64 << 20;        // bytes of any one string, and of the result
  int max_depth = 100;                  // of nested calls, and of nesting in the source
};

enum class UndefinedIs { an_error, empty };          // step templates are strict; chat templates follow Jinja2's default

struct RenderContext {
  Json variables;                                    // object
  std::string date;                                  // ISO date (2026-11-22) for strftime_now; "": calling it is an error
  const std::map<std::string, std::string>* files = nullptr;   // what file('name') gives; null: no such function
};

class Template {
 public:
  // Errors: Error{bad_data, where "NAME:line:column"}.
  Template(std::string source, std::string name, UndefinedIs undefined, TemplateLimits limits = {});
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // Errors: Error{bad_data} with where "NAME:line:column": raise_exception's text, an undefined variable, a limit.
  std::string render(const RenderContext& context) const;

  // Names that the template reads and does not itself define, and the names of files that it asks for with a literal.
  const std::set<std::string>& free_variables() const;
  const std::set<std::string>& file_names() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Renders a chat template over messages [{"role": ..., "content": ...}] with add_generation_prompt, the special tokens and
// extra arguments (template_args) in scope.
struct ChatPrompt {
  Json messages;                                     // array
  bool add_generation_prompt = true;
  std::string bos_token, eos_token;
  Json template_args;                                // object or null
  std::string date;
};
std::string render_chat(const Template& chat_template, const ChatPrompt& prompt);

}  // namespace ibid::runtime
