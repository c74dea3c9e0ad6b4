#if defined(__x86_64__)
// Products with AVX2, FMA and F16C. Codes are unpacked to bytes: unsigned 4-bit codes with an offset a block for
// Q4_0 and Q4_1, signed bytes that need none for everything else. One primitive for each kind of input makes eight
// partial sums of a block, so that one token and five hundred see the same order.
#include <immintrin.h>
#include <math.h>

#include "../products.h"
#include "../scalar/codes.h"
#include "expand_avx2.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

#define WN_UNROLL _Pragma("clang loop unroll(full)")

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
// of 32 or 64 are written. `next` walks the stream of a masked row.
WN_INLINE void unpack_segment(
    const wn_matrix *m, size_t row, size_t begin, size_t count, const uint8_t **next, uint8_t *codes,
    uint8_t *kept) {
    const uint8_t *values = m->values + row * m->row_bytes;
    const uint8_t *mask = m->mask ? m->mask + row * m->mask_stride + begin / 8 : NULL;
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
        unpack_nibbles(from, (count + 1) / 2, (size_t)(m->values_end - from), 8, codes);
        break;
    }
    case WN_MASKED_Q8_0: case WN_MASKED_INT8: *next = expand_bytes(m, mask, *next, count, codes); break;
    case WN_MASKED_Q4_0: case WN_MASKED_INT4: *next = expand_nibbles(m, mask, *next, count, 8, codes, NULL); break;
    case WN_MASKED_Q4_1: *next = expand_nibbles(m, mask, *next, count, 0, codes, kept); break;
    default: break;
    }
}

WN_INLINE const uint8_t *row_stream(const wn_matrix *m, size_t row) {
    return m->row_offsets ? m->values + m->row_offsets[row] : NULL;
}

// `stride` codes of a row, zeros past the columns.
static void unpack_row(const wn_matrix *m, size_t row, uint8_t *codes, uint8_t *kept, size_t stride) {
    const uint8_t *next = row_stream(m, row);
    for (size_t c = 0; c < m->columns; c += WN_SEGMENT) {
        size_t count = m->columns - c < WN_SEGMENT ? m->columns - c : WN_SEGMENT;
        unpack_segment(m, row, c, count, &next, codes + c, kept ? kept + c : NULL);
    }
    if (m->columns < stride) memset(codes + m->columns, 0, stride - m->columns);
}

