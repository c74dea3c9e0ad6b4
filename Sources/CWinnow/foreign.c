// Turning what other tools packed into our formats: done once for a matrix, when it is asked for.
#include "include/wn_foreign.h"

#include <math.h>
#include <string.h>

#include "include/wn_ops.h"

#pragma clang fp contract(off)

static inline uint32_t wn_word_at(const void *words, size_t index) {
    uint32_t word;
    memcpy(&word, (const uint8_t *)words + 4 * index, sizeof word);
    return word;
}

// Codes of two, four or eight bits, one a byte, lowest first; a word of them takes 16, 8 or 4 bytes.
static inline void wn_spread_word(uint32_t word, unsigned bits, uint8_t *out) {
    if (bits == 8) {
        memcpy(out, &word, sizeof word);
        return;
    }
    uint64_t low = word;
    if (bits == 4) {
        low = (low | low << 16) & 0x0000FFFF0000FFFFu;
        low = (low | low << 8) & 0x00FF00FF00FF00FFu;
        low = (low | low << 4) & 0x0F0F0F0F0F0F0F0Fu;
        memcpy(out, &low, sizeof low);
        return;
    }
    for (int half = 0; half < 2; half++) {
        low = word >> 16 * half & 0xFFFF;
        low = (low | low << 24) & 0x000000FF000000FFu;
        low = (low | low << 12) & 0x000F000F000F000Fu;
        low = (low | low << 6) & 0x0303030303030303u;
        memcpy(out + 8 * half, &low, sizeof low);
    }
}

static void wn_read_awq(const wn_bit_codes *codes, size_t begin, size_t end, size_t count, uint8_t *out) {
    for (size_t first = begin / 8 * 8; first < end; first += 8) {
        for (size_t i = 0; i < count; i++) {
            uint8_t nibbles[8];
            wn_spread_word(wn_word_at(codes->words, i * codes->word_stride + first / 8), 4, nibbles);
            for (size_t s = first < begin ? begin : first; s < first + 8 && s < end; s++) {
                out[(s - begin) * count + i] = nibbles[s % 2 * 4 + s % 8 / 2];
            }
        }
    }
}

// Widths that divide 32, whole words of them; the rest of a stream is read a code at a time. Returns the codes read.
static size_t wn_read_words(const wn_bit_codes *codes, size_t begin, size_t end, size_t count, uint8_t *out) {
    unsigned bits = codes->bits;
    if (bits != 2 && bits != 4 && bits != 8) return 0;
    size_t per_word = 32 / bits, words = count / per_word;
    if (codes->word_stride == 1) {
        for (size_t s = begin; s < end; s++) {
            uint8_t *to = out + (s - begin) * count;
            for (size_t w = 0; w < words; w++) {
                wn_spread_word(wn_word_at(codes->words, s * codes->stream_stride + w), bits, to + w * per_word);
            }
        }
    } else {
        for (size_t w = 0; w < words; w++) {
            for (size_t s = begin; s < end; s++) {
                size_t at = s * codes->stream_stride + w * codes->word_stride;
                wn_spread_word(wn_word_at(codes->words, at), bits, out + (s - begin) * count + w * per_word);
            }
        }
    }
    return words * per_word;
}

void wn_bit_codes_read(const wn_bit_codes *codes, size_t begin, size_t end, size_t count, uint8_t *out) {
    if (codes->awq) {
        wn_read_awq(codes, begin, end, count, out);
        return;
    }
    size_t per_word = 32 / codes->bits;
    uint32_t most = (1u << codes->bits) - 1;
    for (size_t i = wn_read_words(codes, begin, end, count, out); i < count; i++) {
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

// A run of columns with one scale and one zero point.
typedef struct wn_run {
    size_t begin, end;
    float scale;
    int zero;
} wn_run;

static wn_run wn_run_at(const wn_scaling *s, size_t first, size_t column, size_t columns) {
    size_t group = s->group_of ? s->group_of[column] : column / s->columns_per_group;
    size_t end = s->group_of ? column + 1 : (group + 1) * s->columns_per_group;
    return (wn_run){column, end < columns ? end : columns, s->scales[first + group], s->zeros ? s->zeros[first + group] : 0};
}

static inline int wn_integer(const wn_scaling *s, uint8_t byte, int zero) {
    return (s->kind == WN_BYTE_SIGNED ? (int8_t)byte : byte) - zero;
}

enum { WN_FLOATS_AT_ONCE = 256 };

static void wn_put_floats(const float *values, size_t count, wn_format format, uint8_t *to) {
    switch (format) {
    case WN_F32: memcpy(to, values, count * sizeof *values); return;
    // The conversion of the instruction set, which every CPU of this decade has.
    case WN_F16: wn_kv_store(WN_KV_F16, values, to, count); return;
    default: wn_f32_to_bf16(values, to, count);
    }
}

static void wn_scaled_floats(
    const wn_scaling *s, const uint8_t *bytes, size_t first, size_t columns, wn_format format, uint8_t *out) {
    float table[256];
    for (int i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        table[i] = s->kind == WN_BYTE_E4M3   ? wn_e4m3(byte)
                   : s->kind == WN_BYTE_E5M2 ? wn_e5m2(byte)
                                             : (float)wn_integer(s, byte, 0);
    }
    float values[WN_FLOATS_AT_ONCE];
    size_t size = format == WN_F32 ? 4 : 2, filled = 0, written = 0;
    for (size_t c = 0; c < columns;) {
        wn_run run = wn_run_at(s, first, c, columns);
        while (c < run.end) {
            size_t count = run.end - c < WN_FLOATS_AT_ONCE - filled ? run.end - c : WN_FLOATS_AT_ONCE - filled;
            float zero = (float)run.zero;
            // Codes and zero points are whole numbers that float32 holds: their difference is exact.
            for (size_t i = 0; i < count; i++) values[filled + i] = (table[bytes[c + i]] - zero) * run.scale;
            c += count;
            filled += count;
            if (filled < WN_FLOATS_AT_ONCE && c < columns) continue;
            wn_put_floats(values, filled, format, out + written * size);
            written += filled;
            filled = 0;
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
    uint8_t *to = out, *own = scales;
    if (format != WN_INT8 && format != WN_INT4 && format != WN_Q8_0) {
        wn_scaled_floats(s, bytes, first, columns, format, to);
        return;
    }
    for (size_t c = 0; c < columns;) {
        wn_run run = wn_run_at(s, first, c, columns);
        if (format == WN_INT8) {
            for (; c < run.end; c++) to[c] = (uint8_t)wn_integer(s, bytes[c], run.zero);
            memcpy(own, &run.scale, sizeof run.scale);
        } else if (format == WN_INT4) {
            for (size_t start = c; start < run.end; start += group) wn_put_half(own + start / group * 2, run.scale);
            for (; c < run.end; c += 2) {
                int low = wn_integer(s, bytes[c], run.zero) + 8, high = wn_integer(s, bytes[c + 1], run.zero) + 8;
                to[c / 2] = (uint8_t)(low | high << 4);
            }
        } else {
            for (; c < run.end; c += 32) {
                uint8_t *block = to + c / 32 * 34;
                wn_put_half(block, run.scale);
                for (size_t i = 0; i < 32; i++) block[2 + i] = (uint8_t)wn_integer(s, bytes[c + i], run.zero);
            }
        }
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
