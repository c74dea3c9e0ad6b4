#ifndef WN_MEMORY_H
#define WN_MEMORY_H

// Gives freed memory back to the system, where the allocator can: what one long step held is not the next one's.
void wn_release_freed_memory(void);
#endif
