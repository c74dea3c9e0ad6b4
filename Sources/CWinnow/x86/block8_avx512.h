// Blocks of 32, and groups of them, for many tokens, with AVX-512 VNNI: a lane is a token. What a block adds up to is a whole number; it joins the
// sum of every sixteenth block, and those sixteen are added as `reduce16` adds lanes: the order of `decode_block8_row`.
#ifndef WN_BLOCK8_AVX512_H
#define WN_BLOCK8_AVX512_H
#include "pairs_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// Sixteen tokens as tiles want them, in the input's own memory; zeros past the last token.
typedef struct token_group {
    uint8_t *codes, *low;    // [stride / 4, 16, 4]; PLANES16: of the high plane and of the low one
    float *scales, *sums;    // [blocks, 16]; BLOCK8
    int32_t *halves;         // BLOCK8: [blocks, 2, 16], -128 times the sum of each half of a block; PLANES16: [blocks, 16], sums
} token_group;

WN_INLINE token_group group_of_tokens(const wn_input *in, size_t group) {
    size_t blocks = in->stride / 32;
    token_group g = {.codes = (uint8_t *)in->wide + group * WN_GROUP_BYTES(in->stride)};
    g.scales = (float *)(g.codes + 16 * in->stride);
    g.sums = g.scales + 16 * blocks;
    g.halves = (int32_t *)(g.sums + 16 * blocks);
    return g;
}

WN_INLINE token_group group_of_planes(const wn_input *in, size_t group) {
    token_group g = {.codes = (uint8_t *)in->beside + group * WN_PLANES_BYTES(in->stride)};
    g.low = g.codes + 16 * in->stride;
    g.halves = (int32_t *)(g.low + 16 * in->stride);
    return g;
}

// `count` rows of words, `stride` apart, to columns of sixteen.
WN_INLINE void arrange_words(const void *from, size_t stride, size_t count, size_t columns, size_t out_stride, void *out) {
    for (size_t c = 0; c < columns; c += 16) {
        __m512i v[16];
        for (size_t t = 0; t < 16; t++) {
            v[t] = t < count ? _mm512_loadu_si512((const int32_t *)from + t * stride + c) : _mm512_setzero_si512();
        }
        transpose16(v);
        for (size_t i = 0; i < 16 && c + i < columns; i++) _mm512_storeu_si512((int32_t *)out + (c + i) * out_stride, v[i]);
    }
}

// Tokens first..<first + 16 of a whole input.
static void arrange_block8(wn_input *in, size_t first) {
    size_t count = in->tokens - first < 16 ? in->tokens - first : 16, blocks = in->stride / 32;
    size_t stride = wn_block_stride(in->stride);
    token_group g = group_of_tokens(in, first / 16);
    arrange_words(in->q + first * in->stride, in->stride / 4, count, in->stride / 4, 16, g.codes);
    arrange_words(in->scales + first * stride, stride, count, blocks, 16, g.scales);
    arrange_words(in->sums + first * stride, stride, count, blocks, 16, g.sums);
    for (size_t half = 0; half < 2; half++) {
        arrange_words(in->halves + first * 2 * stride + half * stride, 2 * stride, count, blocks, 32, g.halves + 16 * half);
    }
}

static void arrange_planes(wn_input *in, size_t first) {
    size_t count = in->tokens - first < 16 ? in->tokens - first : 16, words = in->stride / 4;
    size_t stride = wn_block_stride(in->stride);
    token_group g = group_of_planes(in, first / 16);
    arrange_words(in->q + first * in->stride, words, count, words, 16, g.codes);
    arrange_words(in->lo + first * in->stride, words, count, words, 16, g.low);
    arrange_words(in->isums + first * stride, stride, count, in->stride / 32, 16, g.halves);
}

// Rows by vectors of tokens in hand: eight by two have sixteen sums that do not wait for each other, and read inputs, which
// come from the second-level cache, half as often as four by four.
enum { WN_BLOCK8_ROWS = 8 };

WN_INLINE __m512i four_codes(const uint8_t *from) {
    int32_t word;
    memcpy(&word, from, sizeof word);
    return _mm512_set1_epi32(word);
}

// Adds the products of `steps` times four columns to sums of rows by `vectors` times sixteen tokens.
WN_INLINE void add_columns(const int vectors, const int steps, const uint8_t *const rows[WN_BLOCK8_ROWS], size_t c,
                           const uint8_t *const inputs[2], __m512i sums[WN_BLOCK8_ROWS][2]) {
    WN_UNROLL for (int step = 0; step < steps; step++, c += 4) {
        // Else all loads are moved to the front, and sums made one after another.
        __asm__ volatile("" ::: "memory");
        __m512i x[2];
        WN_UNROLL for (int v = 0; v < vectors; v++) x[v] = _mm512_loadu_si512(inputs[v] + 16 * c);
        WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) {
            __m512i w = four_codes(rows[i] + c);
            WN_UNROLL for (int v = 0; v < vectors; v++) sums[i][v] = _mm512_dpbusd_epi32(sums[i][v], w, x[v]);
        }
    }
}

