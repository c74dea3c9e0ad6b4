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

#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16"))), apply_to = function)
// Called only where tiles are available. Four sums, two tiles of each side, as products have them; a lane takes 32 products a
// round of its tile.
double wn_probe_tiles(size_t rounds, int one) {
    enum { SUMS = 4, LANES = 256 };
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    uint16_t ones[2 * LANES];
    float value = (float)one, lanes[LANES];
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 2 * LANES; i++) ones[i] = (uint16_t)(bits >> 16);
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = 64;
        shape.rows[i] = 16;
    }
    _tile_loadconfig(&shape);
    _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
    _tile_loadd(4, ones, 64), _tile_loadd(5, ones, 64), _tile_loadd(6, ones, 64), _tile_loadd(7, ones, 64);
    // A sum counts exactly up to 2^24: it is taken away and begun again before that.
    double total = 0;
    for (size_t round = 0; round < rounds;) {
        for (size_t end = rounds - round < 1 << 18 ? rounds : round + (1 << 18); round < end; round++) {
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
#define WN_TAKE(TILE)                                              \
    _tile_stored(TILE, lanes, 64);                                 \
    _tile_zero(TILE);                                              \
    for (int i = 0; i < LANES; i++) total += (double)lanes[i]
        WN_TAKE(0);
        WN_TAKE(1);
        WN_TAKE(2);
        WN_TAKE(3);
#undef WN_TAKE
    }
    _tile_release();
    return total;
}
#pragma clang attribute pop

const wn_probe_table wn_probes_avx512 = {{probe_f32, probe_bf16, probe_int8}};
#endif