// The first halves of eight blocks `step` bytes apart, and the second halves after them where `pairs`.
WN_INLINE __m256 heads8(const uint8_t *from, size_t step, const bool pairs, __m256 *second) {
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

// Scales of a row's blocks, and offsets where codes are unsigned; zeros up to `count`.
static void unpack_scales(const wn_matrix *m, size_t row, float *scales, float *offsets, size_t count) {
    size_t blocks = (m->columns + 31) / 32, per = 1, groups = blocks, width = 2;
    const uint8_t *from = m->values + row * m->row_bytes;
    switch (m->format) {
    case WN_Q4_0: width = 18; break;
    case WN_Q4_1: width = 20; break;
    case WN_Q8_0: width = 34; break;
    case WN_INT4: case WN_MASKED_INT4:
        per = m->group / 32;
        groups = (m->columns + m->group - 1) / m->group;
        from = (const uint8_t *)m->scales + row * groups * width;
        break;
    default:
        width = m->format == WN_MASKED_Q4_1 ? 4 : 2;
        from = (const uint8_t *)m->scales + row * blocks * width;
    }
    size_t b0 = 0;
    if (m->format == WN_Q4_1 || m->format == WN_MASKED_Q4_1) {
        for (; b0 + 8 <= blocks; b0 += 8) {
            __m256 second;
            _mm256_storeu_ps(scales + b0, heads8(from + b0 * width, width, true, &second));
            _mm256_storeu_ps(offsets + b0, second);
        }
        for (size_t b = b0; b < blocks; b++) {
            scales[b] = half_at(from + b * width);
            offsets[b] = half_at(from + b * width + 2);
        }
    } else if (per == 1) {
        for (; b0 + 8 <= blocks; b0 += 8) {
            _mm256_storeu_ps(scales + b0, heads8(from + b0 * width, width, false, NULL));
        }
        for (size_t b = b0; b < blocks; b++) scales[b] = half_at(from + b * width);
    } else {
        for (size_t b = 0; b < blocks; b++) scales[b] = half_at(from + b / per * width);
    }
    if (m->format == WN_Q4_0) {
        for (size_t b = 0; b < blocks; b++) offsets[b] = -8 * scales[b];
    }
    for (size_t b = blocks; b < count; b++) scales[b] = offsets[b] = 0;
}

static void unpack_codes(const wn_matrix *m, size_t first, size_t rows, wn_tile *tile) {
    // Codes carry their sign, but in formats with an offset a block.
    tile->is_signed = m->format != WN_Q4_0 && m->format != WN_Q4_1 && m->format != WN_MASKED_Q4_1;
    bool by_row = m->format == WN_INT8 || m->format == WN_MASKED_INT8;
    for (size_t r = 0; r < rows; r++) {
        uint8_t *kept = tile->kept ? tile->kept + r * tile->stride : NULL;
        unpack_row(m, first + r, tile->codes + r * tile->stride, kept, tile->stride);
        if (by_row) {
            tile->row_scales[r] = ((const float *)m->scales)[first + r];
        } else {
            float *scales = tile->scales + r * tile->block_stride;
            unpack_scales(m, first + r, scales, tile->offsets + r * tile->block_stride, tile->block_stride);
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
    const uint8_t *next = row_stream(m, row), *mask = m->mask + row * m->mask_stride;
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
        __m128i index = _mm_loadl_epi64((const __m128i *)&wn_expand_shuffles[kept]);
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
    uint8_t codes[WN_SEGMENT + 64], kept[WN_SEGMENT + 64];
    const uint8_t *next = row_stream(m, row);
    bool by_row = m->format == WN_INT8 || m->format == WN_MASKED_INT8, masked = m->format == WN_MASKED_Q4_1;
    const __m256i zero = _mm256_set1_epi32(m->format == WN_Q4_0 ? 8 : 0);
    for (size_t begin = 0; begin < m->columns; begin += WN_SEGMENT) {
        size_t count = m->columns - begin < WN_SEGMENT ? m->columns - begin : WN_SEGMENT;
        unpack_segment(m, row, begin, count, &next, codes, kept);
        for (size_t c = 0; c < count; c += 8) {
            float scale, offset = 0;
            if (by_row) {
                scale = ((const float *)m->scales)[row];
            } else {
                wn_block_scale(m, row, (begin + c) / 32, m->columns / 32, &scale, &offset);
            }
            __m256i code = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(codes + c)));
            __m256 value = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(_mm256_sub_epi32(code, zero)));
            if (m->format == WN_Q4_1 || masked) value = _mm256_add_ps(value, _mm256_set1_ps(offset));
            if (masked) {
                __m256i flags = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(kept + c)));
                value = _mm256_and_ps(value, _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_setzero_si256(), flags)));
            }
            if (count - c >= 8) {
                _mm256_storeu_ps(out + begin + c, value);
            } else {
                _mm256_maskstore_ps(out + begin + c, first_lanes(count - c), value);
            }
        }
    }
}

// ---- Tiles: ROWS x TOKENS at once ----------------------------------------------------------------------------
// Calls `body(rows, tokens, r, t)` with constants, so that accumulators are registers.
#define WN_TILES(rows, tokens, big_rows, big_tokens, body)                                      \
    do {                                                                                        \
        size_t r = 0;                                                                           \
        for (; r + big_rows <= (rows); r += big_rows) {                                         \
            size_t t = 0;                                                                       \
            for (; t + big_tokens <= (tokens); t += big_tokens) body(big_rows, big_tokens, r, t); \
            for (; t < (tokens); t++) body(big_rows, 1, r, t);                                  \
        }                                                                                       \
        for (; r < (rows); r++) {                                                               \
            size_t t = 0;                                                                       \
            for (; t + big_tokens <= (tokens); t += big_tokens) body(1, big_tokens, r, t);      \
            for (; t < (tokens); t++) body(1, 1, r, t);                                         \
        }                                                                                       \
    } while (0)

