#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#include "../products.h"
#include "../scalar/codes.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

#define WN_INLINE static inline __attribute__((always_inline))
enum { WN_AHEAD = 4096 };  // bytes that packed streams are asked for ahead: without it the expansion waits on memory

WN_INLINE float reduce16(__m512 v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

WN_INLINE __mmask16 tail16(size_t left) { return (__mmask16)(left >= 16 ? 0xFFFF : (1u << left) - 1); }
WN_INLINE __mmask64 tail64(size_t left) { return left >= 64 ? ~0ull : (1ull << left) - 1; }

// ---- Unpacking: dense blocks -----------------------------------------------------------------------------
// Float16 pairs at the heads of 16 blocks, `step` bytes apart, as 32-bit words.
WN_INLINE __m512i block_heads(const uint8_t *first, size_t step, size_t blocks) {
    const __m512i index = _mm512_mullo_epi32(
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32((int)step));
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), tail16(blocks), index, first, 1);
}

WN_INLINE __m512 low_halves(__m512i words) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)); }
WN_INLINE __m512 high_halves(__m512i words) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(words, 16)));
}

WN_INLINE __m256i nibbles32(const uint8_t *packed) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)packed), mask = _mm_set1_epi8(15);
    return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(bytes, 4), mask), _mm_and_si128(bytes, mask));
}

WN_INLINE void unpack_block_scales(const wn_matrix *m, const uint8_t *row, size_t step, bool affine, float zero,
                                   float *scales, float *offsets, size_t block_stride) {
    size_t blocks = m->columns / 32;
    for (size_t b = 0; b < block_stride; b += 16) {
        __m512i heads = block_heads(row + b * step, step, blocks > b ? blocks - b : 0);
        __m512 d = low_halves(heads);
        _mm512_storeu_ps(scales + b, d);
        _mm512_storeu_ps(offsets + b, affine ? high_halves(heads) : _mm512_mul_ps(d, _mm512_set1_ps(zero)));
    }
}

WN_INLINE void pad_codes(uint8_t *codes, size_t columns, size_t stride) {
    if (stride > columns) _mm512_mask_storeu_epi8(codes + stride - 64, ~tail64(64 - (stride - columns)), _mm512_setzero_si512());
}

WN_INLINE void unpack_q4(const wn_matrix *m, size_t row, bool affine, wn_tile *tile, size_t r) {
    const uint8_t *values = m->values + row * m->row_bytes;
    size_t head = affine ? 4 : 2, step = head + 16;
    uint8_t *codes = tile->codes + r * tile->stride;
    for (size_t b = 0; b < m->columns / 32; b++) {
        _mm256_storeu_si256((__m256i *)(codes + 32 * b), nibbles32(values + b * step + head));
    }
    pad_codes(codes, m->columns, tile->stride);
    unpack_block_scales(m, values, step, affine, -8, tile->scales + r * tile->block_stride,
                        tile->offsets + r * tile->block_stride, tile->block_stride);
}

WN_INLINE void unpack_q8_0(const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    const uint8_t *values = m->values + row * m->row_bytes;
    uint8_t *codes = tile->codes + r * tile->stride;
    const __m256i flip = _mm256_set1_epi8((char)0x80);
    for (size_t b = 0; b < m->columns / 32; b++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(values + b * 34 + 2));
        _mm256_storeu_si256((__m256i *)(codes + 32 * b), _mm256_xor_si256(bytes, flip));
    }
    pad_codes(codes, m->columns, tile->stride);
    unpack_block_scales(m, values, 34, false, -128, tile->scales + r * tile->block_stride,
                        tile->offsets + r * tile->block_stride, tile->block_stride);
}

WN_INLINE void unpack_int8(const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    const uint8_t *values = m->values + row * m->row_bytes;
    uint8_t *codes = tile->codes + r * tile->stride;
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    for (size_t c = 0; c < m->columns; c += 64) {
        __m512i bytes = _mm512_maskz_loadu_epi8(tail64(m->columns - c), values + c);
        _mm512_storeu_si512(codes + c, _mm512_xor_si512(bytes, flip));
    }
    tile->row_scales[r] = ((const float *)m->scales)[row];
}

