// Gzip in, plain bytes out, proved by each member's own checksum and length. The only door to zlib.
//
// libarchive, through which all else is read, does not look at a gzip member's CRC: a damaged file would be answered as if it were whole.
// 1. Members may follow each other (bgzip), and zeros may follow the last. Anything else behind it is an error, for it
//    may have been a member.
#pragma once
#include "step/archive.h"

namespace ibid::step {

bool is_gzip(std::string_view head);                   // by its first two bytes

// Reads `compressed` to its end. Errors, where the bytes are damaged or cut short: bad_data, at `name`.
ByteSource gunzip(ByteSource compressed, const std::string& name);

}  // namespace ibid::step
