// What the probes make of their windows: included by them only (nothing inline may leak into files with other flags).
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/ops.h"

namespace ibid::kernels {

inline Rate rate_of(std::vector<double> windows) {
  if (windows.empty()) return {};
  std::sort(windows.begin(), windows.end());
  return {windows[windows.size() / 2], windows.back()};
}

}  // namespace ibid::kernels
