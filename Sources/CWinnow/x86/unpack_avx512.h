// Rows of packed formats as bytes for tiles, with AVX-512: VBMI2 expands kept values to their columns.
#ifndef WN_UNPACK_AVX512_H
#define WN_UNPACK_AVX512_H
#include <immintrin.h>

#include "../products.h"
#include "../scalar/codes.h"

#define WN_INLINE static inline __attribute__((always_inline))
enum { WN_AHEAD = 4096 };  // bytes that packed streams are asked for ahead: without it the expansion waits on memory

#define WN_UNROLL _Pragma("clang loop unroll(full)")

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

WN_INLINE float reduce16(__m512 v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

WN_INLINE int64_t sum_lanes(__m512i v) {
    __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(v));
    __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(v, 1));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
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

// The float16 at the heads of eight blocks of 18 bytes: two loads hold them all.
WN_INLINE __m128i heads_of_18(const uint8_t *first) {
    const __m512i index = _mm512_castsi128_si512(_mm_setr_epi16(0, 9, 18, 27, 36, 45, 54, 63));
    __m512i words = _mm512_permutex2var_epi16(_mm512_loadu_si512(first), index, _mm512_loadu_si512(first + 64));
    return _mm512_castsi512_si128(words);
}
// Those of four blocks of 34 bytes.
WN_INLINE __m128i heads_of_34(const uint8_t *first) {
    const __m512i index = _mm512_castsi128_si512(_mm_setr_epi16(0, 17, 32, 49, 0, 0, 0, 0));
    __m512i words = _mm512_permutex2var_epi16(_mm512_loadu_si512(first), index, _mm512_loadu_si512(first + 68));
    return _mm512_castsi512_si128(words);
}
// The pairs of eight blocks of 20 bytes.
WN_INLINE __m256i heads_of_20(const uint8_t *first) {
    const __m512i index = _mm512_castsi256_si512(_mm256_setr_epi32(0, 5, 10, 15, 16, 21, 26, 31));
    __m512i pairs = _mm512_permutex2var_epi32(_mm512_loadu_si512(first), index, _mm512_loadu_si512(first + 80));
    return _mm512_castsi512_si256(pairs);
}

WN_INLINE __m512 low_halves(__m512i words) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)); }
WN_INLINE __m512 high_halves(__m512i words) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(words, 16)));
}

WN_INLINE __m256i nibbles32(const uint8_t *packed) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)packed), mask = _mm_set1_epi8(15);
    return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(bytes, 4), mask), _mm_and_si128(bytes, mask));
}

// Scales of sixteen dense blocks, `blocks` of them there, and the offsets of formats that have them.
WN_INLINE __m512 dense_scales(const int format, const uint8_t *first, size_t blocks, __m512 *offsets) {
    const size_t step = format == WN_Q4_1 ? 20 : format == WN_Q8_0 ? 34 : format == WN_Q5_0 ? 22 : format == WN_Q5_1 ? 24 : 18;
    if (format == WN_Q4_1 || format == WN_Q5_1) {
        __m512i pairs = format == WN_Q4_1 && __builtin_expect(blocks >= 16, 1)
            ? _mm512_inserti64x4(_mm512_castsi256_si512(heads_of_20(first)), heads_of_20(first + 8 * step), 1)
            : block_heads(first, step, blocks);
        *offsets = high_halves(pairs);
        return low_halves(pairs);
    }
    __m512 d;
    if (format == WN_Q5_0 || __builtin_expect(blocks < 16, 0)) {
        d = low_halves(block_heads(first, step, blocks));
    } else if (format == WN_Q4_0 || format == WN_IQ4_NL) {
        d = _mm512_cvtph_ps(_mm256_set_m128i(heads_of_18(first + 8 * step), heads_of_18(first)));
    } else {
        __m128i low = _mm_unpacklo_epi64(heads_of_34(first), heads_of_34(first + 4 * step));
        __m128i high = _mm_unpacklo_epi64(heads_of_34(first + 8 * step), heads_of_34(first + 12 * step));
        d = _mm512_cvtph_ps(_mm256_set_m128i(high, low));
    }
    return d;
}

WN_INLINE void unpack_block_scales(const int format, const wn_matrix *m, const uint8_t *row, wn_tile *tile, size_t r) {
    const size_t step = format == WN_Q4_1 ? 20 : format == WN_Q8_0 ? 34 : 18;
    size_t blocks = m->columns / 32;
    for (size_t b = 0; b < tile->block_stride; b += 16) {
        __m512 offsets = _mm512_setzero_ps();
        __m512 scales = dense_scales(format, row + b * step, blocks > b ? blocks - b : 0, &offsets);
        _mm512_storeu_ps(tile->scales + r * tile->block_stride + b, scales);
        _mm512_storeu_ps(tile->offsets + r * tile->block_stride + b, offsets);
    }
}

WN_INLINE void pad_codes(uint8_t *codes, size_t columns, size_t stride) {
    if (stride > columns) _mm512_mask_storeu_epi8(codes + stride - 64, ~tail64(64 - (stride - columns)), _mm512_setzero_si512());
}

WN_INLINE void unpack_q4(const int format, const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    const uint8_t *values = m->values + row * m->row_bytes;
    const size_t head = format == WN_Q4_1 ? 4 : 2, step = head + 16;
    uint8_t *codes = tile->codes + r * tile->stride;
    for (size_t b = 0; b < m->columns / 32; b++) {
        _mm256_storeu_si256((__m256i *)(codes + 32 * b), nibbles32(values + b * step + head));
    }
    pad_codes(codes, m->columns, tile->stride);
    unpack_block_scales(format, m, values, tile, r);
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
    unpack_block_scales(WN_Q8_0, m, values, tile, r);
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

// Sixteen blocks of four columns.
WN_INLINE __mmask16 block_mask(const uint8_t *mask) {
    uint16_t word;
    memcpy(&word, mask, sizeof word);
    return word;
}

WN_INLINE void unpack_block4(const wn_matrix *m, size_t row, wn_tile *tile, size_t r) {
    const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
    uint8_t *codes = tile->codes + r * tile->stride;
    for (size_t c = 0; c < m->columns; c += 64) {
        __mmask16 kept = block_mask(mask + c / 32);
        __m512i blocks = _mm512_maskz_expand_epi32(kept, load_bytes(next, m->values_end));
        _mm512_storeu_si512(codes + c, _mm512_xor_si512(blocks, _mm512_set1_epi8((char)0x80)));
        next += 4 * __builtin_popcount(kept);
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

WN_INLINE void masked_block_scales(const wn_matrix *m, size_t row, bool affine, wn_tile *tile, size_t r) {
    size_t blocks = m->columns / 32;
    const uint8_t *halves = (const uint8_t *)m->scales + row * blocks * (affine ? 4 : 2);
    for (size_t b = 0; b < tile->block_stride; b += 16) {
        __mmask16 valid = tail16(blocks > b ? blocks - b : 0);
        float *scales = tile->scales + r * tile->block_stride + b;
        if (affine) {
            __m512i pairs = _mm512_maskz_loadu_epi32(valid, halves + 4 * b);
            _mm512_storeu_ps(scales, low_halves(pairs));
            _mm512_storeu_ps(tile->offsets + r * tile->block_stride + b, high_halves(pairs));
        } else {
            _mm512_storeu_ps(scales, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(valid, halves + 2 * b)));
        }
    }
}

#pragma clang attribute pop
#endif
