// Rows of blocks of four columns for many tokens, with AVX-512 VNNI: a kept block takes one product of 16 tokens a
// plane. Codes are read where they stand.
#ifndef WN_BLOCKS_AVX512_H
#define WN_BLOCKS_AVX512_H
#include "pairs_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// Tokens that stand beside each other: two vectors of the high plane and two of the low one, or four where there is
// no low one. A run of blocks of either then fits the first-level cache.
typedef struct block_group {
    size_t first, width;  // width: tokens, whole sixteens
    bool two_planes;
    uint8_t *inputs;      // [blocks, planes, width, 4], each byte with 128 added
} block_group;

WN_INLINE block_group group_of(const wn_input *in, size_t token) {
    bool two_planes = in->shift == 0;
    size_t most = two_planes ? WN_TOKEN_BLOCK / 2 : WN_TOKEN_BLOCK, first = token / most * most;
    size_t left = wn_round_up(in->tokens - first, 16);
    return (block_group){first, left < most ? left : most, two_planes, (uint8_t *)(in->wide + first * in->stride)};
}

static void arrange_blocks(wn_input *in, size_t first) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    block_group group = group_of(in, first);
    size_t count = in->tokens - first < 16 ? in->tokens - first : 16, planes = group.two_planes ? 2 : 1;
    uint8_t *out = group.inputs + 4 * (first - group.first);
    for (size_t plane = 0; plane < planes; plane++, out += 4 * group.width) {
        const int8_t *from = (plane ? in->lo : in->q) + first * in->stride;
        for (size_t c = 0; c < in->stride; c += 64) {
            __m512i v[16];
            for (size_t t = 0; t < 16; t++) {
                v[t] = t < count ? _mm512_loadu_si512(from + t * in->stride + c) : _mm512_setzero_si512();
            }
            transpose16(v);
            for (size_t i = 0; i < 16; i++) {
                uint8_t *block = out + (c / 4 + i) * planes * 4 * group.width;
                _mm512_storeu_si512(block, _mm512_xor_si512(v[i], flip));
            }
        }
    }
}

static const uint8_t wn_first_bytes[64] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

static bool list_blocks(const wn_matrix *m, size_t row, size_t rows, wn_pair_list *list) {
    const __m512i lanes = _mm512_loadu_si512(wn_first_bytes);
    size_t count = 0, blocks = m->columns / 4;
    list->codes = (const int32_t *)(m->values + m->row_offsets[row]);
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *mask = m->mask + (row + r) * m->mask_stride;
        uint32_t *starts = list->starts + r * (list->runs + 1);
        *starts++ = (uint32_t)count;
        size_t place = 0;
        for (size_t b = 0; b < blocks; b += 64) {
            uint64_t kept = mask_word(mask + b / 8);
            __m512i places = _mm512_maskz_compress_epi8(kept, lanes);
            __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(places));
            __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(places, 1));
            const __m512i base = _mm512_set1_epi16((short)place);
            _mm512_storeu_si512(list->places + count, _mm512_add_epi16(low, base));
            _mm512_storeu_si512(list->places + count + 32, _mm512_add_epi16(high, base));
            count += (size_t)__builtin_popcountll(kept);
            place += 64;
            if (place < WN_BLOCK_RUN && b + 64 < blocks) continue;
            *starts++ = (uint32_t)count;
            place = 0;
        }
        // Inputs reach 32512: their sum with these codes stays within 32 bits.
        __m512i reach = _mm512_setzero_si512(), sum = _mm512_setzero_si512();
        const uint8_t *next = m->values + m->row_offsets[row + r], *end = m->values + m->row_offsets[row + r + 1];
        for (; next < end; next += 64) {
            __m512i codes = load_bytes(next, end);
            reach = _mm512_dpbusd_epi32(reach, _mm512_abs_epi8(codes), _mm512_set1_epi8(1));
            sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), codes);
        }
        if (sum_lanes(reach) > INT32_MAX / 32512) return false;
        list->shifts[r] = (int32_t)sum_lanes(sum);
        list->scales[r] = ((const float *)m->scales)[row + r];
    }
    return true;
}

