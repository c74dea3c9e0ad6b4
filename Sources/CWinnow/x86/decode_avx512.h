// Products of one token straight from packed rows, with AVX-512: what a tile would give, in its order, without one.
// Dense rows one after another, each an ascending stream that asks ahead; rows of masks in pairs.
#ifndef WN_DECODE_AVX512_H
#define WN_DECODE_AVX512_H
#include "decode_blocks_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// ---- Groups, over two planes: the arithmetic of block8_rows ---------------------------------------------------------
// The sums of a run's blocks of `count` rows, one or two, that share the loads of inputs.
WN_INLINE void sum_planes(
    const int format, const bool checked, const int count, const size_t pairs, code_stream *streams, const int8_t *q,
    const int8_t *lo, size_t c, __m512i *sums) {
    __m512i v[2][8];
    WN_UNROLL for (size_t pair = 0; pair < 8; pair++) {
        if (pair >= pairs) {
            WN_UNROLL for (int r = 0; r < count; r++) v[r][pair] = _mm512_setzero_si512();
            continue;
        }
        __m512i x = _mm512_loadu_si512(q + 64 * pair), y = _mm512_loadu_si512(lo + 64 * pair);
        WN_UNROLL for (int r = 0; r < count; r++) {
            uint64_t kept;
            __m512i w = next_codes(format, checked, &streams[r], c + 64 * pair, pair, &kept);
            __m512i high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, x);
            v[r][pair] = _mm512_dpbusd_epi32(_mm512_slli_epi32(high, 8), w, y);
        }
    }
    WN_UNROLL for (int r = 0; r < count; r++) {
        run_sums own = pairs == 1 ? sums_of_pair(v[r][0]) : sums_of_pairs(v[r]);
        __m512i both = _mm512_add_epi32(own.half[0], own.half[1]);
        sums[r] = pairs == 1 ? both : in_order(both);
    }
}

WN_INLINE void decode_groups(
    const int format, const bool checked, const int count, const wn_matrix *m, size_t row, const wn_input *in, float *out) {
    const size_t blocks = in->stride / 32, there = (m->columns + 31) / 32, groups = (m->columns + m->group - 1) / m->group;
    const unsigned shift = m->group == 128 ? 2 : m->group == 64 ? 1 : 0;
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i own = _mm512_srl_epi32(lanes, _mm_cvtsi32_si128((int)shift));
    code_stream streams[2];
    __m512 acc[2];
    WN_UNROLL for (int r = 0; r < count; r++) {
        streams[r] = open_codes(format, m, row + (size_t)r);
        acc[r] = _mm512_setzero_ps();
    }
    for (size_t run = 0; run < blocks; run += 16) {
        const size_t left = blocks - run, first = run >> shift;
        const int8_t *q = in->q + 32 * run, *lo = in->lo + 32 * run;
        __asm__("" : "+r"(q), "+r"(lo));  // a pointer each: an address of two registers is an operation more
        __m512i sums[2];
        if (__builtin_expect(left >= 16, 1)) {
            sum_planes(format, checked, count, 8, streams, q, lo, 32 * run, sums);
        } else if (left == 2) {
            sum_planes(format, checked, count, 1, streams, q, lo, 32 * run, sums);
        } else {
            sum_planes(format, checked, count, left / 2, streams, q, lo, 32 * run, sums);
        }
        // Codes have 8 added.
        __m512i eights = _mm512_slli_epi32(_mm512_loadu_si512(in->isums + run), 3);
        WN_UNROLL for (int r = 0; r < count; r++) {
            const uint8_t *halves = (const uint8_t *)m->scales + 2 * ((row + (size_t)r) * groups + first);
            __m512 d = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(tail16(groups - first), halves));
            d = _mm512_maskz_permutexvar_ps(tail16(there - run), own, d);
            __m512 dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[r], eights));
            acc[r] = _mm512_mask3_fmadd_ps(dot, d, acc[r], tail16(left));
        }
    }
    WN_UNROLL for (int r = 0; r < count; r++) out[r] = reduce16(acc[r]) * in->scales[0];
}

