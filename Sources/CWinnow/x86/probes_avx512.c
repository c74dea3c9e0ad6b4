#if defined(__x86_64__)
#include <immintrin.h>

#include "../probes.h"
#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi2"))), apply_to = function)
#define WN_HOLD(x) __asm__ volatile("" : "+v"(x))

static double probe_f32(size_t rounds, int one) {
    __m512 a = _mm512_set1_ps((float)one), sums[WN_PROBE_CHAINS];
    for (int i = 0; i < WN_PROBE_CHAINS; i++) sums[i] = _mm512_setzero_ps();
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            sums[i] = _mm512_fmadd_ps(a, a, sums[i]);
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        float lanes[16];
        _mm512_storeu_ps(lanes, sums[i]);
        for (int lane = 0; lane < 16; lane++) total += (double)lanes[lane];
    }
    return total;
}

static double probe_int8(size_t rounds, int one) {
    __m512i a = _mm512_set1_epi8((char)one), sums[WN_PROBE_CHAINS];
    for (int i = 0; i < WN_PROBE_CHAINS; i++) sums[i] = _mm512_setzero_si512();
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            sums[i] = _mm512_dpbusd_epi32(sums[i], a, a);
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        int32_t lanes[16];
        _mm512_storeu_si512(lanes, sums[i]);
        for (int lane = 0; lane < 16; lane++) total += lanes[lane];
    }
    return total;
}
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bf16"))), apply_to = function)
// Called only where the CPU has AVX512_BF16. A lane takes two products a round.
static double probe_bf16(size_t rounds, int one) {
    float value = (float)one;
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    __m512bh a = (__m512bh)_mm512_set1_epi32((int)(bits >> 16 | (bits & 0xFFFF0000u)));
    __m512 sums[WN_PROBE_CHAINS];
    for (int i = 0; i < WN_PROBE_CHAINS; i++) sums[i] = _mm512_setzero_ps();
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            sums[i] = _mm512_dpbf16_ps(sums[i], a, a);
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        float lanes[16];
        _mm512_storeu_ps(lanes, sums[i]);
        for (int lane = 0; lane < 16; lane++) total += (double)lanes[lane];
    }
    return total;
}
#pragma clang attribute pop

const wn_probe_table wn_probes_avx512 = {{probe_f32, probe_bf16, probe_int8}};
#endif
