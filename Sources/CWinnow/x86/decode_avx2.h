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

// Eight sums of four inputs each.
WN_INLINE __m256 sum_block(__m256i x) { return _mm256_cvtepi32_ps(dot_block(_mm256_set1_epi8(1), x, false)); }

// Codes of two blocks. Sums of blocks are added by pairs: an addition is quicker than a fused one, and a row waits for
// half as many.
typedef struct block_pair {
    __m256i codes[2];
} block_pair;

WN_INLINE block_pair pair_codes(const uint8_t *codes) {
    return (block_pair){{_mm256_loadu_si256((const __m256i *)codes), _mm256_loadu_si256((const __m256i *)(codes + 32))}};
}

WN_INLINE __m256 pair_sum(block_pair pair, const int8_t *q, const bool is_signed, const float *scales) {
    __m256i first = dot_block(pair.codes[0], _mm256_loadu_si256((const __m256i *)q), is_signed);
    __m256i second = dot_block(pair.codes[1], _mm256_loadu_si256((const __m256i *)(q + 32)), is_signed);
    return _mm256_fmadd_ps(
        _mm256_cvtepi32_ps(second), _mm256_broadcast_ss(scales + 1),
        _mm256_mul_ps(_mm256_cvtepi32_ps(first), _mm256_broadcast_ss(scales)));
}

// Eight 32-bit sums as four of 64 bits.
WN_INLINE __m256i widened(__m256i sums) {
    return _mm256_add_epi64(
        _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums)),
        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sums, 1)));
}

// ---- Dense blocks: the arithmetic of block8_tile -----------------------------------------------------------------
// How a block of 32 stands: a scale, an offset where `affine`, fifth bits where there are any, then the codes.
typedef struct block_shape {
    size_t head, step;
    bool affine, is_signed;
} block_shape;

WN_INLINE block_shape block_shape_of(const int format) {
    switch (format) {
    case WN_Q4_1: return (block_shape){4, 20, true, false};
    case WN_Q8_0: return (block_shape){2, 34, false, true};
    case WN_Q5_0: return (block_shape){6, 22, false, true};
    case WN_Q5_1: return (block_shape){8, 24, true, false};
    case WN_IQ4_NL: return (block_shape){2, 18, false, true};
    default: return (block_shape){2, 18, false, false};  // Q4_0, whose offset is -8 d
    }
}

WN_INLINE __m256i block_codes(const uint8_t *codes, const int format) {
    if (format == WN_Q8_0) return _mm256_loadu_si256((const __m256i *)codes);
    __m256i nibbles = (__m256i)nibbles_at(codes);
    switch (format) {
    case WN_Q5_0: return (__m256i)(((wn_bytes32)nibbles | fifth_bits_at(codes - 4)) - 16);
    case WN_Q5_1: return (__m256i)((wn_bytes32)nibbles | fifth_bits_at(codes - 4));
    case WN_IQ4_NL: return look_up16(wn_iq4_values, nibbles);
    default: return nibbles;
    }
}

// Scales of eight blocks times those of the input, and the blocks' offsets where there are any.
WN_INLINE void block_scales8(
    const int format, const uint8_t *from, const float *dx, float *both, float *offsets) {
    const block_shape shape = block_shape_of(format);
    __m256 offset = _mm256_setzero_ps(), d = heads8(from, shape.step, shape.affine, &offset);
    if (format == WN_Q4_0) offset = _mm256_mul_ps(d, _mm256_set1_ps(-8));
    _mm256_storeu_ps(both, _mm256_mul_ps(d, _mm256_loadu_ps(dx)));
    if (!shape.is_signed) _mm256_storeu_ps(offsets, offset);
}