// ---- Unpacking: nibbles in column order ------------------------------------------------------------------
// 64 codes from 32 bytes of which `mask` may be read: low nibble first.
WN_INLINE __m512i nibbles64(const uint8_t *packed, __mmask32 mask) {
    __m512i wide = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, packed));
    __m512i both = _mm512_or_si512(wide, _mm512_slli_epi16(wide, 4));
    return _mm512_and_si512(both, _mm512_set1_epi8(15));
}

WN_INLINE void group_scales(const wn_matrix *m, size_t row, float zero, wn_tile *tile, size_t r) {
    size_t groups = (m->columns + m->group - 1) / m->group, per = m->group / 32, blocks = (m->columns + 31) / 32;
    const uint8_t *halves = (const uint8_t *)m->scales + 2 * row * groups;
    float *scales = tile->scales + r * tile->block_stride, *offsets = tile->offsets + r * tile->block_stride;
    for (size_t b = 0; b < tile->block_stride; b++) {
        float scale = b < blocks ? wn_half(halves + 2 * (b / per)) : 0;
        scales[b] = scale;
        offsets[b] = zero * scale;
    }
}

WN_INLINE void unpack_int4(const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    const uint8_t *values = m->values + row * m->row_bytes;
    uint8_t *codes = tile->codes + r * tile->stride;
    for (size_t c = 0; c < m->columns; c += 64) {
        size_t bytes = (m->columns - c + 1) / 2;
        _mm512_storeu_si512(codes + c, nibbles64(values + c / 2, bytes >= 32 ? ~0u : (1u << bytes) - 1));
    }
    group_scales(m, row, -8, tile, r);
}

// ---- Unpacking: masked -------------------------------------------------------------------------------------
WN_INLINE uint64_t mask_word(const uint8_t *mask) {
    uint64_t word;
    memcpy(&word, mask, sizeof word);
    return word;
}

// Bytes of `from` that may be read, at most 64.
WN_INLINE __m512i load_bytes(const uint8_t *from, const uint8_t *end) {
    if (__builtin_expect(end - from >= 64, 1)) return _mm512_loadu_si512(from);
    return _mm512_maskz_loadu_epi8(tail64(from < end ? (size_t)(end - from) : 0), from);
}

WN_INLINE __m512i load_nibbles(const uint8_t *from, const uint8_t *end) {
    if (__builtin_expect(end - from >= 32, 1)) return nibbles64(from, ~0u);
    return nibbles64(from, from < end ? (1u << (end - from)) - 1 : 0);
}

WN_INLINE void unpack_masked_bytes(const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
    uint8_t *codes = tile->codes + r * tile->stride;
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    for (size_t c = 0; c < m->columns; c += 64) {
        uint64_t kept = mask_word(mask + c / 8);
        _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);
        __m512i bytes = load_bytes(next, m->values_end);
        // A load, then the register form: expanding from memory runs 2.2 times slower.
        __asm__("" : "+v"(bytes));
        _mm512_storeu_si512(codes + c, _mm512_xor_si512(_mm512_maskz_expand_epi8(kept, bytes), flip));
        next += __builtin_popcountll(kept);
    }
}

WN_INLINE void unpack_masked_nibbles(const wn_matrix *m, size_t row, int zero, wn_tile *tile, size_t r) {
    const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
    uint8_t *codes = tile->codes + r * tile->stride, *flags = tile->kept ? tile->kept + r * tile->stride : NULL;
    const __m512i empty = _mm512_set1_epi8((char)zero), one = _mm512_set1_epi8(1);
    for (size_t c = 0; c < m->columns; c += 64) {
        uint64_t kept = mask_word(mask + c / 8);
        _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);
        __m512i nibbles = load_nibbles(next, m->values_end);
        __asm__("" : "+v"(nibbles));
        _mm512_storeu_si512(codes + c, _mm512_mask_expand_epi8(empty, kept, nibbles));
        if (flags) _mm512_storeu_si512(flags + c, _mm512_maskz_mov_epi8(kept, one));
        next += ((size_t)__builtin_popcountll(kept) + 1) / 2;
    }
}

