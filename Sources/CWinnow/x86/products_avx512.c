#if defined(__x86_64__)
// Products with AVX-512 and VNNI. Codes are unpacked to unsigned bytes with an offset a block (a row for int8), so that
// VPDPBUSD multiplies them by the signed bytes of inputs.
#include "block8_avx512.h"
#include "blocks_avx512.h"
#include "decode_avx512.h"
#include "inputs_avx512.h"
#include "pairs_avx512.h"
#include "rows_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// reduce16 of four rows by two tokens, in its order, to out[token][row].
WN_INLINE void reduce_4_by_2(__m512 a, __m512 b, __m512 c, __m512 d, __m512 e, __m512 f, __m512 g, __m512 h, float *out) {
    // Halves, quarters, pairs: each addition serves two or four sums.
#define WN_FOLD(X, Y, LOW, HIGH) _mm512_add_ps(_mm512_shuffle_f32x4(X, Y, LOW), _mm512_shuffle_f32x4(X, Y, HIGH))
    __m512 one = WN_FOLD(WN_FOLD(a, b, 0x44, 0xEE), WN_FOLD(c, d, 0x44, 0xEE), 0x88, 0xDD);
    __m512 two = WN_FOLD(WN_FOLD(e, f, 0x44, 0xEE), WN_FOLD(g, h, 0x44, 0xEE), 0x88, 0xDD);
#undef WN_FOLD
    __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(one), _mm512_castps_pd(two));
    __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(one), _mm512_castps_pd(two));
    __m512 sums = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    sums = _mm512_add_ps(sums, _mm512_movehdup_ps(sums));
    const __m512i apart = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256 values = _mm512_castps512_ps256(_mm512_permutexvar_ps(apart, sums));
    _mm_storeu_ps(out, _mm256_castps256_ps128(values));
    _mm_storeu_ps(out + WN_TILE_ROWS, _mm256_extractf128_ps(values, 1));
}

// The sums of a tile, from row `r` and token `t` on.
#define WN_REDUCE_TILE(ROWS, TOKENS)                                                                               \
    do {                                                                                                           \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                                      \
            if (ROWS == 4 && TOKENS % 2 == 0) {                                                                    \
                if (j % 2 == 0)                                                                                    \
                    reduce_4_by_2(acc[0][j], acc[1 % ROWS][j], acc[2 % ROWS][j], acc[3 % ROWS][j],                 \
                                  acc[0][(j + 1) % TOKENS], acc[1 % ROWS][(j + 1) % TOKENS],                       \
                                  acc[2 % ROWS][(j + 1) % TOKENS], acc[3 % ROWS][(j + 1) % TOKENS],                \
                                  out + (t + j) * WN_TILE_ROWS + r);                                               \
                continue;                                                                                          \
            }                                                                                                      \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                      \
                out[(t + j) * WN_TILE_ROWS + r + i] = reduce16(acc[i][j]);                                         \
        }                                                                                                          \
    } while (0)

// ---- Dots over two planes ------------------------------------------------------------------------------------------
#define WN_OVER_TILE(TILE, ROWS, TOKENS)                                                                           \
    do {                                                                                                           \
        size_t t = 0;                                                                                              \
        for (; t + TOKENS <= tokens; t += TOKENS) {                                                                \
            size_t r = 0;                                                                                          \
            for (; r + ROWS <= tile->rows; r += ROWS) TILE(ROWS, TOKENS);                                          \
            for (; r < tile->rows; r++) TILE(1, TOKENS);                                                           \
        }                                                                                                          \
        for (; t < tokens; t++) {                                                                                  \
            size_t r = 0;                                                                                          \
            for (; r + 4 <= tile->rows; r += 4) TILE(4, 1);                                                        \
            for (; r < tile->rows; r++) TILE(1, 1);                                                           \
        }                                                                                                          \
    } while (0)

// Lane i: the sum of v[i].
WN_INLINE __m512i sums_of_16(__m512i v[16]) {
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]));
    }
    for (int left = 2; left > 0; left--) {
        for (int i = 0; i < left; i++) {
            v[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0x88),
                                    _mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0xDD));
        }
    }
    return v[0];
}

// What sums of bytes, 255 by 127 at most, cannot leave 32 bits in.
enum { WN_NARROW_COLUMNS = 65536 };

// Four rows by two tokens, from row `r` and token `at` on.
WN_INLINE void planes_4_by_2(__m512i high[4][2], __m512i low[4][2], const wn_tile *tile, size_t r, const wn_input *in,
                             size_t at, float *out) {
    __m512i v[16];
    for (int i = 0; i < 8; i++) {
        v[i] = high[i / 2][i % 2];
        v[8 + i] = low[i / 2][i % 2];
    }
    __m512i sums = sums_of_16(v);
    __m512i highs = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums));
    __m512i lows = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sums, 1));
    __m512i totals = _mm512_broadcast_i64x2(_mm_loadu_si128((const __m128i *)(in->totals + at)));
    __m512i dots = _mm512_sub_epi64(_mm512_add_epi64(_mm512_slli_epi64(highs, 8), lows), _mm512_slli_epi64(totals, 7));
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3), apart = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    __m256 rows = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(tile->row_scales + r)), twice);
    __m256 tokens = _mm256_castsi256_ps(_mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(in->scales + at))));
    __m256 values = _mm256_mul_ps(_mm512_cvtepi64_ps(dots), _mm256_mul_ps(rows, tokens));
    values = _mm256_permutevar8x32_ps(values, apart);
    _mm_storeu_ps(out, _mm256_castps256_ps128(values));
    _mm_storeu_ps(out + WN_TILE_ROWS, _mm256_extractf128_ps(values, 1));
}

