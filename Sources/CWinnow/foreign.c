// Turning what other tools packed into our formats: done once for a matrix, when it is asked for.
#include "include/wn_foreign.h"

#include <math.h>
#include <string.h>

#pragma clang fp contract(off)

static inline uint32_t wn_word_at(const void *words, size_t index) {
    uint32_t word;
    memcpy(&word, (const uint8_t *)words + 4 * index, sizeof word);
    return word;
}

static void wn_read_awq(const wn_bit_codes *codes, size_t begin, size_t end, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        for (size_t s = begin; s < end; s++) {
            uint32_t word = wn_word_at(codes->words, i * codes->word_stride + s / 8);
            out[(s - begin) * count + i] = word >> 4 * (s % 2 * 4 + s % 8 / 2) & 15;
        }
    }
}

void wn_bit_codes_read(const wn_bit_codes *codes, size_t begin, size_t end, size_t count, uint8_t *out) {
    if (codes->awq) {
        wn_read_awq(codes, begin, end, count, out);
        return;
    }
    size_t per_word = 32 / codes->bits;
    uint32_t most = (1u << codes->bits) - 1;
    for (size_t i = 0; i < count; i++) {
        size_t bit = codes->padded ? i / per_word * 32 + i % per_word * codes->bits : i * codes->bits;
        size_t word = bit / 32 * codes->word_stride, shift = bit % 32;
        bool straddles = shift + codes->bits > 32;
        for (size_t s = begin; s < end; s++) {
            size_t at = s * codes->stream_stride + word;
            uint32_t code = wn_word_at(codes->words, at) >> shift;
            if (straddles) code |= wn_word_at(codes->words, at + codes->word_stride) << (32 - shift);
            out[(s - begin) * count + i] = (uint8_t)(code & most);
        }
    }
}

// 4 bits of exponent (bias 7) and 3 of mantissa; the largest magnitude is NaN, there is no infinity.
static float wn_e4m3(uint8_t byte) {
    unsigned exponent = byte >> 3 & 15, mantissa = byte & 7;
    float value = exponent ? ldexpf((float)(8 + mantissa), (int)exponent - 10) : ldexpf((float)mantissa, -9);
    if (exponent == 15 && mantissa == 7) value = NAN;
    return byte & 0x80 ? -value : value;
}

// The upper half of a float16.
static float wn_e5m2(uint8_t byte) {
    uint16_t bits = (uint16_t)(byte << 8);
    _Float16 value;
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

static inline size_t wn_group_at(const wn_scaling *s, size_t column) {
    return s->group_of ? s->group_of[column] : column / s->columns_per_group;
}

static inline int wn_integer(const wn_scaling *s, uint8_t byte, size_t at) {
    int value = s->kind == WN_BYTE_SIGNED ? (int8_t)byte : byte;
    return s->zeros ? value - s->zeros[at] : value;
}

static void wn_scaled_floats(
    const wn_scaling *s, const uint8_t *bytes, size_t first, size_t columns, wn_format format, void *out) {
    float table[256];
    bool is_float = s->kind == WN_BYTE_E4M3 || s->kind == WN_BYTE_E5M2;
    for (int i = 0; is_float && i < 256; i++) {
        table[i] = s->kind == WN_BYTE_E4M3 ? wn_e4m3((uint8_t)i) : wn_e5m2((uint8_t)i);
    }
    float run[64];
    for (size_t start = 0; start < columns; start += 64) {
        size_t count = columns - start < 64 ? columns - start : 64;
        for (size_t i = 0; i < count; i++) {
            size_t at = first + wn_group_at(s, start + i);
            float value = is_float ? table[bytes[start + i]] : (float)wn_integer(s, bytes[start + i], at);
            run[i] = value * s->scales[at];
        }
        uint8_t *to = (uint8_t *)out + start * (format == WN_F32 ? 4 : 2);
        if (format == WN_F32) {
            memcpy(to, run, count * sizeof *run);
        } else if (format == WN_F16) {
            wn_f32_to_f16(run, to, count);
        } else {
            wn_f32_to_bf16(run, to, count);
        }
    }
}

static void wn_put_half(uint8_t *to, float value) {
    _Float16 half = (_Float16)value;
    memcpy(to, &half, sizeof half);
}

void wn_scaled_row(const wn_scaling *s, const uint8_t *bytes, size_t row, size_t columns, wn_format format, size_t group,
                   void *out, void *scales) {
    size_t first = row / s->rows_per_group * s->groups;
    uint8_t *to = out;
    switch (format) {
    case WN_INT8:
        for (size_t c = 0; c < columns; c++) to[c] = (uint8_t)(int8_t)wn_integer(s, bytes[c], first + wn_group_at(s, c));
        memcpy(scales, &s->scales[first], sizeof(float));
        return;
    case WN_INT4:
        for (size_t c = 0; c < columns; c++) {
            uint8_t code = (uint8_t)(wn_integer(s, bytes[c], first + wn_group_at(s, c)) + 8);
            to[c / 2] = (uint8_t)(c % 2 ? to[c / 2] | code << 4 : code);
        }
        for (size_t c = 0; c < columns; c += group) {
            wn_put_half((uint8_t *)scales + c / group * 2, s->scales[first + wn_group_at(s, c)]);
        }
        return;
    case WN_Q8_0:
        for (size_t c = 0; c < columns; c++) {
            size_t at = first + wn_group_at(s, c);
            uint8_t *block = to + c / 32 * 34;
            if (c % 32 == 0) wn_put_half(block, s->scales[at]);
            block[2 + c % 32] = (uint8_t)(int8_t)wn_integer(s, bytes[c], at);
        }
        return;
    default: wn_scaled_floats(s, bytes, first, columns, format, out);
    }
}

size_t wn_expand_row(const uint8_t *mask, const void *kept, size_t size, size_t columns, void *out) {
    const uint8_t *next = kept;
    uint8_t *to = out;
    memset(out, 0, columns * size);
    for (size_t c = 0; c < columns; c++) {
        if (!(mask[c / 8] >> (c % 8) & 1)) continue;
        memcpy(to + c * size, next, size);
        next += size;
    }
    return (size_t)(next - (const uint8_t *)kept) / size;
}

bool wn_floats_are_finite(const float *values, size_t count) {
    bool finite = true;
    for (size_t i = 0; i < count; i++) finite &= isfinite(values[i]) != 0;
    return finite;
}

bool wn_floats_are_halves(const float *values, size_t count) {
    bool exact = true;
    for (size_t i = 0; i < count; i++) exact &= (float)(_Float16)values[i] == values[i];
    return exact;
}
