// Expanding packed codes with AVX2 and BMI2: nibbles to bytes, kept values to their columns. No vector instruction
// expands under a mask here: bytes go through a table of shuffles, nibbles through PDEP, all of it in registers (a
// load that spans two fresh stores would wait for both).
#ifndef WN_EXPAND_AVX2_H
#define WN_EXPAND_AVX2_H
#include <immintrin.h>

#include "../products.h"

#define WN_INLINE static inline __attribute__((always_inline))
#define WN_UNROLL _Pragma("clang loop unroll(full)")
enum { WN_SEGMENT = 1024, WN_AHEAD = 2048 };

// Entry m: where column i of eight finds its value among those kept by mask m; 0x80 (a zero) where it is pruned.
extern const uint64_t wn_expand_shuffles[256];

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

WN_INLINE uint64_t mask_word(const uint8_t *mask) {
    uint64_t word;
    memcpy(&word, mask, sizeof word);
    return word;
}

// The stream itself, or a copy of what is left of it in `copy` where less than 72 bytes may be read.
WN_INLINE const uint8_t *readable72(const uint8_t *next, const uint8_t *end, uint8_t *copy) {
    if (__builtin_expect(end - next >= 72, 1)) return next;
    memset(copy, 0, 72);
    memcpy(copy, next, (size_t)(end - next));
    return copy;
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

// Sixteen columns of bytes under a mask: two places of the stream side by side.
WN_INLINE __m128i masked_bytes16(uint32_t kept, const uint8_t *next) {
    const __m128i upper = _mm_set_epi64x(0x0808080808080808, 0);
    uint8_t low = (uint8_t)kept, high = (uint8_t)(kept >> 8);
    const uint8_t *second = next + __builtin_popcount(low);
    __m128i values = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)next)), (const __m64 *)second));
    __m128i shuffle = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&wn_expand_shuffles[low])),
        (const __m64 *)&wn_expand_shuffles[high]));
    return _mm_shuffle_epi8(values, _mm_or_si128(shuffle, upper));
}

// 32 columns of bytes; pruned ones are 0.
WN_INLINE __m256i masked_bytes32(uint32_t kept, const uint8_t *next) {
    __m128i low = masked_bytes16(kept & 0xFFFF, next);
    return _mm256_set_m128i(masked_bytes16(kept >> 16, next + __builtin_popcount(kept & 0xFFFF)), low);
}

// Sixteen columns of nibbles, of which `taken` of the stream are used; a pruned one is `zero`.
WN_INLINE __m128i masked_nibbles16(uint32_t kept, const uint8_t *next, size_t taken, const int zero) {
    const uint8_t *from = next + taken / 2;
    uint64_t bits = mask_word(from), odd = taken % 2 * 4;
    // A stream that is half a byte on: sixteen nibbles touch nine bytes.
    bits = bits >> odd | (uint64_t)from[8] << 56 << (8 - odd);
    uint64_t ones = _pdep_u64(kept, 0x1111111111111111), places = (ones << 4) - ones;
    bits = _pdep_u64(bits, places);
    if (zero) bits |= ~places & 0x1111111111111111 * (uint64_t)zero;
    __m128i pairs = _mm_cvtsi64_si128((long long)bits), low = _mm_set1_epi8(15);
    return _mm_unpacklo_epi8(_mm_and_si128(pairs, low), _mm_and_si128(_mm_srli_epi16(pairs, 4), low));
}

// 32 columns of nibbles, each less `zero`.
WN_INLINE __m256i masked_nibbles32(uint32_t kept, const uint8_t *next, size_t taken, const int zero) {
    __m128i low = masked_nibbles16(kept & 0xFFFF, next, taken, zero);
    __m128i high = masked_nibbles16(kept >> 16, next, taken + (size_t)__builtin_popcount(kept & 0xFFFF), zero);
    __m256i codes = _mm256_set_m128i(high, low);
    return zero ? _mm256_sub_epi8(codes, _mm256_set1_epi8((char)zero)) : codes;
}

// Bytes of ones where a column is kept.
WN_INLINE __m256i kept_bytes32(uint32_t kept) {
    const __m256i spread = _mm256_setr_epi64x(
        0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i own = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)kept), spread), bit);
    return _mm256_cmpeq_epi8(own, bit);
}

// Up to WN_SEGMENT columns of 8-bit values; writes whole runs of 64 codes. Returns what follows in the stream.
WN_INLINE const uint8_t *expand_bytes(
    const wn_matrix *m, const uint8_t *mask, const uint8_t *next, size_t columns, uint8_t *codes) {
    for (size_t c = 0; c < columns; c += 64) {
        uint8_t copy[72];
        uint64_t kept = mask_word(mask + c / 8);
        size_t first = (size_t)__builtin_popcountll((uint32_t)kept);
        const uint8_t *from = readable72(next, m->values_end, copy);
        _mm256_storeu_si256((__m256i *)(codes + c), masked_bytes32((uint32_t)kept, from));
        _mm256_storeu_si256((__m256i *)(codes + c + 32), masked_bytes32((uint32_t)(kept >> 32), from + first));
        next += __builtin_popcountll(kept);
    }
    return next;
}

// The same of 4-bit values, each less `zero`; flags of kept columns are written where `flags` is not NULL.
WN_INLINE const uint8_t *expand_nibbles(
    const wn_matrix *m, const uint8_t *mask, const uint8_t *next, size_t columns, const int zero, uint8_t *codes,
    uint8_t *flags) {
    const __m256i one = _mm256_set1_epi8(1);
    for (size_t c = 0; c < columns; c += 64) {
        uint8_t copy[72];
        uint64_t kept = mask_word(mask + c / 8);
        const uint8_t *from = readable72(next, m->values_end, copy);
        size_t taken = 0;
        for (size_t half = 0; half < 64; half += 32) {
            uint32_t word = (uint32_t)(kept >> half);
            _mm256_storeu_si256((__m256i *)(codes + c + half), masked_nibbles32(word, from, taken, zero));
            if (flags) {
                _mm256_storeu_si256((__m256i *)(flags + c + half), _mm256_and_si256(kept_bytes32(word), one));
            }
            taken += (size_t)__builtin_popcount(word);
        }
        next += (taken + 1) / 2;
    }
    return next;
}
#pragma clang attribute pop
#endif