#define WN_PLANES_ROWS_TILE(ROWS, TOKENS)                                                                          \
    do {                                                                                                           \
        __m512i high[ROWS][TOKENS], low[ROWS][TOKENS];                                                             \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                high[i][j] = low[i][j] = _mm512_setzero_si512();                                                   \
        for (size_t c = 0; c < tile->stride; c += 64) {                                                            \
            __m512i w[ROWS];                                                                                       \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                      \
                w[i] = _mm512_loadu_si512(tile->codes + (r + i) * tile->stride + c);                               \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                                  \
                __m512i h = _mm512_loadu_si512(in->q + (first + t + j) * in->stride + c);                          \
                __m512i l = _mm512_loadu_si512(in->lo + (first + t + j) * in->stride + c);                         \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                \
                    high[i][j] = _mm512_dpbusd_epi32(high[i][j], w[i], h);                                         \
                    low[i][j] = _mm512_dpbusd_epi32(low[i][j], w[i], l);                                           \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        if (ROWS == 4 && TOKENS == 2 && tile->stride <= WN_NARROW_COLUMNS) {                                       \
            planes_4_by_2((void *)high, (void *)low, tile, r, in, first + t, out + t * WN_TILE_ROWS + r);          \
            break;                                                                                                 \
        }                                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] =                                                              \
                    wn_planes_value(sum_lanes(high[i][j]), sum_lanes(low[i][j]), in->totals[first + t + j],        \
                                    tile->row_scales[r + i], in->scales[first + t + j]);                           \
    } while (0)

static void dot_planes16_rows(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    WN_OVER_TILE(WN_PLANES_ROWS_TILE, 4, 2);
}

// ---- Dots over float32 inputs ----------------------------------------------------------------------------------
#define WN_F32_STEP(ROWS, TOKENS, LOAD, VALID)                                                                     \
    do {                                                                                                           \
        __m512 w[ROWS];                                                                                            \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            w[i] = LOAD(base + (r + i) * row_bytes, c, VALID);                                                     \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                                      \
            __m512 x = _mm512_maskz_loadu_ps(VALID, xs + (t + j) * in->f32_stride + c);                            \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                      \
                acc[i][j] = _mm512_fmadd_ps(w[i], x, acc[i][j]);                                                   \
        }                                                                                                          \
    } while (0)

#define WN_F32_TILE(ROWS, TOKENS, LOAD)                                                                            \
    do {                                                                                                           \
        __m512 acc[ROWS][TOKENS];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) acc[i][j] = _mm512_setzero_ps();   \
        size_t c = 0;                                                                                              \
        for (; c + 16 <= columns; c += 16) WN_F32_STEP(ROWS, TOKENS, LOAD, (__mmask16)0xFFFF);                     \
        if (c < columns) WN_F32_STEP(ROWS, TOKENS, LOAD, tail16(columns - c));                                     \
        WN_REDUCE_TILE(ROWS, TOKENS);                                                                              \
    } while (0)

#define WN_F32_DOT(NAME, LOAD)                                                                                     \
    static void NAME(const uint8_t *base, size_t row_bytes, size_t rows, size_t columns, const wn_input *in,       \
                     size_t first, size_t tokens, float *out) {                                                    \
        const float *xs = in->f32 + first * in->f32_stride;                                                        \
        size_t t = 0;                                                                                              \
        for (; t + 4 <= tokens; t += 4) {                                                                          \
            size_t r = 0;                                                                                          \
            for (; r + 4 <= rows; r += 4) WN_F32_TILE(4, 4, LOAD);                                                 \
            for (; r < rows; r++) WN_F32_TILE(1, 4, LOAD);                                                         \
        }                                                                                                          \
        for (; t < tokens; t++) {                                                                                  \
            size_t r = 0;                                                                                          \
            for (; r + 8 <= rows; r += 8) WN_F32_TILE(8, 1, LOAD);                                                 \
            for (; r < rows; r++) WN_F32_TILE(1, 1, LOAD);                                                         \
        }                                                                                                          \
    }

WN_F32_DOT(dot_rows_f32, load_f32)
WN_F32_DOT(dot_rows_f16, load_f16)
WN_F32_DOT(dot_rows_bf16, load_bf16)

static void dot_f32(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    dot_rows_f32((const uint8_t *)tile->values, tile->columns * sizeof(float), tile->rows, tile->columns, in, first,
                 tokens, out);
}

static void dot_half(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, size_t first, size_t tokens,
                     float *out) {
    const uint8_t *base = m->values + row * m->row_bytes;
    if (m->format == WN_F32) {
        dot_rows_f32(base, m->row_bytes, rows, m->columns, in, first, tokens, out);
    } else if (m->format == WN_F16) {
        dot_rows_f16(base, m->row_bytes, rows, m->columns, in, first, tokens, out);
    } else {
        dot_rows_bf16(base, m->row_bytes, rows, m->columns, in, first, tokens, out);
    }
}

const wn_product_table wn_products_avx512 = {
    .unpack_codes = unpack_codes, .row_f32 = row_f32, .dot_f32 = dot_f32, .dot_half = dot_half,
    .dot_block8 = dot_block8, .dot_planes16 = dot_planes16, .dot_planes16_rows = dot_planes16_rows,
    .arrange_block8 = arrange_block8, .arrange_planes = arrange_planes, .silu_multiply = silu_multiply, .prepare = prepare, .decode = decode,
    .has_ggml_blocks = true, .row_f32_blocks = row_f32_blocks,
    .pairs = &pair_lists, .blocks = &block_lists,
};
#pragma clang attribute pop
#endif
