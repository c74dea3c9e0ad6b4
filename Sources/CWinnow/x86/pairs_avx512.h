// Sparse rows for many tokens, with AVX-512 VNNI: a pair of columns that is not zero takes four products of 16 tokens.
#ifndef WN_PAIRS_AVX512_H
#define WN_PAIRS_AVX512_H
#include "unpack_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// Rows of 16 words become columns.
WN_INLINE void transpose16(__m512i v[16]) {
    __m512i a[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xDD);
        a[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xDD);
    }
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0xDD);
    }
}

// Tokens that stand beside each other in the block that begins at `first`.
WN_INLINE size_t pair_width(const wn_input *in, size_t first) {
    size_t left = wn_round_up(in->tokens - first, 16);
    return left < WN_TOKEN_BLOCK ? left : WN_TOKEN_BLOCK;
}

static void arrange_pairs(wn_input *in, size_t first) {
    size_t block = first / WN_TOKEN_BLOCK * WN_TOKEN_BLOCK, width = pair_width(in, block);
    size_t count = in->tokens - first < 16 ? in->tokens - first : 16;
    int32_t *out = (int32_t *)(in->wide + block * in->stride) + (first - block);
    for (size_t c = 0; c < in->stride; c += 32) {
        __m512i v[16];
        for (size_t t = 0; t < 16; t++) {
            v[t] = _mm512_setzero_si512();
            if (t >= count) continue;
            size_t at = (first + t) * in->stride + c;
            __m512i high = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(in->q + at)));
            __m512i low = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(in->lo + at)));
            v[t] = _mm512_add_epi16(_mm512_slli_epi16(high, 8), low);
        }
        transpose16(v);
        for (size_t i = 0; i < 16; i++) _mm512_storeu_si512(out + (c / 2 + i) * width, v[i]);
    }
}

// The pairs of 32 columns that are not zero, behind the `count` there are.
WN_INLINE size_t list_32(wn_pair_list *list, size_t count, __m256i bytes, size_t place, __m512i *reach) {
    const __m256i lanes = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i codes = _mm512_cvtepi8_epi16(bytes);
    __mmask16 some = _mm512_test_epi32_mask(codes, codes);
    __m256i places = _mm256_add_epi16(lanes, _mm256_set1_epi16((short)place));
    _mm512_storeu_si512(list->own + count, _mm512_maskz_compress_epi32(some, codes));
    _mm256_storeu_si256((__m256i *)(list->places + count), _mm256_maskz_compress_epi16(some, places));
    *reach = _mm512_dpwssd_epi32(*reach, _mm512_abs_epi16(codes), _mm512_set1_epi16(1));
    return count + (size_t)__builtin_popcount(some);
}

static bool list_pairs(const wn_matrix *m, size_t row, size_t rows, wn_pair_list *list) {
    size_t count = 0;
    list->codes = list->own;
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *next = m->values + m->row_offsets[row + r], *mask = m->mask + (row + r) * m->mask_stride;
        uint32_t *starts = list->starts + r * (list->runs + 1);
        __m512i reach = _mm512_setzero_si512();
        size_t place = 0;
        *starts++ = (uint32_t)count;
        for (size_t c = 0; c < m->columns; c += 64) {
            uint64_t kept = mask_word(mask + c / 8);
            __m512i bytes = load_bytes(next, m->values_end);
            __asm__("" : "+v"(bytes));
            bytes = _mm512_maskz_expand_epi8(kept, bytes);
            next += __builtin_popcountll(kept);
            count = list_32(list, count, _mm512_castsi512_si256(bytes), place, &reach);
            count = list_32(list, count, _mm512_extracti64x4_epi64(bytes, 1), place + 16, &reach);
            place += 32;
            if (place < WN_PAIR_RUN && c + 64 < m->columns) continue;
            if (count % 2) {
                list->own[count] = 0;
                list->places[count++] = 0;
            }
            *starts++ = (uint32_t)count;
            place = 0;
            if (count > list->capacity) return false;
        }
        // Inputs reach 32512: their sum with these codes stays within 32 bits.
        if (sum_lanes(reach) > INT32_MAX / 32512) return false;
        list->scales[r] = ((const float *)m->scales)[row + r];
    }
    return true;
}