WN_INLINE __m512i broadcast_code(const int32_t *from) {
    int32_t code;
    memcpy(&code, from, sizeof code);
    return _mm512_set1_epi32(code);
}

// Rows of a list by a group of 16 * vectors / planes tokens. Even and odd blocks have sums of their own, for an
// addition waits for the one before; what is odd at the end is multiplied with zero rather than asked for.
WN_INLINE void sum_group(
    const size_t vectors, const bool two_planes, const wn_pair_list *list, const uint8_t *inputs, size_t token) {
    static const int32_t zero = 0;
    const size_t planes = two_planes ? 2 : 1;
    for (size_t run = 0; run < list->runs; run++, inputs += WN_BLOCK_RUN * 64 * vectors) {
        for (size_t r = 0; r < list->rows; r++) {
            const uint32_t *starts = list->starts + r * (list->runs + 1) + run;
            size_t at = starts[0], end = starts[1];
            __m512i a[4], b[4];
            WN_UNROLL for (size_t j = 0; j < vectors; j++) a[j] = b[j] = _mm512_setzero_si512();
            for (; at + 2 <= end; at += 2) {
                const uint8_t *x = inputs + (size_t)list->places[at] * (64 * vectors);
                const uint8_t *z = inputs + (size_t)list->places[at + 1] * (64 * vectors);
                __m512i v = broadcast_code(list->codes + at), w = broadcast_code(list->codes + at + 1);
                WN_UNROLL for (size_t j = 0; j < vectors; j++) {
                    a[j] = _mm512_dpbusd_epi32(a[j], _mm512_loadu_si512(x + 64 * j), v);
                    b[j] = _mm512_dpbusd_epi32(b[j], _mm512_loadu_si512(z + 64 * j), w);
                }
            }
            const uint8_t *x = inputs + (at < end ? (size_t)list->places[at] * (64 * vectors) : 0);
            __m512i v = broadcast_code(at < end ? list->codes + at : &zero);
            WN_UNROLL for (size_t j = 0; j < vectors; j++) {
                a[j] = _mm512_dpbusd_epi32(a[j], _mm512_loadu_si512(x + 64 * j), v);
                a[j] = _mm512_add_epi32(a[j], b[j]);
            }
            int32_t *sums = list->sums + r * WN_TOKEN_BLOCK + token;
            // Each input has 128 added: sums wrap around on the way, and come back.
            __m512i shift = _mm512_set1_epi32((int32_t)((uint32_t)list->shifts[r] * (two_planes ? 0x8080u : 0x8000u)));
            WN_UNROLL for (size_t j = 0; j < vectors / planes; j++) {
                __m512i sum = _mm512_slli_epi32(a[j], 8);
                if (two_planes) sum = _mm512_add_epi32(sum, a[vectors / 2 + j]);
                sum = _mm512_add_epi32(sum, run == 0 ? _mm512_sub_epi32(_mm512_setzero_si512(), shift)
                                                     : _mm512_loadu_si512(sums + 16 * j));
                _mm512_storeu_si512(sums + 16 * j, sum);
            }
        }
    }
}

static void sum_blocks(const wn_pair_list *list, const wn_input *in, size_t first) {
    for (size_t token = first; token < in->tokens && token < first + WN_TOKEN_BLOCK;) {
        block_group group = group_of(in, token);
        size_t at = token - first;
        token += group.width;
        if (group.two_planes) {
            if (group.width == 16) sum_group(2, true, list, group.inputs, at);
            else sum_group(4, true, list, group.inputs, at);
            continue;
        }
        switch (group.width) {
        case 16: sum_group(1, false, list, group.inputs, at); break;
        case 32: sum_group(2, false, list, group.inputs, at); break;
        case 48: sum_group(3, false, list, group.inputs, at); break;
        default: sum_group(4, false, list, group.inputs, at);
        }
    }
}

static const wn_pair_table block_lists = {WN_ARRANGED_BLOCKS, WN_BLOCK_RUN, arrange_blocks, list_blocks, sum_blocks, pair_values};

#pragma clang attribute pop
#endif
