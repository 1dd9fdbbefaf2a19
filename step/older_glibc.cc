// For the packages' program alone (CMakeLists.txt, IBID_GLIBC). It is compiled by today's g++ and linked with the glibc of an older
// distribution, so that it runs on both. These are what today's headers and static libraries then find missing. They are hidden: no
// library that is loaded later sees them.
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdlib>

extern "C" {

// By their own names: today's headers give these to what stands below.
long old_strtol(const char*, char**, int) __asm__("strtol");
unsigned long old_strtoul(const char*, char**, int) __asm__("strtoul");
long long old_strtoll(const char*, char**, int) __asm__("strtoll");
unsigned long long old_strtoull(const char*, char**, int) __asm__("strtoull");
int old_vsscanf(const char*, const char*, va_list) __asm__("vsscanf");

#pragma GCC visibility push(hidden)

// 2.38. C23's, which also read binary numbers ("0b1") where the base is 2 or to be found: nothing here asks for those.
long __isoc23_strtol(const char* text, char** end, int base) { return old_strtol(text, end, base); }
unsigned long __isoc23_strtoul(const char* text, char** end, int base) { return old_strtoul(text, end, base); }
long long __isoc23_strtoll(const char* text, char** end, int base) { return old_strtoll(text, end, base); }
unsigned long long __isoc23_strtoull(const char* text, char** end, int base) { return old_strtoull(text, end, base); }
int __isoc23_sscanf(const char* text, const char* format, ...) {
  va_list values;
  va_start(values, format);
  const int read = old_vsscanf(text, format, values);
  va_end(values);
  return read;
}

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

#pragma GCC visibility pop
}  // extern "C"