// ---- Rows with one scale, over two planes: exact sums, in any order ---------------------------------------------------
WN_INLINE void decode_rows(
    const int format, const bool checked, const int count, const wn_matrix *m, size_t row, const wn_input *in, float *out) {
    code_stream streams[2];
    // Two sums each for a row alone, for an addition waits for the one before.
    __m512i high[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    __m512i low[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    WN_UNROLL for (int r = 0; r < count; r++) streams[r] = open_codes(format, m, row + (size_t)r);
    const int8_t *q = in->q, *lo = in->lo;
    uint64_t kept;
    size_t c = 0;
    for (; c + 256 <= m->columns; c += 256, q += 256, lo += 256) {
        __asm__("" : "+r"(q), "+r"(lo));
        WN_UNROLL for (size_t i = 0; i < 4; i++) {
            __m512i x = _mm512_loadu_si512(q + 64 * i), y = _mm512_loadu_si512(lo + 64 * i);
            WN_UNROLL for (int r = 0; r < count; r++) {
                int sum = count == 1 ? (int)i % 2 : r;
                __m512i w = next_codes(format, checked, &streams[r], c + 64 * i, i, &kept);
                high[sum] = _mm512_dpbusd_epi32(high[sum], w, x);
                low[sum] = _mm512_dpbusd_epi32(low[sum], w, y);
            }
        }
    }
    for (; c < m->columns; c += 64, q += 64, lo += 64) {
        __m512i x = _mm512_loadu_si512(q), y = _mm512_loadu_si512(lo);
        WN_UNROLL for (int r = 0; r < count; r++) {
            __m512i w = next_codes(format, checked, &streams[r], c, 0, &kept);
            high[r] = _mm512_dpbusd_epi32(high[r], w, x);
            low[r] = _mm512_dpbusd_epi32(low[r], w, y);
        }
    }
    WN_UNROLL for (int r = 0; r < count; r++) {
        int64_t total = sum_lanes(high[r]), rest = sum_lanes(low[r]);
        if (count == 1) {
            total += sum_lanes(high[1]);
            rest += sum_lanes(low[1]);
        }
        float scale = ((const float *)m->scales)[row + (size_t)r];
        out[r] = wn_planes_value(total, rest, in->totals[0], scale, in->scales[0]);
    }
}

// A function for each format: one of them all would have the stack of them all where nothing is optimised.
#define WN_ROWS_OF(FORMAT)                                                                                         \
    static __attribute__((noinline)) void decode_##FORMAT(                                                         \
        const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {                             \
        for (size_t r = 0; r < rows; r++) {                                                                        \
            out[r] = ends_within(FORMAT, m, row + r) ? decode_block8_row(FORMAT, is_masked(FORMAT), m, row + r, in) \
                                                     : decode_block8_row(FORMAT, false, m, row + r, in);           \
        }                                                                                                          \
    }
// Rows of masks go in pairs: one row's counts and expansions leave ports idle that the other uses. Dense rows run best alone.
#define WN_PLANES_OF(FORMAT, FUNCTION)                                                                             \
    static __attribute__((noinline)) void decode_##FORMAT(                                                         \
        const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {                             \
        size_t r = 0;                                                                                              \
        for (; is_masked(FORMAT) && r + 2 <= rows && !ends_within(FORMAT, m, row + r + 1); r += 2) {               \
            FUNCTION(FORMAT, false, 2, m, row + r, in, out + r);                                                   \
        }                                                                                                          \
        for (; r < rows; r++) {                                                                                    \
            if (ends_within(FORMAT, m, row + r)) {                                                                 \
                FUNCTION(FORMAT, is_masked(FORMAT), 1, m, row + r, in, out + r);                                   \
            } else {                                                                                               \
                FUNCTION(FORMAT, false, 1, m, row + r, in, out + r);                                               \
            }                                                                                                      \
        }                                                                                                          \
    }
#define WN_OWN_BLOCKS(DO) \
    DO(WN_Q4_0) DO(WN_Q4_1) DO(WN_Q8_0) DO(WN_MASKED_Q4_0) DO(WN_MASKED_Q4_1) DO(WN_MASKED_Q8_0)
WN_OWN_BLOCKS(WN_ROWS_OF)
WN_SMALL_BLOCKS(WN_ROWS_OF)
WN_LARGE_BLOCKS(WN_ROWS_OF)
WN_PLANES_OF(WN_INT8, decode_rows)
WN_PLANES_OF(WN_MASKED_INT8, decode_rows)
WN_PLANES_OF(WN_BLOCK4_INT8, decode_rows)
WN_PLANES_OF(WN_INT4, decode_groups)
WN_PLANES_OF(WN_MASKED_INT4, decode_groups)

static bool decode(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    if (in->kind == WN_INPUT_F32) return false;
#define WN_DECODE(FORMAT) case FORMAT: decode_##FORMAT(m, row, rows, in, out); return true;
    switch (m->format) {
    WN_OWN_BLOCKS(WN_DECODE)
    WN_SMALL_BLOCKS(WN_DECODE)
    WN_LARGE_BLOCKS(WN_DECODE)
    WN_DECODE(WN_INT8)
    WN_DECODE(WN_MASKED_INT8)
    WN_DECODE(WN_BLOCK4_INT8)
    WN_DECODE(WN_INT4)
    WN_DECODE(WN_MASKED_INT4)
    default: return false;
    }
#undef WN_DECODE
}

#pragma clang attribute pop
#endif
