// The hash of tables whose keys come from files: keyed with random bytes of this process, so that nobody can make a file whose keys
// all meet in one place of a table and take quadratic time.
//
// 1. No result depends on it: a table over it is asked, never walked through.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ibid {

uint64_t hash_of(std::string_view text);
uint64_t hash_of(uint64_t number);

struct TextHash { size_t operator()(std::string_view text) const { return hash_of(text); } };

}  // namespace ibid
