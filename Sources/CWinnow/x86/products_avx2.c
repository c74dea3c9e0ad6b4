#if defined(__x86_64__)
// Products with AVX2, FMA and F16C. Codes are unpacked to bytes: unsigned 4-bit codes with an offset a block for
// Q4_0 and Q4_1, signed bytes that need none for everything else. One primitive for each kind of input makes eight
// partial sums of a block, so that one token and five hundred see the same order.
#include "inputs_avx2.h"
#include "two_of_four_avx2.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

// ---- Tiles: ROWS x TOKENS at once ----------------------------------------------------------------------------
// Calls `body(rows, tokens, r, t)` with constants, so that accumulators are registers.
#define WN_TILES(rows, tokens, big_rows, big_tokens, body)                                      \
    do {                                                                                        \
        size_t r = 0;                                                                           \
        for (; r + big_rows <= (rows); r += big_rows) {                                         \
            size_t t = 0;                                                                       \
            for (; t + big_tokens <= (tokens); t += big_tokens) body(big_rows, big_tokens, r, t); \
            for (; t < (tokens); t++) body(big_rows, 1, r, t);                                  \
        }                                                                                       \
        for (; r < (rows); r++) {                                                               \
            size_t t = 0;                                                                       \
            for (; t + big_tokens <= (tokens); t += big_tokens) body(1, big_tokens, r, t);      \
            for (; t < (tokens); t++) body(1, 1, r, t);                                         \
        }                                                                                       \
    } while (0)

