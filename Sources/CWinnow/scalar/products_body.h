// The products in plain C, the oracle of every instruction set; compiled again with AVX2 on, where the compiler
// vectorises the integer loops. Included by a file that defines WN_TABLE, the name of the table made here.
#include <math.h>
#pragma clang diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions only

#include "../products.h"
#include "codes.h"

// A pruned weight has the code of zero: scale * dot and offset * sum cancel only when each is rounded.
#pragma clang fp contract(off)

typedef float wn_f32x16 __attribute__((vector_size(64), aligned(4)));

static float reduce16(wn_f32x16 v) {
    float sums[8];
    for (int i = 0; i < 8; i++) sums[i] = v[i] + v[i + 8];
    for (int i = 0; i < 4; i++) sums[i] += sums[i + 4];
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

// ---- Unpacking -------------------------------------------------------------------------------------------
static void unpack_codes(const wn_matrix *m, size_t first, size_t rows, wn_tile *tile) {
    size_t blocks = m->columns / 32;
    for (size_t r = 0; r < rows; r++) {
        size_t row = first + r;
        uint8_t *codes = tile->codes + r * tile->stride;
        float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
        wn_row_codes(m, row, codes);
        if (m->columns < tile->stride) memset(codes + m->columns, 0, tile->stride - m->columns);
        if (tile->kept) wn_row_kept(m, row, tile->kept + r * tile->stride, tile->stride);
        if (wn_is_by_row(m)) {
            tile->row_scales[r] = ((const float *)m->scales)[row];
            continue;
        }
        memset(scales, 0, tile->block_stride * sizeof(float));
        memset(offsets, 0, tile->block_stride * sizeof(float));
        for (size_t b = 0; b < (m->columns + 31) / 32; b++) wn_block_scale(m, row, b, blocks, &scales[b], &offsets[b]);
    }
}

static void row_f32(const wn_matrix *m, size_t row, float *out) { wn_row_f32_plain(m, row, out); }

// ---- Dots ------------------------------------------------------------------------------------------------
static void dot_f32(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    size_t columns = tile->columns, whole = columns / 16 * 16;
    for (size_t t = 0; t < tokens; t++) {
        const float *x = in->f32 + (first + t) * in->f32_stride;
        for (size_t r = 0; r < tile->rows; r++) {
            const float *w = tile->values + r * columns;
            wn_f32x16 sum = {0};
            for (size_t c = 0; c < whole; c += 16) sum += *(const wn_f32x16 *)(w + c) * *(const wn_f32x16 *)(x + c);
            for (size_t c = whole; c < columns; c++) sum[c - whole] += w[c] * x[c];
            out[t * WN_TILE_ROWS + r] = reduce16(sum);
        }
    }
}

static int32_t dot32(const uint8_t *codes, const int8_t *x) {
    int32_t sum = 0;
    for (int i = 0; i < 32; i++) sum += (int32_t)codes[i] * x[i];
    return sum;
}

static void dot_block8(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    size_t blocks = tile->stride / 32;
    for (size_t t = 0; t < tokens; t++) {
        const int8_t *x = in->q + (first + t) * in->stride;
        const float *dx = in->scales + (first + t) * tile->block_stride, *sums = in->sums + (first + t) * tile->block_stride;
        for (size_t r = 0; r < tile->rows; r++) {
            const uint8_t *codes = tile->codes + r * tile->stride;
            const float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
            float sum = 0;
            for (size_t b = 0; b < blocks; b++) {
                float offset = tile->kept ? dx[b] * (float)dot32(tile->kept + r * tile->stride + 32 * b, x + 32 * b) : sums[b];
                sum += scales[b] * dx[b] * (float)dot32(codes + 32 * b, x + 32 * b) + offsets[b] * offset;
            }
            out[t * WN_TILE_ROWS + r] = sum;
        }
    }
}

static void dot_planes16(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    size_t blocks = tile->stride / 32;
    for (size_t t = 0; t < tokens; t++) {
        const int8_t *hi = in->q + (first + t) * in->stride, *lo = in->lo + (first + t) * in->stride;
        const int32_t *isums = in->isums + (first + t) * tile->block_stride;
        for (size_t r = 0; r < tile->rows; r++) {
            const uint8_t *codes = tile->codes + r * tile->stride;
            const float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
            float sum = 0;
            for (size_t b = 0; b < blocks; b++) {
                int32_t dot = 256 * dot32(codes + 32 * b, hi + 32 * b) + dot32(codes + 32 * b, lo + 32 * b);
                sum += scales[b] * (float)dot + offsets[b] * (float)isums[b];
            }
            out[t * WN_TILE_ROWS + r] = sum * in->scales[first + t];
        }
    }
}

static void dot_planes16_rows(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    for (size_t t = 0; t < tokens; t++) {
        const int8_t *hi = in->q + (first + t) * in->stride, *lo = in->lo + (first + t) * in->stride;
        for (size_t r = 0; r < tile->rows; r++) {
            const uint8_t *codes = tile->codes + r * tile->stride;
            int64_t high = 0, low = 0;
            for (size_t c = 0; c < tile->stride; c += 32) {
                high += dot32(codes + c, hi + c);
                low += dot32(codes + c, lo + c);
            }
            out[t * WN_TILE_ROWS + r] =
                wn_planes_value(high, low, in->totals[first + t], tile->row_scales[r], in->scales[first + t]);
        }
    }
}

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

// ---- Inputs ----------------------------------------------------------------------------------------------
static float norm_scale(const float *x, size_t columns, float epsilon) {
    wn_f32x16 sum = {0};
    size_t whole = columns / 16 * 16;
    for (size_t c = 0; c < whole; c += 16) sum += *(const wn_f32x16 *)(x + c) * *(const wn_f32x16 *)(x + c);
    for (size_t c = whole; c < columns; c++) sum[c - whole] += x[c] * x[c];
    return 1 / sqrtf(reduce16(sum) / (float)columns + epsilon);
}

static void prepare(wn_input *in, size_t token, const float *x, const float *weight, float epsilon) {
    size_t columns = in->columns, blocks = wn_block_stride(in->stride);
    float scale = weight ? norm_scale(x, columns, epsilon) : 1;
#define WN_VALUE(c) (weight ? x[c] * scale * weight[c] : x[c])
    if (in->kind == WN_INPUT_F32) {
        for (size_t c = 0; c < columns; c++) in->f32[token * in->f32_stride + c] = WN_VALUE(c);
        return;
    }
    int8_t *q = in->q + token * in->stride;
    if (in->kind == WN_INPUT_BLOCK8) {
        float *scales = in->scales + token * blocks, *sums = in->sums + token * blocks;
        for (size_t b = 0; b < blocks; b++) {
            size_t start = 32 * b, end = start + 32 < columns ? start + 32 : columns;
            float largest = 0;
            for (size_t c = start; c < end; c++) largest = fmaxf(largest, fabsf(WN_VALUE(c)));
            float inverse = largest > 0 ? 127 / largest : 0;
            int32_t sum = 0;
            for (size_t c = start; c < start + 32 && c < in->stride; c++) {
                q[c] = c < end ? (int8_t)lrintf(WN_VALUE(c) * inverse) : 0;
                sum += q[c];
            }
            scales[b] = largest / 127;
            sums[b] = scales[b] * (float)sum;
        }
        return;
    }
    int8_t *lo = in->lo + token * in->stride;
    int32_t *isums = in->isums + token * blocks;
    float largest = 0;
    for (size_t c = 0; c < columns; c++) largest = fmaxf(largest, fabsf(WN_VALUE(c)));
    float inverse = largest > 0 ? (float)(32512 >> in->shift) / largest : 0;
    int64_t total = 0;
    for (size_t b = 0; b < blocks; b++) {
        int32_t sum = 0;
        for (size_t c = 32 * b; c < 32 * b + 32 && c < in->stride; c++) {
            int32_t value = c < columns ? (int32_t)lrintf(WN_VALUE(c) * inverse) * (1 << in->shift) : 0;
            int32_t low = (int8_t)(value & 255);
            lo[c] = (int8_t)low;
            q[c] = (int8_t)((value - low) >> 8);
            sum += value;
        }
        isums[b] = sum;
        total += sum;
    }
    in->scales[token] = largest / 32512;
    in->totals[token] = total;
#undef WN_VALUE
}

const wn_product_table WN_TABLE = {
    .unpack_codes = unpack_codes, .row_f32 = row_f32, .dot_f32 = dot_f32, .dot_block8 = dot_block8,
    .dot_planes16 = dot_planes16, .dot_planes16_rows = dot_planes16_rows, .silu_multiply = silu_multiply,
    .prepare = prepare,
};
