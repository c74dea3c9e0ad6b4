// The products for AArch64: codes as signed bytes, sums of four blocks of 32 side by side. Included by a file that
// defines WN_TABLE, and WN_BYTE_DOT where its functions may use dot products of bytes.
#include <float.h>
#include <math.h>

#include "unpack.h"

// d * c + m is two roundings, as other readers of these formats have it; sums say fused where they are.
#pragma clang fp contract(off)

// ---- Unpacking -------------------------------------------------------------------------------------------
static void unpack_codes(const wn_matrix *m, size_t first, size_t rows, wn_tile *tile) {
    size_t blocks = m->columns / 32, used = (m->columns + 31) / 32;
    for (size_t r = 0; r < rows; r++) {
        wn_reader reader = wn_read_row(m, first + r);
        int8_t *codes = (int8_t *)tile->codes + r * tile->stride;
        for (size_t c = 0; c < tile->stride; c += 64) {
            wn_read_codes64(&reader, c, codes + c);
            for (size_t i = 0; i < 64 && tile->kept; i += 16) {
                vst1q_u8(tile->kept + r * tile->stride + c + i, wn_flags16(reader.mask + (c + i) / 8));
            }
        }
        if (wn_is_by_row(m)) {
            tile->row_scales[r] = ((const float *)m->scales)[first + r];
            continue;
        }
        float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
        for (size_t b = 0; b < tile->block_stride; b++) {
            scales[b] = offsets[b] = 0;
            if (b < used) wn_block_scale(m, first + r, b, blocks, &scales[b], &offsets[b]);
            if (!wn_is_affine(m)) offsets[b] = 0;
        }
    }
}

WN_INLINE float32x4_t load_f32(const uint8_t *row, size_t c) { return vreinterpretq_f32_u8(vld1q_u8(row + 4 * c)); }
WN_INLINE float32x4_t load_f16(const uint8_t *row, size_t c) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(row + 2 * c)));
}
WN_INLINE float32x4_t load_bf16(const uint8_t *row, size_t c) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(row + 2 * c)), 16));
}

static void row_masked_f16(const wn_matrix *m, size_t row, float *out) {
    wn_reader reader = wn_read_row(m, row);
    for (size_t c = 0; c < m->columns; c += 8) {
        float16x8_t halves = wn_read_halves8(&reader, c);
        float values[8];
        vst1q_f32(values, vcvt_f32_f16(vget_low_f16(halves)));
        vst1q_f32(values + 4, vcvt_high_f32_f16(halves));
        memcpy(out + c, values, (m->columns - c < 8 ? m->columns - c : 8) * sizeof(float));
    }
}

static void row_codes(const wn_matrix *m, size_t row, float *out) {
    wn_reader reader = wn_read_row(m, row);
    bool affine = wn_is_affine(m), by_row = wn_is_by_row(m);
    float scale = by_row ? ((const float *)m->scales)[row] : 0, offset = 0;
    for (size_t c = 0; c < m->columns; c += 64) {
        int8_t codes[64];
        float values[64];
        wn_read_codes64(&reader, c, codes);
        for (size_t i = 0; i < 64; i += 16) {
            if (i % 32 == 0 && !by_row && c + i < m->columns) {
                wn_block_scale(m, row, (c + i) / 32, m->columns / 32, &scale, &offset);
            }
            int8x16_t bytes = vld1q_s8(codes + i);
            int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
            int32x4_t wide[4] = {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)};
            for (size_t j = 0; j < 4; j++) {
                float32x4_t value = vmulq_n_f32(vcvtq_f32_s32(wide[j]), scale);
                if (affine) value = vaddq_f32(value, vdupq_n_f32(offset));
                vst1q_f32(values + i + 4 * j, value);
            }
            if (!affine || !reader.mask) continue;
            // A pruned weight is 0, not the offset.
            uint8_t flags[16];
            vst1q_u8(flags, wn_flags16(reader.mask + (c + i) / 8));
            for (size_t j = 0; j < 16; j++) values[i + j] = flags[j] ? values[i + j] : 0;
        }
        memcpy(out + c, values, (m->columns - c < 64 ? m->columns - c : 64) * sizeof(float));
    }
}

static void row_f32(const wn_matrix *m, size_t row, float *out) {
    switch (m->format) {
    case WN_F32: case WN_F16: case WN_BF16: wn_row_f32_plain(m, row, out); return;
    case WN_MASKED_F16: row_masked_f16(m, row, out); return;
    default: row_codes(m, row, out);
    }
}

