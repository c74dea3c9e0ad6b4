// Expanding packed codes with AVX2: nibbles to bytes, kept values to their columns. No instruction expands under a
// mask here, so a table of byte shuffles does: eight columns an entry.
#ifndef WN_EXPAND_AVX2_H
#define WN_EXPAND_AVX2_H
#include <immintrin.h>

#include "../products.h"

#define WN_INLINE static inline __attribute__((always_inline))
enum { WN_SEGMENT = 1024, WN_AHEAD = 2048 };

// Entry m: where column i of eight finds its value among those kept by mask m; 0x80 (a zero) where it is pruned.
extern const uint64_t wn_expand_shuffles[256];

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

WN_INLINE uint64_t mask_word(const uint8_t *mask) {
    uint64_t word;
    memcpy(&word, mask, sizeof word);
    return word;
}

// `count` bytes to 2 * count codes less `zero`, low nibble first; writes whole runs of 32 codes.
// Reads at most `readable` bytes of `from`.
WN_INLINE void unpack_nibbles(const uint8_t *from, size_t count, size_t readable, int zero, uint8_t *codes) {
    const __m128i low = _mm_set1_epi8(15), base = _mm_set1_epi8((char)zero);
    for (size_t i = 0; i < count; i += 16) {
        __m128i bytes;
        if (__builtin_expect(readable - i >= 16, 1)) {
            bytes = _mm_loadu_si128((const __m128i *)(from + i));
        } else {
            uint8_t part[16] = {0};
            memcpy(part, from + i, readable - i);
            bytes = _mm_loadu_si128((const __m128i *)part);
        }
        __m128i even = _mm_and_si128(bytes, low), odd = _mm_and_si128(_mm_srli_epi16(bytes, 4), low);
        _mm_storeu_si128((__m128i *)(codes + 2 * i), _mm_sub_epi8(_mm_unpacklo_epi8(even, odd), base));
        _mm_storeu_si128((__m128i *)(codes + 2 * i + 16), _mm_sub_epi8(_mm_unpackhi_epi8(even, odd), base));
    }
}

// Sixteen columns: the values of two mask bytes side by side. Reads eight bytes from each of two places.
WN_INLINE __m128i expand16(const uint8_t *first, const uint8_t *second, uint8_t low, uint8_t high) {
    const __m128i upper = _mm_set_epi64x(0x0808080808080808, 0);
    __m128i values = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)first)), (const __m64 *)second));
    __m128i shuffle = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&wn_expand_shuffles[low])),
        (const __m64 *)&wn_expand_shuffles[high]));
    return _mm_shuffle_epi8(values, _mm_or_si128(shuffle, upper));
}

// The 64 columns of a mask word; 64 bytes of `next` must be readable. Returns the values taken.
WN_INLINE size_t expand64(uint64_t kept, const uint8_t *next, uint8_t *codes) {
    const uint8_t *from = next;
#pragma clang loop unroll(full)
    for (int part = 0; part < 4; part++) {
        uint8_t low = (uint8_t)(kept >> (16 * part)), high = (uint8_t)(kept >> (16 * part + 8));
        const uint8_t *second = from + __builtin_popcount(low);
        _mm_storeu_si128((__m128i *)(codes + 16 * part), expand16(from, second, low, high));
        from = second + __builtin_popcount(high);
    }
    return (size_t)(from - next);
}

// As expand64, reading nothing from `end` on.
WN_INLINE size_t expand64_within(uint64_t kept, const uint8_t *next, const uint8_t *end, uint8_t *codes) {
    if (__builtin_expect(end - next >= 72, 1)) return expand64(kept, next, codes);
    uint8_t copy[72] = {0};
    size_t left = (size_t)(end - next);
    memcpy(copy, next, left < 72 ? left : 72);
    return expand64(kept, copy, codes);
}

WN_INLINE void kept_flags(uint64_t kept, uint8_t *flags) {
    for (int byte = 0; byte < 8; byte++) {
        uint64_t bits = _pdep_u64(kept >> (8 * byte) & 255, 0x0101010101010101);
        memcpy(flags + 8 * byte, &bits, sizeof bits);
    }
}

// Up to WN_SEGMENT columns of 8-bit values; writes whole runs of 64 codes. Returns what follows in the stream.
WN_INLINE const uint8_t *expand_bytes(
    const wn_matrix *m, const uint8_t *mask, const uint8_t *next, size_t columns, uint8_t *codes) {
    for (size_t c = 0; c < columns; c += 64) {
        _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);
        next += expand64_within(mask_word(mask + c / 8), next, m->values_end, codes + c);
    }
    return next;
}

// The same of 4-bit values, each less `zero`; `kept` flags are written where it is not NULL.
WN_INLINE const uint8_t *expand_nibbles(
    const wn_matrix *m, const uint8_t *mask, const uint8_t *next, size_t columns, int zero, uint8_t *codes,
    uint8_t *kept) {
    uint8_t buffer[2 * (WN_SEGMENT / 2 + WN_SEGMENT / 64) + 128];
    size_t bytes = 0;
    for (size_t c = 0; c < columns; c += 64) bytes += ((size_t)__builtin_popcountll(mask_word(mask + c / 8)) + 1) / 2;
    _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);
    _mm_prefetch((const char *)next + WN_AHEAD + 64, _MM_HINT_T0);
    _mm_prefetch((const char *)next + WN_AHEAD + 128, _MM_HINT_T0);
    _mm_prefetch((const char *)next + WN_AHEAD + 192, _MM_HINT_T0);
    // All nibbles first: loads that span two fresh stores wait for both.
    unpack_nibbles(next, bytes, (size_t)(m->values_end - next), zero, buffer);
    const uint8_t *from = buffer;
    for (size_t c = 0; c < columns; c += 64) {
        uint64_t word = mask_word(mask + c / 8);
        size_t taken = expand64(word, from, codes + c);
        from += taken + (taken & 1);
        if (kept) kept_flags(word, kept + c);
    }
    return next + bytes;
}
#pragma clang attribute pop
#endif
