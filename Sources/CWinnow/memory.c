#include "include/wn_memory.h"

#include <stdint.h>
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

enum { WN_ALIGNMENT = 64 };

void *wn_allocate_zeroed(size_t bytes) {
    // calloc leaves fresh pages alone: memory that is never written is never resident.
    size_t room = bytes + WN_ALIGNMENT + sizeof(void *);
    char *block = room < bytes ? NULL : calloc(1, room);
    if (!block) return NULL;
    char *first = block + sizeof(void *);
    void **aligned = (void **)(first + (WN_ALIGNMENT - (uintptr_t)first % WN_ALIGNMENT) % WN_ALIGNMENT);
    aligned[-1] = block;
    return aligned;
}

void wn_free_zeroed(void *memory) {
    if (memory) free(((void **)memory)[-1]);
}

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
