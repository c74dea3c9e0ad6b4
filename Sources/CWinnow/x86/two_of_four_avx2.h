// One-token products of rows that keep two of each four columns, for inputs in blocks of 32. Nothing is expanded and
// nothing is counted: the inputs of the kept columns are gathered to where the values stand, by shuffles that the mask
// itself spells. Sums are those of a tile, which adds the same products of each four columns first. (With 16-bit inputs
// two gathers cost what expanding does: masked int8 has no use for this.)
#ifndef WN_TWO_OF_FOUR_AVX2_H
#define WN_TWO_OF_FOUR_AVX2_H
#include "decode_avx2.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

// Where, in its four, the kept column of slot 0 or 1 is. A four's mask is 3, 5, 6, 9, 10 or 12; with bit 3 turned over,
// which says slot 1, it is 11, 13, 14, 1, 2 or 4: one table has room for both.
// Returns the values of the 64 bytes at `x` in kept columns, 32 of them in order.
WN_INLINE __m256i gather_bytes(const uint8_t *mask, const int8_t *x) {
    const __m256i spread = _mm256_setr_epi8(
        0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7);
    // Of a lane's eight fours, the first four are in the first sixteen inputs: places for the others are negative.
    const __m256i lower = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 0, 4, 4, 8, 8, 12, 12, -128, -128, -128, -128, -128, -128, -128, -128));
    const __m256i upper = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        -128, -128, -128, -128, -128, -128, -128, -128, 0, 0, 4, 4, 8, 8, 12, 12));
    const __m256i kept_places =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 3, 3, 0, 3, 0, 1, 0, 0, 0, 1, 1, 2, 2, 2, 0));
    uint64_t bits;
    memcpy(&bits, mask, sizeof bits);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi64x((long long)bits), spread);
    __m256i fours = _mm256_and_si256(
        _mm256_blend_epi16(bytes, _mm256_srli_epi16(bytes, 4), 0xAA), _mm256_set1_epi8(15));
    __m256i places = _mm256_shuffle_epi8(kept_places, _mm256_xor_si256(fours, _mm256_set1_epi16(0x0800)));
    __m256i first = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)x)), _mm_loadu_si128((const __m128i *)(x + 32)), 1);
    __m256i second = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(x + 16))),
        _mm_loadu_si128((const __m128i *)(x + 48)), 1);
    return _mm256_or_si256(
        _mm256_shuffle_epi8(first, _mm256_add_epi8(places, lower)),
        _mm256_shuffle_epi8(second, _mm256_add_epi8(places, upper)));
}

// pair_sum of sums of fours that are 16 bit wide.
WN_INLINE __m256 fours_sum(__m256i fours, const float *scales) {
    __m256 first = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(fours)));
    __m256 second = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(fours, 1)));
    return _mm256_fmadd_ps(
        second, _mm256_broadcast_ss(scales + 1), _mm256_mul_ps(first, _mm256_broadcast_ss(scales)));
}

WN_INLINE void decode_two_of_four_block8(
    const int format, const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    const bool affine = format == WN_MASKED_Q4_1, four_bit = format != WN_MASKED_Q8_0;
    const size_t row_blocks = m->columns / 32, width = affine ? 4 : 2;
    float both[WN_SEGMENT / 32 + 8], shift[WN_SEGMENT / 32 + 8];
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *heads = (const uint8_t *)m->scales + (row + r) * row_blocks * width;
        const uint8_t *mask = m->mask + (row + r) * m->mask_stride, *values = m->values + m->row_offsets[row + r];
        __m256 acc = _mm256_setzero_ps();
        for (size_t segment = 0; segment < m->columns; segment += WN_SEGMENT) {
            size_t columns = m->columns - segment < WN_SEGMENT ? m->columns - segment : WN_SEGMENT;
            size_t first = segment / 32;
            segment_scales(format, heads + first * width, columns / 32, in->scales + first, both, shift);
            for (size_t c = 0; c < columns; c += 64, mask += 8, values += four_bit ? 16 : 32) {
                __m256i x = gather_bytes(mask, in->q + segment + c), w;
                if (four_bit) {
                    w = nibbles32(_mm_loadu_si128((const __m128i *)values));
                    if (!affine) w = _mm256_sub_epi8(w, _mm256_set1_epi8(8));
                } else {
                    w = _mm256_loadu_si256((const __m256i *)values);
                }
                __m256i fours = affine ? _mm256_maddubs_epi16(w, x)
                                       : _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
                acc = _mm256_add_ps(acc, fours_sum(fours, both + c / 32));
                if (!affine) continue;
                // The sum of kept inputs; offsets are prepared for flags of 16.
                fours = _mm256_maddubs_epi16(_mm256_set1_epi8(16), x);
                acc = _mm256_add_ps(acc, fours_sum(fours, shift + c / 32));
            }
        }
        out[r] = reduce8(acc);
    }
}

static bool decode_two_of_four(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    switch (m->format) {
    case WN_MASKED_Q4_0: decode_two_of_four_block8(WN_MASKED_Q4_0, m, row, rows, in, out); return true;
    case WN_MASKED_Q4_1: decode_two_of_four_block8(WN_MASKED_Q4_1, m, row, rows, in, out); return true;
    case WN_MASKED_Q8_0: decode_two_of_four_block8(WN_MASKED_Q8_0, m, row, rows, in, out); return true;
    default: return false;
    }
}
#pragma clang attribute pop
#endif