// The same of up to WN_SEGMENT / 32 blocks; zeros up to a whole run of eight.
WN_INLINE void block_scales(
    const int format, const uint8_t *from, size_t blocks, const float *dx, float *both, float *offsets) {
    const size_t step = block_shape_of(format).step;
    if (blocks % 8) {
        _mm256_storeu_ps(both + blocks, _mm256_setzero_ps());
        _mm256_storeu_ps(offsets + blocks, _mm256_setzero_ps());
    }
    size_t b = 0;
    for (; b + 8 <= blocks; b += 8) block_scales8(format, from + b * step, dx + b, both + b, offsets + b);
    if (b == blocks) return;
    if (blocks >= 8) {
        // The last eight, some of them again.
        b = blocks - 8;
        block_scales8(format, from + b * step, dx + b, both + b, offsets + b);
        return;
    }
    for (; b < blocks; b++) {
        float d = half_at(from + b * step);
        both[b] = d * dx[b];
        offsets[b] = block_shape_of(format).affine ? half_at(from + b * step + 2) : format == WN_Q4_0 ? -8 * d : 0;
    }
}

// A row after another: the stream that the hardware's prefetcher knows best. Rows side by side, with or without
// prefetches of our own, read DRAM at half that speed. Scales go first, so that no run waits for its own.
WN_INLINE void decode_blocks(
    const int format, const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    const block_shape shape = block_shape_of(format);
    const size_t head = shape.head, step = shape.step, blocks = m->columns / 32;
    float both[WN_SEGMENT / 32 + 8], offsets[WN_SEGMENT / 32 + 8];
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *from = m->values + (row + r) * m->row_bytes;
        __m256 acc = _mm256_setzero_ps();
        for (size_t run = 0; run < blocks; run += 8, from += 8 * step) {
            size_t at = run % (WN_SEGMENT / 32), left = blocks - run;
            if (at == 0) {
                size_t count = left < WN_SEGMENT / 32 ? left : WN_SEGMENT / 32;
                block_scales(format, from, count, in->scales + run, both, offsets);
            }
            if (!shape.is_signed) {
                acc = _mm256_fmadd_ps(_mm256_loadu_ps(offsets + at), _mm256_loadu_ps(in->sums + run), acc);
            }
            const uint8_t *block = from + head;
            const int8_t *q = in->q + 32 * run;
            if (__builtin_expect(left >= 8, 1)) {
                WN_UNROLL for (size_t b = 0; b < 8; b += 2, block += 2 * step, q += 64) {
                    block_pair pair = {{block_codes(block, format), block_codes(block + step, format)}};
                    acc = _mm256_add_ps(acc, pair_sum(pair, q, shape.is_signed, both + at + b));
                }
                continue;
            }
            for (size_t b = 0; b < left; b += 2, block += 2 * step, q += 64) {
                block_pair pair = {{block_codes(block, format), _mm256_setzero_si256()}};
                if (__builtin_expect(left - b > 1, 1)) pair.codes[1] = block_codes(block + step, format);
                acc = _mm256_add_ps(acc, pair_sum(pair, q, shape.is_signed, both + at + b));
            }
        }
        out[r] = reduce8(acc);
    }
}

// The first of each two of sixteen.
WN_INLINE __m256 every_other(const float *values) {
    __m256 parts = _mm256_shuffle_ps(_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8), 0x88);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(parts), 0xD8));
}