// ---- Dots over float32 inputs ------------------------------------------------------------------------------
WN_INLINE float reduce4(const float32x4_t *v) { return vaddvq_f32(vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]))); }

#define WN_UNROLL _Pragma("clang loop unroll(full)")

// Rows `row_bytes` apart by tokens, 16 lanes each; columns past the last whole 16 come from copies padded with 0.
#define WN_F32_TILE(ROWS, TOKENS, LOAD, SIZE)                                                                      \
    do {                                                                                                           \
        float32x4_t acc[ROWS][TOKENS][4];                                                                          \
        WN_UNROLL for (int i = 0; i < ROWS * TOKENS * 4; i++) (&acc[0][0][0])[i] = vdupq_n_f32(0);                 \
        for (size_t c = 0; c < columns; c += 16) {                                                                 \
            uint8_t w_part[ROWS][64];                                                                              \
            float x_part[TOKENS][16];                                                                              \
            size_t left = columns - c;                                                                             \
            if (__builtin_expect(left < 16, 0)) {                                                                  \
                memset(w_part, 0, sizeof w_part);                                                                  \
                memset(x_part, 0, sizeof x_part);                                                                  \
                for (int i = 0; i < ROWS; i++) memcpy(w_part[i], base + (r + i) * row_bytes + c * SIZE, left * SIZE); \
                for (int j = 0; j < TOKENS; j++)                                                                   \
                    memcpy(x_part[j], xs + (t + j) * in->f32_stride + c, left * sizeof(float));                    \
            }                                                                                                      \
            WN_UNROLL for (int k = 0; k < 4; k++) {                                                                \
                float32x4_t x[TOKENS];                                                                             \
                WN_UNROLL for (int j = 0; j < TOKENS; j++)                                                         \
                    x[j] = vld1q_f32(left < 16 ? x_part[j] + 4 * k : xs + (t + j) * in->f32_stride + c + 4 * k);   \
                WN_UNROLL for (int i = 0; i < ROWS; i++) {                                                         \
                    float32x4_t w = left < 16 ? LOAD(w_part[i], 4 * k) : LOAD(base + (r + i) * row_bytes, c + 4 * k); \
                    WN_UNROLL for (int j = 0; j < TOKENS; j++) acc[i][j][k] = vfmaq_f32(acc[i][j][k], w, x[j]);    \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        WN_UNROLL for (int i = 0; i < ROWS; i++)                                                                   \
            WN_UNROLL for (int j = 0; j < TOKENS; j++) out[(t + j) * WN_TILE_ROWS + r + i] = reduce4(acc[i][j]);   \
    } while (0)

// Tokens two at a time, rows two at a time, then what is left; TILE(rows, tokens, ...) reads t and r.
#define WN_OVER_TILE(TILE, ...)                                                                                    \
    do {                                                                                                           \
        size_t t = 0;                                                                                              \
        for (; t + 2 <= tokens; t += 2) {                                                                          \
            size_t r = 0;                                                                                          \
            for (; r + 2 <= rows; r += 2) TILE(2, 2, ##__VA_ARGS__);                                               \
            for (; r < rows; r++) TILE(1, 2, ##__VA_ARGS__);                                                       \
        }                                                                                                          \
        for (; t < tokens; t++) {                                                                                  \
            size_t r = 0;                                                                                          \
            for (; r + 2 <= rows; r += 2) TILE(2, 1, ##__VA_ARGS__);                                               \
            for (; r < rows; r++) TILE(1, 1, ##__VA_ARGS__);                                                       \
        }                                                                                                          \
    } while (0)

#define WN_F32_DOT(NAME, LOAD, SIZE)                                                                               \
    static void NAME(const uint8_t *base, size_t row_bytes, size_t rows, size_t columns, const wn_input *in,       \
                     size_t first, size_t tokens, float *out) {                                                    \
        const float *xs = in->f32 + first * in->f32_stride;                                                        \
        WN_OVER_TILE(WN_F32_TILE, LOAD, SIZE);                                                                     \
    }

WN_F32_DOT(dot_rows_f32, load_f32, 4)
WN_F32_DOT(dot_rows_f16, load_f16, 2)
WN_F32_DOT(dot_rows_bf16, load_bf16, 2)

static void dot_f32(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    dot_rows_f32((const uint8_t *)tile->values, tile->columns * sizeof(float), tile->rows, tile->columns, in, first, tokens, out);
}

static void dot_half(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, size_t first, size_t tokens, float *out) {
    const uint8_t *base = m->values + row * m->row_bytes;
    switch (m->format) {
    case WN_F32: dot_rows_f32(base, m->row_bytes, rows, m->columns, in, first, tokens, out); break;
    case WN_F16: dot_rows_f16(base, m->row_bytes, rows, m->columns, in, first, tokens, out); break;
    default: dot_rows_bf16(base, m->row_bytes, rows, m->columns, in, first, tokens, out);
    }
}

// ---- Dots over integer inputs --------------------------------------------------------------------------------
// Adds 16 products to four lanes; exact for any two signed bytes.
WN_INLINE int32x4_t add_dot16(int32x4_t sum, int8x16_t a, int8x16_t b) {
#if defined(WN_BYTE_DOT)
    return vdotq_s32(sum, a, b);
#else
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vpadalq_s16(sum, vmull_high_s8(a, b));
#endif
}

// The sums of `count` (at most 4) blocks of 32 side by side.
WN_INLINE int32x4_t dot_blocks(const int8_t *a, const int8_t *b, size_t count) {
    int32x4_t sums[4];
    WN_UNROLL for (size_t i = 0; i < 4; i++) {
        sums[i] = vdupq_n_s32(0);
        if (i >= count) continue;
        sums[i] = add_dot16(sums[i], vld1q_s8(a + 32 * i), vld1q_s8(b + 32 * i));
        sums[i] = add_dot16(sums[i], vld1q_s8(a + 32 * i + 16), vld1q_s8(b + 32 * i + 16));
    }
    return vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
}

static void dot_block8(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    size_t blocks = tile->stride / 32, wide = tile->block_stride;
    for (size_t t = 0; t < tokens; t++) {
        const int8_t *x = in->q + (first + t) * in->stride;
        const float *dx = in->scales + (first + t) * wide, *sums = in->sums + (first + t) * wide;
        for (size_t r = 0; r < tile->rows; r++) {
            const int8_t *codes = (const int8_t *)tile->codes + r * tile->stride;
            const int8_t *kept = tile->kept ? (const int8_t *)tile->kept + r * tile->stride : NULL;
            const float *scales = tile->scales + r * wide, *offsets = tile->offsets + r * wide;
            float32x4_t acc = vdupq_n_f32(0);
            for (size_t b = 0; b < blocks; b += 4) {
                size_t count = blocks - b < 4 ? blocks - b : 4;
                float32x4_t d = vld1q_f32(dx + b), dot = vcvtq_f32_s32(dot_blocks(codes + 32 * b, x + 32 * b, count));
                acc = vfmaq_f32(acc, vmulq_f32(vld1q_f32(scales + b), d), dot);
                // Under a mask only kept weights have the offset.
                float32x4_t sum = kept ? vmulq_f32(d, vcvtq_f32_s32(dot_blocks(kept + 32 * b, x + 32 * b, count))) : vld1q_f32(sums + b);
                acc = vfmaq_f32(acc, vld1q_f32(offsets + b), sum);
            }
            out[t * WN_TILE_ROWS + r] = vaddvq_f32(acc);
        }
    }
}

static void dot_planes16(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    size_t blocks = tile->stride / 32;
    for (size_t t = 0; t < tokens; t++) {
        const int8_t *hi = in->q + (first + t) * in->stride, *lo = in->lo + (first + t) * in->stride;
        for (size_t r = 0; r < tile->rows; r++) {
            const int8_t *codes = (const int8_t *)tile->codes + r * tile->stride;
            const float *scales = tile->scales + r * tile->block_stride;
            float32x4_t acc = vdupq_n_f32(0);
            for (size_t b = 0; b < blocks; b += 4) {
                size_t count = blocks - b < 4 ? blocks - b : 4;
                int32x4_t dot = vaddq_s32(vshlq_n_s32(dot_blocks(codes + 32 * b, hi + 32 * b, count), 8),
                                          dot_blocks(codes + 32 * b, lo + 32 * b, count));
                acc = vfmaq_f32(acc, vld1q_f32(scales + b), vcvtq_f32_s32(dot));
            }
            out[t * WN_TILE_ROWS + r] = vaddvq_f32(acc) * in->scales[first + t];
        }
    }
}

// A lane takes four products a step: 2^15 steps, half a million columns, before it could overflow.
#define WN_PLANES_ROWS_TILE(ROWS, TOKENS)                                                                          \
    do {                                                                                                           \
        int32x4_t high[ROWS][TOKENS], low[ROWS][TOKENS];                                                           \
        WN_UNROLL for (int i = 0; i < ROWS; i++)                                                                   \
            WN_UNROLL for (int j = 0; j < TOKENS; j++) high[i][j] = low[i][j] = vdupq_n_s32(0);                    \
        for (size_t c = 0; c < tile->stride; c += 16) {                                                            \
            int8x16_t w[ROWS];                                                                                     \
            WN_UNROLL for (int i = 0; i < ROWS; i++)                                                               \
                w[i] = vld1q_s8((const int8_t *)tile->codes + (r + i) * tile->stride + c);                         \
            WN_UNROLL for (int j = 0; j < TOKENS; j++) {                                                           \
                int8x16_t h = vld1q_s8(in->q + (first + t + j) * in->stride + c);                                  \
                int8x16_t l = vld1q_s8(in->lo + (first + t + j) * in->stride + c);                                 \
                WN_UNROLL for (int i = 0; i < ROWS; i++) {                                                         \
                    high[i][j] = add_dot16(high[i][j], w[i], h);                                                   \
                    low[i][j] = add_dot16(low[i][j], w[i], l);                                                     \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        WN_UNROLL for (int i = 0; i < ROWS; i++)                                                                   \
            WN_UNROLL for (int j = 0; j < TOKENS; j++)                                                             \
                out[(t + j) * WN_TILE_ROWS + r + i] = (float)(256 * vaddlvq_s32(high[i][j]) + vaddlvq_s32(low[i][j])) \
                                                      * (tile->row_scales[r + i] * in->scales[first + t + j]);     \
    } while (0)

static void dot_planes16_rows(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    size_t rows = tile->rows;
    WN_OVER_TILE(WN_PLANES_ROWS_TILE);
}

// ---- Elementwise ---------------------------------------------------------------------------------------------
// exp by Cody and Waite's reduction and a polynomial of degree 7: within 2 ulp between -87 and 88, held there.
WN_INLINE float32x4_t exp4(float32x4_t x) {
    x = vmaxq_f32(vminq_f32(x, vdupq_n_f32(88)), vdupq_n_f32(-87));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t f = vfmsq_n_f32(vfmsq_n_f32(x, n, 0.693359375f), n, -2.12194440e-4f);
    static const float factors[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f};
    float32x4_t p = vdupq_n_f32(1.0f / 5040);
    WN_UNROLL for (int i = 0; i < 5; i++) p = vfmaq_f32(vdupq_n_f32(factors[i]), p, f);
    p = vfmaq_f32(vaddq_f32(f, vdupq_n_f32(1)), vmulq_f32(p, f), f);
    int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    return vmulq_f32(p, vreinterpretq_f32_s32(power));
}

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    for (size_t i = 0; i < count; i += 4) {
        size_t part = count - i < 4 ? count - i : 4;
        float g[4] = {0}, u[4] = {0};
        memcpy(g, gate + i, part * sizeof(float));
        memcpy(u, up + i, part * sizeof(float));
        float32x4_t x = vld1q_f32(g), one = vdupq_n_f32(1);
        vst1q_f32(g, vmulq_f32(vdivq_f32(x, vaddq_f32(one, exp4(vnegq_f32(x)))), vld1q_f32(u)));
        memcpy(out + i, g, part * sizeof(float));
    }
}

// ---- Inputs ----------------------------------------------------------------------------------------------------
WN_INLINE float32x4_t load_part_f32(const float *from, size_t c, size_t columns) {
    if (__builtin_expect(c + 4 <= columns, 1)) return vld1q_f32(from + c);
    float part[4] = {0};
    if (c < columns) memcpy(part, from + c, (columns - c) * sizeof(float));
    return vld1q_f32(part);
}

WN_INLINE float norm_scale(const float *x, size_t columns, float epsilon) {
    float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (size_t c = 0; c < columns; c += 16) {
        WN_UNROLL for (size_t k = 0; k < 4; k++) {
            float32x4_t v = load_part_f32(x, c + 4 * k, columns);
            sums[k] = vfmaq_f32(sums[k], v, v);
        }
    }
    return 1 / sqrtf(reduce4(sums) / (float)columns + epsilon);
}

WN_INLINE float32x4_t input_value(const float *x, const float *weight, float scale, size_t c, size_t columns) {
    float32x4_t v = load_part_f32(x, c, columns);
    return weight ? vmulq_f32(vmulq_n_f32(v, scale), load_part_f32(weight, c, columns)) : v;
}

// The reciprocal step; 0 for a peak so small that there is none.
WN_INLINE float steps_per_unit(float steps, float largest) {
    float inverse = steps / largest;
    return inverse <= FLT_MAX ? inverse : 0;
}

static void prepare_block8(wn_input *in, size_t token, const float *x, const float *weight, float norm) {
    size_t wide = wn_block_stride(in->stride), columns = in->columns;
    int8_t *q = in->q + token * in->stride;
    float *scales = in->scales + token * wide, *sums = in->sums + token * wide;
    for (size_t b = 0; b < wide; b++) {
        scales[b] = sums[b] = 0;
        if (b >= in->stride / 32) continue;
        float32x4_t v[8], peak = vdupq_n_f32(0);
        WN_UNROLL for (size_t i = 0; i < 8; i++) {
            v[i] = input_value(x, weight, norm, 32 * b + 4 * i, columns);
            peak = vmaxq_f32(peak, vabsq_f32(v[i]));
        }
        float largest = vmaxvq_f32(peak), inverse = steps_per_unit(127, largest);
        int32x4_t sum = vdupq_n_s32(0);
        WN_UNROLL for (size_t i = 0; i < 8; i += 2) {
            int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(v[i], inverse)), high = vcvtnq_s32_f32(vmulq_n_f32(v[i + 1], inverse));
            sum = vaddq_s32(sum, vaddq_s32(low, high));
            vst1_s8(q + 32 * b + 4 * i, vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high))));
        }
        scales[b] = largest / 127;
        sums[b] = scales[b] * (float)vaddvq_s32(sum);
    }
}

static void prepare_planes16(wn_input *in, size_t token, const float *x, const float *weight, float norm) {
    size_t wide = wn_block_stride(in->stride), columns = in->columns;
    int8_t *hi = in->q + token * in->stride, *lo = in->lo + token * in->stride;
    int32_t *isums = in->isums + token * wide;
    float32x4_t peak = vdupq_n_f32(0);
    for (size_t c = 0; c < columns; c += 4) peak = vmaxq_f32(peak, vabsq_f32(input_value(x, weight, norm, c, columns)));
    float largest = vmaxvq_f32(peak), inverse = steps_per_unit((float)(32512 >> in->shift), largest);
    int32x4_t shift = vdupq_n_s32(in->shift);
    int64_t total = 0;
    for (size_t b = 0; b < wide; b++) {
        isums[b] = 0;
        if (b >= in->stride / 32) continue;
        int32x4_t sum = vdupq_n_s32(0);
        WN_UNROLL for (size_t i = 0; i < 32; i += 8) {
            size_t c = 32 * b + i;
            int32x4_t first = vcvtnq_s32_f32(vmulq_n_f32(input_value(x, weight, norm, c, columns), inverse));
            int32x4_t second = vcvtnq_s32_f32(vmulq_n_f32(input_value(x, weight, norm, c + 4, columns), inverse));
            first = vshlq_s32(first, shift);
            second = vshlq_s32(second, shift);
            sum = vaddq_s32(sum, vaddq_s32(first, second));
            int16x8_t whole = vcombine_s16(vmovn_s32(first), vmovn_s32(second));
            int8x8_t low = vmovn_s16(whole);
            vst1_s8(lo + c, low);
            vst1_s8(hi + c, vshrn_n_s16(vsubq_s16(whole, vmovl_s8(low)), 8));
        }
        total += isums[b] = vaddvq_s32(sum);
    }
    in->scales[token] = largest / 32512;
    in->totals[token] = total;
}

static void prepare(wn_input *in, size_t token, const float *x, const float *weight, float epsilon) {
    float norm = weight ? norm_scale(x, in->columns, epsilon) : 1;
    switch (in->kind) {
    case WN_INPUT_BLOCK8: prepare_block8(in, token, x, weight, norm); break;
    case WN_INPUT_PLANES16: prepare_planes16(in, token, x, weight, norm); break;
    default:
        for (size_t c = 0; c < in->columns; c += 4) {
            float values[4];
            vst1q_f32(values, input_value(x, weight, norm, c, in->columns));
            size_t part = in->columns - c < 4 ? in->columns - c : 4;
            memcpy(in->f32 + token * in->f32_stride + c, values, part * sizeof(float));
        }
    }
}

const wn_product_table WN_TABLE = {
    .unpack_codes = unpack_codes, .row_f32 = row_f32, .dot_f32 = dot_f32, .dot_half = dot_half,
    .dot_block8 = dot_block8, .dot_planes16 = dot_planes16, .dot_planes16_rows = dot_planes16_rows,
    .silu_multiply = silu_multiply, .prepare = prepare,
};
