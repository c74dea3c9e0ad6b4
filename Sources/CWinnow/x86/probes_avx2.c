#if defined(__x86_64__)
#include <immintrin.h>

#include "../probes.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
// Twelve sums and what they multiply: sixteen registers. Chains are held so that rounds stay rounds.
#define WN_HOLD(x) __asm__ volatile("" : "+x"(x))

static double probe_f32(size_t rounds, int one) {
    __m256 a = _mm256_set1_ps((float)one), sums[WN_PROBE_CHAINS];
    for (int i = 0; i < WN_PROBE_CHAINS; i++) sums[i] = _mm256_setzero_ps();
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            sums[i] = _mm256_fmadd_ps(a, a, sums[i]);
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        float lanes[8];
        _mm256_storeu_ps(lanes, sums[i]);
        for (int lane = 0; lane < 8; lane++) total += (double)lanes[lane];
    }
    return total;
}

// What products of 16-bit inputs do: a multiplication of sixteen codes by both planes at once, and an addition. Inputs of one
// plane cost no less, since sums of two bytes' products have to leave 16 bits again.
static double probe_int8(size_t rounds, int one) {
    __m256i a = _mm256_set1_epi16((short)one), sums[WN_PROBE_CHAINS];
    for (int i = 0; i < WN_PROBE_CHAINS; i++) sums[i] = _mm256_setzero_si256();
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            WN_HOLD(a);
            sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(a, a));
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        int32_t lanes[8];
        _mm256_storeu_si256((__m256i *)lanes, sums[i]);
        for (int lane = 0; lane < 8; lane++) total += 2 * (double)lanes[lane];
    }
    return total;
}

const wn_probe_table wn_probes_avx2 = {{probe_f32, NULL, probe_int8}};
#pragma clang attribute pop
#endif
