#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "../optimize.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#define WN_OWN_EXPANSION
static inline __attribute__((always_inline)) uint32_t mask8(const uint8_t *bits, size_t i, size_t count) {
    return count - i < 8 ? bits[i / 8] & ((1u << (count - i)) - 1) : bits[i / 8];
}

static size_t count_kept(const uint8_t *bits, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i += 8) kept += (size_t)__builtin_popcount(mask8(bits, i, count));
    return kept;
}

// A byte of ones for each bit.
static inline __attribute__((always_inline)) uint64_t widen8(uint32_t mask) {
    return _pdep_u64(mask, 0x0101010101010101) * 0xFF;
}

// Eight at a time while eight are left to read; nothing is read past the last kept.
static size_t expand_kept(const float *packed, const uint8_t *bits, float *out, size_t count) {
    size_t total = count_kept(bits, count), taken = 0, i = 0;
    for (; i + 8 <= count && taken + 8 <= total; i += 8) {
        uint64_t wide = widen8(bits[i / 8]);
        __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)_pdep_u64(0x0706050403020100, wide)));
        __m256 keep = _mm256_castsi256_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)wide)));
        _mm256_storeu_ps(out + i, _mm256_and_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(packed + taken), order), keep));
        taken += (size_t)__builtin_popcount(bits[i / 8]);
    }
    for (; i < count; i++) {
        out[i] = 0;
        if (bits[i / 8] >> i % 8 & 1) out[i] = packed[taken++];
    }
    return total;
}

// Eight at a time where what is written too much is written over; nothing is written past the last kept.
static size_t pack_kept(const float *values, const uint8_t *bits, float *packed, size_t count) {
    size_t total = count_kept(bits, count), taken = 0, i = 0;
    for (; i + 8 <= count && taken + 8 <= total; i += 8) {
        uint64_t wide = widen8(bits[i / 8]);
        __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)_pext_u64(0x0706050403020100, wide)));
        _mm256_storeu_ps(packed + taken, _mm256_permutevar8x32_ps(_mm256_loadu_ps(values + i), order));
        taken += (size_t)__builtin_popcount(bits[i / 8]);
    }
    for (; i < count; i++) {
        if (bits[i / 8] >> i % 8 & 1) packed[taken++] = values[i];
    }
    return total;
}
#define WN_TABLE wn_optimize_avx2
#include "../scalar/optimize_body.h"
#pragma clang attribute pop
#endif