WN_INLINE void block8_tile(
    const int rows, const int tokens, const bool is_signed, const bool has_kept, const wn_tile *tile,
    const wn_input *in, size_t r, size_t token, float *out) {
    size_t blocks = tile->stride / 32;
    const uint8_t *codes = tile->codes + r * tile->stride, *kept = tile->kept + (has_kept ? r * tile->stride : 0);
    const float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
    const int8_t *x = in->q + token * in->stride;
    const float *dx = in->scales + token * tile->block_stride, *sums = in->sums + token * tile->block_stride;
    __m256 acc[4][4];
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_ps();
    for (size_t run = 0; run < blocks; run += 8) {
        float both[4][4][8] __attribute__((aligned(32))), shift[4][4][8] __attribute__((aligned(32)));
        WN_UNROLL for (int i = 0; i < rows; i++) {
            __m256 d = _mm256_loadu_ps(scales + (size_t)i * tile->block_stride + run);
            __m256 m = is_signed ? d : _mm256_loadu_ps(offsets + (size_t)i * tile->block_stride + run);
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                __m256 s = _mm256_loadu_ps(dx + (size_t)j * tile->block_stride + run);
                _mm256_store_ps(both[i][j], _mm256_mul_ps(d, s));
                if (has_kept) {
                    _mm256_store_ps(shift[i][j], _mm256_mul_ps(m, s));
                } else if (!is_signed) {
                    __m256 sum = _mm256_loadu_ps(sums + (size_t)j * tile->block_stride + run);
                    acc[i][j] = _mm256_fmadd_ps(m, sum, acc[i][j]);
                }
            }
        }
        size_t count = blocks - run < 8 ? blocks - run : 8;
        for (size_t b = 0; b < count; b += 2) {
            size_t c = 32 * (run + b);
            WN_UNROLL for (int i = 0; i < rows; i++) {
                const uint8_t *w = codes + (size_t)i * tile->stride + c;
                const uint8_t *k = has_kept ? kept + (size_t)i * tile->stride + c : w;
                WN_UNROLL for (int j = 0; j < tokens; j++) {
                    const int8_t *q = x + (size_t)j * in->stride + c;
                    __m256 sum = pair_sum(pair_codes(w), q, is_signed, &both[i][j][b]);
                    acc[i][j] = _mm256_add_ps(acc[i][j], sum);
                    if (has_kept) {
                        acc[i][j] = _mm256_add_ps(acc[i][j], pair_sum(pair_codes(k), q, false, &shift[i][j][b]));
                    }
                }
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) out[j * WN_TILE_ROWS + (int)r + i] = reduce8(acc[i][j]);
}

// The same where each half of a block has a scale of its own.
WN_INLINE void halves_tile(
    const int rows, const int tokens, const bool has_offsets, const wn_tile *tile, const wn_input *in, size_t r,
    size_t token, float *out) {
    size_t blocks = tile->stride / 32;
    __m256 acc[4][4];
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b++) {
        WN_UNROLL for (int i = 0; i < rows; i++) {
            size_t row = r + (size_t)i;
            __m256i w = _mm256_loadu_si256((const __m256i *)(tile->codes + row * tile->stride + 32 * b));
            __m256 scale = _mm256_loadu_ps(tile->half_scales + row * tile->stride / 4 + 8 * b), offset;
            if (has_offsets) offset = _mm256_loadu_ps(tile->half_offsets + row * tile->stride / 4 + 8 * b);
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                size_t t = token + (size_t)j;
                __m256i q = _mm256_loadu_si256((const __m256i *)(in->q + t * in->stride + 32 * b));
                __m256 dot = _mm256_mul_ps(_mm256_cvtepi32_ps(dot_block(w, q, !has_offsets)), scale);
                if (has_offsets) dot = _mm256_fmadd_ps(sum_block(q), offset, dot);
                acc[i][j] = _mm256_fmadd_ps(dot, _mm256_broadcast_ss(in->scales + t * tile->block_stride + b), acc[i][j]);
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) out[j * WN_TILE_ROWS + (int)r + i] = reduce8(acc[i][j]);
}

static void dot_block8(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
#define WN_HALVES(ROWS, TOKENS, r, t) \
    halves_tile(ROWS, TOKENS, false, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
#define WN_HALVES_UNSIGNED(ROWS, TOKENS, r, t) \
    halves_tile(ROWS, TOKENS, true, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
#define WN_SIGNED(ROWS, TOKENS, r, t) \
    block8_tile(ROWS, TOKENS, true, false, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
#define WN_UNSIGNED(ROWS, TOKENS, r, t) \
    block8_tile(ROWS, TOKENS, false, false, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
#define WN_KEPT(ROWS, TOKENS, r, t) \
    block8_tile(ROWS, TOKENS, false, true, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
    if (tile->half_offsets) {
        WN_TILES(tile->rows, tokens, 4, 2, WN_HALVES_UNSIGNED);
    } else if (tile->half_scales) {
        WN_TILES(tile->rows, tokens, 4, 2, WN_HALVES);
    } else if (tile->kept) {
        WN_TILES(tile->rows, tokens, 4, 2, WN_KEPT);
    } else if (tile->is_signed) {
        WN_TILES(tile->rows, tokens, 4, 2, WN_SIGNED);
    } else {
        WN_TILES(tile->rows, tokens, 4, 2, WN_UNSIGNED);
    }
}

// Eight sums of four products each over both 16-bit halves of a block.
WN_INLINE __m256i dot_wide(const uint8_t *codes, const int16_t *x) {
    __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)codes));
    __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(codes + 16)));
    return _mm256_add_epi32(
        _mm256_madd_epi16(low, _mm256_loadu_si256((const __m256i *)x)),
        _mm256_madd_epi16(high, _mm256_loadu_si256((const __m256i *)(x + 16))));
}

WN_INLINE void planes_tile(
    const int rows, const int tokens, const wn_tile *tile, const wn_input *in, size_t r, size_t token, float *out) {
    size_t blocks = tile->stride / 32;
    const uint8_t *codes = tile->codes + r * tile->stride;
    const float *scales = tile->scales + r * tile->block_stride;
    const int16_t *x = in->wide + token * in->stride;
    __m256 acc[4][4];
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b++) {
        WN_UNROLL for (int i = 0; i < rows; i++) {
            __m256 scale = _mm256_broadcast_ss(scales + (size_t)i * tile->block_stride + b);
            const uint8_t *w = codes + (size_t)i * tile->stride + 32 * b;
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                __m256i dot = dot_wide(w, x + (size_t)j * in->stride + 32 * b);
                acc[i][j] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, acc[i][j]);
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++)
            out[j * WN_TILE_ROWS + (int)r + i] = reduce8(acc[i][j]) * in->scales[token + (size_t)j];
}

