#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H
#include <stddef.h>
// How often this thread has asked for memory so far.
size_t allocations_of_thread(void);
#endif