WN_INLINE void masked_block_scales(const wn_matrix *m, size_t row, bool affine, float zero, wn_tile *tile, size_t r) {
    size_t blocks = m->columns / 32;
    const uint8_t *halves = (const uint8_t *)m->scales + row * blocks * (affine ? 4 : 2);
    for (size_t b = 0; b < tile->block_stride; b += 16) {
        __mmask16 valid = tail16(blocks > b ? blocks - b : 0);
        float *scales = tile->scales + r * tile->block_stride + b, *offsets = tile->offsets + r * tile->block_stride + b;
        if (affine) {
            __m512i pairs = _mm512_maskz_loadu_epi32(valid, halves + 4 * b);
            _mm512_storeu_ps(scales, low_halves(pairs));
            _mm512_storeu_ps(offsets, high_halves(pairs));
        } else {
            __m512 d = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(valid, halves + 2 * b));
            _mm512_storeu_ps(scales, d);
            _mm512_storeu_ps(offsets, _mm512_mul_ps(d, _mm512_set1_ps(zero)));
        }
    }
}

static void unpack_codes(const wn_matrix *m, size_t first, size_t rows, wn_tile *tile) {
    for (size_t r = 0; r < rows; r++) {
        size_t row = first + r;
        switch (m->format) {
        case WN_Q4_0: unpack_q4(m, row, false, tile, r); break;
        case WN_Q4_1: unpack_q4(m, row, true, tile, r); break;
        case WN_Q8_0: unpack_q8_0(m, row, tile, r); break;
        case WN_INT8: unpack_int8(m, row, tile, r); break;
        case WN_INT4: unpack_int4(m, row, tile, r); break;
        case WN_MASKED_Q4_0:
            unpack_masked_nibbles(m, row, 8, tile, r);
            masked_block_scales(m, row, false, -8, tile, r);
            break;
        case WN_MASKED_Q4_1:
            unpack_masked_nibbles(m, row, 0, tile, r);
            masked_block_scales(m, row, true, 0, tile, r);
            break;
        case WN_MASKED_Q8_0:
            unpack_masked_bytes(m, row, tile, r);
            masked_block_scales(m, row, false, -128, tile, r);
            break;
        case WN_MASKED_INT8:
            unpack_masked_bytes(m, row, tile, r);
            tile->row_scales[r] = ((const float *)m->scales)[row];
            break;
        case WN_MASKED_INT4:
            unpack_masked_nibbles(m, row, 8, tile, r);
            group_scales(m, row, -8, tile, r);
            break;
        default: break;
        }
    }
}

// ---- Dots over blocks of 32 --------------------------------------------------------------------------------