// ---- The larger blocks of GGUF -----------------------------------------------------------------------------------
// Eight blocks of 32 at a time, unpacked to a buffer that never leaves the first-level cache: the arithmetic of
// block8_tile, or of halves_tile.
WN_INLINE void decode_ggml_rows(
    const int format, const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    const wn_block_layout layout = block_layout(format);
    const bool halves = layout.has_halves, is_signed = !layout.has_offsets;
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *from = m->values + (row + r) * m->row_bytes;
        __m256 acc = _mm256_setzero_ps();
        for (size_t start = 0; start < m->columns; start += 256) {
            int8_t codes[WN_BLOCK_COLUMNS] __attribute__((aligned(32)));
            float d[WN_SUB_BLOCKS], offset[WN_SUB_BLOCKS], both[8];
            // Blocks of 256 leave nothing over, and no question.
            size_t left = m->columns - start, columns = layout.width == 256 || left >= 256 ? 256 : left;
            const size_t blocks = columns / 32;
            for (size_t c = 0; c < columns; c += layout.width, from += layout.bytes) {
                unpack_block(format, from, codes + c, d + c / WN_SUB_BLOCK, offset + c / WN_SUB_BLOCK);
            }
            const int8_t *q = in->q + start;
            const float *dx = in->scales + start / 32;
            if (halves) {
                // Eight, but in the last of the narrower blocks: inputs past them are not read.
                const size_t count = layout.width < 256 ? blocks : 8;
                for (size_t b = 0; b < count; b++) {
                    __m256i w = _mm256_load_si256((const __m256i *)(codes + 32 * b));
                    __m256i x = _mm256_loadu_si256((const __m256i *)(q + 32 * b));
                    __m256 dot = _mm256_mul_ps(_mm256_cvtepi32_ps(dot_block(w, x, is_signed)), both_halves(d + 2 * b));
                    if (layout.has_offsets) dot = _mm256_fmadd_ps(sum_block(x), both_halves(offset + 2 * b), dot);
                    acc = _mm256_fmadd_ps(dot, _mm256_broadcast_ss(dx + b), acc);
                }
                continue;
            }
            if (layout.width < 256 && __builtin_expect(blocks < 8, 0)) {
                memset(codes + columns, 0, 256 - columns);
                for (size_t b = blocks; b < 8; b++) d[2 * b] = offset[2 * b] = 0;
            }
            _mm256_storeu_ps(both, _mm256_mul_ps(every_other(d), _mm256_loadu_ps(dx)));
            if (layout.has_offsets) {
                acc = _mm256_fmadd_ps(every_other(offset), _mm256_loadu_ps(in->sums + start / 32), acc);
            }
            // A row's blocks are padded to whole pairs; inputs past them are zeros or another token's, and not read.
            WN_UNROLL for (size_t b = 0; b < 8; b += 2) {
                if (layout.width < 256 && b >= blocks) break;
                acc = _mm256_add_ps(acc, pair_sum(pair_codes((uint8_t *)codes + 32 * b), q + 32 * b, is_signed, both + b));
            }
        }
        out[r] = reduce8(acc);
    }
}

static bool decode_ggml(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
#define WN_DECODE_SMALL(FORMAT) case FORMAT: decode_blocks(FORMAT, m, row, rows, in, out); return true;
#define WN_DECODE_LARGE(FORMAT) case FORMAT: decode_ggml_rows(FORMAT, m, row, rows, in, out); return true;
    switch (m->format) {
    WN_SMALL_BLOCKS(WN_DECODE_SMALL)
    WN_LARGE_BLOCKS(WN_DECODE_LARGE)
    default: return false;
    }
}

// ---- Masked rows -------------------------------------------------------------------------------------------------
// The same arithmetic over rows that are expanded on the way. `format` is a constant in every call.

// The sums of a run of 64 columns of 16-bit inputs, into two accumulators.
WN_INLINE void add_run_wide(const uint8_t *mask, const uint8_t **next, const int16_t *x, __m256i acc[2]) {
    WN_UNROLL for (int i = 0; i < 4; i++) {
        __m256i words = _mm256_cvtepi8_epi16(masked_bytes16(mask + 2 * i, next));
        __m256i dot = _mm256_madd_epi16(words, _mm256_loadu_si256((const __m256i *)(x + 16 * i)));
        acc[i % 2] = _mm256_add_epi32(acc[i % 2], dot);
    }
}