// Eight sums of four products each, exact: |code| <= 128 and |x| <= 127 keep pairs within 16 bits.
WN_INLINE __m256i dot_block(__m256i codes, __m256i x, bool is_signed) {
    __m256i pairs = is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes))
                              : _mm256_maddubs_epi16(codes, x);
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

WN_INLINE void block8_tile(
    const int rows, const int tokens, const bool is_signed, const bool has_kept, const wn_tile *tile,
    const wn_input *in, size_t r, size_t token, float *out) {
    size_t blocks = tile->stride / 32;
    const uint8_t *codes = tile->codes + r * tile->stride, *kept = tile->kept + (has_kept ? r * tile->stride : 0);
    const float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
    const int8_t *x = in->q + token * in->stride;
    const float *dx = in->scales + token * tile->block_stride, *sums = in->sums + token * tile->block_stride;
    __m256 acc[4][4];
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_ps();
    for (size_t run = 0; run < blocks; run += 8) {
        float both[4][4][8] __attribute__((aligned(32))), shift[4][4][8] __attribute__((aligned(32)));
        WN_UNROLL for (int i = 0; i < rows; i++) {
            __m256 d = _mm256_loadu_ps(scales + (size_t)i * tile->block_stride + run);
            __m256 m = is_signed ? d : _mm256_loadu_ps(offsets + (size_t)i * tile->block_stride + run);
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                __m256 s = _mm256_loadu_ps(dx + (size_t)j * tile->block_stride + run);
                _mm256_store_ps(both[i][j], _mm256_mul_ps(d, s));
                if (has_kept) {
                    _mm256_store_ps(shift[i][j], _mm256_mul_ps(m, s));
                } else if (!is_signed) {
                    __m256 sum = _mm256_loadu_ps(sums + (size_t)j * tile->block_stride + run);
                    acc[i][j] = _mm256_fmadd_ps(m, sum, acc[i][j]);
                }
            }
        }
        size_t count = blocks - run < 8 ? blocks - run : 8;
        for (size_t b = 0; b < count; b++) {
            size_t c = 32 * (run + b);
            WN_UNROLL for (int i = 0; i < rows; i++) {
                __m256i w = _mm256_loadu_si256((const __m256i *)(codes + (size_t)i * tile->stride + c));
                WN_UNROLL for (int j = 0; j < tokens; j++) {
                    __m256i q = _mm256_loadu_si256((const __m256i *)(x + (size_t)j * in->stride + c));
                    __m256 dot = _mm256_cvtepi32_ps(dot_block(w, q, is_signed));
                    acc[i][j] = _mm256_fmadd_ps(dot, _mm256_broadcast_ss(&both[i][j][b]), acc[i][j]);
                    if (has_kept) {
                        __m256i k = _mm256_loadu_si256((const __m256i *)(kept + (size_t)i * tile->stride + c));
                        __m256 own = _mm256_cvtepi32_ps(dot_block(k, q, false));
                        acc[i][j] = _mm256_fmadd_ps(own, _mm256_broadcast_ss(&shift[i][j][b]), acc[i][j]);
                    }
                }
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) out[j * WN_TILE_ROWS + (int)r + i] = reduce8(acc[i][j]);
}

static void dot_block8(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
#define WN_SIGNED(ROWS, TOKENS, r, t) \
    block8_tile(ROWS, TOKENS, true, false, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
#define WN_UNSIGNED(ROWS, TOKENS, r, t) \
    block8_tile(ROWS, TOKENS, false, false, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
#define WN_KEPT(ROWS, TOKENS, r, t) \
    block8_tile(ROWS, TOKENS, false, true, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
    if (tile->kept) {
        WN_TILES(tile->rows, tokens, 4, 2, WN_KEPT);
    } else if (tile->is_signed) {
        WN_TILES(tile->rows, tokens, 4, 2, WN_SIGNED);
    } else {
        WN_TILES(tile->rows, tokens, 4, 2, WN_UNSIGNED);
    }
}

// ---- One token, straight from the blocks of a file: the arithmetic of block8_tile ------------------------------
WN_INLINE __m256i block_codes(const uint8_t *block, const int format) {
    if (format == WN_Q8_0) return _mm256_loadu_si256((const __m256i *)block);
    __m128i packed = _mm_loadu_si128((const __m128i *)block), low = _mm_set1_epi8(15);
    return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(packed, 4), low), _mm_and_si128(packed, low));
}

WN_INLINE void decode_blocks(
    const int rows, const int format, const wn_matrix *m, size_t row, const wn_input *in, float *out) {
    const bool is_signed = format == WN_Q8_0, affine = format == WN_Q4_1;
    const size_t head = affine ? 4 : 2, step = head + (is_signed ? 32 : 16);
    const uint8_t *base = m->values + row * m->row_bytes;
    size_t blocks = m->columns / 32;
    __m256 acc[4];
    WN_UNROLL for (int i = 0; i < rows; i++) acc[i] = _mm256_setzero_ps();
    for (size_t run = 0; run < blocks; run += 8) {
        float both[4][8] __attribute__((aligned(32)));
        size_t count = blocks - run < 8 ? blocks - run : 8;
        __m256 dx = _mm256_loadu_ps(in->scales + run), sums = _mm256_loadu_ps(in->sums + run);
        WN_UNROLL for (int i = 0; i < rows; i++) {
            const uint8_t *from = base + (size_t)i * m->row_bytes + run * step;
            __m256 d, offset;
            if (__builtin_expect(count == 8, 1)) {
                d = heads8(from, step, affine, &offset);
            } else {
                float first[8] = {0}, second[8] = {0};
                for (size_t b = 0; b < count; b++) {
                    first[b] = half_at(from + b * step);
                    if (affine) second[b] = half_at(from + b * step + 2);
                }
                d = _mm256_loadu_ps(first);
                offset = _mm256_loadu_ps(second);
            }
            if (format == WN_Q4_0) offset = _mm256_mul_ps(d, _mm256_set1_ps(-8));
            _mm256_store_ps(both[i], _mm256_mul_ps(d, dx));
            if (!is_signed) acc[i] = _mm256_fmadd_ps(offset, sums, acc[i]);
            _mm_prefetch((const char *)from + 8 * step * 8, _MM_HINT_T0);
            _mm_prefetch((const char *)from + 8 * step * 8 + 64, _MM_HINT_T0);
        }
        for (size_t b = 0; b < count; b++) {
            __m256i q = _mm256_loadu_si256((const __m256i *)(in->q + 32 * (run + b)));
            WN_UNROLL for (int i = 0; i < rows; i++) {
                __m256i w = block_codes(base + (size_t)i * m->row_bytes + (run + b) * step + head, format);
                __m256 dot = _mm256_cvtepi32_ps(dot_block(w, q, is_signed));
                acc[i] = _mm256_fmadd_ps(dot, _mm256_broadcast_ss(&both[i][b]), acc[i]);
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++) out[i] = reduce8(acc[i]);
}

WN_INLINE void decode_format(
    const int format, const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) decode_blocks(4, format, m, row + r, in, out + r);
    for (; r < rows; r++) decode_blocks(1, format, m, row + r, in, out + r);
}

// Eight sums of four products each over both 16-bit halves of a block.
WN_INLINE __m256i dot_wide(const uint8_t *codes, const int16_t *x) {
    __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)codes));
    __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(codes + 16)));
    return _mm256_add_epi32(
        _mm256_madd_epi16(low, _mm256_loadu_si256((const __m256i *)x)),
        _mm256_madd_epi16(high, _mm256_loadu_si256((const __m256i *)(x + 16))));
}

