// Products of one token straight from packed rows: what a tile would give, without one.
#ifndef WN_DECODE_AVX2_H
#define WN_DECODE_AVX2_H
#include "unpack_avx2.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

// Eight sums of four products each, exact: |code| <= 128 and |x| <= 127 keep pairs within 16 bits.
WN_INLINE __m256i dot_block(__m256i codes, __m256i x, bool is_signed) {
    __m256i pairs = is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes))
                              : _mm256_maddubs_epi16(codes, x);
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Eight 32-bit sums as four of 64 bits.
WN_INLINE __m256i widened(__m256i sums) {
    return _mm256_add_epi64(
        _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums)),
        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sums, 1)));
}

// ---- Dense blocks: the arithmetic of block8_tile -----------------------------------------------------------------
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

// ---- Masked rows -------------------------------------------------------------------------------------------------
// The same arithmetic over rows that are expanded on the way. `format` is a constant in every call.
// Calls `body(block, codes, kept)` for each block of 32 of a row, in order.
#define WN_MASKED_BLOCKS(m, row, blocks, four_bit, zero, body)                                              \
    do {                                                                                                     \
        const uint8_t *next = (m)->values + (m)->row_offsets[row], *mask = (m)->mask + (row) * (m)->mask_stride; \
        for (size_t word = 0; word < (blocks); word += 2) {                                                  \
            uint8_t copy[72];                                                                                \
            uint64_t bits = mask_word(mask + word * 4);                                                      \
            _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);                                        \
            const uint8_t *from = readable72(next, (m)->values_end, copy);                                   \
            size_t first = (size_t)__builtin_popcount((uint32_t)bits), all = (size_t)__builtin_popcountll(bits); \
            uint32_t low = (uint32_t)bits, high = (uint32_t)(bits >> 32);                                    \
            if (four_bit) {                                                                                  \
                body(word, masked_nibbles32(low, from, 0, zero), low);                                       \
                if (word + 1 < (blocks)) body(word + 1, masked_nibbles32(high, from, first, zero), high);    \
                next += (all + 1) / 2;                                                                       \
            } else {                                                                                         \
                body(word, masked_bytes32(low, from), low);                                                  \
                if (word + 1 < (blocks)) body(word + 1, masked_bytes32(high, from + first), high);           \
                next += all;                                                                                 \
            }                                                                                                \
        }                                                                                                    \
    } while (0)

WN_INLINE float masked_block8(
    const int format, const wn_matrix *m, size_t row, const wn_input *in, float *both, float *shift) {
    const bool affine = format == WN_MASKED_Q4_1, four_bit = format != WN_MASKED_Q8_0;
    const int zero = format == WN_MASKED_Q4_0 ? 8 : 0;
    size_t blocks = m->columns / 32, width = affine ? 4 : 2;
    const uint8_t *heads = (const uint8_t *)m->scales + row * blocks * width;
    __m256 acc = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b += 8) {
        __m256 d, offset = _mm256_setzero_ps(), dx = _mm256_loadu_ps(in->scales + b);
        if (blocks - b >= 8) {
            d = heads8(heads + b * width, width, affine, &offset);
        } else {
            float first[8] = {0}, second[8] = {0};
            for (size_t i = 0; b + i < blocks; i++) {
                first[i] = half_at(heads + (b + i) * width);
                if (affine) second[i] = half_at(heads + (b + i) * width + 2);
            }
            d = _mm256_loadu_ps(first);
            offset = _mm256_loadu_ps(second);
        }
        _mm256_storeu_ps(both + b, _mm256_mul_ps(d, dx));
        if (affine) _mm256_storeu_ps(shift + b, _mm256_mul_ps(offset, dx));
    }
