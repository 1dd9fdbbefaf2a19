// Entry point of every unit test. Exit 77, which ctest calls skipped: all that ran passed, but test material was missing.
#ifndef IBID_CATCH3
#define CATCH_CONFIG_RUNNER
#endif
#include "test/catch.h"

int main(int argc, char** argv) {
  const int failures = Catch::Session().run(argc, argv);
  return failures != 0 ? 1 : ibid::test::data_missing ? 77 : 0;
}
