#if defined(__x86_64__)
#include "expand_avx2.h"

// Byte i of an entry: the place of column i's value in sixteen bytes around the end of the lower half's values, or
// 0x80 (a zero) where column i is pruned.
#define WN_PLACE(m, i, first) \
    (uint64_t)((m) >> (i) & 1 ? (first) + __builtin_popcount((m) & ((1 << (i)) - 1)) : 0x80) << 8 * (i)
#define WN_PLACES(m, first)                                                                                 \
    (WN_PLACE(m, 0, first) | WN_PLACE(m, 1, first) | WN_PLACE(m, 2, first) | WN_PLACE(m, 3, first) |        \
     WN_PLACE(m, 4, first) | WN_PLACE(m, 5, first) | WN_PLACE(m, 6, first) | WN_PLACE(m, 7, first))
#define WN_LOW(m) WN_PLACES(m, 8 - __builtin_popcount(m))
#define WN_HIGH(m) WN_PLACES(m, 8)
#define WN_4(entry, m) entry(m), entry((m) + 1), entry((m) + 2), entry((m) + 3)
#define WN_16(entry, m) WN_4(entry, m), WN_4(entry, (m) + 4), WN_4(entry, (m) + 8), WN_4(entry, (m) + 12)
#define WN_64(entry, m) WN_16(entry, m), WN_16(entry, (m) + 16), WN_16(entry, (m) + 32), WN_16(entry, (m) + 48)
#define WN_256(entry) WN_64(entry, 0), WN_64(entry, 64), WN_64(entry, 128), WN_64(entry, 192)

const uint64_t wn_expand_low[256] = {WN_256(WN_LOW)};
const uint64_t wn_expand_high[256] = {WN_256(WN_HIGH)};
#endif