static void dot_planes16(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
#define WN_PLANES(ROWS, TOKENS, r, t) \
    planes_tile(ROWS, TOKENS, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
    WN_TILES(tile->rows, tokens, 4, 2, WN_PLANES);
}

// Whole rows in integers, rounded once. Sums of 4096 columns fit 32 bits: 4096 / 8 products of at most 2^22.
WN_INLINE void planes_rows_tile(
    const int rows, const int tokens, const wn_tile *tile, const wn_input *in, size_t r, size_t token, float *out) {
    const uint8_t *codes = tile->codes + r * tile->stride;
    const int16_t *x = in->wide + token * in->stride;
    int64_t totals[4][4] = {{0}};
    for (size_t begin = 0; begin < tile->stride; begin += 4096) {
        size_t end = tile->stride - begin < 4096 ? tile->stride : begin + 4096;
        __m256i acc[4][4];
        WN_UNROLL for (int i = 0; i < rows; i++)
            WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_si256();
        for (size_t c = begin; c < end; c += 32) {
            WN_UNROLL for (int i = 0; i < rows; i++) {
                const uint8_t *w = codes + (size_t)i * tile->stride + c;
                WN_UNROLL for (int j = 0; j < tokens; j++) {
                    acc[i][j] = _mm256_add_epi32(acc[i][j], dot_wide(w, x + (size_t)j * in->stride + c));
                }
            }
        }
        WN_UNROLL for (int i = 0; i < rows; i++) {
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                __m256i halves = widened(acc[i][j]);
                int64_t parts[4];
                _mm256_storeu_si256((__m256i *)parts, halves);
                totals[i][j] += parts[0] + parts[1] + parts[2] + parts[3];
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++)
            out[j * WN_TILE_ROWS + (int)r + i] =
                (float)totals[i][j] * (tile->row_scales[r + (size_t)i] * in->scales[token + (size_t)j]);
}

static void dot_planes16_rows(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
#define WN_PLANES_ROWS(ROWS, TOKENS, r, t) \
    planes_rows_tile(ROWS, TOKENS, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
    WN_TILES(tile->rows, tokens, 4, 2, WN_PLANES_ROWS);
}

// ---- One token ---------------------------------------------------------------------------------------------------
static bool decode(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    if (in->kind == WN_INPUT_F32) return false;
    if (wn_is_ggml_block(m->format)) return decode_ggml(m, row, rows, in, out);
    if (m->two_of_four && decode_two_of_four(m, row, rows, in, out)) return true;
    switch (m->format) {
    case WN_Q4_0: decode_blocks(WN_Q4_0, m, row, rows, in, out); return true;
    case WN_Q4_1: decode_blocks(WN_Q4_1, m, row, rows, in, out); return true;
    case WN_Q8_0: decode_blocks(WN_Q8_0, m, row, rows, in, out); return true;
    case WN_INT8: {
        // The file's bytes are the codes: a tile without a copy, where rows end with a run and follow one another.
        if (m->columns % 64 != 0 || m->row_bytes != m->columns) return false;
        for (size_t first = 0; first < rows; first += WN_TILE_ROWS) {
            size_t count = rows - first < WN_TILE_ROWS ? rows - first : WN_TILE_ROWS;
            wn_tile tile = {.rows = count, .columns = m->columns, .stride = m->columns};
            tile.codes = (uint8_t *)m->values + (row + first) * m->row_bytes;
            memcpy(tile.row_scales, (const float *)m->scales + row + first, count * sizeof(float));
            for (size_t r = 0; r < count; r++) planes_rows_tile(1, 1, &tile, in, r, 0, out + first);
        }
        return true;
    }
    case WN_MASKED_Q4_0: decode_masked_block8(WN_MASKED_Q4_0, m, row, rows, in, out); return true;
    case WN_MASKED_Q4_1: decode_masked_block8(WN_MASKED_Q4_1, m, row, rows, in, out); return true;
    case WN_MASKED_Q8_0: decode_masked_block8(WN_MASKED_Q8_0, m, row, rows, in, out); return true;
    case WN_MASKED_INT8: decode_masked_int8(m, row, rows, in, out); return true;
    case WN_BLOCK4_INT8: decode_block4_int8(m, row, rows, in, out); return true;
    case WN_MASKED_INT4: decode_masked_int4(m, row, rows, in, out); return true;
    default: return false;
    }
}

// ---- Float32: eight lanes of columns -------------------------------------------------------------------------
enum { WN_PLAIN_F32, WN_PLAIN_F16, WN_PLAIN_BF16 };

WN_INLINE __m256 plain8(const uint8_t *from, const int type, size_t c) {
    switch (type) {
    case WN_PLAIN_F16: return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + 2 * c)));
    case WN_PLAIN_BF16:
        return _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(from + 2 * c))), 16));
    default: return _mm256_loadu_ps((const float *)(from + 4 * c));
    }
}

WN_INLINE __m256 plain_tail(const uint8_t *from, const int type, size_t c, size_t left) {
    uint8_t part[32] = {0};
    memcpy(part, from + (type == WN_PLAIN_F32 ? 4 : 2) * c, (type == WN_PLAIN_F32 ? 4 : 2) * left);
    return plain8(part, type, 0);
}

// Runs of WN_FLOAT_RUN columns are summed in four chains: chain k has the eight columns from 8 k of every 32. A row
// alone walks them together, a tile one after another; totals are added in order.
enum { WN_FLOAT_RUN = 1024 };

WN_INLINE __m256 plain_dot(const uint8_t *w, const int type, const float *x, size_t c, size_t columns, __m256 sum) {
    if (columns - c >= 8) return _mm256_fmadd_ps(plain8(w, type, c), _mm256_loadu_ps(x + c), sum);
    __m256 value = _mm256_maskload_ps(x + c, first_lanes(columns - c));
    return _mm256_fmadd_ps(plain_tail(w, type, c, columns - c), value, sum);
}