WN_INLINE void planes_tile(
    const int rows, const int tokens, const wn_tile *tile, const wn_input *in, size_t r, size_t token, float *out) {
    size_t blocks = tile->stride / 32;
    const uint8_t *codes = tile->codes + r * tile->stride;
    const float *scales = tile->scales + r * tile->block_stride;
    const int16_t *x = in->wide + token * in->stride;
    __m256 acc[4][4];
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b++) {
        WN_UNROLL for (int i = 0; i < rows; i++) {
            __m256 scale = _mm256_broadcast_ss(scales + (size_t)i * tile->block_stride + b);
            const uint8_t *w = codes + (size_t)i * tile->stride + 32 * b;
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                __m256i dot = dot_wide(w, x + (size_t)j * in->stride + 32 * b);
                acc[i][j] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, acc[i][j]);
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++)
            out[j * WN_TILE_ROWS + (int)r + i] = reduce8(acc[i][j]) * in->scales[token + (size_t)j];
}

static void dot_planes16(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
#define WN_PLANES(ROWS, TOKENS, r, t) \
    planes_tile(ROWS, TOKENS, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
    WN_TILES(tile->rows, tokens, 4, 2, WN_PLANES);
}

// Whole rows in integers, rounded once. Sums of 4096 columns fit 32 bits: 4096 / 8 products of at most 2^22.
WN_INLINE void planes_rows_tile(
    const int rows, const int tokens, const wn_tile *tile, const wn_input *in, size_t r, size_t token, float *out) {
    const uint8_t *codes = tile->codes + r * tile->stride;
    const int16_t *x = in->wide + token * in->stride;
    int64_t totals[4][4] = {{0}};
    for (size_t begin = 0; begin < tile->stride; begin += 4096) {
        size_t end = tile->stride - begin < 4096 ? tile->stride : begin + 4096;
        __m256i acc[4][4];
        WN_UNROLL for (int i = 0; i < rows; i++)
            WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_si256();
        for (size_t c = begin; c < end; c += 32) {
            WN_UNROLL for (int i = 0; i < rows; i++) {
                const uint8_t *w = codes + (size_t)i * tile->stride + c;
                WN_UNROLL for (int j = 0; j < tokens; j++) {
                    acc[i][j] = _mm256_add_epi32(acc[i][j], dot_wide(w, x + (size_t)j * in->stride + c));
                }
            }
        }
        WN_UNROLL for (int i = 0; i < rows; i++) {
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                __m256i halves = _mm256_add_epi64(
                    _mm256_cvtepi32_epi64(_mm256_castsi256_si128(acc[i][j])),
                    _mm256_cvtepi32_epi64(_mm256_extracti128_si256(acc[i][j], 1)));
                int64_t parts[4];
                _mm256_storeu_si256((__m256i *)parts, halves);
                totals[i][j] += parts[0] + parts[1] + parts[2] + parts[3];
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++)
            out[j * WN_TILE_ROWS + (int)r + i] =
                (float)totals[i][j] * (tile->row_scales[r + (size_t)i] * in->scales[token + (size_t)j]);
}

static void dot_planes16_rows(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
#define WN_PLANES_ROWS(ROWS, TOKENS, r, t) \
    planes_rows_tile(ROWS, TOKENS, tile, in, r, first + (t), out + (t) * WN_TILE_ROWS)
    WN_TILES(tile->rows, tokens, 4, 2, WN_PLANES_ROWS);
}

static bool decode(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    if (in->kind == WN_INPUT_F32) return false;
    switch (m->format) {
    case WN_Q4_0: decode_format(WN_Q4_0, m, row, rows, in, out); return true;
    case WN_Q4_1: decode_format(WN_Q4_1, m, row, rows, in, out); return true;
    case WN_Q8_0: decode_format(WN_Q8_0, m, row, rows, in, out); return true;
    case WN_INT8: {
        // The file's bytes are the codes: a tile without a copy, where rows end with a run and follow one another.
        if (m->columns % 64 != 0 || m->row_bytes != m->columns) return false;
        wn_tile tile = {.rows = rows, .columns = m->columns, .stride = m->columns};
        tile.codes = (uint8_t *)m->values + row * m->row_bytes;
        memcpy(tile.row_scales, (const float *)m->scales + row, rows * sizeof(float));
        dot_planes16_rows(&tile, in, 0, 1, out);
        return true;
    }
    default: return false;
    }
}

// ---- Float32: eight lanes of columns -------------------------------------------------------------------------
enum { WN_PLAIN_F32, WN_PLAIN_F16, WN_PLAIN_BF16 };

WN_INLINE __m256 plain8(const uint8_t *from, const int type, size_t c) {
    switch (type) {
    case WN_PLAIN_F16: return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + 2 * c)));
    case WN_PLAIN_BF16:
        return _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(from + 2 * c))), 16));
    default: return _mm256_loadu_ps((const float *)(from + 4 * c));
    }
}

