// Unpackers of GGUF's larger block formats, one block at a time, in plain C that compilers vectorise. Included by
// every file that wants them for its instruction set. Layouts as ggml has them (ggml-common.h, and quants.py of the
// `gguf` package).
#include "blocks.h"
#include "codes.h"

// Values of 4-bit codes that are places in a table: IQ4_NL and IQ4_XS, and twice those of MXFP4's e2m1.
static const int8_t wn_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t wn_e2m1_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Thirty-two bytes that compilers keep in a register or two; bytes written one by one would be waited for.
typedef uint8_t wn_bytes32 __attribute__((vector_size(32)));
typedef uint8_t wn_bytes16 __attribute__((vector_size(16)));
#define WN_BLOCK_INLINE static inline __attribute__((always_inline))

WN_BLOCK_INLINE wn_bytes32 bytes32_at(const void *from) {
    wn_bytes32 bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

// 16 bytes as 32 nibbles: low ones first, then the high ones.
WN_BLOCK_INLINE wn_bytes32 nibbles_at(const uint8_t *from) {
    wn_bytes16 bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_shufflevector(
        bytes & 15, bytes >> 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
        25, 26, 27, 28, 29, 30, 31);
}

// 32 bits, lowest first, as bytes of 0 or 16.
WN_BLOCK_INLINE wn_bytes32 fifth_bits_at(const uint8_t *from) {
    uint32_t word;
    memcpy(&word, from, sizeof word);
    typedef uint32_t words __attribute__((vector_size(32)));
    wn_bytes32 bytes = (wn_bytes32)((words){0} + word);
    bytes = __builtin_shufflevector(
        bytes, bytes, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const wn_bytes32 own = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128,
                            1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    return (wn_bytes32)((bytes & own) == own) & 16;
}

// Places in a table of sixteen; an instruction set that looks up bytes defines it beforehand.
#ifndef WN_LOOK_UP
WN_BLOCK_INLINE wn_bytes32 look_up(const int8_t *table, wn_bytes32 places) {
    // Through memory: one by one, the bytes of a vector are taken out and put in at ten times the cost.
    uint8_t bytes[32];
    memcpy(bytes, &places, sizeof bytes);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)table[bytes[i]];
    memcpy(&places, bytes, sizeof bytes);
    return places;
}
#define WN_LOOK_UP look_up
#endif

WN_BLOCK_INLINE void store32(int8_t *codes, wn_bytes32 bytes) { memcpy(codes, &bytes, sizeof bytes); }

WN_BLOCK_INLINE void fill(float *values, size_t count, float value) {
    for (size_t i = 0; i < count; i++) values[i] = value;
}

// Scales are written as vectors, as they are read: what was written float by float would be waited for.
typedef float wn_floats8 __attribute__((vector_size(32)));
typedef uint8_t wn_bytes8 __attribute__((vector_size(8)));

// One scale for all sixteen.
WN_BLOCK_INLINE void fill16(float *values, float value) {
    // Not a sum with zero, which would lose the sign of -0.
    const wn_floats8 all = {value, value, value, value, value, value, value, value};
    memcpy(values, &all, sizeof all);
    memcpy(values + 8, &all, sizeof all);
}

// Eight signed bytes as numbers times `factor`.
WN_BLOCK_INLINE void fill_signed(float *values, const int8_t *from, float factor) {
    typedef int8_t signed8 __attribute__((vector_size(8)));
    signed8 each;
    memcpy(&each, from, sizeof each);
    const wn_floats8 scaled = factor * __builtin_convertvector(each, wn_floats8);
    memcpy(values, &scaled, sizeof scaled);
}

// Eight bytes as numbers times `factor`, each twice.
WN_BLOCK_INLINE void fill_pairs(float *values, uint64_t bytes, float factor) {
    wn_bytes8 each;
    memcpy(&each, &bytes, sizeof each);
    const wn_floats8 scaled = factor * __builtin_convertvector(each, wn_floats8);
    const wn_floats8 low = __builtin_shufflevector(scaled, scaled, 0, 0, 1, 1, 2, 2, 3, 3);
    const wn_floats8 high = __builtin_shufflevector(scaled, scaled, 4, 4, 5, 5, 6, 6, 7, 7);
    memcpy(values, &low, sizeof low);
    memcpy(values + 8, &high, sizeof high);
}

// ---- Blocks of 32 ----------------------------------------------------------------------------------------
WN_BLOCK_INLINE void unpack_q5_0(const uint8_t *from, int8_t *codes, float *scales) {
    store32(codes, (nibbles_at(from + 6) | fifth_bits_at(from + 2)) - 16);
    fill(scales, 2, wn_half(from));
}

WN_BLOCK_INLINE void unpack_q5_1(const uint8_t *from, int8_t *codes, float *scales, float *offsets) {
    store32(codes, nibbles_at(from + 8) | fifth_bits_at(from + 4));
    fill(scales, 2, wn_half(from));
    fill(offsets, 2, wn_half(from + 2));
}

WN_BLOCK_INLINE void unpack_iq4_nl(const uint8_t *from, int8_t *codes, float *scales) {
    store32(codes, WN_LOOK_UP(wn_iq4_values, nibbles_at(from + 2)));
    fill(scales, 2, wn_half(from));
}

WN_BLOCK_INLINE void unpack_mxfp4(const uint8_t *from, int8_t *codes, float *scales) {
    store32(codes, WN_LOOK_UP(wn_e2m1_values, nibbles_at(from + 1)));
    // Half of 2^(e - 127), the codes being doubled; the two smallest are subnormal.
    uint32_t bits = from[0] < 2 ? 0x00200000u << from[0] : (uint32_t)(from[0] - 1) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    fill(scales, 2, scale);
}

// ---- Blocks of 256 ---------------------------------------------------------------------------------------
// Two bits of each of 32 bytes.
WN_BLOCK_INLINE wn_bytes32 pairs(wn_bytes32 bytes, size_t plane) { return bytes >> (uint8_t)(2 * plane) & 3; }

WN_BLOCK_INLINE void unpack_q2_k(const uint8_t *from, int8_t *codes, float *scales, float *offsets) {
    for (size_t run = 0; run < 8; run++) {
        store32(codes + 32 * run, pairs(bytes32_at(from + 16 + run / 4 * 32), run % 4));
    }
    float d = wn_half(from + 80), least = wn_half(from + 82);
    for (size_t i = 0; i < 16; i++) {
        scales[i] = d * (float)(from[i] & 15);
        offsets[i] = -(least * (float)(from[i] >> 4));
    }
}

WN_BLOCK_INLINE void unpack_q3_k(const uint8_t *from, int8_t *codes, float *scales) {
    const wn_bytes32 high = bytes32_at(from);
    const uint8_t *packed = from + 96;
    for (size_t run = 0; run < 8; run++) {
        // A set bit means that the code stays, an unset one that 4 is taken off.
        wn_bytes32 kept = (high >> (uint8_t)run & 1) << 2;
        store32(codes + 32 * run, pairs(bytes32_at(from + 32 + run / 4 * 32), run % 4) + kept - 4);
    }
    float d = wn_half(from + 108);
    for (size_t i = 0; i < 16; i++) {
        int low = packed[i % 8] >> (i / 8 * 4) & 15, top = packed[8 + i % 4] >> (i / 4 * 2) & 3;
        scales[i] = d * (float)((low | top << 4) - 32);
    }
}

// Eight scales and eight minima of six bits in twelve bytes.
WN_BLOCK_INLINE void unpack_k_scales(const uint8_t *from, float *scales, float *offsets) {
    uint32_t words[3];
    memcpy(words, from + 4, sizeof words);
    // The first four in the low six bits of two words; the others in the halves of the third and what is left above.
    uint32_t scale = (words[2] & 0x0F0F0F0Fu) | (words[0] >> 2 & 0x30303030u);
    uint32_t minimum = (words[2] >> 4 & 0x0F0F0F0Fu) | (words[1] >> 2 & 0x30303030u);
    fill_pairs(scales, (words[0] & 0x3F3F3F3Fu) | (uint64_t)scale << 32, wn_half(from));
    fill_pairs(offsets, (words[1] & 0x3F3F3F3Fu) | (uint64_t)minimum << 32, -wn_half(from + 2));
}

WN_BLOCK_INLINE void unpack_q4_k(const uint8_t *from, int8_t *codes, float *scales, float *offsets) {
    unpack_k_scales(from, scales, offsets);
    for (size_t run = 0; run < 4; run++) {
        wn_bytes32 bytes = bytes32_at(from + 16 + 32 * run);
        store32(codes + 64 * run, bytes & 15);
        store32(codes + 64 * run + 32, bytes >> 4);
    }
}

WN_BLOCK_INLINE void unpack_q5_k(const uint8_t *from, int8_t *codes, float *scales, float *offsets) {
    unpack_k_scales(from, scales, offsets);
    const wn_bytes32 high = bytes32_at(from + 16);
    for (size_t run = 0; run < 4; run++) {
        wn_bytes32 bytes = bytes32_at(from + 48 + 32 * run);
        store32(codes + 64 * run, (bytes & 15) | (high >> (uint8_t)(2 * run) & 1) << 4);
        store32(codes + 64 * run + 32, bytes >> 4 | (high >> (uint8_t)(2 * run + 1) & 1) << 4);
    }
}

WN_BLOCK_INLINE void unpack_q6_k(const uint8_t *from, int8_t *codes, float *scales) {
    const int8_t *packed = (const int8_t *)from + 192;
    for (size_t run = 0; run < 8; run++) {
        wn_bytes32 bytes = bytes32_at(from + run / 4 * 64 + run % 2 * 32);
        wn_bytes32 low = run % 4 < 2 ? bytes & 15 : bytes >> 4;
        wn_bytes32 top = pairs(bytes32_at(from + 128 + run / 4 * 32), run % 4);
        store32(codes + 32 * run, (low | top << 4) - 32);
    }
    fill_signed(scales, packed, wn_half(from + 208));
    fill_signed(scales + 8, packed + 8, wn_half(from + 208));
}

WN_BLOCK_INLINE void unpack_iq4_xs(const uint8_t *from, int8_t *codes, float *scales) {
    float d = wn_half(from);
    unsigned tops = (unsigned)from[2] | (unsigned)from[3] << 8;
    for (size_t i = 0; i < 8; i++) {
        int scale = from[4 + i / 2] >> (i % 2 * 4) & 15;
        fill(scales + 2 * i, 2, d * (float)((scale | (int)(tops >> 2 * i & 3) << 4) - 32));
        store32(codes + 32 * i, WN_LOOK_UP(wn_iq4_values, nibbles_at(from + 8 + 16 * i)));
    }
}

// Five digits of base three in a byte, as fractions of 256.
static inline int8_t ternary(uint8_t byte, size_t digit) {
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    return (int8_t)(((unsigned)(uint8_t)(byte * powers[digit]) * 3 >> 8) - 1);
}

WN_BLOCK_INLINE void unpack_tq1_0(const uint8_t *from, int8_t *codes, float *scales) {
    for (size_t c = 0; c < 160; c++) codes[c] = ternary(from[c % 32], c / 32);
    for (size_t c = 0; c < 80; c++) codes[160 + c] = ternary(from[32 + c % 16], c / 16);
    for (size_t c = 0; c < 16; c++) codes[240 + c] = ternary(from[48 + c % 4], c / 4);
    fill16(scales, wn_half(from + 52));
}

WN_BLOCK_INLINE void unpack_tq2_0(const uint8_t *from, int8_t *codes, float *scales) {
    for (size_t run = 0; run < 8; run++) {
        store32(codes + 32 * run, pairs(bytes32_at(from + run / 4 * 32), run % 4) - 1);
    }
    fill16(scales, wn_half(from + 64));
}

// ---- Codebooks -------------------------------------------------------------------------------------------
// Eight bytes at once in a 64-bit word, lowest first; none of these sums leaves its byte.
#define WN_EACH_BYTE 0x0101010101010101u

// Eight values of two bits, one a byte.
WN_BLOCK_INLINE uint64_t spread2(uint16_t entry) {
    uint64_t word = entry;
    word = (word | word << 24) & 0x000000FF000000FFu;
    word = (word | word << 12) & 0x000F000F000F000Fu;
    return (word | word << 6) & 0x0303030303030303u;
}

// Four values of three bits from each of two entries.
WN_BLOCK_INLINE uint64_t spread3(uint16_t first, uint16_t second) {
    uint64_t word = (uint64_t)first | (uint64_t)second << 32;
    word = (word & 0x0000003F0000003Fu) | (word & 0x00000FC000000FC0u) << 10;
    return (word & 0x0007000700070007u) | (word & 0x0038003800380038u) << 5;
}

// `bytes`, all above zero, negative where the bit of `signs` is set.
WN_BLOCK_INLINE uint64_t with_signs(uint64_t bytes, uint8_t signs) {
    uint64_t bits = signs * WN_EACH_BYTE & 0x8040201008040201u;
    uint64_t negative = (bits + 0x7F7F7F7F7F7F7F7Fu) >> 7 & WN_EACH_BYTE;
    return (bytes ^ negative * 255) + negative;
}

// Eight signs of which seven are stored: an even number of them is set.
WN_BLOCK_INLINE uint8_t even_signs(uint32_t seven) {
    uint32_t odd = seven ^ seven >> 4;
    odd ^= odd >> 2;
    return (uint8_t)(seven | ((odd ^ odd >> 1) & 1) << 7);
}

// The values 8, 25 and 43.
WN_BLOCK_INLINE uint64_t iq2_values(uint16_t entry) {
    uint64_t places = spread2(entry);
    return 8 * WN_EACH_BYTE + (places << 4) + places + (places >> 1 & WN_EACH_BYTE);
}

WN_BLOCK_INLINE void store8(int8_t *codes, uint64_t bytes) { memcpy(codes, &bytes, sizeof bytes); }

WN_BLOCK_INLINE uint16_t short_at(const uint8_t *from) { return (uint16_t)(from[0] | from[1] << 8); }

WN_BLOCK_INLINE uint32_t word_at(const uint8_t *from) {
    return (uint32_t)short_at(from) | (uint32_t)short_at(from + 2) << 16;
}

WN_BLOCK_INLINE void unpack_iq2_xxs(const uint8_t *from, int8_t *codes, float *scales) {
    float d = wn_half(from);
    for (size_t run = 0; run < 8; run++) {
        const uint8_t *places = from + 2 + 8 * run;
        uint32_t word = word_at(places + 4);
        fill(scales + 2 * run, 2, d * (0.5f + (float)(word >> 28)) * 0.25f);
        for (size_t i = 0; i < 4; i++) {
            store8(codes + 32 * run + 8 * i, with_signs(iq2_values(wn_grid_iq2_xxs[places[i]]), even_signs(word >> 7 * i & 127)));
        }
    }
}

// Sixteen scales of four bits: (1/2 + scale) / 4.
WN_BLOCK_INLINE void iq2_scales(float d, const uint8_t *packed, float *scales) {
    for (size_t i = 0; i < 16; i++) scales[i] = d * (0.5f + (float)(packed[i / 2] >> (i % 2 * 4) & 15)) * 0.25f;
}

WN_BLOCK_INLINE void unpack_iq2_xs(const uint8_t *from, int8_t *codes, float *scales) {
    iq2_scales(wn_half(from), from + 66, scales);
    for (size_t i = 0; i < 32; i++) {
        uint16_t entry = short_at(from + 2 + 2 * i);
        store8(codes + 8 * i, with_signs(iq2_values(wn_grid_iq2_xs[entry & 511]), even_signs(entry >> 9)));
    }
}

WN_BLOCK_INLINE void unpack_iq2_s(const uint8_t *from, int8_t *codes, float *scales) {
    iq2_scales(wn_half(from), from + 74, scales);
    for (size_t i = 0; i < 32; i++) {
        size_t place = from[2 + i] | (size_t)(from[66 + i / 4] >> (i % 4 * 2) & 3) << 8;
        store8(codes + 8 * i, with_signs(iq2_values(wn_grid_iq2_s[place]), from[34 + i]));
    }
}

WN_BLOCK_INLINE void unpack_iq3_xxs(const uint8_t *from, int8_t *codes, float *scales) {
    float d = wn_half(from);
    for (size_t run = 0; run < 8; run++) {
        uint32_t word = word_at(from + 66 + 4 * run);
        fill(scales + 2 * run, 2, d * (0.5f + (float)(word >> 28)) * 0.5f);
        for (size_t i = 0; i < 4; i++) {
            const uint8_t *place = from + 2 + 8 * run + 2 * i;
            uint64_t places = spread3(wn_grid_iq3_xxs[place[0]], wn_grid_iq3_xxs[place[1]]);
            // 4, 12, 20 ... 52, but 62 in the last place.
            uint64_t values = 4 * WN_EACH_BYTE + (places << 3) + ((places & places >> 1 & places >> 2 & WN_EACH_BYTE) << 1);
            store8(codes + 32 * run + 8 * i, with_signs(values, even_signs(word >> 7 * i & 127)));
        }
    }
}

WN_BLOCK_INLINE void unpack_iq3_s(const uint8_t *from, int8_t *codes, float *scales) {
    float d = wn_half(from);
    for (size_t run = 0; run < 8; run++) {
        fill(scales + 2 * run, 2, d * (float)(1 + 2 * (from[106 + run / 2] >> (run % 2 * 4) & 15)));
        for (size_t i = 0; i < 4; i++) {
            const uint8_t *place = from + 2 + 8 * run + 2 * i;
            size_t tops = from[66 + run] >> (2 * i);
            uint64_t places = spread3(
                wn_grid_iq3_s[place[0] | (tops & 1) << 8], wn_grid_iq3_s[place[1] | (tops >> 1 & 1) << 8]);
            store8(codes + 32 * run + 8 * i, with_signs((places << 1) + WN_EACH_BYTE, from[74 + 4 * run + i]));
        }
    }
}

// Eight times (a value of -1, 0 or 1, and an eighth up or down): scales are divided by eight.
WN_BLOCK_INLINE void store_iq1(int8_t *codes, size_t place, bool down) {
    uint64_t places = spread2(wn_grid_iq1[place]) << 3;
    // 8 v - 8 + 1 or - 1, byte by byte: 128 is added and taken off again so that no byte borrows.
    uint64_t raised = places + (128 - 8) * WN_EACH_BYTE;
    raised = down ? raised - WN_EACH_BYTE : raised + WN_EACH_BYTE;
    store8(codes, raised ^ 0x8080808080808080u);
}

WN_BLOCK_INLINE void unpack_iq1_s(const uint8_t *from, int8_t *codes, float *scales) {
    float d = wn_half(from);
    for (size_t run = 0; run < 8; run++) {
        unsigned tops = short_at(from + 34 + 2 * run);
        fill(scales + 2 * run, 2, d * (float)(2 * (tops >> 12 & 7) + 1) * 0.125f);
        for (size_t i = 0; i < 4; i++) {
            size_t place = from[2 + 4 * run + i] | (size_t)(tops >> 3 * i & 7) << 8;
            store_iq1(codes + 32 * run + 8 * i, place, tops >> 15);
        }
    }
}

WN_BLOCK_INLINE void unpack_iq1_m(const uint8_t *from, int8_t *codes, float *scales) {
    // The block's scale stands in the top four bits of four words, lowest first.
    const uint8_t *packed = from + 48;
    uint16_t half = 0;
    for (size_t i = 0; i < 4; i++) half |= (uint16_t)(short_at(packed + 2 * i) >> 12 << 4 * i);
    float d = wn_half(&half);
    for (size_t i = 0; i < 16; i++) {
        scales[i] = d * (float)(2 * (short_at(packed + i / 4 * 2) >> (i % 4 * 3) & 7) + 1) * 0.125f;
    }
    for (size_t i = 0; i < 32; i++) {
        unsigned tops = from[32 + i / 2] >> (i % 2 * 4);
        store_iq1(codes + 8 * i, from[i] | (size_t)(tops & 7) << 8, tops & 8);
    }
}

// Four scales of eight bits (e4m3 without a sign), then sixteen codes of e2m1 under each.
WN_BLOCK_INLINE void unpack_nvfp4(const uint8_t *from, int8_t *codes, float *scales) {
    for (size_t i = 0; i < 4; i++) {
        unsigned byte = from[i], exponent = byte >> 3 & 15, mantissa = byte & 7;
        // Halved, the codes being doubled; the byte of NaN counts as zero.
        float scale = (float)(exponent ? 8 + mantissa : mantissa) * (1.0f / 2048) * (float)(1u << (exponent ? exponent : 1));
        scales[i] = byte == 0 || byte == 0x7F ? 0 : scale;
    }
    for (size_t i = 0; i < 64; i += 32) {
        const uint8_t *packed = from + 4 + i / 2;
        wn_bytes32 nibbles = nibbles_at(packed);
        // Low nibbles of the first eight bytes, their high ones, then those of the last eight.
        nibbles = __builtin_shufflevector(
            nibbles, nibbles, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 8, 9, 10, 11, 12, 13, 14, 15, 24,
            25, 26, 27, 28, 29, 30, 31);
        store32(codes + i, WN_LOOK_UP(wn_e2m1_values, nibbles));
    }
}

WN_BLOCK_INLINE wn_block_layout block_layout(int32_t format) {
    switch (format) {
    case WN_Q5_0: return (wn_block_layout){32, 22, false, false};
    case WN_Q5_1: return (wn_block_layout){32, 24, true, false};
    case WN_IQ4_NL: return (wn_block_layout){32, 18, false, false};
    case WN_MXFP4: return (wn_block_layout){32, 17, false, false};
    case WN_NVFP4: return (wn_block_layout){64, 36, false, true};
    case WN_Q2_K: return (wn_block_layout){256, 84, true, true};
    case WN_Q3_K: return (wn_block_layout){256, 110, false, true};
    case WN_Q4_K: return (wn_block_layout){256, 144, true, false};
    case WN_Q5_K: return (wn_block_layout){256, 176, true, false};
    case WN_Q6_K: return (wn_block_layout){256, 210, false, true};
    case WN_IQ4_XS: return (wn_block_layout){256, 136, false, false};
    case WN_TQ1_0: return (wn_block_layout){256, 54, false, false};
    case WN_TQ2_0: return (wn_block_layout){256, 66, false, false};
    case WN_IQ1_S: return (wn_block_layout){256, 50, false, false};
    case WN_IQ1_M: return (wn_block_layout){256, 56, false, true};
    case WN_IQ2_XXS: return (wn_block_layout){256, 66, false, false};
    case WN_IQ2_XS: return (wn_block_layout){256, 74, false, true};
    case WN_IQ2_S: return (wn_block_layout){256, 82, false, true};
    case WN_IQ3_XXS: return (wn_block_layout){256, 98, false, false};
    case WN_IQ3_S: return (wn_block_layout){256, 110, false, false};
    default: return (wn_block_layout){0, 0, false, false};
    }
}

// A block's codes, and a scale and an offset (formats without leave them alone) for each sixteen of its columns.
// With a constant format only its own case is left.
WN_BLOCK_INLINE void unpack_block(
    const int32_t format, const uint8_t *from, int8_t *codes, float *scales, float *offsets) {
    switch (format) {
    case WN_Q5_0: unpack_q5_0(from, codes, scales); break;
    case WN_Q5_1: unpack_q5_1(from, codes, scales, offsets); break;
    case WN_IQ4_NL: unpack_iq4_nl(from, codes, scales); break;
    case WN_MXFP4: unpack_mxfp4(from, codes, scales); break;
    case WN_Q2_K: unpack_q2_k(from, codes, scales, offsets); break;
    case WN_Q3_K: unpack_q3_k(from, codes, scales); break;
    case WN_Q4_K: unpack_q4_k(from, codes, scales, offsets); break;
    case WN_Q5_K: unpack_q5_k(from, codes, scales, offsets); break;
    case WN_Q6_K: unpack_q6_k(from, codes, scales); break;
    case WN_IQ4_XS: unpack_iq4_xs(from, codes, scales); break;
    case WN_TQ1_0: unpack_tq1_0(from, codes, scales); break;
    case WN_IQ1_S: unpack_iq1_s(from, codes, scales); break;
    case WN_IQ1_M: unpack_iq1_m(from, codes, scales); break;
    case WN_IQ2_XXS: unpack_iq2_xxs(from, codes, scales); break;
    case WN_IQ2_XS: unpack_iq2_xs(from, codes, scales); break;
    case WN_IQ2_S: unpack_iq2_s(from, codes, scales); break;
    case WN_IQ3_XXS: unpack_iq3_xxs(from, codes, scales); break;
    case WN_IQ3_S: unpack_iq3_s(from, codes, scales); break;
    case WN_NVFP4: unpack_nvfp4(from, codes, scales); break;
    default: unpack_tq2_0(from, codes, scales);
    }
}

// A row multiplied out, for one format.
WN_BLOCK_INLINE void multiply_row(const int32_t format, const wn_matrix *m, size_t row, float *out) {
// A product and a sum are two roundings, whatever the instruction set could do.
#pragma clang fp contract(off)
    const wn_block_layout layout = block_layout(format);
    const uint8_t *from = m->values + row * m->row_bytes;
    int8_t codes[WN_BLOCK_COLUMNS];
    float scales[WN_SUB_BLOCKS], offsets[WN_SUB_BLOCKS] = {0};
    for (size_t start = 0; start < m->columns; start += layout.width, from += layout.bytes) {
        unpack_block(format, from, codes, scales, offsets);
        for (size_t run = 0; run < layout.width; run += WN_SUB_BLOCK) {
            const float scale = scales[run / WN_SUB_BLOCK], offset = offsets[run / WN_SUB_BLOCK];
            for (size_t c = run; c < run + WN_SUB_BLOCK; c++) {
                float value = scale * (float)codes[c];
                out[start + c] = layout.has_offsets ? value + offset : value;
            }
        }
    }
}

// The larger block formats: those that decode with the small blocks of 32, and the others.
#define WN_SMALL_BLOCKS(DO) DO(WN_Q5_0) DO(WN_Q5_1) DO(WN_IQ4_NL)
#define WN_LARGE_BLOCKS(DO) \
    DO(WN_Q2_K) DO(WN_Q3_K) DO(WN_Q4_K) DO(WN_Q5_K) DO(WN_Q6_K) DO(WN_IQ4_XS) DO(WN_MXFP4) DO(WN_TQ1_0) DO(WN_TQ2_0) \
    DO(WN_IQ1_S) DO(WN_IQ1_M) DO(WN_IQ2_XXS) DO(WN_IQ2_XS) DO(WN_IQ2_S) DO(WN_IQ3_XXS) DO(WN_IQ3_S) DO(WN_NVFP4)

// Rounded as the `gguf` package rounds, bit for bit.
static void row_f32_blocks(const wn_matrix *m, size_t row, float *out) {
#define WN_MULTIPLY(FORMAT) case FORMAT: multiply_row(FORMAT, m, row, out); return;
    switch (m->format) {
    WN_SMALL_BLOCKS(WN_MULTIPLY)
    WN_LARGE_BLOCKS(WN_MULTIPLY)
    default: return;
    }
#undef WN_MULTIPLY
}