// Four rows by sixteen tokens, as rows of WN_TILE_ROWS a token: tokens begin..<end of them.
WN_INLINE void put_tokens(__m512 a, __m512 b, __m512 c, __m512 d, size_t begin, size_t end, float *out) {
    __m512 ab[2] = {_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)};
    __m512 cd[2] = {_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)};
    float values[16][4];
    WN_UNROLL for (int i = 0; i < 4; i++) {
        __m512d low = _mm512_castps_pd(ab[i / 2]), high = _mm512_castps_pd(cd[i / 2]);
        __m512 four = _mm512_castpd_ps(i % 2 ? _mm512_unpackhi_pd(low, high) : _mm512_unpacklo_pd(low, high));
        _mm_storeu_ps(values[i], _mm512_castps512_ps128(four));
        _mm_storeu_ps(values[4 + i], _mm512_extractf32x4_ps(four, 1));
        _mm_storeu_ps(values[8 + i], _mm512_extractf32x4_ps(four, 2));
        _mm_storeu_ps(values[12 + i], _mm512_extractf32x4_ps(four, 3));
    }
    for (size_t t = begin; t < end; t++) memcpy(out + (t - begin) * WN_TILE_ROWS, values[t], sizeof values[t]);
}

// Blocks with a scale each: of signed codes, with offsets, with offsets of what is kept; with a scale for each half of them; or,
// the inputs being in two planes, of codes with 8 added.
typedef enum {
    WN_SIGNED_BLOCKS, WN_OFFSET_BLOCKS, WN_KEPT_BLOCKS, WN_HALF_BLOCKS, WN_OFFSET_HALVES, WN_PLANE_BLOCKS
} block8_kind;

// What sums of a block begin with: what its codes are too large by, times the inputs.
WN_INLINE void open_sums(const bool is_signed, const int vectors, const int halves, const wn_tile *tile, const int32_t *const inputs[2],
                         __m512i sums[WN_BLOCK8_ROWS][2]) {
    const __m128i shift = _mm_cvtsi32_si128(tile->sign_shift);
    WN_UNROLL for (int v = 0; v < vectors; v++) {
        __m512i first = _mm512_setzero_si512();
        if (is_signed) {
            first = _mm512_loadu_si512(inputs[v]);
            if (halves == 2) first = _mm512_add_epi32(first, _mm512_loadu_si512(inputs[v] + 16));
            first = _mm512_sra_epi32(first, shift);
        }
        WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) sums[i][v] = first;
    }
}

// total (+)= sums * (scale of the row * that of the token).
WN_INLINE void add_scaled(const bool begins, const int vectors, const float *const scales[WN_BLOCK8_ROWS], size_t at,
                          const __m512 dx[2], const __m512i sums[WN_BLOCK8_ROWS][2], __m512 *total) {
    WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) {
        const __m512 d = _mm512_set1_ps(scales[i][at]);
        WN_UNROLL for (int v = 0; v < vectors; v++, total++) {
            __m512 product = _mm512_cvtepi32_ps(sums[i][v]), scale = _mm512_mul_ps(d, dx[v]);
            *total = begins ? _mm512_fmadd_ps(product, scale, _mm512_setzero_ps()) : _mm512_fmadd_ps(product, scale, *total);
        }
    }
}

// What rows of a tile a call reads.
typedef struct block8_side {
    const uint8_t *codes[WN_BLOCK8_ROWS], *kept[WN_BLOCK8_ROWS];
    const float *scales[WN_BLOCK8_ROWS], *offsets[WN_BLOCK8_ROWS];
} block8_side;

WN_INLINE block8_side side_of(const block8_kind kind, const wn_tile *tile, size_t r) {
    block8_side side;
    for (size_t i = 0; i < WN_BLOCK8_ROWS; i++) {
        // Rows past the last are that again, and not looked at.
        size_t row = r + i < tile->rows ? r + i : tile->rows - 1;
        side.codes[i] = tile->codes + row * tile->stride;
        side.kept[i] = kind == WN_KEPT_BLOCKS ? tile->kept + row * tile->stride : NULL;
        if (kind == WN_HALF_BLOCKS || kind == WN_OFFSET_HALVES) {
            side.scales[i] = tile->half_scales + row * tile->stride / 16;
            side.offsets[i] = kind == WN_OFFSET_HALVES ? tile->half_offsets + row * tile->stride / 16 : NULL;
        } else {
            side.scales[i] = tile->scales + row * tile->block_stride;
            side.offsets[i] = tile->offsets + row * tile->block_stride;
        }
    }
    return side;
}