WN_INLINE __m256 plain_tail(const uint8_t *from, const int type, size_t c, size_t left) {
    uint8_t part[32] = {0};
    memcpy(part, from + (type == WN_PLAIN_F32 ? 4 : 2) * c, (type == WN_PLAIN_F32 ? 4 : 2) * left);
    return plain8(part, type, 0);
}

WN_INLINE void f32_tile(
    const int rows, const int tokens, const int type, const uint8_t *w, size_t row_bytes, size_t columns,
    const wn_input *in, size_t token, float *out) {
    const float *x = in->f32 + token * in->f32_stride;
    __m256 acc[8][4];
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_setzero_ps();
    size_t c = 0;
    for (; c + 8 <= columns; c += 8) {
        __m256 values[4];
        WN_UNROLL for (int j = 0; j < tokens; j++) values[j] = _mm256_loadu_ps(x + (size_t)j * in->f32_stride + c);
        WN_UNROLL for (int i = 0; i < rows; i++) {
            __m256 weight = plain8(w + (size_t)i * row_bytes, type, c);
            WN_UNROLL for (int j = 0; j < tokens; j++) acc[i][j] = _mm256_fmadd_ps(weight, values[j], acc[i][j]);
        }
    }
    if (c < columns) {
        WN_UNROLL for (int i = 0; i < rows; i++) {
            __m256 weight = plain_tail(w + (size_t)i * row_bytes, type, c, columns - c);
            WN_UNROLL for (int j = 0; j < tokens; j++) {
                __m256 value = _mm256_maskload_ps(x + (size_t)j * in->f32_stride + c, first_lanes(columns - c));
                acc[i][j] = _mm256_fmadd_ps(weight, value, acc[i][j]);
            }
        }
    }
    WN_UNROLL for (int i = 0; i < rows; i++)
        WN_UNROLL for (int j = 0; j < tokens; j++) out[j * WN_TILE_ROWS + i] = reduce8(acc[i][j]);
}

