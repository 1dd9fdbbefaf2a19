// The tests' hold on the shim: in which order threads run, and what machine it pretends to be.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "test/simt/include/cuda_runtime.h"

namespace simt {

struct Error : std::runtime_error { using runtime_error::runtime_error; };

// Which of the threads that could go on does, and which block comes first. A result that depends on it depends on a race.
struct Schedule { enum Kind { ascending, descending, shuffled } kind = ascending; uint64_t seed = 0; };
void set_schedule(Schedule schedule);

// Lazy: what is enqueued waits until somebody synchronises, so that a forgotten wait shows.
void set_lazy(bool lazy);

struct Machine {
  cudaError_t driver = cudaSuccess;            // what cudaGetDeviceCount answers
  cudaError_t context = cudaSuccess;           // what the first call that needs the device answers
  int devices = 1;
  int multiprocessors = 4;
  size_t memory = size_t{4} << 30;             // of a device
  bool must_wait = true;                       // what launch() of launch.h starts must wait for the kernel before
  // What a call fails with, doing nothing.
  cudaError_t launch = cudaSuccess;
  cudaError_t wait = cudaSuccess;              // for a stream: where a failure of the device shows
  cudaError_t code = cudaSuccess;              // asking for a kernel's attributes
  cudaError_t pinned = cudaSuccess;            // taking pinned memory
  cudaError_t record = cudaSuccess, instantiate = cudaSuccess, replay = cudaSuccess;       // steps of a graph's life
  int events = 1 << 30;                        // that can be had at once
};
Machine& machine();                            // changes take effect at once

struct Counters { uint64_t launches = 0, allocations = 0, graph_launches = 0, captures = 0, waits = 0; };
Counters& counters();

int live_objects();                            // streams, events and graphs that were not destroyed

// For negative controls only: the addition whose order is a result.
float atomic_add_float(float* at, float value);

}  // namespace simt
