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
    for (int i = 0; i < 32; i++) places[i] = (uint8_t)table[places[i]];
    return places;
}
#define WN_LOOK_UP look_up
#endif

WN_BLOCK_INLINE void store32(int8_t *codes, wn_bytes32 bytes) { memcpy(codes, &bytes, sizeof bytes); }

static void fill(float *values, size_t count, float value) {
    for (size_t i = 0; i < count; i++) values[i] = value;
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
        fill(scales + 2 * i, 2, d * (float)scale);
        fill(offsets + 2 * i, 2, -(least * (float)minimum));
    }
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
    float d = wn_half(from + 208);
    for (size_t i = 0; i < 16; i++) scales[i] = d * (float)packed[i];
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
    fill(scales, 16, wn_half(from + 52));
}

WN_BLOCK_INLINE void unpack_tq2_0(const uint8_t *from, int8_t *codes, float *scales) {
    for (size_t run = 0; run < 8; run++) {
        store32(codes + 32 * run, pairs(bytes32_at(from + run / 4 * 32), run % 4) - 1);
    }
    fill(scales, 16, wn_half(from + 64));
}

WN_BLOCK_INLINE wn_block_layout block_layout(int32_t format) {
    switch (format) {
    case WN_Q5_0: return (wn_block_layout){32, 22, false};
    case WN_Q5_1: return (wn_block_layout){32, 24, true};
    case WN_IQ4_NL: return (wn_block_layout){32, 18, false};
    case WN_MXFP4: return (wn_block_layout){32, 17, false};
    case WN_Q2_K: return (wn_block_layout){256, 84, true};
    case WN_Q3_K: return (wn_block_layout){256, 110, false};
    case WN_Q4_K: return (wn_block_layout){256, 144, true};
    case WN_Q5_K: return (wn_block_layout){256, 176, true};
    case WN_Q6_K: return (wn_block_layout){256, 210, false};
    case WN_IQ4_XS: return (wn_block_layout){256, 136, false};
    case WN_TQ1_0: return (wn_block_layout){256, 54, false};
    case WN_TQ2_0: return (wn_block_layout){256, 66, false};
    default: return (wn_block_layout){0, 0, false};
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
    default: unpack_tq2_0(from, codes, scales);
    }
}
