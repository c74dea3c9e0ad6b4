#if defined(__x86_64__)
// Products with AVX-512 and VNNI. Codes are unpacked to unsigned bytes with an offset a block (a row for int8), so that
// VPDPBUSD multiplies them by the signed bytes of inputs.
#include "decode_avx512.h"
#include "inputs_avx512.h"
#include "rows_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// ---- Dots over blocks of 32 --------------------------------------------------------------------------------
// One or two pairs of blocks: what they add is summed first, so that a tile's sums wait half as often.
#define WN_BLOCK8_PAIRS(ROWS, TOKENS, KEPT, COUNT)                                                                 \
    do {                                                                                                           \
        size_t c = run * 32 + pair * 64;                                                                           \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                        \
            __m512 sum[TOKENS], shift[TOKENS];                                                                     \
            _Pragma("clang loop unroll(full)") for (int p = 0; p < COUNT; p++) {                                   \
                const __m512i index = halves_of((int)pair + p);                                                    \
                __m512i w = _mm512_loadu_si512(tile->codes + (r + i) * tile->stride + c + 64 * p);                 \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                              \
                    __m512i x = _mm512_loadu_si512(qs + (t + j) * in->stride + c + 64 * p);                        \
                    sum[j] = pair_product(w, x, index, scales[i][j], p ? &sum[j] : NULL);                          \
                    if (KEPT) {                                                                                    \
                        __m512i k = _mm512_loadu_si512(tile->kept + (r + i) * tile->stride + c + 64 * p);          \
                        shift[j] = pair_product(k, x, index, offsets[i][j], p ? &shift[j] : NULL);                 \
                    }                                                                                              \
                }                                                                                                  \
            }                                                                                                      \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                                  \
                acc[i][j] = _mm512_add_ps(acc[i][j], sum[j]);                                                      \
                if (KEPT) acc[i][j] = _mm512_add_ps(acc[i][j], shift[j]);                                          \
            }                                                                                                      \
        }                                                                                                          \
    } while (0)

#define WN_BLOCK8_TILE(ROWS, TOKENS, KEPT)                                                                         \
    do {                                                                                                           \
        __m512 acc[ROWS][TOKENS];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) acc[i][j] = _mm512_setzero_ps();   \
        for (size_t run = 0; run < blocks; run += 16) {                                                            \
            __m512 scales[ROWS][TOKENS], offsets[ROWS][TOKENS];                                                    \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                    \
                __m512 d = _mm512_loadu_ps(tile->scales + (r + i) * tile->block_stride + run);                     \
                __m512 o = _mm512_loadu_ps(tile->offsets + (r + i) * tile->block_stride + run);                    \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                              \
                    __m512 dx = _mm512_loadu_ps(dxs + (t + j) * tile->block_stride + run);                         \
                    scales[i][j] = _mm512_mul_ps(d, dx);                                                           \
                    if (KEPT) {                                                                                    \
                        offsets[i][j] = _mm512_mul_ps(o, dx);                                                      \
                    } else {                                                                                       \
                        __m512 sum = _mm512_loadu_ps(sums + (t + j) * tile->block_stride + run);                   \
                        acc[i][j] = _mm512_fmadd_ps(o, sum, acc[i][j]);                                            \
                    }                                                                                              \
                }                                                                                                  \
            }                                                                                                      \
            size_t pairs = (blocks - run + 1) / 2, pair = 0;                                                       \
            if (pairs > 8) pairs = 8;                                                                              \
            for (; pair + 2 <= pairs; pair += 2) WN_BLOCK8_PAIRS(ROWS, TOKENS, KEPT, 2);                           \
            if (pair < pairs) WN_BLOCK8_PAIRS(ROWS, TOKENS, KEPT, 1);                                              \
        }                                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] = reduce16(acc[i][j]);                                         \
    } while (0)

