// Encoding rows for files: done once per conversion, so plain loops that a compiler turns into vectors.
#include "include/wn_encode.h"
#include <math.h>
#include <string.h>
#include "products.h"

#pragma clang fp contract(off)

static bool wn_store_half(uint8_t *out, float value, float *stored) {
    _Float16 half = (_Float16)value;
    memcpy(out, &half, sizeof half);
    *stored = (float)half;
    return isfinite(*stored);
}

static float wn_largest(const float *x, size_t count) {
    float largest = 0;
    for (size_t i = 0; i < count; i++) largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
    return largest;
}

static bool wn_finite(const float *x, size_t count) {
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7F800000) == 0x7F800000;
    }
    return !bad;
}

static inline uint8_t wn_four_bits(float value) {
    int code = (int)(value + 0.5f);
    return (uint8_t)(code < 0 ? 0 : code > 15 ? 15 : code);
}

// 4-bit codes of `count` values around zero; the scale is the float16 that the file keeps.
static bool wn_encode_four(const float *x, size_t count, uint8_t *codes, uint8_t *scale) {
    float stored, step = wn_largest(x, count) / -8;
    if (!wn_store_half(scale, step, &stored)) return false;
    float inverse = step != 0 ? 1 / step : 0;
    if (!isfinite(inverse)) inverse = 0;
    for (size_t i = 0; i < count; i++) codes[i] = wn_four_bits(x[i] * inverse + 8);
    return true;
}

static bool wn_encode_four_affine(const float *x, size_t count, uint8_t *codes, uint8_t *head) {
    float low = x[0], high = x[0], stored;
    for (size_t i = 1; i < count; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float step = (high - low) / 15;
    if (!wn_store_half(head, step, &stored) || !wn_store_half(head + 2, low, &stored)) return false;
    float inverse = step != 0 ? 1 / step : 0;
    if (!isfinite(inverse)) inverse = 0;
    for (size_t i = 0; i < count; i++) codes[i] = wn_four_bits((x[i] - low) * inverse);
    return true;
}

static float wn_encode_eight(const float *x, size_t count, uint8_t *out) {
    float step = fabsf(wn_largest(x, count)) / 127;
    float inverse = step != 0 ? 1 / step : 0;
    if (!isfinite(inverse)) inverse = 0;
    for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(int8_t)roundf(x[i] * inverse);
    return step;
}

// Blocks of 32: low nibbles are elements 0-15, high nibbles 16-31.
static void wn_nibbles(const uint8_t *codes, uint8_t *out) {
    for (size_t i = 0; i < 16; i++) out[i] = (uint8_t)(codes[i] | codes[16 + i] << 4);
}

bool wn_encode_row(wn_format format, size_t group, const float *x, size_t columns, void *out, void *scales) {
    uint8_t *bytes = out, *own = scales, codes[128];
    float stored;
    if (!wn_finite(x, columns)) return false;
    switch (format) {
    case WN_F32: memcpy(bytes, x, columns * sizeof *x); return true;
    case WN_F16: {
        bool fits = true;
        for (size_t c = 0; c < columns; c++) fits &= wn_store_half(bytes + 2 * c, x[c], &stored);
        return fits;
    }
    case WN_BF16: {
        wn_f32_to_bf16(x, bytes, columns);
        bool fits = true;
        for (size_t c = 0; c < columns; c++) fits &= (bytes[2 * c + 1] & 0x7F) != 0x7F || !(bytes[2 * c] & 0x80);
        return fits;
    }
    case WN_Q4_0: case WN_Q4_1: {
        size_t head = format == WN_Q4_0 ? 2 : 4;
        for (size_t c = 0; c < columns; c += 32, bytes += head + 16) {
            if (format == WN_Q4_0 ? !wn_encode_four(x + c, 32, codes, bytes)
                                  : !wn_encode_four_affine(x + c, 32, codes, bytes)) return false;
            wn_nibbles(codes, bytes + head);
        }
        return true;
    }
    case WN_Q8_0:
        for (size_t c = 0; c < columns; c += 32, bytes += 34) {
            if (!wn_store_half(bytes, wn_encode_eight(x + c, 32, bytes + 2), &stored)) return false;
        }
        return true;
    case WN_INT8: {
        float step = wn_encode_eight(x, columns, bytes);
        memcpy(own, &step, sizeof step);
        return true;
    }
    case WN_INT4:
        for (size_t c = 0; c < columns; c += group, own += 2) {
            size_t count = columns - c < group ? columns - c : group;
            if (!wn_encode_four(x + c, count, codes, own)) return false;
            for (size_t i = 0; i < count; i += 2) bytes[(c + i) / 2] = (uint8_t)(codes[i] | codes[i + 1] << 4);
        }
        return true;
    default: return false;
    }
}

bool wn_unmask_row(const wn_matrix *matrix, size_t row, void *out) {
    uint8_t *bytes = out, codes[64];
    const uint8_t *next = matrix->values + matrix->row_offsets[row];
    const uint8_t *mask = matrix->mask + row * matrix->mask_stride;
    const uint8_t *scales = matrix->scales;
    size_t blocks = matrix->columns / 32;
    if (matrix->format == WN_MASKED_Q4_1) return false;
    for (size_t start = 0; start < matrix->columns; start += 64) {
        size_t count = matrix->columns - start < 64 ? matrix->columns - start : 64, taken = 0;
        bool is_four = matrix->format == WN_MASKED_Q4_0 || matrix->format == WN_MASKED_INT4;
        for (size_t i = 0; i < count; i++) {
            size_t bit = matrix->format == WN_BLOCK4_INT8 ? (start + i) / 4 : start + i;
            bool kept = mask[bit / 8] >> (bit % 8) & 1;
            switch (matrix->format) {
            case WN_MASKED_F16:
                memset(bytes + 2 * (start + i), 0, 2);
                if (kept) memcpy(bytes + 2 * (start + i), next + 2 * taken, 2);
                break;
            case WN_MASKED_INT8: case WN_BLOCK4_INT8: bytes[start + i] = kept ? next[taken] : 0; break;
            case WN_MASKED_Q8_0: bytes[(start + i) / 32 * 34 + 2 + i % 32] = kept ? next[taken] : 0; break;
            default: codes[i] = kept ? next[taken / 2] >> (taken % 2 * 4) & 15 : 8;
            }
            taken += kept;
        }
        next += is_four ? (taken + 1) / 2 : matrix->format == WN_MASKED_F16 ? 2 * taken : taken;
        for (size_t i = 0; is_four && i < count; i += 32) {
            if (matrix->format == WN_MASKED_Q4_0) {
                wn_nibbles(codes + i, bytes + (start + i) / 32 * 18 + 2);
            } else {
                for (size_t j = 0; j < 32; j += 2) {
                    bytes[(start + i + j) / 2] = (uint8_t)(codes[i + j] | codes[i + j + 1] << 4);
                }
            }
        }
    }
    if (matrix->format == WN_MASKED_Q4_0 || matrix->format == WN_MASKED_Q8_0) {
        size_t stride = matrix->format == WN_MASKED_Q4_0 ? 18 : 34;
        for (size_t b = 0; b < blocks; b++) memcpy(bytes + b * stride, scales + 2 * (row * blocks + b), 2);
    }
    return true;
}
