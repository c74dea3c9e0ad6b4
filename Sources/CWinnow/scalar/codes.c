#include "codes.h"

// d * c + m is two roundings, as other readers of these formats have it.
#pragma clang fp contract(off)

static inline bool wn_kept(const wn_matrix *m, size_t row, size_t column) {
    return m->mask[row * m->mask_stride + column / 8] >> (column % 8) & 1;
}

static void wn_four_bit_codes(const wn_matrix *m, size_t row, uint8_t *out, uint8_t pruned) {
    const uint8_t *next = m->values + m->row_offsets[row];
    for (size_t start = 0; start < m->columns; start += 64) {
        size_t taken = 0;
        for (size_t c = start; c < start + 64 && c < m->columns; c++) {
            out[c] = pruned;
            if (!wn_kept(m, row, c)) continue;
            out[c] = next[taken / 2] >> (taken % 2 * 4) & 15;
            taken++;
        }
        next += (taken + 1) / 2;
    }
}

void wn_row_codes(const wn_matrix *m, size_t row, uint8_t *out) {
    const uint8_t *values = m->values + row * m->row_bytes;
    switch (m->format) {
    case WN_Q4_0: case WN_Q4_1: {
        size_t head = m->format == WN_Q4_0 ? 2 : 4;
        for (size_t b = 0; b < m->columns / 32; b++) {
            const uint8_t *packed = values + b * (head + 16) + head;
            for (size_t i = 0; i < 16; i++) {
                out[32 * b + i] = packed[i] & 15;
                out[32 * b + 16 + i] = packed[i] >> 4;
            }
        }
        return;
    }
    case WN_Q8_0:
        for (size_t c = 0; c < m->columns; c++) out[c] = values[c / 32 * 34 + 2 + c % 32] ^ 0x80;
        return;
    case WN_INT8:
        for (size_t c = 0; c < m->columns; c++) out[c] = values[c] ^ 0x80;
        return;
    case WN_INT4:
        for (size_t c = 0; c < m->columns; c++) out[c] = values[c / 2] >> (c % 2 * 4) & 15;
        return;
    case WN_MASKED_Q4_0: case WN_MASKED_INT4: wn_four_bit_codes(m, row, out, 8); return;
    case WN_MASKED_Q4_1: wn_four_bit_codes(m, row, out, 0); return;
    case WN_MASKED_Q8_0: case WN_MASKED_INT8: {
        const uint8_t *next = m->values + m->row_offsets[row];
        for (size_t c = 0; c < m->columns; c++) out[c] = wn_kept(m, row, c) ? *next++ ^ 0x80 : 0x80;
        return;
    }
    case WN_BLOCK4_INT8: {
        const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
        memset(out, 0x80, m->columns);
        for (size_t c = 0; c < m->columns; c += 4) {
            if (!(mask[c / 32] >> (c / 4 % 8) & 1)) continue;
            for (size_t i = 0; i < 4; i++) out[c + i] = *next++ ^ 0x80;
        }
        return;
    }
    default: memset(out, 0, m->columns);
    }
}

void wn_row_kept(const wn_matrix *m, size_t row, uint8_t *out, size_t stride) {
    for (size_t c = 0; c < stride; c++) out[c] = c < m->columns && wn_kept(m, row, c);
}

void wn_block_scale(const wn_matrix *m, size_t row, size_t block, size_t blocks, float *scale, float *offset) {
    const uint8_t *values = m->values + row * m->row_bytes;
    const uint8_t *scales = m->scales;
    switch (m->format) {
    case WN_Q4_0: *scale = wn_half(values + block * 18); *offset = -8 * *scale; return;
    case WN_Q4_1: *scale = wn_half(values + block * 20); *offset = wn_half(values + block * 20 + 2); return;
    case WN_Q8_0: *scale = wn_half(values + block * 34); *offset = -128 * *scale; return;
    case WN_MASKED_Q4_0: *scale = wn_half(scales + 2 * (row * blocks + block)); *offset = -8 * *scale; return;
    case WN_MASKED_Q8_0: *scale = wn_half(scales + 2 * (row * blocks + block)); *offset = -128 * *scale; return;
    case WN_MASKED_Q4_1:
        *scale = wn_half(scales + 4 * (row * blocks + block));
        *offset = wn_half(scales + 4 * (row * blocks + block) + 2);
        return;
    case WN_INT4: case WN_MASKED_INT4: {
        size_t groups = (m->columns + m->group - 1) / m->group;
        *scale = wn_half(scales + 2 * (row * groups + block * 32 / m->group));
        *offset = -8 * *scale;
        return;
    }
    default: *scale = 0; *offset = 0;
    }
}

void wn_row_f32_plain(const wn_matrix *m, size_t row, float *out) {
    const uint8_t *values = m->values + row * m->row_bytes;
    switch (m->format) {
    case WN_F32: memcpy(out, values, m->columns * sizeof(float)); return;
    case WN_F16: wn_f16_to_f32(values, out, m->columns); return;
    case WN_BF16: wn_bf16_to_f32(values, out, m->columns); return;
    case WN_MASKED_F16: {
        const uint8_t *next = m->values + m->row_offsets[row];
        for (size_t c = 0; c < m->columns; c++) {
            out[c] = 0;
            if (!wn_kept(m, row, c)) continue;
            out[c] = wn_half(next);
            next += 2;
        }
        return;
    }
    default: break;
    }
    // The codes wait in the last quarter of `out`; each block is copied away before floats reach it.
    uint8_t codes[32];
    size_t blocks = m->columns / 32;
    uint8_t *bytes = (uint8_t *)out + 3 * m->columns;
    wn_row_codes(m, row, bytes);
    bool by_row = wn_is_by_row(m);
    bool skips = m->format == WN_MASKED_Q4_1;
    for (size_t start = 0; start < m->columns; start += 32) {
        size_t count = m->columns - start < 32 ? m->columns - start : 32;
        memcpy(codes, bytes + start, count);
        float scale, offset;
        if (by_row) {
            scale = ((const float *)m->scales)[row];
            for (size_t i = 0; i < count; i++) out[start + i] = scale * (float)((int)codes[i] - 128);
            continue;
        }
        wn_block_scale(m, row, start / 32, blocks, &scale, &offset);
        int zero = m->format == WN_Q8_0 || m->format == WN_MASKED_Q8_0 ? 128 : 8;
        bool affine = m->format == WN_Q4_1 || skips;
        for (size_t i = 0; i < count; i++) {
            float value = affine ? scale * (float)codes[i] + offset : scale * (float)((int)codes[i] - zero);
            out[start + i] = skips && !wn_kept(m, row, start + i) ? 0 : value;
        }
    }
}

void wn_f16_to_f32(const void *in, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = wn_half((const uint8_t *)in + 2 * i);
}

void wn_bf16_to_f32(const void *in, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, (const uint8_t *)in + 2 * i, sizeof half);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

void wn_f32_to_f16(const float *in, void *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        _Float16 value = (_Float16)in[i];
        memcpy((uint8_t *)out + 2 * i, &value, sizeof value);
    }
}

void wn_f32_to_bf16(const float *in, void *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &in[i], sizeof bits);
        uint16_t half = (bits & 0x7FFFFFFF) > 0x7F800000 ? (uint16_t)(bits >> 16 | 0x40)
                                                          : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
        memcpy((uint8_t *)out + 2 * i, &half, sizeof half);
    }
}
