// Rows as float32, with AVX-512.
#ifndef WN_ROWS_AVX512_H
#define WN_ROWS_AVX512_H
#include "unpack_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// ---- Runs of 16 floats, `valid` of them ------------------------------------------------------------------------
WN_INLINE __m512 load_f32(const uint8_t *row, size_t c, __mmask16 valid) {
    return _mm512_maskz_loadu_ps(valid, (const float *)row + c);
}
WN_INLINE __m512 load_f16(const uint8_t *row, size_t c, __mmask16 valid) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(valid, row + 2 * c));
}
WN_INLINE __m512 load_bf16(const uint8_t *row, size_t c, __mmask16 valid) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(valid, row + 2 * c));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

// ---- Rows multiplied out -----------------------------------------------------------------------------------------
WN_INLINE void codes_to_f32(const uint8_t *codes, __m512 d, __m512 m, int zero, bool affine, float *out) {
    for (int half = 0; half < 2; half++) {
        __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(codes + 16 * half)));
        __m512 value = affine ? _mm512_add_ps(_mm512_mul_ps(d, _mm512_cvtepi32_ps(wide)), m)
                              : _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_sub_epi32(wide, _mm512_set1_epi32(zero))));
        _mm512_storeu_ps(out + 16 * half, value);
    }
}

static void row_f32(const wn_matrix *m, size_t row, float *out) {
    const uint8_t *values = m->values + row * m->row_bytes;
    switch (m->format) {
    case WN_F16:
    case WN_BF16:
        for (size_t c = 0; c < m->columns; c += 16) {
            __mmask16 valid = tail16(m->columns - c);
            _mm512_mask_storeu_ps(out + c, valid,
                                  m->format == WN_F16 ? load_f16(values, c, valid) : load_bf16(values, c, valid));
        }
        return;
    case WN_Q4_0:
    case WN_Q4_1: {
        bool affine = m->format == WN_Q4_1;
        size_t head = affine ? 4 : 2;
        for (size_t b = 0; b < m->columns / 32; b++) {
            const uint8_t *block = values + b * (head + 16);
            uint8_t codes[32];
            _mm256_storeu_si256((__m256i *)codes, nibbles32(block + head));
            codes_to_f32(codes, _mm512_set1_ps(wn_half(block)), _mm512_set1_ps(affine ? wn_half(block + 2) : 0), 8,
                         affine, out + 32 * b);
        }
        return;
    }
    case WN_Q8_0:
        for (size_t b = 0; b < m->columns / 32; b++) {
            const uint8_t *block = values + b * 34;
            __m512 d = _mm512_set1_ps(wn_half(block));
            for (int half = 0; half < 2; half++) {
                __m512i wide = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(block + 2 + 16 * half)));
                _mm512_storeu_ps(out + 32 * b + 16 * half, _mm512_mul_ps(d, _mm512_cvtepi32_ps(wide)));
            }
        }
        return;
    case WN_INT8: {
        __m512 d = _mm512_set1_ps(((const float *)m->scales)[row]);
        for (size_t c = 0; c < m->columns; c += 16) {
            __mmask16 valid = tail16(m->columns - c);
            __m512i wide = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(valid, values + c));
            _mm512_mask_storeu_ps(out + c, valid, _mm512_mul_ps(d, _mm512_cvtepi32_ps(wide)));
        }
        return;
    }
    case WN_MASKED_F16: {
        const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
        for (size_t c = 0; c < m->columns; c += 32) {
            uint32_t kept;
            memcpy(&kept, mask + c / 8, sizeof kept);
            __m512i halves = load_bytes(next, m->values_end);
            __asm__("" : "+v"(halves));
            halves = _mm512_maskz_expand_epi16(kept, halves);
            __mmask16 first = tail16(m->columns - c), second = m->columns - c > 16 ? tail16(m->columns - c - 16) : 0;
            _mm512_mask_storeu_ps(out + c, first, _mm512_cvtph_ps(_mm512_castsi512_si256(halves)));
            _mm512_mask_storeu_ps(out + c + 16, second, _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1)));
            next += 2 * __builtin_popcount(kept);
        }
        return;
    }
    case WN_MASKED_Q4_0: case WN_MASKED_Q4_1: case WN_MASKED_Q8_0: case WN_MASKED_INT8: case WN_MASKED_INT4:
    case WN_BLOCK4_INT8: {
        const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
        bool bytes = m->format == WN_MASKED_Q8_0 || wn_is_by_row(m), affine = m->format == WN_MASKED_Q4_1;
        size_t blocks = m->columns / 32;
        for (size_t c = 0; c < m->columns; c += 64) {
            bool blocks_of_four = m->format == WN_BLOCK4_INT8;
            uint64_t kept = blocks_of_four ? wn_block4_columns(mask + c / 32) : mask_word(mask + c / 8);
            size_t count = (size_t)__builtin_popcountll(kept);
            __m512i packed = bytes ? load_bytes(next, m->values_end) : load_nibbles(next, m->values_end);
            __asm__("" : "+v"(packed));
            uint8_t codes[64];
            __m512i zero = _mm512_set1_epi8(affine ? 0 : bytes ? (char)0x80 : 8);
            if (bytes) packed = _mm512_xor_si512(packed, _mm512_set1_epi8((char)0x80));
            _mm512_storeu_si512(codes, _mm512_mask_expand_epi8(zero, kept, packed));
            next += bytes ? count : (count + 1) / 2;
            for (size_t part = 0; part < 64 && c + part < m->columns; part += 32) {
                float scale, offset = 0, values32[32];
                if (wn_is_by_row(m)) {
                    scale = ((const float *)m->scales)[row];
                } else {
                    wn_block_scale(m, row, (c + part) / 32, blocks, &scale, &offset);
                }
                codes_to_f32(codes + part, _mm512_set1_ps(scale), _mm512_set1_ps(offset), bytes ? 128 : 8, affine, values32);
                size_t left = m->columns - c - part;
                for (int half = 0; half < 2; half++) {
                    __mmask16 valid = left > (size_t)(16 * half) ? tail16(left - 16 * half) : 0;
                    __mmask16 on = (__mmask16)(kept >> (part + 16 * half));
                    __m512 value = affine ? _mm512_maskz_loadu_ps(on, values32 + 16 * half) : _mm512_loadu_ps(values32 + 16 * half);
                    _mm512_mask_storeu_ps(out + c + part + 16 * half, valid, value);
                }
            }
        }
        return;
    }
    default: wn_row_f32_plain(m, row, out);
    }
}

#pragma clang attribute pop
#endif
