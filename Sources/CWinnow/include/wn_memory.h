#ifndef WN_MEMORY_H
#define WN_MEMORY_H
#include <stddef.h>

// Zeroed memory, 64-byte aligned; NULL where there is none. Freed by wn_free_zeroed alone.
void *wn_allocate_zeroed(size_t bytes);
void wn_free_zeroed(void *memory);

// Gives freed memory back to the system, where the allocator can: what one long step held is not the next one's.
void wn_release_freed_memory(void);
// Blocks of a mebibyte and more go back to the system as soon as they are freed, for the whole process.
void wn_return_large_allocations(void);
#endif
