// Expanding packed codes with AVX2 and BMI2: nibbles to bytes, kept values to their columns. No vector instruction
// expands under a mask here, so bytes go through tables of shuffles, sixteen columns at a time; nibbles become bytes
// first. The front of the core is what limits this (six operations a cycle): count operations before changing it.
#ifndef WN_EXPAND_AVX2_H
#define WN_EXPAND_AVX2_H
#include <immintrin.h>

#include "../products.h"

#define WN_INLINE static inline __attribute__((always_inline))
#define WN_UNROLL _Pragma("clang loop unroll(full)")
// WN_SEGMENT: columns of a masked row that are expanded from one run of bytes. A multiple of 4096.
enum { WN_SEGMENT = 8192, WN_AHEAD = 2048 };

// Shuffles for the lower and the upper eight of sixteen columns under a mask, see masked_bytes16.
extern const uint64_t wn_expand_low[256], wn_expand_high[256];

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

// 32 nibbles of 16 bytes, low nibble first.
WN_INLINE __m256i nibbles32(__m128i bytes) {
    __m256i words = _mm256_cvtepu8_epi16(bytes);
    return _mm256_and_si256(_mm256_or_si256(words, _mm256_slli_epi16(words, 4)), _mm256_set1_epi8(15));
}

// `count` bytes to 2 * count codes: each nibble less `zero`, or with the bits of `flag`. Writes whole runs of 32
// codes and reads at most `readable` bytes of `from`.
WN_INLINE void unpack_nibbles(
    const uint8_t *from, size_t count, size_t readable, const int zero, const int flag, uint8_t *codes) {
    for (size_t i = 0; i < count; i += 16) {
        __m128i bytes;
        if (__builtin_expect(readable - i >= 16, 1)) {
            bytes = _mm_loadu_si128((const __m128i *)(from + i));
        } else {
            uint8_t part[16] = {0};
            memcpy(part, from + i, readable - i);
            bytes = _mm_loadu_si128((const __m128i *)part);
        }
        if (i % 64 == 0) _mm_prefetch((const char *)from + i + WN_AHEAD, _MM_HINT_T0);
        __m256i nibbles = nibbles32(bytes);
        if (zero) nibbles = _mm256_sub_epi8(nibbles, _mm256_set1_epi8((char)zero));
        if (flag) nibbles = _mm256_or_si256(nibbles, _mm256_set1_epi8((char)flag));
        _mm256_storeu_si256((__m256i *)(codes + 2 * i), nibbles);
    }
}

// ---- Masked rows -------------------------------------------------------------------------------------------------
// Walks the kept values of a row. Its segments come as bytes with eight before them that may be read too, and 16
// after: the packed bytes themselves where they allow that, or a copy.
typedef struct masked_walk {
    const uint8_t *mask, *next, *row_end;
    uint8_t room[32 + WN_SEGMENT + 64];
} masked_walk;

WN_INLINE void walk_row(masked_walk *walk, const wn_matrix *m, size_t row) {
    walk->mask = m->mask + row * m->mask_stride;
    walk->next = m->values + m->row_offsets[row];
    walk->row_end = m->values + m->row_offsets[row + 1];
}

WN_INLINE const uint8_t *walk_bytes(masked_walk *walk, const wn_matrix *m, size_t columns) {
    bool inside = walk->next - m->values >= 8 && m->values_end - walk->next >= (ptrdiff_t)columns + 16;
    if (__builtin_expect(inside, 1)) return walk->next;
    size_t left = (size_t)(walk->row_end - walk->next);
    memcpy(walk->room + 32, walk->next, left < columns ? left : columns);
    return walk->room + 32;
}

// The same of 4-bit values, each less `zero` or with the bits of `flag`. Runs of 64 columns begin at whole bytes.
WN_INLINE const uint8_t *walk_nibbles(
    masked_walk *walk, const wn_matrix *m, size_t columns, const int zero, const int flag) {
    size_t left = (size_t)(walk->row_end - walk->next), most = wn_round_up(columns, 64) / 2;
    unpack_nibbles(
        walk->next, left < most ? left : most, (size_t)(m->values_end - walk->next), zero, flag, walk->room + 32);
    return walk->room + 32;
}