WN_INLINE float plain_row(const uint8_t *w, const int type, const float *x, size_t columns) {
    __m256 total = _mm256_setzero_ps();
    for (size_t begin = 0; begin < columns; begin += WN_FLOAT_RUN) {
        size_t end = columns - begin < WN_FLOAT_RUN ? columns : begin + WN_FLOAT_RUN, c = begin;
        __m256 sums[4];
        WN_UNROLL for (int k = 0; k < 4; k++) sums[k] = _mm256_setzero_ps();
        for (; c + 32 <= end; c += 32) {
            WN_UNROLL for (size_t k = 0; k < 4; k++) {
                sums[k] = _mm256_fmadd_ps(plain8(w, type, c + 8 * k), _mm256_loadu_ps(x + c + 8 * k), sums[k]);
            }
        }
        WN_UNROLL for (size_t k = 0; k < 4; k++) {
            if (c + 8 * k < end) sums[k] = plain_dot(w, type, x, c + 8 * k, end, sums[k]);
        }
        WN_UNROLL for (int k = 0; k < 4; k++) total = _mm256_add_ps(total, sums[k]);
    }
    return reduce8(total);
}

WN_INLINE void f32_tile(
    const int rows, const int tokens, const wn_tile *tile, const wn_input *in, size_t r, size_t token, float *out) {
    const size_t columns = tile->columns;
    const float *w = tile->values + r * columns, *x = in->f32 + token * in->f32_stride;
    __m256 totals[4][4];
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) totals[i][j] = _mm256_setzero_ps();
    for (size_t chain = 0; chain < (columns + WN_FLOAT_RUN - 1) / WN_FLOAT_RUN * 4; chain++) {
        size_t begin = chain / 4 * WN_FLOAT_RUN, c = begin + chain % 4 * 8;
        size_t end = columns - begin < WN_FLOAT_RUN ? columns : begin + WN_FLOAT_RUN;
        __m256 acc[4][4];
        WN_UNROLL for (int i = 0; i < rows; i++)
            WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_ps();
        for (; c + 8 <= end; c += 32) {
            __m256 values[4];
            WN_UNROLL for (int j = 0; j < tokens; j++) values[j] = _mm256_loadu_ps(x + (size_t)j * in->f32_stride + c);
            WN_UNROLL for (int i = 0; i < rows; i++) {
                __m256 weight = _mm256_loadu_ps(w + (size_t)i * columns + c);
                WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_fmadd_ps(weight, values[j], acc[i][j]);
            }
        }
        WN_UNROLL for (int i = 0; i < rows; i++) {
            const uint8_t *row = (const uint8_t *)(w + (size_t)i * columns);
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                const float *own = x + (size_t)j * in->f32_stride;
                if (c < end) acc[i][j] = plain_dot(row, WN_PLAIN_F32, own, c, end, acc[i][j]);
                totals[i][j] = _mm256_add_ps(totals[i][j], acc[i][j]);
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) out[j * WN_TILE_ROWS + (int)r + i] = reduce8(totals[i][j]);
}

static void dot_f32(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
#define WN_F32_TILE(ROWS, TOKENS, r, t) f32_tile(ROWS, TOKENS, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
    WN_TILES(tile->rows, tokens, 4, 3, WN_F32_TILE);
}

// A few tokens straight from the file's rows.
static void dot_half(
    const wn_matrix *m, size_t row, size_t rows, const wn_input *in, size_t first, size_t tokens, float *out) {
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *w = m->values + (row + r) * m->row_bytes;
        for (size_t t = 0; t < tokens; t++) {
            const float *x = in->f32 + (first + t) * in->f32_stride;
            float *to = out + t * WN_TILE_ROWS + r;
            switch (m->format) {
            case WN_F16: *to = plain_row(w, WN_PLAIN_F16, x, m->columns); break;
            case WN_BF16: *to = plain_row(w, WN_PLAIN_BF16, x, m->columns); break;
            default: *to = plain_row(w, WN_PLAIN_F32, x, m->columns);
            }
        }
    }
}

const wn_product_table wn_products_avx2 = {
    .unpack_codes = unpack_codes, .has_ggml_blocks = true, .row_f32 = row_f32,
    .row_f32_blocks = row_f32_blocks, .dot_f32 = dot_f32, .dot_half = dot_half,
    .dot_block8 = dot_block8, .dot_planes16 = dot_planes16, .dot_planes16_rows = dot_planes16_rows,
    .silu_multiply = silu_multiply, .prepare = prepare, .decode = decode,
};
#pragma clang attribute pop
#endif