#define WN_BLOCK8_TILE(ROWS, TOKENS, KEPT)                                                                         \
    do {                                                                                                           \
        __m512 acc[ROWS][TOKENS];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) acc[i][j] = _mm512_setzero_ps();   \
        for (size_t run = 0; run < blocks; run += 16) {                                                            \
            __m512 scales[ROWS][TOKENS], offsets[ROWS][TOKENS];                                                    \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                    \
                __m512 d = _mm512_loadu_ps(tile->scales + (r + i) * tile->block_stride + run);                     \
                __m512 o = _mm512_loadu_ps(tile->offsets + (r + i) * tile->block_stride + run);                    \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                              \
                    __m512 dx = _mm512_loadu_ps(dxs + (t + j) * tile->block_stride + run);                         \
                    scales[i][j] = _mm512_mul_ps(d, dx);                                                           \
                    if (KEPT) {                                                                                    \
                        offsets[i][j] = _mm512_mul_ps(o, dx);                                                      \
                    } else {                                                                                       \
                        __m512 sum = _mm512_loadu_ps(sums + (t + j) * tile->block_stride + run);                   \
                        acc[i][j] = _mm512_fmadd_ps(o, sum, acc[i][j]);                                            \
                    }                                                                                              \
                }                                                                                                  \
            }                                                                                                      \
            size_t pairs = (blocks - run + 1) / 2;                                                                 \
            if (pairs > 8) pairs = 8;                                                                              \
            for (size_t pair = 0; pair < pairs; pair++) {                                                          \
                const __m512i index = _mm512_add_epi32(halves, _mm512_set1_epi32(2 * (int)pair));                  \
                size_t c = run * 32 + pair * 64;                                                                   \
                __m512i x[TOKENS];                                                                                 \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                \
                    x[j] = _mm512_loadu_si512(qs + (t + j) * in->stride + c);                                      \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                \
                    __m512i w = _mm512_loadu_si512(tile->codes + (r + i) * tile->stride + c);                      \
                    _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                          \
                        __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(zero, w, x[j]));                       \
                        acc[i][j] = _mm512_fmadd_ps(dot, _mm512_permutexvar_ps(index, scales[i][j]), acc[i][j]);   \
                        if (KEPT) {                                                                                \
                            __m512i k = _mm512_loadu_si512(tile->kept + (r + i) * tile->stride + c);               \
                            __m512 sum = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(zero, k, x[j]));                   \
                            acc[i][j] =                                                                            \
                                _mm512_fmadd_ps(sum, _mm512_permutexvar_ps(index, offsets[i][j]), acc[i][j]);      \
                        }                                                                                          \
                    }                                                                                              \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] = reduce16(acc[i][j]);                                         \
    } while (0)

#define WN_OVER_TILE(TILE, ROWS, TOKENS, ...)                                                                      \
    do {                                                                                                           \
        size_t t = 0;                                                                                              \
        for (; t + TOKENS <= tokens; t += TOKENS) {                                                                \
            size_t r = 0;                                                                                          \
            for (; r + ROWS <= tile->rows; r += ROWS) TILE(ROWS, TOKENS, ##__VA_ARGS__);                           \
            for (; r < tile->rows; r++) TILE(1, TOKENS, ##__VA_ARGS__);                                            \
        }                                                                                                          \
        for (; t < tokens; t++) {                                                                                  \
            size_t r = 0;                                                                                          \
            for (; r + 4 <= tile->rows; r += 4) TILE(4, 1, ##__VA_ARGS__);                                         \
            for (; r < tile->rows; r++) TILE(1, 1, ##__VA_ARGS__);                                                 \
        }                                                                                                          \
    } while (0)

static void dot_block8(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const int8_t *qs = in->q + first * in->stride;
    const float *dxs = in->scales + first * tile->block_stride, *sums = in->sums + first * tile->block_stride;
    size_t blocks = tile->stride / 32;
    if (tile->kept) {
        WN_OVER_TILE(WN_BLOCK8_TILE, 2, 2, 1);
    } else {
        WN_OVER_TILE(WN_BLOCK8_TILE, 4, 2, 0);
    }
}

// ---- Dots over two planes ------------------------------------------------------------------------------------
#define WN_PLANES_TILE(ROWS, TOKENS)                                                                               \
    do {                                                                                                           \
        __m512 acc[ROWS][TOKENS];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) acc[i][j] = _mm512_setzero_ps();   \
        for (size_t run = 0; run < blocks; run += 16) {                                                            \
            __m512 scales[ROWS];                                                                                   \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                    \
                scales[i] = _mm512_loadu_ps(tile->scales + (r + i) * tile->block_stride + run);                    \
                __m512 o = _mm512_loadu_ps(tile->offsets + (r + i) * tile->block_stride + run);                    \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                              \
                    __m512 sum =                                                                                   \
                        _mm512_cvtepi32_ps(_mm512_loadu_si512(in->isums + (first + t + j) * tile->block_stride + run)); \
                    acc[i][j] = _mm512_fmadd_ps(o, sum, acc[i][j]);                                                \
                }                                                                                                  \
            }                                                                                                      \
            size_t pairs = (blocks - run + 1) / 2;                                                                 \
            if (pairs > 8) pairs = 8;                                                                              \
            for (size_t pair = 0; pair < pairs; pair++) {                                                          \
                const __m512i index = _mm512_add_epi32(halves, _mm512_set1_epi32(2 * (int)pair));                  \
                size_t c = run * 32 + pair * 64;                                                                   \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                \
                    __m512i w = _mm512_loadu_si512(tile->codes + (r + i) * tile->stride + c);                      \
                    __m512 scale = _mm512_permutexvar_ps(index, scales[i]);                                        \
                    _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                          \
                        __m512i high = _mm512_dpbusd_epi32(                                                        \
                            zero, w, _mm512_loadu_si512(in->q + (first + t + j) * in->stride + c));                \
                        __m512i dot = _mm512_dpbusd_epi32(                                                         \
                            _mm512_slli_epi32(high, 8), w,                                                         \
                            _mm512_loadu_si512(in->lo + (first + t + j) * in->stride + c));                        \
                        acc[i][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, acc[i][j]);                    \
                    }                                                                                              \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] = reduce16(acc[i][j]) * in->scales[first + t + j];             \
    } while (0)

static void dot_planes16(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    size_t blocks = tile->stride / 32;
    WN_OVER_TILE(WN_PLANES_TILE, 4, 2);
}

WN_INLINE int64_t sum_lanes(__m512i v) {
    __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(v));
    __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(v, 1));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
}

