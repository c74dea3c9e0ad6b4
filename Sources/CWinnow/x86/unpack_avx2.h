// Rows of packed formats as bytes for tiles, or as float32, with AVX2.
#ifndef WN_UNPACK_AVX2_H
#define WN_UNPACK_AVX2_H
#include "../scalar/codes.h"
#include "expand_avx2.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

// A table of sixteen bytes is one shuffle.
WN_INLINE __m256i look_up16(const int8_t *table, __m256i places) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), places);
}
#define WN_LOOK_UP(table, places) (wn_bytes32)look_up16(table, (__m256i)(places))
#include "../scalar/blocks_body.h"

WN_INLINE float reduce8(__m256 v) {
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

WN_INLINE int32_t reduce8i(__m256i v) {
    __m128i a = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    a = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(a, _mm_shuffle_epi32(a, 0xB1)));
}

WN_INLINE float max8(__m256 v) {
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

// Lanes below `count`.
WN_INLINE __m256i first_lanes(size_t count) {
    return _mm256_cmpgt_epi32(
        _mm256_set1_epi32(count > 8 ? 8 : (int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

WN_INLINE __m256 load_part(const float *from, size_t count) {
    return count >= 8 ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, first_lanes(count));
}

WN_INLINE float half_at(const void *bytes) {
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return _cvtsh_ss(half);
}

// ---- Unpacking -------------------------------------------------------------------------------------------
// Codes of columns begin..<begin + count of a row (begin a multiple of WN_SEGMENT, count at most that): whole runs
// of 32 or 64 are written. Kept codes of MASKED_Q4_1 carry the flag 16. `walk` goes along a masked row.
WN_INLINE void unpack_segment(
    const wn_matrix *m, size_t row, size_t begin, size_t count, masked_walk *walk, uint8_t *codes) {
    const uint8_t *values = m->values + row * m->row_bytes;
    switch (m->format) {
    case WN_Q4_0: case WN_Q4_1: {
        size_t head = m->format == WN_Q4_0 ? 2 : 4, step = head + 16;
        const __m128i low = _mm_set1_epi8(15);
        const uint8_t *block = values + begin / 32 * step + head;
        for (size_t c = 0; c < count; c += 32, block += step) {
            __m128i packed = _mm_loadu_si128((const __m128i *)block);
            _mm_storeu_si128((__m128i *)(codes + c), _mm_and_si128(packed, low));
            _mm_storeu_si128((__m128i *)(codes + c + 16), _mm_and_si128(_mm_srli_epi16(packed, 4), low));
        }
        break;
    }
    case WN_Q8_0:
        for (size_t c = 0; c < count; c += 32) {
            const uint8_t *block = values + (begin + c) / 32 * 34 + 2;
            _mm256_storeu_si256((__m256i *)(codes + c), _mm256_loadu_si256((const __m256i *)block));
        }
        break;
    case WN_INT8: memcpy(codes, values + begin, count); break;
    case WN_INT4: {
        const uint8_t *from = values + begin / 2;
        unpack_nibbles(from, (count + 1) / 2, (size_t)(m->values_end - from), 8, 0, codes);
        break;
    }
    case WN_MASKED_Q8_0: case WN_MASKED_INT8: expand_segment(walk, m, count, false, 0, 0, codes); break;
    case WN_BLOCK4_INT8: expand_block4_segment(walk, m, count, codes); break;
    case WN_MASKED_Q4_0: case WN_MASKED_INT4: expand_segment(walk, m, count, true, 8, 0, codes); break;
    case WN_MASKED_Q4_1: expand_segment(walk, m, count, true, 0, 16, codes); break;
    default: break;
    }
}

// `stride` codes of a row, zeros past the columns; flags of kept columns apart where `kept` is not NULL.
static void unpack_row(const wn_matrix *m, size_t row, uint8_t *codes, uint8_t *kept, size_t stride) {
    masked_walk walk;
    if (m->mask) walk_row(&walk, m, row);
    for (size_t c = 0; c < m->columns; c += WN_SEGMENT) {
        size_t count = m->columns - c < WN_SEGMENT ? m->columns - c : WN_SEGMENT;
        unpack_segment(m, row, c, count, &walk, codes + c);
    }
    if (m->columns < stride) memset(codes + m->columns, 0, stride - m->columns);
    for (size_t c = 0; kept && c < stride; c += 32) {
        __m256i both = _mm256_loadu_si256((const __m256i *)(codes + c));
        __m256i code = _mm256_and_si256(both, _mm256_set1_epi8(15));
        _mm256_storeu_si256((__m256i *)(codes + c), code);
        _mm256_storeu_si256((__m256i *)(kept + c), _mm256_srli_epi16(_mm256_xor_si256(both, code), 4));
    }
}

// The first halves of eight blocks `step` bytes apart, and the second halves after them where `pairs`.
WN_INLINE __m256 heads8(const uint8_t *from, size_t step, const bool pairs, __m256 *second) {
    if (step == (pairs ? 4 : 2)) {
        if (!pairs) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
        const __m256i words = _mm256_set1_epi32(0xFFFF);
        __m256i heads = _mm256_loadu_si256((const __m256i *)from);
        // Packing works within halves of the register: low first halves, low second, high first, high second.
        __m256i packed = _mm256_packus_epi32(_mm256_and_si256(heads, words), _mm256_srli_epi32(heads, 16));
        packed = _mm256_permute4x64_epi64(packed, 0xD8);
        *second = _mm256_cvtph_ps(_mm256_extracti128_si256(packed, 1));
        return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
    }
    if (!pairs) {
        uint16_t heads[8];
        WN_UNROLL for (int i = 0; i < 8; i++) memcpy(&heads[i], from + (size_t)i * step, 2);
        __m128i halves = _mm_setr_epi16(
            (short)heads[0], (short)heads[1], (short)heads[2], (short)heads[3], (short)heads[4], (short)heads[5],
            (short)heads[6], (short)heads[7]);
        return _mm256_cvtph_ps(halves);
    }
    uint32_t heads[8];
    WN_UNROLL for (int i = 0; i < 8; i++) memcpy(&heads[i], from + (size_t)i * step, 4);
    __m128i low = _mm_setr_epi32((int)heads[0], (int)heads[1], (int)heads[2], (int)heads[3]);
    __m128i high = _mm_setr_epi32((int)heads[4], (int)heads[5], (int)heads[6], (int)heads[7]);
    const __m128i words = _mm_set1_epi32(0xFFFF);
    *second = _mm256_cvtph_ps(_mm_packus_epi32(_mm_srli_epi32(low, 16), _mm_srli_epi32(high, 16)));
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm_and_si128(low, words), _mm_and_si128(high, words)));
}

// Scales of the blocks first..<first + blocks of a row, and offsets where codes are unsigned.
static void unpack_scales(
    const wn_matrix *m, size_t row, size_t first, size_t blocks, float *scales, float *offsets) {
    const size_t row_blocks = (m->columns + 31) / 32;
    const uint8_t *from = m->values + row * m->row_bytes;
    size_t width = 2, b = 0;
    switch (m->format) {
    case WN_Q4_0: width = 18; break;
    case WN_Q4_1: width = 20; break;
    case WN_Q8_0: width = 34; break;
    case WN_INT4: case WN_MASKED_INT4: {
        size_t per = m->group / 32, groups = (m->columns + m->group - 1) / m->group;
        from = (const uint8_t *)m->scales + row * groups * width;
        for (; b < blocks; b++) scales[b] = half_at(from + (first + b) / per * width);
        return;
    }
    default:
        width = m->format == WN_MASKED_Q4_1 ? 4 : 2;
        from = (const uint8_t *)m->scales + row * row_blocks * width;
    }
    from += first * width;
    if (m->format == WN_Q4_1 || m->format == WN_MASKED_Q4_1) {
        for (; b + 8 <= blocks; b += 8) {
            __m256 second;
            _mm256_storeu_ps(scales + b, heads8(from + b * width, width, true, &second));
            _mm256_storeu_ps(offsets + b, second);
        }
        for (; b < blocks; b++) {
            scales[b] = half_at(from + b * width);
            offsets[b] = half_at(from + b * width + 2);
        }
        return;
    }
    for (; b + 8 <= blocks; b += 8) {
        _mm256_storeu_ps(scales + b, heads8(from + b * width, width, false, NULL));
    }
    for (; b < blocks; b++) scales[b] = half_at(from + b * width);
    if (m->format == WN_Q4_0) {
        for (b = 0; b < blocks; b++) offsets[b] = -8 * scales[b];
    }
}

// The scales of a block's halves, each in four lanes.
WN_INLINE __m256 both_halves(const float *scales) {
    return _mm256_set_m128(_mm_set1_ps(scales[1]), _mm_set1_ps(scales[0]));
}

// Rows of the larger block formats: codes as they are, with a scale for each block of 32, or one for each half of it.
WN_INLINE void unpack_ggml_rows(const int format, const wn_matrix *m, size_t first, wn_tile *tile) {
    const wn_block_layout layout = block_layout(format);
    const bool halves = layout.has_halves;
    for (size_t r = 0; r < tile->rows; r++) {
        const uint8_t *from = m->values + (first + r) * m->row_bytes;
        uint8_t *codes = tile->codes + r * tile->stride;
        float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
        float *pairs = halves ? tile->half_scales + r * tile->stride / 4 : NULL;
        float *shifts = halves && layout.has_offsets ? tile->half_offsets + r * tile->stride / 4 : NULL;
        for (size_t start = 0; start < m->columns; start += layout.width, from += layout.bytes) {
            float d[WN_SUB_BLOCKS], offset[WN_SUB_BLOCKS];
            unpack_block(format, from, (int8_t *)codes + start, d, offset);
            for (size_t b = 0; b < layout.width / 32; b++) {
                size_t at = start / 32 + b;
                if (halves) {
                    _mm256_storeu_ps(pairs + 8 * at, both_halves(d + 2 * b));
                    if (layout.has_offsets) _mm256_storeu_ps(shifts + 8 * at, both_halves(offset + 2 * b));
                } else {
                    scales[at] = d[2 * b];
                    if (layout.has_offsets) offsets[at] = offset[2 * b];
                }
            }
        }
        memset(codes + m->columns, 0, tile->stride - m->columns);
        for (size_t b = m->columns / 32; b < tile->block_stride; b++) scales[b] = offsets[b] = 0;
        for (size_t c = 8 * (m->columns / 32); halves && c < tile->stride / 4; c++) pairs[c] = 0;
    }
}

static void unpack_ggml_codes(const wn_matrix *m, size_t first, wn_tile *tile) {
    tile->is_signed = !block_layout(m->format).has_offsets;
#define WN_UNPACK(FORMAT) case FORMAT: unpack_ggml_rows(FORMAT, m, first, tile); break;
    switch (m->format) {
    WN_SMALL_BLOCKS(WN_UNPACK)
    WN_LARGE_BLOCKS(WN_UNPACK)
    default: break;
    }
}

static void unpack_codes(const wn_matrix *m, size_t first, size_t rows, wn_tile *tile) {
    if (wn_is_ggml_block(m->format)) {
        unpack_ggml_codes(m, first, tile);
        return;
    }
    // Codes carry their sign, but in formats with an offset a block.
    tile->is_signed = m->format != WN_Q4_0 && m->format != WN_Q4_1 && m->format != WN_MASKED_Q4_1;
    bool by_row = wn_is_by_row(m);
    for (size_t r = 0; r < rows; r++) {
        uint8_t *kept = tile->kept ? tile->kept + r * tile->stride : NULL;
        unpack_row(m, first + r, tile->codes + r * tile->stride, kept, tile->stride);
        if (by_row) {
            tile->row_scales[r] = ((const float *)m->scales)[first + r];
        } else {
            float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
            size_t blocks = (m->columns + 31) / 32;
            unpack_scales(m, first + r, 0, blocks, scales, offsets);
            for (size_t b = blocks; b < tile->block_stride; b++) scales[b] = offsets[b] = 0;
        }
    }
}

// ---- Rows as float32: the scalar twin's arithmetic, operation by operation -----------------------------------
static void row_halves(const wn_matrix *m, size_t row, float *out) {
    const uint8_t *values = m->values + row * m->row_bytes;
    size_t c = 0;
    for (; c + 8 <= m->columns; c += 8) {
        _mm256_storeu_ps(out + c, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(values + 2 * c))));
    }
    for (; c < m->columns; c++) out[c] = half_at(values + 2 * c);
}