static void decode_masked_int8(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    masked_walk walk;
    for (size_t r = 0; r < rows; r++) {
        __m256i total = _mm256_setzero_si256();
        walk_row(&walk, m, row + r);
        for (size_t segment = 0; segment < m->columns; segment += WN_SEGMENT) {
            size_t columns = m->columns - segment < WN_SEGMENT ? m->columns - segment : WN_SEGMENT, c = 0;
            const uint8_t *begin = walk_bytes(&walk, m, columns), *next = begin;
            const int16_t *x = in->wide + segment;
            while (c < columns) {
                // Sums of 4096 columns fit 32 bits.
                size_t end = columns - c < 4096 ? columns : c + 4096;
                __m256i acc[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
                for (; c + 128 <= end; c += 128) {
                    _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);
                    add_run_wide(walk.mask + c / 8, &next, x + c, acc);
                    add_run_wide(walk.mask + c / 8 + 8, &next, x + c + 64, acc);
                }
                for (; c < end; c += 64) add_run_wide(walk.mask + c / 8, &next, x + c, acc);
                total = _mm256_add_epi64(total, widened(_mm256_add_epi32(acc[0], acc[1])));
            }
            walk_on(&walk, begin, next, columns, false);
        }
        int64_t parts[4];
        _mm256_storeu_si256((__m256i *)parts, total);
        int64_t sum = parts[0] + parts[1] + parts[2] + parts[3];
        out[r] = (float)sum * (((const float *)m->scales)[row + r] * in->scales[0]);
    }
}

static void decode_block4_int8(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    masked_walk walk;
    for (size_t r = 0; r < rows; r++) {
        __m256i total = _mm256_setzero_si256();
        walk_row(&walk, m, row + r);
        const uint8_t *next = walk.next;
        for (size_t c = 0; c < m->columns;) {
            // Sums of 4096 columns fit 32 bits.
            size_t end = m->columns - c < 4096 ? m->columns : c + 4096;
            __m256i acc[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
            for (; c < end; c += 32) {
                _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);
                __m256i codes = block4_bytes32(walk.mask + c / 32, &next, m->values_end - next);
                const __m256i *x = (const __m256i *)(in->wide + c);
                __m256i low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(codes));
                __m256i high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(codes, 1));
                acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(low, _mm256_loadu_si256(x)));
                acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(high, _mm256_loadu_si256(x + 1)));
            }
            total = _mm256_add_epi64(total, widened(_mm256_add_epi32(acc[0], acc[1])));
        }
        int64_t parts[4];
        _mm256_storeu_si256((__m256i *)parts, total);
        int64_t sum = parts[0] + parts[1] + parts[2] + parts[3];
        out[r] = (float)sum * (((const float *)m->scales)[row + r] * in->scales[0]);
    }
}

// Scales of a segment's blocks times those of the input; offsets too where the format has them.
WN_INLINE void segment_scales(
    const int format, const uint8_t *heads, size_t blocks, const float *dx, float *both, float *shift) {
    const bool affine = format == WN_MASKED_Q4_1;
    const size_t width = affine ? 4 : 2;
    for (size_t b = 0; b < blocks; b += 8) {
        // Flags of kept columns are 16.
        const __m256 sixteenth = _mm256_set1_ps(1.0f / 16);
        uint8_t part[32] = {0};
        const uint8_t *from = heads + b * width;
        if (__builtin_expect(blocks - b < 8, 0)) from = memcpy(part, from, (blocks - b) * width);
        __m256 d, offset = _mm256_setzero_ps(), x = _mm256_loadu_ps(dx + b);
        d = heads8(from, width, affine, &offset);
        _mm256_storeu_ps(both + b, _mm256_mul_ps(d, x));
        if (affine) _mm256_storeu_ps(shift + b, _mm256_mul_ps(_mm256_mul_ps(offset, x), sixteenth));
    }
}