#define WN_PLANES_ROWS_TILE(ROWS, TOKENS)                                                                          \
    do {                                                                                                           \
        __m512i high[ROWS][TOKENS], low[ROWS][TOKENS];                                                             \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                high[i][j] = low[i][j] = _mm512_setzero_si512();                                                   \
        for (size_t c = 0; c < tile->stride; c += 64) {                                                            \
            __m512i w[ROWS];                                                                                       \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                      \
                w[i] = _mm512_loadu_si512(tile->codes + (r + i) * tile->stride + c);                               \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                                  \
                __m512i h = _mm512_loadu_si512(in->q + (first + t + j) * in->stride + c);                          \
                __m512i l = _mm512_loadu_si512(in->lo + (first + t + j) * in->stride + c);                         \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++) {                                \
                    high[i][j] = _mm512_dpbusd_epi32(high[i][j], w[i], h);                                         \
                    low[i][j] = _mm512_dpbusd_epi32(low[i][j], w[i], l);                                           \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] =                                                              \
                    wn_planes_value(sum_lanes(high[i][j]), sum_lanes(low[i][j]), in->totals[first + t + j],        \
                                    tile->row_scales[r + i], in->scales[first + t + j]);                           \
    } while (0)

static void dot_planes16_rows(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    WN_OVER_TILE(WN_PLANES_ROWS_TILE, 4, 2);
}

// ---- Dots over float32 inputs ----------------------------------------------------------------------------------
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

#define WN_F32_STEP(ROWS, TOKENS, LOAD, VALID)                                                                     \
    do {                                                                                                           \
        __m512 w[ROWS];                                                                                            \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            w[i] = LOAD(base + (r + i) * row_bytes, c, VALID);                                                     \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) {                                      \
            __m512 x = _mm512_maskz_loadu_ps(VALID, xs + (t + j) * in->f32_stride + c);                            \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                      \
                acc[i][j] = _mm512_fmadd_ps(w[i], x, acc[i][j]);                                                   \
        }                                                                                                          \
    } while (0)

#define WN_F32_TILE(ROWS, TOKENS, LOAD)                                                                            \
    do {                                                                                                           \
        __m512 acc[ROWS][TOKENS];                                                                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++) acc[i][j] = _mm512_setzero_ps();   \
        size_t c = 0;                                                                                              \
        for (; c + 16 <= columns; c += 16) WN_F32_STEP(ROWS, TOKENS, LOAD, (__mmask16)0xFFFF);                     \
        if (c < columns) WN_F32_STEP(ROWS, TOKENS, LOAD, tail16(columns - c));                                     \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ROWS; i++)                                          \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < TOKENS; j++)                                    \
                out[(t + j) * WN_TILE_ROWS + r + i] = reduce16(acc[i][j]);                                         \
    } while (0)