static void row_masked_halves(const wn_matrix *m, size_t row, float *out) {
    const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
    for (size_t c = 0; c < m->columns; c += 8) {
        uint8_t kept = mask[c / 8];
        size_t taken = (size_t)__builtin_popcount(kept), left = m->columns - c;
        __m128i halves;
        if (m->values_end - next >= 16) {
            halves = _mm_loadu_si128((const __m128i *)next);
        } else {
            uint8_t part[16] = {0};
            memcpy(part, next, 2 * taken);
            halves = _mm_loadu_si128((const __m128i *)part);
        }
        // Each index becomes a pair of bytes; 0x80 twice is a zero.
        __m128i index = _mm_loadl_epi64((const __m128i *)&wn_expand_high[kept]);
        index = _mm_and_si128(index, _mm_set1_epi8((char)0x87));
        __m128i doubled = _mm_add_epi8(index, index);
        __m128i pairs = _mm_unpacklo_epi8(doubled, _mm_add_epi8(doubled, _mm_set1_epi8(1)));
        pairs = _mm_or_si128(pairs, _mm_and_si128(_mm_unpacklo_epi8(index, index), _mm_set1_epi8((char)0x80)));
        __m256 values = _mm256_cvtph_ps(_mm_shuffle_epi8(halves, pairs));
        if (left >= 8) {
            _mm256_storeu_ps(out + c, values);
        } else {
            _mm256_maskstore_ps(out + c, first_lanes(left), values);
        }
        next += 2 * taken;
    }
}