#define WN_OVER_TILE(TILE, ROWS, TOKENS, ...)                                                                      \
    do {                                                                                                           \
        size_t t = 0;                                                                                              \
        for (; t + TOKENS <= tokens; t += TOKENS) {                                                                \
            size_t r = 0;                                                                                          \
            for (; r + ROWS <= tile->rows; r += ROWS) TILE(ROWS, TOKENS, ##__VA_ARGS__);                           \
            for (; r < tile->rows; r++) TILE(1, TOKENS, ##__VA_ARGS__);                                            \
        }                                                                                                          \
        for (; t < tokens; t++) {                                                                                  \
            size_t r = 0;                                                                                          \
            for (; r + 4 <= tile->rows; r += 4) TILE(4, 1, ##__VA_ARGS__);                                         \
            for (; r < tile->rows; r++) TILE(1, 1, ##__VA_ARGS__);                                                 \
        }                                                                                                          \
    } while (0)

static void dot_block8(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    const int8_t *qs = in->q + first * in->stride;
    const float *dxs = in->scales + first * tile->block_stride, *sums = in->sums + first * tile->block_stride;
    size_t blocks = tile->stride / 32;
    if (tile->kept) {
        WN_OVER_TILE(WN_BLOCK8_TILE, 2, 2, 1);
    } else {
        WN_OVER_TILE(WN_BLOCK8_TILE, 4, 2, 0);
    }
}

// ---- Dots over two planes ------------------------------------------------------------------------------------
#define WN_PLANES_TILE(ROWS, TOKENS)                                                                               \
    do {                                                                                                           \
        __m512 acc[ROWS][TOKENS];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) acc[i][j] = _mm512_setzero_ps();   \
        for (size_t run = 0; run < blocks; run += 16) {                                                            \
            __m512 scales[ROWS];                                                                                   \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                    \
                scales[i] = _mm512_loadu_ps(tile->scales + (r + i) * tile->block_stride + run);                    \
                __m512 o = _mm512_loadu_ps(tile->offsets + (r + i) * tile->block_stride + run);                    \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                              \
                    __m512 sum =                                                                                   \
                        _mm512_cvtepi32_ps(_mm512_loadu_si512(in->isums + (first + t + j) * tile->block_stride + run)); \
                    acc[i][j] = _mm512_fmadd_ps(o, sum, acc[i][j]);                                                \
                }                                                                                                  \
            }                                                                                                      \
            size_t pairs = (blocks - run + 1) / 2;                                                                 \
            if (pairs > 8) pairs = 8;                                                                              \
            for (size_t pair = 0; pair < pairs; pair++) {                                                          \
                const __m512i index = _mm512_add_epi32(halves, _mm512_set1_epi32(2 * (int)pair));                  \
                size_t c = run * 32 + pair * 64;                                                                   \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                \
                    __m512i w = _mm512_loadu_si512(tile->codes + (r + i) * tile->stride + c);                      \
                    __m512 scale = _mm512_permutexvar_ps(index, scales[i]);                                        \
                    _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                          \
                        __m512i high = _mm512_dpbusd_epi32(                                                        \
                            zero, w, _mm512_loadu_si512(in->q + (first + t + j) * in->stride + c));                \
                        __m512i dot = _mm512_dpbusd_epi32(                                                         \
                            _mm512_slli_epi32(high, 8), w,                                                         \
                            _mm512_loadu_si512(in->lo + (first + t + j) * in->stride + c));                        \
                        acc[i][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, acc[i][j]);                    \
                    }                                                                                              \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] = reduce16(acc[i][j]) * in->scales[first + t + j];             \
    } while (0)

static void dot_planes16(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    size_t blocks = tile->stride / 32;
    WN_OVER_TILE(WN_PLANES_TILE, 4, 2);
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
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] = reduce16(acc[i][j]);                                         \
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
    .silu_multiply = silu_multiply, .prepare = prepare, .decode = decode, .ggml_blocks = &wn_products_avx2,
};
#pragma clang attribute pop
#endif