// Past `columns` whose values ended at `end` of the run of bytes that began at `begin`.
WN_INLINE void walk_on(masked_walk *walk, const uint8_t *begin, const uint8_t *end, size_t columns, bool four_bit) {
    size_t bytes = (size_t)(end - begin);
    walk->next += four_bit ? bytes / 2 : bytes;
    walk->mask += columns / 8;
}

// Sixteen columns of bytes under a mask; pruned ones are 0. One load serves both halves: it is centred where the
// values of the upper half begin.
WN_INLINE __m128i masked_bytes16(const uint8_t *mask, const uint8_t **next) {
    uint16_t kept;
    memcpy(&kept, mask, sizeof kept);
    __m128i values = _mm_loadu_si128((const __m128i *)(*next + __builtin_popcount(mask[0]) - 8));
    __m128i places = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&wn_expand_low[mask[0]])),
        (const __m64 *)&wn_expand_high[kept >> 8]));
    *next += __builtin_popcount(kept);
    return _mm_shuffle_epi8(values, places);
}

WN_INLINE __m256i masked_bytes32(const uint8_t *mask, const uint8_t **next) {
    __m128i low = masked_bytes16(mask, next);
    return _mm256_set_m128i(masked_bytes16(mask + 2, next), low);
}

// Eight blocks of four columns, of which `left` bytes at `next` may be read.
WN_INLINE __m256i block4_bytes32(const uint8_t *mask, const uint8_t **next, ptrdiff_t left) {
    __m256i values;
    if (__builtin_expect(left >= 32, 1)) {
        values = _mm256_loadu_si256((const __m256i *)*next);
    } else {
        uint8_t part[32] = {0};
        memcpy(part, *next, left > 0 ? (size_t)left : 0);
        values = _mm256_loadu_si256((const __m256i *)part);
    }
    *next += 4 * __builtin_popcount(*mask);
    // Places count from 8; a block that is pruned has the sign bit of its byte.
    __m256i places = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)&wn_expand_high[*mask]));
    return _mm256_andnot_si256(_mm256_srai_epi32(places, 31), _mm256_permutevar8x32_epi32(values, places));
}

WN_INLINE void expand_block4_segment(masked_walk *walk, const wn_matrix *m, size_t columns, uint8_t *codes) {
    for (size_t c = 0; c < columns; c += 32, walk->mask++) {
        __m256i bytes = block4_bytes32(walk->mask, &walk->next, m->values_end - walk->next);
        _mm256_storeu_si256((__m256i *)(codes + c), bytes);
    }
}

// Where a run of 64 columns of `four_bit` values ends.
WN_INLINE const uint8_t *run_end(const uint8_t *begin, const uint8_t *next, const bool four_bit) {
    return four_bit ? next + (next - begin) % 2 : next;
}

// Up to WN_SEGMENT columns of a walk as bytes; writes whole runs of 64 codes.
WN_INLINE void expand_segment(
    masked_walk *walk, const wn_matrix *m, size_t columns, const bool four_bit, const int zero, const int flag,
    uint8_t *codes) {
    const uint8_t *begin = four_bit ? walk_nibbles(walk, m, columns, zero, flag) : walk_bytes(walk, m, columns);
    const uint8_t *next = begin;
    for (size_t c = 0; c < columns; c += 64) {
        const uint8_t *mask = walk->mask + c / 8;
        WN_UNROLL for (int half = 0; half < 2; half++) {
            _mm256_storeu_si256((__m256i *)(codes + c + 32 * half), masked_bytes32(mask + 4 * half, &next));
        }
        next = run_end(begin, next, four_bit);
    }
    walk_on(walk, begin, next, columns, four_bit);
}
#pragma clang attribute pop
#endif