#define WN_F32_DOT(NAME, LOAD)                                                                                     \
    static void NAME(const uint8_t *base, size_t row_bytes, size_t rows, size_t columns, const wn_input *in,       \
                     size_t first, size_t tokens, float *out) {                                                    \
        const float *xs = in->f32 + first * in->f32_stride;                                                        \
        size_t t = 0;                                                                                              \
        for (; t + 4 <= tokens; t += 4) {                                                                          \
            size_t r = 0;                                                                                          \
            for (; r + 4 <= rows; r += 4) WN_F32_TILE(4, 4, LOAD);                                                 \
            for (; r < rows; r++) WN_F32_TILE(1, 4, LOAD);                                                         \
        }                                                                                                          \
        for (; t < tokens; t++) {                                                                                  \
            size_t r = 0;                                                                                          \
            for (; r + 8 <= rows; r += 8) WN_F32_TILE(8, 1, LOAD);                                                 \
            for (; r < rows; r++) WN_F32_TILE(1, 1, LOAD);                                                         \
        }                                                                                                          \
    }

WN_F32_DOT(dot_rows_f32, load_f32)
WN_F32_DOT(dot_rows_f16, load_f16)
WN_F32_DOT(dot_rows_bf16, load_bf16)

static void dot_f32(const wn_tile *tile, const wn_input *in, size_t first, size_t tokens, float *out) {
    dot_rows_f32((const uint8_t *)tile->values, tile->columns * sizeof(float), tile->rows, tile->columns, in, first,
                 tokens, out);
}

static void dot_half(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, size_t first, size_t tokens,
                     float *out) {
    const uint8_t *base = m->values + row * m->row_bytes;
    if (m->format == WN_F32) {
        dot_rows_f32(base, m->row_bytes, rows, m->columns, in, first, tokens, out);
    } else if (m->format == WN_F16) {
        dot_rows_f16(base, m->row_bytes, rows, m->columns, in, first, tokens, out);
    } else {
        dot_rows_bf16(base, m->row_bytes, rows, m->columns, in, first, tokens, out);
    }
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
    case WN_MASKED_Q4_0: case WN_MASKED_Q4_1: case WN_MASKED_Q8_0: case WN_MASKED_INT8: case WN_MASKED_INT4: {
        const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
        bool bytes = m->format == WN_MASKED_Q8_0 || m->format == WN_MASKED_INT8, affine = m->format == WN_MASKED_Q4_1;
        size_t blocks = m->columns / 32;
        for (size_t c = 0; c < m->columns; c += 64) {
            uint64_t kept = mask_word(mask + c / 8);
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
                if (m->format == WN_MASKED_INT8) {
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

// ---- Elementwise ---------------------------------------------------------------------------------------------
// exp by Cody and Waite's reduction and a polynomial of degree 6: within 2 ulp; flushes below -87.
WN_INLINE __m512 exp16(__m512 x) {
    x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.02f)), _mm512_set1_ps(-103.0f));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    __m512 f = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    f = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), f);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, f), f, _mm512_add_ps(f, _mm512_set1_ps(1)));
    return _mm512_scalef_ps(p, n);
}

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    const __m512 one = _mm512_set1_ps(1);
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 valid = tail16(count - i);
        __m512 g = _mm512_maskz_loadu_ps(valid, gate + i), u = _mm512_maskz_loadu_ps(valid, up + i);
        __m512 s = _mm512_div_ps(g, _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), g))));
        _mm512_mask_storeu_ps(out + i, valid, _mm512_mul_ps(s, u));
    }
}

// ---- Inputs ------------------------------------------------------------------------------------------------------
WN_INLINE float norm_scale(const float *x, size_t columns, float epsilon) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t c = 0; c < columns; c += 16) {
        __m512 v = _mm512_maskz_loadu_ps(tail16(columns - c), x + c);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    return 1 / sqrtf(reduce16(sum) / (float)columns + epsilon);
}