#define WN_SUM_PAIRS(WIDTH)                                                                                        \
    do {                                                                                                           \
        for (size_t r = 0; r < list->rows; r++) {                                                                  \
            __m512i a[WIDTH], b[WIDTH];                                                                            \
            int32_t *sums = list->sums + r * WN_TOKEN_BLOCK;                                                       \
            size_t at = list->starts[r * (list->runs + 1) + run], end = list->starts[r * (list->runs + 1) + run + 1]; \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < WIDTH; j++) {                                   \
                a[j] = run == 0 ? _mm512_setzero_si512() : _mm512_loadu_si512(sums + 16 * j);                      \
                b[j] = _mm512_setzero_si512();                                                                     \
            }                                                                                                      \
            for (; at < end; at += 2) {                                                                            \
                const int32_t *x = base + (size_t)list->places[at] * (16 * WIDTH);                                 \
                const int32_t *z = base + (size_t)list->places[at + 1] * (16 * WIDTH);                             \
                __m512i v = _mm512_set1_epi32(list->codes[at]), w = _mm512_set1_epi32(list->codes[at + 1]);        \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < WIDTH; j++) {                               \
                    a[j] = _mm512_dpwssd_epi32(a[j], _mm512_loadu_si512(x + 16 * j), v);                           \
                    b[j] = _mm512_dpwssd_epi32(b[j], _mm512_loadu_si512(z + 16 * j), w);                           \
                }                                                                                                  \
            }                                                                                                      \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < WIDTH; j++)                                     \
                _mm512_storeu_si512(sums + 16 * j, _mm512_add_epi32(a[j], b[j]));                                  \
        }                                                                                                          \
    } while (0)

static void sum_pairs(const wn_pair_list *list, const wn_input *in, size_t first) {
    size_t width = pair_width(in, first);
    const int32_t *base = (const int32_t *)(in->wide + first * in->stride);
    for (size_t run = 0; run < list->runs; run++, base += WN_PAIR_RUN * width) {
        switch (width) {
        case 16: WN_SUM_PAIRS(1); break;
        case 32: WN_SUM_PAIRS(2); break;
        case 48: WN_SUM_PAIRS(3); break;
        default: WN_SUM_PAIRS(4);
        }
    }
}

static void pair_values(const wn_pair_list *list, size_t row, const wn_input *in, size_t first, float *out) {
    size_t width = pair_width(in, first), rows = list->rows - row < 16 ? list->rows - row : 16;
    for (size_t t = 0; t < width; t += 16) {
        __m512 scales = _mm512_maskz_loadu_ps(tail16(in->tokens - first - t), in->scales + first + t);
        __m512i v[16];
        for (size_t r = 0; r < 16; r++) {
            v[r] = _mm512_setzero_si512();
            if (r >= rows) continue;
            __m512 sums = _mm512_cvtepi32_ps(_mm512_loadu_si512(list->sums + (row + r) * WN_TOKEN_BLOCK + t));
            v[r] = _mm512_castps_si512(_mm512_mul_ps(sums, _mm512_mul_ps(_mm512_set1_ps(list->scales[row + r]), scales)));
        }
        transpose16(v);
        for (size_t i = 0; i < 16; i++) _mm512_storeu_si512(out + (t + i) * WN_TILE_ROWS, v[i]);
    }
}

static const wn_pair_table pair_lists = {WN_ARRANGED_PAIRS, WN_PAIR_RUN, arrange_pairs, list_pairs, sum_pairs, pair_values};

#pragma clang attribute pop
#endif
