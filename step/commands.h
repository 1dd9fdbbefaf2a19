// The commands, one function each: arguments in, exit code out; errors are thrown (runtime/error.h).
#pragma once
#include "step/cli.h"

namespace ibid::step {

int command_run(const Args& args);        // command_run.cc
int command_merge(const Args& args);      // command_merge.cc
int command_rerun(const Args& args);      // command_rerun.cc
int command_verify(const Args& args);     // command_inspect.cc
int command_show(const Args& args);
int command_diff(const Args& args);       // command_diff.cc
int command_pin(const Args& args);        // command_manifest.cc
int command_lint(const Args& args);
int command_freeze(const Args& args);
int command_selftest(const Args& args);   // command_selftest.cc
int command_bench(const Args& args);      // command_bench.cc
int command_completions(const Args& args);  // cli_pages.cc
int command_man(const Args& args);

}  // namespace ibid::step