// Block `b` of rows by the tokens of `vectors` groups, into [rows, vectors] totals; `begins`: they hold nothing yet.
WN_INLINE void add_block(const block8_kind kind, const bool begins, const int vectors, const wn_tile *tile,
                         const block8_side *side, const token_group *groups, size_t b, __m512 *totals) {
    const int32_t *inputs[2];
    const uint8_t *codes[2] = {groups[0].codes, groups[vectors - 1].codes};
    __m512i sums[WN_BLOCK8_ROWS][2];
    if (kind == WN_PLANE_BLOCKS) {
        const uint8_t *low[2] = {groups[0].low, groups[vectors - 1].low};
        open_sums(false, vectors, 1, tile, inputs, sums);
        add_columns(vectors, 8, side->codes, 32 * b, codes, sums);
        WN_UNROLL for (int v = 0; v < vectors; v++) {
            __m512i shift = _mm512_slli_epi32(_mm512_loadu_si512(groups[v].halves + 16 * b), 3);
            WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) {
                sums[i][v] = _mm512_sub_epi32(_mm512_slli_epi32(sums[i][v], 8), shift);
            }
        }
        add_columns(vectors, 8, side->codes, 32 * b, low, sums);
        WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) {
            const __m512 d = _mm512_set1_ps(side->scales[i][b]);
            WN_UNROLL for (int v = 0; v < vectors; v++, totals++) {
                *totals = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[i][v]), d, begins ? _mm512_setzero_ps() : *totals);
            }
        }
        return;
    }
    __m512 dx[2];
    WN_UNROLL for (int v = 0; v < vectors; v++) {
        inputs[v] = groups[v].halves + 32 * b;
        dx[v] = _mm512_loadu_ps(groups[v].scales + 16 * b);
    }
    if (kind == WN_HALF_BLOCKS || kind == WN_OFFSET_HALVES) {
        __m512 values[WN_BLOCK8_ROWS][2];
        WN_UNROLL for (size_t half = 0; half < 2; half++) {
            const int32_t *own[2] = {inputs[0] + 16 * half, inputs[vectors - 1] + 16 * half};
            open_sums(kind == WN_HALF_BLOCKS, vectors, 1, tile, own, sums);
            add_columns(vectors, 4, side->codes, 32 * b + 16 * half, codes, sums);
            WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) {
                __m512 d = _mm512_set1_ps(side->scales[i][2 * b + half]);
                WN_UNROLL for (int v = 0; v < vectors; v++) {
                    __m512 dot = _mm512_cvtepi32_ps(sums[i][v]);
                    values[i][v] = half ? _mm512_fmadd_ps(dot, d, values[i][v]) : _mm512_mul_ps(dot, d);
                }
            }
        }
        WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) {
            WN_UNROLL for (int v = 0; v < vectors; v++, totals++) {
                WN_UNROLL for (size_t half = 0; half < 2 && kind == WN_OFFSET_HALVES; half++) {
                    __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(inputs[v] + 16 * half));
                    __m512 offset = _mm512_set1_ps(side->offsets[i][2 * b + half] * (-1.0f / 128));
                    values[i][v] = _mm512_fmadd_ps(sum, offset, values[i][v]);
                }
                *totals = _mm512_fmadd_ps(values[i][v], dx[v], begins ? _mm512_setzero_ps() : *totals);
            }
        }
        return;
    }
    open_sums(kind == WN_SIGNED_BLOCKS, vectors, 2, tile, inputs, sums);
    add_columns(vectors, 8, side->codes, 32 * b, codes, sums);
    if (kind == WN_OFFSET_BLOCKS) {
        __m512 *total = totals, sx[2];
        WN_UNROLL for (int v = 0; v < vectors; v++) sx[v] = _mm512_loadu_ps(groups[v].sums + 16 * b);
        WN_UNROLL for (int i = 0; i < WN_BLOCK8_ROWS; i++) {
            const __m512 d = _mm512_set1_ps(side->scales[i][b]), o = _mm512_set1_ps(side->offsets[i][b]);
            WN_UNROLL for (int v = 0; v < vectors; v++, total++) {
                __m512 sum = _mm512_fmadd_ps(o, sx[v], begins ? _mm512_setzero_ps() : *total);
                *total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[i][v]), _mm512_mul_ps(d, dx[v]), sum);
            }
        }
        return;
    }
    add_scaled(begins, vectors, side->scales, b, dx, sums, totals);
    if (kind != WN_KEPT_BLOCKS) return;
    open_sums(false, vectors, 2, tile, inputs, sums);
    add_columns(vectors, 8, side->kept, 32 * b, codes, sums);
    add_scaled(false, vectors, side->offsets, b, dx, sums, totals);
}

