// Plain C, of which compilers make vectors of 16 bytes wherever a CPU has them (every x86-64 and AArch64): a product and
// an addition, not fused. The empty statement keeps them from seeing what a round adds, and from multiplying it by the
// rounds.
#include "../probes.h"

#if defined(__x86_64__)
#define WN_HOLD(x) __asm__ volatile("" : "+x"(x))
#elif defined(__aarch64__)
#define WN_HOLD(x) __asm__ volatile("" : "+w"(x))
#else
#define WN_HOLD(x) __asm__ volatile("" : "+m"(x))
#endif

typedef float wn_floats4 __attribute__((vector_size(16)));
typedef int16_t wn_words8 __attribute__((vector_size(16)));

static double probe_f32(size_t rounds, int one) {
    wn_floats4 a = (wn_floats4){0} + (float)one, sums[WN_PROBE_CHAINS] = {0};
    for (size_t round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            wn_floats4 x = a;
            WN_HOLD(x);
            sums[i] += x * a;
            WN_HOLD(sums[i]);
        }
    }
    double total = 0;
    for (int i = 0; i < WN_PROBE_CHAINS; i++) {
        for (int lane = 0; lane < 4; lane++) total += (double)sums[i][lane];
    }
    return total;
}

// Products of bytes fit 16 bits, and so do this many of them when each is 1.
enum { RUN = 1 << 14 };

static double probe_int8(size_t rounds, int one) {
    wn_words8 a = (wn_words8){0} + (int16_t)one;
    double total = 0;
    for (size_t first = 0; first < rounds; first += RUN) {
        wn_words8 sums[WN_PROBE_CHAINS] = {0};
        for (size_t round = first; round < rounds && round < first + RUN; round++) {
#pragma clang loop unroll(full)
            for (int i = 0; i < WN_PROBE_CHAINS; i++) {
                wn_words8 x = a;
                WN_HOLD(x);
                sums[i] += x * a;
                WN_HOLD(sums[i]);
            }
        }
        for (int i = 0; i < WN_PROBE_CHAINS; i++) {
            for (int lane = 0; lane < 8; lane++) total += sums[i][lane];
        }
    }
    return total;
}

const wn_probe_table wn_probes_scalar = {{probe_f32, NULL, probe_int8}};