static void dot_f32(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    const uint8_t *w = (const uint8_t *)tile->values;
    size_t row_bytes = tile->columns * sizeof(float);
#define WN_F32_TILE(ROWS, TOKENS, r, t) \
    f32_tile(ROWS, TOKENS, WN_PLAIN_F32, w + (r) * row_bytes, row_bytes, tile->columns, in, first + (t), \
             out + (t) * WN_TILE_ROWS + (r))
    WN_TILES(tile->rows, tokens, 4, 3, WN_F32_TILE);
}

// A few tokens straight from the file's rows.
static void dot_half(
    const wn_matrix *m, size_t row, size_t rows, const wn_input *in, size_t first, size_t tokens, float *out) {
    const uint8_t *w = m->values + row * m->row_bytes;
#define WN_HALF_TILE(TYPE, ROWS, r, t) \
    f32_tile(ROWS, 1, TYPE, w + (r) * m->row_bytes, m->row_bytes, m->columns, in, first + (t), \
             out + (t) * WN_TILE_ROWS + (r))
    for (size_t t = 0; t < tokens; t++) {
        size_t r = 0;
        switch (m->format) {
        case WN_F16:
            for (; r + 8 <= rows; r += 8) WN_HALF_TILE(WN_PLAIN_F16, 8, r, t);
            for (; r < rows; r++) WN_HALF_TILE(WN_PLAIN_F16, 1, r, t);
            break;
        case WN_BF16:
            for (; r + 8 <= rows; r += 8) WN_HALF_TILE(WN_PLAIN_BF16, 8, r, t);
            for (; r < rows; r++) WN_HALF_TILE(WN_PLAIN_BF16, 1, r, t);
            break;
        default:
            for (; r + 8 <= rows; r += 8) WN_HALF_TILE(WN_PLAIN_F32, 8, r, t);
            for (; r < rows; r++) WN_HALF_TILE(WN_PLAIN_F32, 1, r, t);
        }
    }
}

