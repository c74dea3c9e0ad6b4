#include "blocks.h"

#include "codes.h"

// A product and a sum are two roundings.
#pragma clang fp contract(off)

// Values of 4-bit codes that are places in a table: IQ4_NL and IQ4_XS, and twice those of MXFP4's e2m1.
static const int8_t wn_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t wn_e2m1_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static uint32_t word_at(const uint8_t *from) {
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

// 16 bytes as 32 nibbles: low ones first, then the high ones.
static void split_nibbles(const uint8_t *from, size_t bytes, int8_t *codes) {
    for (size_t i = 0; i < bytes; i++) {
        codes[i] = from[i] & 15;
        codes[bytes + i] = from[i] >> 4;
    }
}

static void fill(float *values, size_t count, float value) {
    for (size_t i = 0; i < count; i++) values[i] = value;
}

// ---- Blocks of 32 ----------------------------------------------------------------------------------------
static void add_fifth_bits(const uint8_t *from, int8_t *codes, int zero) {
    uint32_t high = word_at(from);
    for (size_t i = 0; i < 32; i++) codes[i] = (int8_t)((codes[i] | (int)(high >> i & 1) << 4) - zero);
}

static void unpack_q5_0(const uint8_t *from, wn_block *block) {
    split_nibbles(from + 6, 16, block->codes);
    add_fifth_bits(from + 2, block->codes, 16);
    fill(block->scales, 2, wn_half(from));
}

static void unpack_q5_1(const uint8_t *from, wn_block *block) {
    split_nibbles(from + 8, 16, block->codes);
    add_fifth_bits(from + 4, block->codes, 0);
    fill(block->scales, 2, wn_half(from));
    fill(block->offsets, 2, wn_half(from + 2));
    block->has_offsets = true;
}

static void unpack_iq4_nl(const uint8_t *from, wn_block *block) {
    split_nibbles(from + 2, 16, block->codes);
    for (size_t i = 0; i < 32; i++) block->codes[i] = wn_iq4_values[block->codes[i]];
    fill(block->scales, 2, wn_half(from));
}

static void unpack_mxfp4(const uint8_t *from, wn_block *block) {
    split_nibbles(from + 1, 16, block->codes);
    for (size_t i = 0; i < 32; i++) block->codes[i] = wn_e2m1_values[block->codes[i]];
    // Half of 2^(e - 127), the codes being doubled; the two smallest are subnormal.
    uint32_t bits = from[0] < 2 ? 0x00200000u << from[0] : (uint32_t)(from[0] - 1) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    fill(block->scales, 2, scale);
}

// ---- Blocks of 256 ---------------------------------------------------------------------------------------
// Codes of two bits: four planes of 32 columns in each 32 bytes.
static void split_pairs(const uint8_t *from, int8_t *codes) {
    for (size_t c = 0; c < 256; c++) codes[c] = from[c / 128 * 32 + c % 32] >> (c / 32 % 4 * 2) & 3;
}

static void unpack_q2_k(const uint8_t *from, wn_block *block) {
    split_pairs(from + 16, block->codes);
    float d = wn_half(from + 80), least = wn_half(from + 82);
    for (size_t i = 0; i < 16; i++) {
        block->scales[i] = d * (float)(from[i] & 15);
        block->offsets[i] = -(least * (float)(from[i] >> 4));
    }
    block->has_offsets = true;
}

static void unpack_q3_k(const uint8_t *from, wn_block *block) {
    const uint8_t *high = from, *scales = from + 96;
    split_pairs(from + 32, block->codes);
    // A set bit means that the code stays, an unset one that 4 is taken off.
    for (size_t c = 0; c < 256; c++) {
        if (!(high[c % 32] >> (c / 32) & 1)) block->codes[c] = (int8_t)(block->codes[c] - 4);
    }
    float d = wn_half(from + 108);
    for (size_t i = 0; i < 16; i++) {
        int low = scales[i % 8] >> (i / 8 * 4) & 15, top = scales[8 + i % 4] >> (i / 4 * 2) & 3;
        block->scales[i] = d * (float)((low | top << 4) - 32);
    }
}

// Eight scales and eight minima of six bits in twelve bytes.
static void unpack_k_scales(const uint8_t *from, wn_block *block) {
    float d = wn_half(from), least = wn_half(from + 2);
    const uint8_t *packed = from + 4;
    for (size_t i = 0; i < 8; i++) {
        int scale, minimum;
        if (i < 4) {
            scale = packed[i] & 63;
            minimum = packed[4 + i] & 63;
        } else {
            scale = (packed[4 + i] & 15) | (packed[i - 4] >> 2 & 48);
            minimum = packed[4 + i] >> 4 | (packed[i] >> 2 & 48);
        }
        fill(block->scales + 2 * i, 2, d * (float)scale);
        fill(block->offsets + 2 * i, 2, -(least * (float)minimum));
    }
    block->has_offsets = true;
}

static void unpack_q4_k(const uint8_t *from, wn_block *block) {
    unpack_k_scales(from, block);
    for (size_t run = 0; run < 4; run++) split_nibbles(from + 16 + 32 * run, 32, block->codes + 64 * run);
}

static void unpack_q5_k(const uint8_t *from, wn_block *block) {
    unpack_k_scales(from, block);
    for (size_t run = 0; run < 4; run++) split_nibbles(from + 48 + 32 * run, 32, block->codes + 64 * run);
    for (size_t c = 0; c < 256; c++) block->codes[c] |= (int8_t)((from[16 + c % 32] >> (c / 32) & 1) << 4);
}

static void unpack_q6_k(const uint8_t *from, wn_block *block) {
    const uint8_t *low = from, *high = from + 128;
    const int8_t *scales = (const int8_t *)from + 192;
    split_nibbles(low, 64, block->codes);
    split_nibbles(low + 64, 64, block->codes + 128);
    for (size_t c = 0; c < 256; c++) {
        int top = high[c / 128 * 32 + c % 32] >> (c / 32 % 4 * 2) & 3;
        block->codes[c] = (int8_t)((block->codes[c] | top << 4) - 32);
    }
    float d = wn_half(from + 208);
    for (size_t i = 0; i < 16; i++) block->scales[i] = d * (float)scales[i];
}

static void unpack_iq4_xs(const uint8_t *from, wn_block *block) {
    float d = wn_half(from);
    unsigned tops = (unsigned)from[2] | (unsigned)from[3] << 8;
    for (size_t i = 0; i < 8; i++) {
        int scale = from[4 + i / 2] >> (i % 2 * 4) & 15;
        fill(block->scales + 2 * i, 2, d * (float)((scale | (int)(tops >> 2 * i & 3) << 4) - 32));
        split_nibbles(from + 8 + 16 * i, 16, block->codes + 32 * i);
    }
    for (size_t c = 0; c < 256; c++) block->codes[c] = wn_iq4_values[block->codes[c]];
}

// Five digits of base three in a byte, as fractions of 256.
static int8_t ternary(uint8_t byte, size_t digit) {
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    return (int8_t)(((unsigned)(uint8_t)(byte * powers[digit]) * 3 >> 8) - 1);
}

static void unpack_tq1_0(const uint8_t *from, wn_block *block) {
    for (size_t c = 0; c < 160; c++) block->codes[c] = ternary(from[c % 32], c / 32);
    for (size_t c = 0; c < 80; c++) block->codes[160 + c] = ternary(from[32 + c % 16], c / 16);
    for (size_t c = 0; c < 16; c++) block->codes[240 + c] = ternary(from[48 + c % 4], c / 4);
    fill(block->scales, 16, wn_half(from + 52));
}

static void unpack_tq2_0(const uint8_t *from, wn_block *block) {
    split_pairs(from, block->codes);
    for (size_t c = 0; c < 256; c++) block->codes[c]--;
    fill(block->scales, 16, wn_half(from + 64));
}

wn_block_layout wn_block_layout_of(int32_t format) {
    switch (format) {
    case WN_Q5_0: return (wn_block_layout){32, 22, unpack_q5_0};
    case WN_Q5_1: return (wn_block_layout){32, 24, unpack_q5_1};
    case WN_IQ4_NL: return (wn_block_layout){32, 18, unpack_iq4_nl};
    case WN_MXFP4: return (wn_block_layout){32, 17, unpack_mxfp4};
    case WN_Q2_K: return (wn_block_layout){256, 84, unpack_q2_k};
    case WN_Q3_K: return (wn_block_layout){256, 110, unpack_q3_k};
    case WN_Q4_K: return (wn_block_layout){256, 144, unpack_q4_k};
    case WN_Q5_K: return (wn_block_layout){256, 176, unpack_q5_k};
    case WN_Q6_K: return (wn_block_layout){256, 210, unpack_q6_k};
    case WN_IQ4_XS: return (wn_block_layout){256, 136, unpack_iq4_xs};
    case WN_TQ1_0: return (wn_block_layout){256, 54, unpack_tq1_0};
    case WN_TQ2_0: return (wn_block_layout){256, 66, unpack_tq2_0};
    default: return (wn_block_layout){0, 0, NULL};
    }
}

void wn_ggml_block(wn_format format, size_t *columns, size_t *bytes) {
    wn_block_layout layout = wn_block_layout_of((int32_t)format);
    *columns = layout.width;
    *bytes = layout.bytes;
}

void wn_row_f32_blocks(const wn_matrix *m, size_t row, float *out) {
    wn_block_layout layout = wn_block_layout_of(m->format);
    const uint8_t *from = m->values + row * m->row_bytes;
    wn_block block = {.has_offsets = false};
    for (size_t start = 0; start < m->columns; start += layout.width, from += layout.bytes) {
        layout.unpack(from, &block);
        for (size_t s = 0; s < layout.width / WN_SUB_BLOCK; s++) {
            const int8_t *codes = block.codes + WN_SUB_BLOCK * s;
            float *to = out + start + WN_SUB_BLOCK * s, scale = block.scales[s], offset = block.offsets[s];
            for (size_t i = 0; i < WN_SUB_BLOCK; i++) {
                float value = scale * (float)codes[i];
                to[i] = block.has_offsets ? value + offset : value;
            }
        }
    }
}
