// Buffers that end at a page which traps.
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cases.h"

enum { WN_PATTERN = 0xA5 };

void *wn_yard_take(wn_yard *yard, size_t bytes) {
    if (yard->count == WN_YARD_BUFFERS) abort();
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    size_t all = inner + 2 * page;
    unsigned char *map = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || (inner > 0 && mprotect(map + page, inner, PROT_READ | PROT_WRITE) != 0)) abort();
    memset(map + page, WN_PATTERN, inner);
    yard->fences[yard->count++] = (struct wn_fence){map, all, inner - bytes};
    return map + page + inner - bytes;
}

bool wn_yard_untouched(const wn_yard *yard) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < yard->count; i++) {
        for (size_t b = 0; b < yard->fences[i].slack; b++) {
            if (yard->fences[i].map[page + b] != WN_PATTERN) return false;
        }
    }
    return true;
}

void wn_yard_free(wn_yard *yard) {
    for (size_t i = 0; i < yard->count; i++) munmap(yard->fences[i].map, yard->fences[i].map_bytes);
    yard->count = 0;
}
