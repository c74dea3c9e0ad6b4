// The larger block formats of GGUF as unsigned bytes for tiles, with AVX-512, and rows of every format.
#ifndef WN_GGML_AVX512_H
#define WN_GGML_AVX512_H
#include "unpack_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

#define WN_LOOK_UP(TABLE, PLACES)                                                                                  \
    ((wn_bytes32)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(TABLE))),       \
                                     (__m256i)(PLACES)))
#include "../scalar/blocks_body.h"

// As `unpack_block`, codes unsigned: 128 is added to those that carry a sign.
WN_INLINE void unpack_unsigned(const int format, const uint8_t *from, uint8_t *codes, float *scales, float *offsets) {
    const wn_block_layout layout = block_layout(format);
    unpack_block(format, from, (int8_t *)codes, scales, offsets);
    if (layout.has_offsets) return;
    WN_UNROLL for (size_t c = 0; c < layout.width; c += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(codes + c));
        _mm256_storeu_si256((__m256i *)(codes + c), _mm256_xor_si256(bytes, _mm256_set1_epi8((char)0x80)));
    }
}

WN_INLINE void unpack_ggml_row(const int format, const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    const wn_block_layout layout = block_layout(format);
    const uint8_t *from = m->values + row * m->row_bytes;
    uint8_t *codes = tile->codes + r * tile->stride;
    float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
    float *halves = layout.has_halves ? tile->half_scales + r * tile->stride / 16 : NULL;
    float *shifts = layout.has_halves && layout.has_offsets ? tile->half_offsets + r * tile->stride / 16 : NULL;
    for (size_t start = 0; start < m->columns; start += layout.width, from += layout.bytes) {
        float d[WN_SUB_BLOCKS], offset[WN_SUB_BLOCKS];
        unpack_unsigned(format, from, codes + start, d, offset);
        for (size_t b = 0; b < layout.width / 32; b++) {
            size_t at = start / 32 + b;
            if (layout.has_halves) {
                memcpy(halves + 2 * at, d + 2 * b, 2 * sizeof(float));
                if (layout.has_offsets) memcpy(shifts + 2 * at, offset + 2 * b, 2 * sizeof(float));
            } else {
                scales[at] = d[2 * b];
                offsets[at] = layout.has_offsets ? offset[2 * b] : 0;
            }
        }
    }
    pad_codes(codes, m->columns, tile->stride);
    for (size_t b = m->columns / 32; b < tile->block_stride; b++) scales[b] = offsets[b] = 0;
    for (size_t i = m->columns / 16; layout.has_halves && i < tile->stride / 16; i++) halves[i] = 0;
}

static void unpack_ggml_codes(const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    tile->is_signed = !block_layout(m->format).has_offsets;
    tile->sign_shift = 0;
#define WN_UNPACK(FORMAT) case FORMAT: unpack_ggml_row(FORMAT, m, row, tile, r); break;
    switch (m->format) {
    WN_SMALL_BLOCKS(WN_UNPACK)
    WN_LARGE_BLOCKS(WN_UNPACK)
    default: break;
    }
#undef WN_UNPACK
}

static void unpack_codes(const wn_matrix *m, size_t first, size_t rows, wn_tile *tile) {
    const bool eights = m->format == WN_Q4_0 || m->format == WN_MASKED_Q4_0;
    tile->is_signed = eights || m->format == WN_Q8_0 || m->format == WN_MASKED_Q8_0;
    tile->sign_shift = eights ? 4 : 0;
    for (size_t r = 0; r < rows; r++) {
        size_t row = first + r;
        switch (m->format) {
        case WN_Q4_0: unpack_q4(WN_Q4_0, m, row, tile, r); break;
        case WN_Q4_1: unpack_q4(WN_Q4_1, m, row, tile, r); break;
        case WN_Q8_0: unpack_q8_0(m, row, tile, r); break;
        case WN_INT8: unpack_int8(m, row, tile, r); break;
        case WN_INT4: unpack_int4(m, row, tile, r); break;
        case WN_MASKED_Q4_0:
            unpack_masked_nibbles(m, row, 8, tile, r);
            masked_block_scales(m, row, false, tile, r);
            break;
        case WN_MASKED_Q4_1:
            unpack_masked_nibbles(m, row, 0, tile, r);
            masked_block_scales(m, row, true, tile, r);
            break;
        case WN_MASKED_Q8_0:
            unpack_masked_bytes(m, row, tile, r);
            masked_block_scales(m, row, false, tile, r);
            break;
        case WN_MASKED_INT8:
            unpack_masked_bytes(m, row, tile, r);
            tile->row_scales[r] = ((const float *)m->scales)[row];
            break;
        case WN_BLOCK4_INT8:
            unpack_block4(m, row, tile, r);
            tile->row_scales[r] = ((const float *)m->scales)[row];
            break;
        case WN_MASKED_INT4:
            unpack_masked_nibbles(m, row, 8, tile, r);
            group_scales(m, row, -8, tile, r);
            break;
        default: unpack_ggml_codes(m, row, tile, r);
        }
    }
}

#pragma clang attribute pop
#endif
