#include "include/wn_memory.h"

#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

void wn_release_freed_memory(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

void wn_return_large_allocations(void) {
#if defined(__GLIBC__)
    // By default the limit follows the largest block that was ever freed, up to 32 MiB.
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}
