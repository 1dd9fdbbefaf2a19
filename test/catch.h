// Catch2 v2 (Debian 12) and v3 (Debian 13) under one name, and where the test material lies.
#pragma once
#ifdef IBID_CATCH3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace ibid::test {

// Folder of public test material, "" when this machine has none: IBID_TEST_DATA, else ../shared/data beside the checkout.
inline std::string data_dir() {
  if (const char* env = std::getenv("IBID_TEST_DATA")) return env;
  std::string beside = std::string(IBID_SOURCE_DIR) + "/../shared/data";
  return std::filesystem::exists(beside) ? beside : "";
}

inline bool data_missing = false;       // a test that passes without its material, or its GPU, is reported as skipped (main.cc)

// Path of a piece of test material; "" when absent, after saying on stdout which test is skipped for want of it.
inline std::string data_file(const std::string& name) {
  std::string dir = data_dir();
  if (!dir.empty() && std::filesystem::exists(dir + "/" + name)) return dir + "/" + name;
  data_missing = true;
  std::printf("SKIPPED for want of test data: %s\n", name.c_str());
  return "";
}

inline std::string source_dir() { return IBID_SOURCE_DIR; }

}  // namespace ibid::test