// ---- Elementwise ---------------------------------------------------------------------------------------------
// exp by Cody and Waite's reduction and a polynomial of degree 7: within 2 ulp; flushes below -87.
WN_INLINE __m256 exp8(__m256 x) {
    x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(88.02f)), _mm256_set1_ps(-87.0f));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 f = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    f = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), f);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(p, f), f, _mm256_add_ps(f, _mm256_set1_ps(1)));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    const __m256 one = _mm256_set1_ps(1), sign = _mm256_set1_ps(-0.0f);
    for (size_t i = 0; i < count; i += 8) {
        __m256 g = load_part(gate + i, count - i), u = load_part(up + i, count - i);
        __m256 s = _mm256_div_ps(g, _mm256_add_ps(one, exp8(_mm256_xor_ps(g, sign))));
        // exp8 stops at -87: a gate that is not finite must stay what it is.
        s = _mm256_blendv_ps(s, g, _mm256_cmp_ps(g, g, _CMP_UNORD_Q));
        if (count - i >= 8) {
            _mm256_storeu_ps(out + i, _mm256_mul_ps(s, u));
        } else {
            _mm256_maskstore_ps(out + i, first_lanes(count - i), _mm256_mul_ps(s, u));
        }
    }
}

// ---- Inputs --------------------------------------------------------------------------------------------------
WN_INLINE float norm_scale(const float *x, size_t columns, float epsilon) {
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (size_t c = 0; c < columns; c += 16) {
        __m256 a = load_part(x + c, columns - c);
        __m256 b = columns - c > 8 ? load_part(x + c + 8, columns - c - 8) : _mm256_setzero_ps();
        sums[0] = _mm256_fmadd_ps(a, a, sums[0]);
        sums[1] = _mm256_fmadd_ps(b, b, sums[1]);
    }
    return 1 / sqrtf(reduce8(_mm256_add_ps(sums[0], sums[1])) / (float)columns + epsilon);
}

WN_INLINE __m256 input_value(const float *x, const float *weight, __m256 scale, size_t c, size_t columns) {
    if (c >= columns) return _mm256_setzero_ps();
    __m256 v = load_part(x + c, columns - c);
    return weight ? _mm256_mul_ps(_mm256_mul_ps(v, scale), load_part(weight + c, columns - c)) : v;
}

// What scales values up to `largest` to codes up to `top`; 0 where the quotient is infinite.
WN_INLINE float inverse_scale(float top, float largest) {
    float inverse = top / largest;
    return inverse < INFINITY ? inverse : 0;
}

// Eight 32-bit integers as signed bytes, in order.
WN_INLINE void store_bytes(int8_t *to, __m256i v) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)to, _mm_packs_epi16(words, words));
}

