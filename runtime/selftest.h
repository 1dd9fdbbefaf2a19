// Every op of numerics v1 on fixed inputs, and whole generations, as bytes: the same on every device that keeps the promise.
//
// Owns: the inputs, their order and names. Must not know: digests, golden files (the step layer hashes the bytes and compares).
//
// 1. Inputs come from our own integer generator and include zeros, tiny rows and values that are not finite.
// 2. Layouts that are the device's own business are observed through ops: quantised rows through a product with the unit
//    matrix, converted weights through a product with unit rows, K/V pages through attention.
// 3. So a check speaks of all ops in its list. Checks stand in an order in which the first one that differs names the fault:
//    an op is the suspect when every check that differs has it in its list.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ops.h"

namespace ibid::runtime {

struct SelftestCheck {
  std::string name;                    // begins with the op that the check is about
  std::vector<std::string> ops;        // all ops whose results reach its bytes
};

// The checks in the order in which run_selftest reports them.
const std::vector<SelftestCheck>& selftest_checks();

// Runs every check once; report gets its name and the bytes of its result (little-endian, no padding).
void run_selftest(kernels::Device& device, const std::function<void(const std::string& name, std::string_view bytes)>& report);

}  // namespace ibid::runtime