// Rows from `r` on by the tokens of `vectors` groups. `totals`: [16, rows, vectors] vectors, the first of which are the sums.
WN_INLINE void block8_rows(const block8_kind kind, const int vectors, const wn_tile *tile, size_t r,
                           const token_group *groups, __m512 *totals) {
    const size_t blocks = tile->stride / 32, lane = WN_BLOCK8_ROWS * (size_t)vectors;
    const block8_side side = side_of(kind, tile, r);
    size_t b = 0;
    for (; b < blocks && b < 16; b++) add_block(kind, true, vectors, tile, &side, groups, b, totals + b * lane);
    for (; b < blocks; b++) add_block(kind, false, vectors, tile, &side, groups, b, totals + b % 16 * lane);
    for (size_t i = lane * blocks; i < 16 * lane; i++) totals[i] = _mm512_setzero_ps();
    // The order of reduce16.
    for (size_t half = 8; half > 0; half /= 2) {
        for (size_t i = 0; i < half * lane; i++) totals[i] = _mm512_add_ps(totals[i], totals[i + half * lane]);
    }
}

WN_INLINE void block8_groups(const block8_kind kind, const int vectors, const wn_tile *tile, const wn_input *in,
                             size_t group, size_t begin, size_t end, float *out) {
    token_group groups[2];
    __m512 totals[16 * WN_BLOCK8_ROWS * 2];
    WN_UNROLL for (int v = 0; v < vectors; v++) {
        groups[v] = kind == WN_PLANE_BLOCKS ? group_of_planes(in, group + (size_t)v) : group_of_tokens(in, group + (size_t)v);
    }
    for (size_t r = 0; r < tile->rows; r += WN_BLOCK8_ROWS) {
        block8_rows(kind, vectors, tile, r, groups, totals);
        WN_UNROLL for (size_t v = 0; v < (size_t)vectors; v++) {
            size_t first = 16 * (group + v), from = begin > first ? begin - first : 0;
            size_t to = end - first < 16 ? end - first : 16;
            float *rows = out + (first + from - begin) * WN_TILE_ROWS + r;
            const size_t n = (size_t)vectors;
            // Lanes of tokens that are there; the input may be a view that begins behind the first.
            const __mmask16 there = (__mmask16)(tail16(to) & ~tail16(from));
            WN_UNROLL for (size_t i = 0; i < WN_BLOCK8_ROWS; i += 4) {
                __m512 *four = totals + i * n + v;
                if (kind == WN_PLANE_BLOCKS) {
                    __m512 scale = _mm512_maskz_expandloadu_ps(there, in->scales + (first + from - in->first));
                    WN_UNROLL for (size_t k = 0; k < 4; k++) four[k * n] = _mm512_mul_ps(four[k * n], scale);
                }
                put_tokens(four[0], four[n], four[2 * n], four[3 * n], from, to, rows + i);
            }
        }
    }
}

// A function for each kind, see decode_avx512.h.
#define WN_TOKENS_OF(KIND)                                                                                         \
    static __attribute__((noinline)) void tokens_of_##KIND(const wn_tile *tile, const wn_input *in, size_t first,  \
                                                           size_t tokens, float *out) {                            \
        const size_t begin = in->first + first, end = begin + tokens;                                              \
        for (size_t group = begin / 16; 16 * group < end; group += 2) {                                            \
            if (end > 16 * group + 16) {                                                                           \
                block8_groups(KIND, 2, tile, in, group, begin, end, out);                                          \
            } else {                                                                                               \
                block8_groups(KIND, 1, tile, in, group, begin, end, out);                                          \
            }                                                                                                      \
        }                                                                                                          \
    }
WN_TOKENS_OF(WN_SIGNED_BLOCKS)
WN_TOKENS_OF(WN_OFFSET_BLOCKS)
WN_TOKENS_OF(WN_KEPT_BLOCKS)
WN_TOKENS_OF(WN_HALF_BLOCKS)
WN_TOKENS_OF(WN_OFFSET_HALVES)
WN_TOKENS_OF(WN_PLANE_BLOCKS)
#undef WN_TOKENS_OF

static void dot_block8(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    if (tile->half_offsets) {
        tokens_of_WN_OFFSET_HALVES(tile, in, first, tokens, out);
    } else if (tile->half_scales) {
        tokens_of_WN_HALF_BLOCKS(tile, in, first, tokens, out);
    } else if (tile->kept) {
        tokens_of_WN_KEPT_BLOCKS(tile, in, first, tokens, out);
    } else if (tile->is_signed) {
        tokens_of_WN_SIGNED_BLOCKS(tile, in, first, tokens, out);
    } else {
        tokens_of_WN_OFFSET_BLOCKS(tile, in, first, tokens, out);
    }
}

static void dot_planes16(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    tokens_of_WN_PLANE_BLOCKS(tile, in, first, tokens, out);
}

#pragma clang attribute pop
#endif