static void prepare_block8(wn_input *in, size_t token, const float *x, const float *weight, __m256 scale) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    size_t columns = in->columns, blocks = wn_block_stride(in->stride);
    int8_t *q = in->q + token * in->stride;
    float *scales = in->scales + token * blocks, *sums = in->sums + token * blocks;
    for (size_t b = 0; b < in->stride / 32; b++) {
        __m256 v[4];
        __m256 peak = _mm256_setzero_ps();
        WN_UNROLL for (int i = 0; i < 4; i++) {
            v[i] = input_value(x, weight, scale, 32 * b + 8 * (size_t)i, columns);
            peak = _mm256_max_ps(peak, _mm256_andnot_ps(sign, v[i]));
        }
        float largest = max8(peak);
        __m256 inverse = _mm256_set1_ps(inverse_scale(127, largest));
        __m256i sum = _mm256_setzero_si256();
        WN_UNROLL for (int i = 0; i < 4; i++) {
            __m256i value = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
            store_bytes(q + 32 * b + 8 * (size_t)i, value);
            sum = _mm256_add_epi32(sum, value);
        }
        scales[b] = largest / 127;
        sums[b] = scales[b] * (float)reduce8i(sum);
    }
    for (size_t b = in->stride / 32; b < blocks; b++) scales[b] = sums[b] = 0;
}

static void prepare_planes16(wn_input *in, size_t token, const float *x, const float *weight, __m256 scale) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    size_t columns = in->columns, blocks = wn_block_stride(in->stride);
    int8_t *hi = in->q + token * in->stride, *lo = in->lo + token * in->stride;
    int16_t *wide = in->wide + token * in->stride;
    int32_t *isums = in->isums + token * blocks;
    __m256 peak = _mm256_setzero_ps();
    for (size_t c = 0; c < columns; c += 8) {
        peak = _mm256_max_ps(peak, _mm256_andnot_ps(sign, input_value(x, weight, scale, c, columns)));
    }
    float largest = max8(peak);
    __m256 inverse = _mm256_set1_ps(inverse_scale(32512, largest));
    int64_t total = 0;
    for (size_t b = 0; b < blocks; b++) {
        isums[b] = 0;
        if (b >= in->stride / 32) continue;
        __m256i sum = _mm256_setzero_si256();
        for (size_t c = 32 * b; c < 32 * b + 32; c += 8) {
            __m256i value = _mm256_cvtps_epi32(_mm256_mul_ps(input_value(x, weight, scale, c, columns), inverse));
            __m256i low = _mm256_srai_epi32(_mm256_slli_epi32(value, 24), 24);
            store_bytes(hi + c, _mm256_srai_epi32(_mm256_sub_epi32(value, low), 8));
            store_bytes(lo + c, low);
            _mm_storeu_si128(
                (__m128i *)(wide + c),
                _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1)));
            sum = _mm256_add_epi32(sum, value);
        }
        isums[b] = reduce8i(sum);
        total += isums[b];
    }
    in->scales[token] = largest / 32512;
    in->totals[token] = total;
}

static void prepare(wn_input *in, size_t token, const float *x, const float *weight, float epsilon) {
    size_t columns = in->columns;
    __m256 scale = _mm256_set1_ps(weight ? norm_scale(x, columns, epsilon) : 1);
    if (in->kind == WN_INPUT_BLOCK8) {
        prepare_block8(in, token, x, weight, scale);
    } else if (in->kind == WN_INPUT_PLANES16) {
        prepare_planes16(in, token, x, weight, scale);
    } else {
        float *out = in->f32 + token * in->f32_stride;
        for (size_t c = 0; c < columns; c += 8) {
            __m256 value = input_value(x, weight, scale, c, columns);
            if (columns - c >= 8) {
                _mm256_storeu_ps(out + c, value);
            } else {
                _mm256_maskstore_ps(out + c, first_lanes(columns - c), value);
            }
        }
    }
}

const wn_product_table wn_products_avx2 = {
    .unpack_codes = unpack_codes, .row_f32 = row_f32, .dot_f32 = dot_f32, .dot_half = dot_half,
    .dot_block8 = dot_block8, .dot_planes16 = dot_planes16, .dot_planes16_rows = dot_planes16_rows,
    .silu_multiply = silu_multiply, .prepare = prepare, .decode = decode,
};
#pragma clang attribute pop
#endif