WN_INLINE __m512 input_value(const float *x, const float *weight, __m512 scale, size_t c, size_t columns) {
    __mmask16 valid = c < columns ? tail16(columns - c) : 0;
    __m512 v = _mm512_maskz_loadu_ps(valid, x + c);
    return weight ? _mm512_mul_ps(_mm512_mul_ps(v, scale), _mm512_maskz_loadu_ps(valid, weight + c)) : v;
}

static void prepare(wn_input *in, size_t token, const float *x, const float *weight, float epsilon) {
    size_t columns = in->columns, blocks = wn_block_stride(in->stride);
    __m512 scale = _mm512_set1_ps(weight ? norm_scale(x, columns, epsilon) : 1);
    if (in->kind == WN_INPUT_F32) {
        float *out = in->f32 + token * in->f32_stride;
        for (size_t c = 0; c < columns; c += 16) {
            _mm512_mask_storeu_ps(out + c, tail16(columns - c), input_value(x, weight, scale, c, columns));
        }
        return;
    }
    int8_t *q = in->q + token * in->stride;
    if (in->kind == WN_INPUT_BLOCK8) {
        float *scales = in->scales + token * blocks, *sums = in->sums + token * blocks;
        for (size_t b = 0; b < in->stride / 32; b++) {
            __m512 v0 = input_value(x, weight, scale, 32 * b, columns);
            __m512 v1 = input_value(x, weight, scale, 32 * b + 16, columns);
            float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(v0), _mm512_abs_ps(v1)));
            __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
            __m512i i0 = _mm512_cvtps_epi32(_mm512_mul_ps(v0, inverse)), i1 = _mm512_cvtps_epi32(_mm512_mul_ps(v1, inverse));
            _mm_storeu_si128((__m128i *)(q + 32 * b), _mm512_cvtepi32_epi8(i0));
            _mm_storeu_si128((__m128i *)(q + 32 * b + 16), _mm512_cvtepi32_epi8(i1));
            scales[b] = largest / 127;
            sums[b] = scales[b] * (float)_mm512_reduce_add_epi32(_mm512_add_epi32(i0, i1));
        }
        for (size_t b = in->stride / 32; b < blocks; b++) scales[b] = sums[b] = 0;
        return;
    }
    int8_t *lo = in->lo + token * in->stride;
    int32_t *isums = in->isums + token * blocks;
    __m512 peak = _mm512_setzero_ps();
    for (size_t c = 0; c < columns; c += 16) {
        peak = _mm512_max_ps(peak, _mm512_abs_ps(input_value(x, weight, scale, c, columns)));
    }
    float largest = _mm512_reduce_max_ps(peak);
    __m512 inverse = _mm512_set1_ps(largest > 0 ? 32512 / largest : 0);
    int64_t total = 0;
    for (size_t b = 0; b < blocks; b++) {
        isums[b] = 0;
        if (b >= in->stride / 32) continue;
        for (size_t half = 0; half < 2; half++) {
            size_t c = 32 * b + 16 * half;
            __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(input_value(x, weight, scale, c, columns), inverse));
            __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(value, 24), 24);
            __m512i high = _mm512_srai_epi32(_mm512_sub_epi32(value, low), 8);
            _mm_storeu_si128((__m128i *)(q + c), _mm512_cvtepi32_epi8(high));
            _mm_storeu_si128((__m128i *)(lo + c), _mm512_cvtepi32_epi8(low));
            isums[b] += _mm512_reduce_add_epi32(value);
        }
        total += isums[b];
    }
    in->scales[token] = largest / 32512;
    in->totals[token] = total;
}

const wn_product_table wn_products_avx512 = {
    .unpack_codes = unpack_codes, .row_f32 = row_f32, .dot_f32 = dot_f32, .dot_half = dot_half,
    .dot_block8 = dot_block8, .dot_planes16 = dot_planes16, .dot_planes16_rows = dot_planes16_rows,
    .silu_multiply = silu_multiply, .prepare = prepare,
};
#pragma clang attribute pop
#endif
