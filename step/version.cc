// See version.h.
#include "step/version.h"

#include "kernels/ops.h"
#include "runtime/tokenizer.h"

namespace ibid::step {

Json version_facts() {
#if defined(__clang__)
  const char* compiler = "clang " __clang_version__;
#else
  const char* compiler = "gcc " __VERSION__;
#endif
  return Json(Json::Object{{"ibid", IBID_VERSION},
                           {"semantics", "v1"},
                           {"unicode", runtime::unicode_version()},
                           {"compiler", compiler},
                           {"numeric_flags", IBID_NUMERIC_FLAGS},
                           {"cuda", IBID_CUDA_TEXT},
                           {"instruction_set", kernels::isa_name(kernels::best_isa())}});
}

std::string version_text(bool verbose) {
  std::string out = "ibid " IBID_VERSION "\n";
  if (!verbose) return out;
  const Json facts = version_facts();
  for (const auto& [name, value] : facts.members())
    if (name != "ibid") out += name + ": " + value.as_string() + "\n";
  return out;
}

}  // namespace ibid::step