static void row_f32(const wn_matrix *m, size_t row, float *out) {
    switch (m->format) {
    case WN_F32: case WN_BF16: wn_row_f32_plain(m, row, out); return;
    case WN_F16: row_halves(m, row, out); return;
    case WN_MASKED_F16: row_masked_halves(m, row, out); return;
    default: break;
    }
    uint8_t codes[WN_SEGMENT + 64];
    float scales[WN_SEGMENT / 32], offsets[WN_SEGMENT / 32];
    masked_walk walk;
    if (m->mask) walk_row(&walk, m, row);
    const bool by_row = wn_is_by_row(m), masked = m->format == WN_MASKED_Q4_1;
    const bool affine = masked || m->format == WN_Q4_1;
    const __m256i zero = _mm256_set1_epi32(m->format == WN_Q4_0 ? 8 : 0);
    for (size_t begin = 0; begin < m->columns; begin += WN_SEGMENT) {
        size_t count = m->columns - begin < WN_SEGMENT ? m->columns - begin : WN_SEGMENT;
        unpack_segment(m, row, begin, count, &walk, codes);
        if (!by_row) unpack_scales(m, row, begin / 32, (count + 31) / 32, scales, offsets);
        for (size_t c = 0; c < count; c += 8) {
            __m256 scale = _mm256_set1_ps(by_row ? ((const float *)m->scales)[row] : scales[c / 32]);
            __m256i code = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(codes + c))), flagged = code;
            if (masked) code = _mm256_and_si256(code, _mm256_set1_epi32(15));
            __m256 value = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_sub_epi32(code, zero)));
            if (affine) value = _mm256_add_ps(value, _mm256_set1_ps(offsets[c / 32]));
            if (masked) {
                __m256i kept = _mm256_cmpgt_epi32(flagged, _mm256_set1_epi32(15));
                value = _mm256_and_ps(value, _mm256_castsi256_ps(kept));
            }
            if (count - c >= 8) {
                _mm256_storeu_ps(out + begin + c, value);
            } else {
                _mm256_maskstore_ps(out + begin + c, first_lanes(count - c), value);
            }
        }
    }
}

#pragma clang attribute pop
#endif
