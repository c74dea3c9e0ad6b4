#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "../optimize.h"
#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2"))), apply_to = function)
#define WN_OWN_EXPANSION
// Expanding loads touch only what the mask asks for.
static size_t expand_kept(const float *packed, const uint8_t *bits, float *out, size_t count) {
    size_t taken = 0;
    for (size_t i = 0; i < count; i += 16) {
        uint16_t word;
        memcpy(&word, bits + i / 8, sizeof word);
        __mmask16 lanes = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1) : 0xFFFF, mask = word & lanes;
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_maskz_expandloadu_ps(mask, packed + taken));
        taken += (size_t)__builtin_popcount(mask);
    }
    return taken;
}

// Compressed in a register, then stored: compressing stores are slow on some CPUs.
static size_t pack_kept(const float *values, const uint8_t *bits, float *packed, size_t count) {
    size_t taken = 0;
    for (size_t i = 0; i < count; i += 16) {
        uint16_t word;
        memcpy(&word, bits + i / 8, sizeof word);
        __mmask16 lanes = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1) : 0xFFFF, mask = word & lanes;
        size_t number = (size_t)__builtin_popcount(mask);
        __m512 dense = _mm512_maskz_compress_ps(mask, _mm512_maskz_loadu_ps(mask, values + i));
        _mm512_mask_storeu_ps(packed + taken, (__mmask16)((1u << number) - 1), dense);
        taken += number;
    }
    return taken;
}
#define WN_TABLE wn_optimize_avx512
#include "../scalar/optimize_body.h"
#pragma clang attribute pop
#endif