WN_INLINE void decode_masked_block8(
    const int format, const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    const bool affine = format == WN_MASKED_Q4_1, four_bit = format != WN_MASKED_Q8_0;
    const int zero = format == WN_MASKED_Q4_0 ? 8 : 0, flag = affine ? 16 : 0;
    const size_t row_blocks = m->columns / 32, width = affine ? 4 : 2;
    masked_walk walk;
    float both[WN_SEGMENT / 32 + 8], shift[WN_SEGMENT / 32 + 8];
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *heads = (const uint8_t *)m->scales + (row + r) * row_blocks * width;
        __m256 acc = _mm256_setzero_ps();
        walk_row(&walk, m, row + r);
        for (size_t segment = 0; segment < m->columns; segment += WN_SEGMENT) {
            size_t columns = m->columns - segment < WN_SEGMENT ? m->columns - segment : WN_SEGMENT;
            size_t first = segment / 32;
            segment_scales(format, heads + first * width, columns / 32, in->scales + first, both, shift);
            const uint8_t *begin =
                four_bit ? walk_nibbles(&walk, m, columns, zero, flag) : walk_bytes(&walk, m, columns);
            const uint8_t *next = begin;
            for (size_t c = 0; c < columns; c += 64) {
                const uint8_t *mask = walk.mask + c / 8;
                const int8_t *q = in->q + segment + c;
                if (!four_bit) _mm_prefetch((const char *)next + WN_AHEAD, _MM_HINT_T0);
                block_pair pair, flags;
                WN_UNROLL for (int i = 0; i < 2; i++) {
                    pair.codes[i] = masked_bytes32(mask + 4 * i, &next);
                    if (!affine) continue;
                    flags.codes[i] = _mm256_and_si256(pair.codes[i], _mm256_set1_epi8(16));
                    pair.codes[i] = _mm256_xor_si256(pair.codes[i], flags.codes[i]);
                }
                acc = _mm256_add_ps(acc, pair_sum(pair, q, !affine, both + c / 32));
                if (affine) acc = _mm256_add_ps(acc, pair_sum(flags, q, false, shift + c / 32));
                next = run_end(begin, next, four_bit);
            }
            walk_on(&walk, begin, next, columns, four_bit);
        }
        out[r] = reduce8(acc);
    }
}

WN_INLINE __m256i dot_wide_masked(const uint8_t *mask, const uint8_t **next, const int16_t *x) {
    __m256i low = _mm256_cvtepi8_epi16(masked_bytes16(mask, next));
    __m256i high = _mm256_cvtepi8_epi16(masked_bytes16(mask + 2, next));
    return _mm256_add_epi32(
        _mm256_madd_epi16(low, _mm256_loadu_si256((const __m256i *)x)),
        _mm256_madd_epi16(high, _mm256_loadu_si256((const __m256i *)(x + 16))));
}

static void decode_masked_int4(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    const size_t groups = (m->columns + m->group - 1) / m->group, per = m->group / 32;
    masked_walk walk;
    float scales[WN_SEGMENT / 32 + 8];
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *halves = (const uint8_t *)m->scales + 2 * (row + r) * groups;
        __m256 acc = _mm256_setzero_ps();
        walk_row(&walk, m, row + r);
        for (size_t segment = 0; segment < m->columns; segment += WN_SEGMENT) {
            size_t columns = m->columns - segment < WN_SEGMENT ? m->columns - segment : WN_SEGMENT;
            // A last block alone in its run of 64 meets a scale that is no NaN.
            scales[(columns + 31) / 32] = 0;
            for (size_t g = 0; g * m->group < columns; g++) {
                float scale = half_at(halves + 2 * (segment / m->group + g));
                for (size_t b = g * per; b < g * per + per; b++) scales[b] = scale;
            }
            const uint8_t *begin = walk_nibbles(&walk, m, columns, 8, 0), *next = begin;
            for (size_t c = 0; c < columns; c += 64) {
                WN_UNROLL for (size_t half = 0; half < 64; half += 32) {
                    size_t at = c + half;
                    __m256i dot = dot_wide_masked(walk.mask + at / 8, &next, in->wide + segment + at);
                    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_broadcast_ss(scales + at / 32), acc);
                }
                next = run_end(begin, next, true);
            }
            walk_on(&walk, begin, next, columns, true);
        }
        out[r] = reduce8(acc) * in->scales[0];
    }
}

#pragma clang attribute pop
#endif
