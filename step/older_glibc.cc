// For the packages' program alone (CMakeLists.txt, IBID_GLIBC). It is compiled by today's g++ and linked with the glibc of an older
// distribution, so that it runs on both. These three are what the compiler's own static libraries then find missing. They are
// hidden: no library that is loaded later sees them.
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#pragma GCC visibility push(hidden)
extern "C" {

// 2.32. "There may be other threads": then libstdc++ counts references atomically.
char __libc_single_threaded = 0;

// 2.36. std::random_device asks.
uint32_t arc4random() noexcept {
  uint32_t value;
  if (getentropy(&value, sizeof value) != 0) std::abort();
  return value;
}

// 2.35. Where a program counter's unwind table lies: exceptions ask. glibc keeps a faster index of what this walks through.
int _dl_find_object(void* address, dl_find_object* result) noexcept {
  struct Search {
    ElfW(Addr) address;
    dl_find_object* result;
  } search{reinterpret_cast<ElfW(Addr)>(address), result};
  auto visit = [](dl_phdr_info* object, size_t, void* data) {
    auto& [wanted, found] = *static_cast<Search*>(data);
    bool here = false;
    *found = {};
    for (const ElfW(Phdr)* p = object->dlpi_phdr; p != object->dlpi_phdr + object->dlpi_phnum; ++p) {
      ElfW(Addr) start = object->dlpi_addr + p->p_vaddr, end = start + p->p_memsz;
      if (p->p_type == PT_GNU_EH_FRAME) found->dlfo_eh_frame = reinterpret_cast<void*>(start);
      if (p->p_type != PT_LOAD || wanted < start || wanted >= end) continue;
      here = true;
      found->dlfo_map_start = reinterpret_cast<void*>(start);
      found->dlfo_map_end = reinterpret_cast<void*>(end);
    }
    return here && found->dlfo_eh_frame ? 1 : 0;
  };
  return dl_iterate_phdr(visit, &search) == 1 ? 0 : -1;
}

}  // extern "C"
#pragma GCC visibility pop
