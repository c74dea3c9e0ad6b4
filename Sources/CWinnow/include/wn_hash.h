#ifndef WN_HASH_H
#define WN_HASH_H
#include <stddef.h>
#include <stdint.h>

// SHA-256 (FIPS 180-4) of bytes given in pieces.
typedef struct wn_sha256 {
    uint32_t state[8];
    uint64_t count;      // bytes so far
    uint8_t block[64];   // the piece that fills no block yet
} wn_sha256;

void wn_sha256_begin(wn_sha256 *hash);
void wn_sha256_add(wn_sha256 *hash, const void *bytes, size_t count);
void wn_sha256_end(wn_sha256 *hash, uint8_t digest[32]);
#endif
