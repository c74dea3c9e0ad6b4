// Probes of NEON; WN_BYTE_DOT: with dot products of bytes.
#include <arm_neon.h>

#include "../probes.h"

#define WN_HOLD(x) __asm__ volatile("" : "+w"(x))

static double probe_f32(size_t rounds, int one) {
    float32x4_t a = vdupq_n_f32((float)one), sums[WN_PROBE_CHAINS];
    for (int i = 0; i < WN_PROBE_CHAINS; i++) sums[i] = vdupq_n_f32(0);
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            sums[i] = vfmaq_f32(sums[i], a, a);
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        float lanes[4];
        vst1q_f32(lanes, sums[i]);
        for (int lane = 0; lane < 4; lane++) total += (double)lanes[lane];
    }
    return total;
}

static double probe_int8(size_t rounds, int one) {
    int8x16_t a = vdupq_n_s8((int8_t)one);
    int32x4_t sums[WN_PROBE_CHAINS];
    for (int i = 0; i < WN_PROBE_CHAINS; i++) sums[i] = vdupq_n_s32(0);
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
#if defined(WN_BYTE_DOT)
            sums[i] = vdotq_s32(sums[i], a, a);
#else
            int8x16_t x = a;
            WN_HOLD(x);
            sums[i] = vpadalq_s16(sums[i], vmull_s8(vget_low_s8(x), vget_low_s8(a)));
            sums[i] = vpadalq_s16(sums[i], vmull_high_s8(x, a));
#endif
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        int32_t lanes[4];
        vst1q_s32(lanes, sums[i]);
        for (int lane = 0; lane < 4; lane++) total += lanes[lane];
    }
    return total;
}

const wn_probe_table WN_TABLE = {{probe_f32, NULL, probe_int8}};