#define WN_MASKED_BLOCK8(b, expanded, kept)                                                                  \
    do {                                                                                                     \
        __m256i codes_ = expanded, q_ = _mm256_loadu_si256((const __m256i *)(in->q + 32 * (b)));             \
        __m256 dot_ = _mm256_cvtepi32_ps(dot_block(codes_, q_, !affine));                                    \
        acc = _mm256_fmadd_ps(dot_, _mm256_broadcast_ss(both + (b)), acc);                                   \
        if (affine) {                                                                                        \
            __m256i own_ = _mm256_and_si256(kept_bytes32(kept), _mm256_set1_epi8(1));                        \
            __m256 sum_ = _mm256_cvtepi32_ps(dot_block(own_, q_, false));                                    \
            acc = _mm256_fmadd_ps(sum_, _mm256_broadcast_ss(shift + (b)), acc);                              \
        }                                                                                                    \
    } while (0)
    WN_MASKED_BLOCKS(m, row, blocks, four_bit, zero, WN_MASKED_BLOCK8);
    return reduce8(acc);
}

// Widest row whose scaled scales wait on the stack; wider ones go through a tile.
enum { WN_DECODE_BLOCKS = 1024 };

WN_INLINE void decode_masked_block8(
    const int format, const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    float both[WN_DECODE_BLOCKS + 8], shift[WN_DECODE_BLOCKS + 8];
    for (size_t r = 0; r < rows; r++) out[r] = masked_block8(format, m, row + r, in, both, shift);
}

WN_INLINE __m256i dot_wide_codes(__m256i codes, const int16_t *x) {
    __m256i low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(codes));
    __m256i high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(codes, 1));
    return _mm256_add_epi32(
        _mm256_madd_epi16(low, _mm256_loadu_si256((const __m256i *)x)),
        _mm256_madd_epi16(high, _mm256_loadu_si256((const __m256i *)(x + 16))));
}

static void decode_masked_int8(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    size_t blocks = (m->columns + 31) / 32;
    for (size_t r = 0; r < rows; r++) {
        // Sums of 4096 columns fit 32 bits; rows of more are summed in pieces.
        __m256i acc = _mm256_setzero_si256(), wide = _mm256_setzero_si256();
#define WN_MASKED_PLANES(b, expanded, kept)                                                                  \
    do {                                                                                                     \
        acc = _mm256_add_epi32(acc, dot_wide_codes(expanded, in->wide + 32 * (b)));                          \
        if (__builtin_expect((b) % 128 == 127, 0)) {                                                         \
            wide = _mm256_add_epi64(wide, widened(acc));                                                     \
            acc = _mm256_setzero_si256();                                                                    \
        }                                                                                                    \
    } while (0)
        WN_MASKED_BLOCKS(m, row + r, blocks, false, 0, WN_MASKED_PLANES);
        int64_t parts[4];
        _mm256_storeu_si256((__m256i *)parts, _mm256_add_epi64(wide, widened(acc)));
        int64_t total = parts[0] + parts[1] + parts[2] + parts[3];
        out[r] = (float)total * (((const float *)m->scales)[row + r] * in->scales[0]);
    }
}

static void decode_masked_int4(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    size_t blocks = (m->columns + 31) / 32, groups = (m->columns + m->group - 1) / m->group, per = m->group / 32;
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *halves = (const uint8_t *)m->scales + 2 * (row + r) * groups;
        __m256 acc = _mm256_setzero_ps();
#define WN_MASKED_GROUPS(b, expanded, kept)                                                                  \
    do {                                                                                                     \
        __m256 dot_ = _mm256_cvtepi32_ps(dot_wide_codes(expanded, in->wide + 32 * (b)));                     \
        acc = _mm256_fmadd_ps(dot_, _mm256_set1_ps(half_at(halves + 2 * ((b) / per))), acc);                 \
    } while (0)
        WN_MASKED_BLOCKS(m, row + r, blocks, true, 8, WN_MASKED_GROUPS);
        out[r] = reduce8(acc) * in->scales[0];
    }
}

#pragma clang attribute pop
#endif
