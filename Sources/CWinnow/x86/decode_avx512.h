// Products of one token straight from packed rows, with AVX-512: what a tile would give, in its order, without one.
// Dense rows one after another, each an ascending stream that asks ahead; rows of masks in pairs.
#ifndef WN_DECODE_AVX512_H
#define WN_DECODE_AVX512_H
#include "unpack_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// ---- Codes -------------------------------------------------------------------------------------------------------
// A row's codes, 64 columns at a time. `format`, `checked` and `turn` are constants in every call; `turn` counts the calls of a
// loop's body. `checked`: a masked row's last loads may pass the end of the values.
typedef struct code_stream {
    const uint8_t *next, *mask, *end;
    size_t columns;
} code_stream;

// Asks for a stream's bytes ahead, into the second-level cache. In turns from one page to four ahead, a cache line of each: what
// fetches ahead in hardware sees four streams, and reads them faster than one where memory is far away.
WN_INLINE void ask_ahead(const uint8_t *next, const size_t turn) {
    _mm_prefetch((const char *)next + WN_AHEAD * (1 + turn % 4), _MM_HINT_T1);
}

WN_INLINE bool is_masked(const int format) { return format >= WN_MASKED_Q4_0; }
WN_INLINE bool is_four_bit(const int format) {
    return format == WN_Q4_0 || format == WN_Q4_1 || format == WN_INT4 || format == WN_MASKED_Q4_0
           || format == WN_MASKED_Q4_1 || format == WN_MASKED_INT4;
}
// Bytes from one block of 32 to the next, and those before its codes.
WN_INLINE size_t block_step(const int format) { return format == WN_Q4_1 ? 20 : format == WN_Q8_0 ? 34 : 18; }
WN_INLINE size_t block_head(const int format) { return format == WN_Q4_1 ? 4 : 2; }

WN_INLINE code_stream open_codes(const int format, const wn_matrix *m, size_t row) {
    bool masked = is_masked(format);
    return (code_stream){
        .next = masked ? m->values + m->row_offsets[row] : m->values + row * m->row_bytes,
        .mask = masked ? m->mask + row * m->mask_stride : NULL,
        .end = m->values_end,
        .columns = m->columns,
    };
}

// Whether a row's loads of 64 bytes may pass the end of the values.
WN_INLINE bool ends_within(const int format, const wn_matrix *m, size_t row) {
    return is_masked(format) && (size_t)(m->values_end - m->values) < (size_t)m->row_offsets[row + 1] + 64;
}

// Two dense blocks, the second of them where there is one.
WN_INLINE __m512i pair_codes(const int format, const uint8_t *block, bool both) {
    const size_t head = block_head(format), step = block_step(format);
    if (format == WN_Q8_0) {
        __m512i codes = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(block + head)));
        __m256i second = both ? _mm256_loadu_si256((const __m256i *)(block + step + head)) : _mm256_setzero_si256();
        codes = _mm512_xor_si512(_mm512_inserti64x4(codes, second, 1), _mm512_set1_epi8((char)0x80));
        return both ? codes : _mm512_zextsi256_si512(_mm512_castsi512_si256(codes));
    }
    // A block's sixteen bytes twice: low nibbles, then high ones.
    const __m512i shifts = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    __m512i bytes = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(block + head)));
    if (both) bytes = _mm512_mask_broadcast_i32x4(bytes, 0xFF00, _mm_loadu_si128((const __m128i *)(block + step + head)));
    bytes = _mm512_and_si512(_mm512_srlv_epi64(bytes, shifts), _mm512_set1_epi8(15));
    return both ? bytes : _mm512_zextsi256_si512(_mm512_castsi512_si256(bytes));
}

// The codes of columns c..<c + 64, unsigned, zero past the last column; `kept` is set for masked formats.
WN_INLINE __m512i next_codes(
    const int format, const bool checked, code_stream *stream, size_t c, const size_t turn, uint64_t *kept) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    size_t left = stream->columns - c;
    if (format == WN_INT8) {
        const uint8_t *from = stream->next + c;
        ask_ahead(from, turn);
        if (__builtin_expect(left >= 64, 1)) return _mm512_xor_si512(_mm512_loadu_si512(from), flip);
        return _mm512_xor_si512(_mm512_maskz_loadu_epi8(tail64(left), from), flip);
    }
    if (format == WN_INT4) {
        const uint8_t *from = stream->next + c / 2;
        if (turn % 2 == 0) ask_ahead(from, turn / 2);
        if (__builtin_expect(left >= 64, 1)) return nibbles64(from, ~0u);
        return nibbles64(from, (1u << (left + 1) / 2) - 1);
    }
    if (!is_masked(format)) {
        const uint8_t *block = stream->next + c / 32 * block_step(format);
        ask_ahead(block, turn);
        return pair_codes(format, block, left > 32);
    }

    if (format == WN_BLOCK4_INT8) {
        __mmask16 blocks = block_mask(stream->mask + c / 32);
        _mm_prefetch((const char *)stream->next + WN_AHEAD, _MM_HINT_T0);
        __m512i packed = checked ? load_bytes(stream->next, stream->end) : _mm512_loadu_si512(stream->next);
        stream->next += 4 * __builtin_popcount(blocks);
        return _mm512_xor_si512(_mm512_maskz_expand_epi32(blocks, packed), flip);
    }
    *kept = mask_word(stream->mask + c / 8);
    size_t count = (size_t)__builtin_popcountll(*kept);
    // Packed values advance by less than a line a turn: one page ahead, each time.
    _mm_prefetch((const char *)stream->next + WN_AHEAD, _MM_HINT_T0);
    if (turn == 0) _mm_prefetch((const char *)stream->mask + c / 8 + WN_AHEAD / 2, _MM_HINT_T0);
    __m512i packed;
    if (is_four_bit(format)) {
        packed = checked ? load_nibbles(stream->next, stream->end) : nibbles64(stream->next, ~0u);
    } else {
        packed = checked ? load_bytes(stream->next, stream->end) : _mm512_loadu_si512(stream->next);
    }
    // A load, then the register form: expanding from memory runs 2.2 times slower.
    __asm__("" : "+v"(packed));
    if (is_four_bit(format)) {
        stream->next += (count + 1) / 2;
        const __m512i empty = _mm512_set1_epi8(format == WN_MASKED_Q4_1 ? 0 : 8);
        return _mm512_mask_expand_epi8(empty, *kept, packed);
    }
    stream->next += count;
    return _mm512_xor_si512(_mm512_maskz_expand_epi8(*kept, packed), flip);
}

// ---- Blocks of 32: the arithmetic of WN_BLOCK8_TILE ----------------------------------------------------------------
// Scales of sixteen blocks from `run`, zero past the last, and their offsets.
WN_INLINE __m512 run_scales(const int format, const wn_matrix *m, size_t row, size_t run, __m512 *offsets) {
    size_t blocks = m->columns / 32, left = blocks - run;
    if (!is_masked(format)) {
        return dense_scales(format, m->values + row * m->row_bytes + run * block_step(format), left, offsets);
    }
    const uint8_t *halves = (const uint8_t *)m->scales;
    if (format == WN_MASKED_Q4_1) {
        __m512i pairs = _mm512_maskz_loadu_epi32(tail16(left), halves + (row * blocks + run) * 4);
        *offsets = high_halves(pairs);
        return low_halves(pairs);
    }
    __m512 d = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(tail16(left), halves + (row * blocks + run) * 2));
    *offsets = _mm512_mul_ps(d, _mm512_set1_ps(format == WN_MASKED_Q8_0 ? -128 : -8));
    return d;
}

WN_INLINE __m512i halves_of(int pair) {
    const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return _mm512_add_epi32(halves, _mm512_set1_epi32(2 * pair));
}

// What a pair of blocks adds to what another has.
WN_INLINE __m512 pair_product(__m512i w, __m512i x, __m512i halves, __m512 scales, const __m512 *before) {
    __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), w, x));
    __m512 scale = _mm512_permutexvar_ps(halves, scales);
    return before ? _mm512_fmadd_ps(dot, scale, *before) : _mm512_mul_ps(dot, scale);
}

// Adds `count` pairs of blocks, one or two, to a row's sums.
WN_INLINE __m512 add_pairs(
    const int format, const bool checked, const int count, code_stream *stream, const int8_t *q, size_t c, int pair,
    __m512 scales, __m512 offsets, __m512 acc) {
    __m512 sum, shift;
    WN_UNROLL for (int i = 0; i < count; i++) {
        uint64_t kept = 0;
        __m512i w = next_codes(format, checked, stream, c + 64 * (size_t)i, (size_t)(pair + i), &kept);
        __m512i x = _mm512_loadu_si512(q + c + 64 * (size_t)i);
        sum = pair_product(w, x, halves_of(pair + i), scales, i ? &sum : NULL);
        if (format != WN_MASKED_Q4_1) continue;
        __m512i one = _mm512_maskz_mov_epi8(kept, _mm512_set1_epi8(1));
        shift = pair_product(one, x, halves_of(pair + i), offsets, i ? &shift : NULL);
    }
    acc = _mm512_add_ps(acc, sum);
    return format == WN_MASKED_Q4_1 ? _mm512_add_ps(acc, shift) : acc;
}

WN_INLINE float decode_block8_row(
    const int format, const bool checked, const wn_matrix *m, size_t row, const wn_input *in) {
    const size_t blocks = m->columns / 32;
    code_stream stream = open_codes(format, m, row);
    __m512 acc = _mm512_setzero_ps();
    for (size_t run = 0; run < blocks; run += 16) {
        __m512 offsets, dx = _mm512_loadu_ps(in->scales + run);
        __m512 scales = _mm512_mul_ps(run_scales(format, m, row, run, &offsets), dx);
        if (format == WN_MASKED_Q4_1) {
            offsets = _mm512_mul_ps(offsets, dx);
        } else {
            acc = _mm512_fmadd_ps(offsets, _mm512_loadu_ps(in->sums + run), acc);
        }
        size_t c = 32 * run;
        if (__builtin_expect(blocks - run >= 16, 1)) {
            WN_UNROLL for (int pair = 0; pair < 8; pair += 2, c += 128) {
                acc = add_pairs(format, checked, 2, &stream, in->q, c, pair, scales, offsets, acc);
            }
            continue;
        }
        int pairs = (int)(blocks - run + 1) / 2, pair = 0;
        for (; pair + 2 <= pairs; pair += 2, c += 128) {
            acc = add_pairs(format, checked, 2, &stream, in->q, c, pair, scales, offsets, acc);
        }
        if (pair < pairs) acc = add_pairs(format, checked, 1, &stream, in->q, c, pair, scales, offsets, acc);
    }
    return reduce16(acc);
}

// ---- Groups, over two planes: the arithmetic of WN_PLANES_TILE ------------------------------------------------------
// Adds a pair of blocks to the sums of `count` rows, one or two, that share the loads of inputs.
WN_INLINE void add_pair(
    const int format, const bool checked, const int count, code_stream *streams, const int8_t *q, const int8_t *lo, size_t c,
    int pair, const __m512 *scales, __m512 *acc) {
    __m512i x = _mm512_loadu_si512(q + 64 * pair), y = _mm512_loadu_si512(lo + 64 * pair);
    WN_UNROLL for (int r = 0; r < count; r++) {
        uint64_t kept;
        __m512i w = next_codes(format, checked, &streams[r], c + 64 * (size_t)pair, (size_t)pair, &kept);
        __m512i high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, x);
        __m512i dot = _mm512_dpbusd_epi32(_mm512_slli_epi32(high, 8), w, y);
        acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_permutexvar_ps(halves_of(pair), scales[r]), acc[r]);
    }
}

WN_INLINE void decode_groups(
    const int format, const bool checked, const int count, const wn_matrix *m, size_t row, const wn_input *in, float *out) {
    const size_t blocks = (m->columns + 31) / 32, groups = (m->columns + m->group - 1) / m->group;
    const unsigned shift = m->group == 128 ? 2 : m->group == 64 ? 1 : 0;
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i own = _mm512_srl_epi32(lanes, _mm_cvtsi32_si128((int)shift));
    code_stream streams[2];
    __m512 acc[2], d[2];
    WN_UNROLL for (int r = 0; r < count; r++) {
        streams[r] = open_codes(format, m, row + (size_t)r);
        acc[r] = _mm512_setzero_ps();
    }
    for (size_t run = 0; run < blocks; run += 16) {
        size_t left = blocks - run, first = run >> shift, here = groups - first;
        __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(in->isums + run));
        WN_UNROLL for (int r = 0; r < count; r++) {
            const uint8_t *halves = (const uint8_t *)m->scales + 2 * ((row + (size_t)r) * groups + first);
            d[r] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(tail16(here), halves));
            d[r] = _mm512_maskz_permutexvar_ps(tail16(left), own, d[r]);
            acc[r] = _mm512_fmadd_ps(_mm512_mul_ps(d[r], _mm512_set1_ps(-8)), sum, acc[r]);
        }
        const int8_t *q = in->q + 32 * run, *lo = in->lo + 32 * run;
        __asm__("" : "+r"(q), "+r"(lo));  // a pointer each: an address of two registers is an operation more
        if (__builtin_expect(left >= 16, 1)) {
            WN_UNROLL for (int pair = 0; pair < 8; pair++) {
                add_pair(format, checked, count, streams, q, lo, 32 * run, pair, d, acc);
            }
            continue;
        }
        int pairs = (int)(left + 1) / 2;
        for (int pair = 0; pair < pairs; pair++) {
            add_pair(format, checked, count, streams, q, lo, 32 * run, pair, d, acc);
        }
    }
    WN_UNROLL for (int r = 0; r < count; r++) out[r] = reduce16(acc[r]) * in->scales[0];
}

// ---- Rows with one scale, over two planes: exact sums, in any order ---------------------------------------------------
WN_INLINE void decode_rows(
    const int format, const bool checked, const int count, const wn_matrix *m, size_t row, const wn_input *in, float *out) {
    code_stream streams[2];
    // Two sums each for a row alone, for an addition waits for the one before.
    __m512i high[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    __m512i low[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    WN_UNROLL for (int r = 0; r < count; r++) streams[r] = open_codes(format, m, row + (size_t)r);
    const int8_t *q = in->q, *lo = in->lo;
    uint64_t kept;
    size_t c = 0;
    for (; c + 256 <= m->columns; c += 256, q += 256, lo += 256) {
        __asm__("" : "+r"(q), "+r"(lo));
        WN_UNROLL for (size_t i = 0; i < 4; i++) {
            __m512i x = _mm512_loadu_si512(q + 64 * i), y = _mm512_loadu_si512(lo + 64 * i);
            WN_UNROLL for (int r = 0; r < count; r++) {
                int sum = count == 1 ? (int)i % 2 : r;
                __m512i w = next_codes(format, checked, &streams[r], c + 64 * i, i, &kept);
                high[sum] = _mm512_dpbusd_epi32(high[sum], w, x);
                low[sum] = _mm512_dpbusd_epi32(low[sum], w, y);
            }
        }
    }
    for (; c < m->columns; c += 64, q += 64, lo += 64) {
        __m512i x = _mm512_loadu_si512(q), y = _mm512_loadu_si512(lo);
        WN_UNROLL for (int r = 0; r < count; r++) {
            __m512i w = next_codes(format, checked, &streams[r], c, 0, &kept);
            high[r] = _mm512_dpbusd_epi32(high[r], w, x);
            low[r] = _mm512_dpbusd_epi32(low[r], w, y);
        }
    }
    WN_UNROLL for (int r = 0; r < count; r++) {
        int64_t total = sum_lanes(high[r]), rest = sum_lanes(low[r]);
        if (count == 1) {
            total += sum_lanes(high[1]);
            rest += sum_lanes(low[1]);
        }
        float scale = ((const float *)m->scales)[row + (size_t)r];
        out[r] = wn_planes_value(total, rest, in->totals[0], scale, in->scales[0]);
    }
}

// Rows of masks go in pairs: one row's counts and expansions leave ports idle that the other uses. Dense rows run best alone.
static bool decode(const wn_matrix *m, size_t row, size_t rows, const wn_input *in, float *out) {
    if (in->kind == WN_INPUT_F32) return false;
    size_t r = 0;
#define WN_BLOCKS(FORMAT)                                                                                          \
    case FORMAT:                                                                                                   \
        for (; r < rows; r++) {                                                                                    \
            out[r] = ends_within(FORMAT, m, row + r) ? decode_block8_row(FORMAT, is_masked(FORMAT), m, row + r, in) \
                                                     : decode_block8_row(FORMAT, false, m, row + r, in);           \
        }                                                                                                          \
        return true
#define WN_PLANES(FORMAT, FUNCTION)                                                                                \
    case FORMAT:                                                                                                   \
        for (; is_masked(FORMAT) && r + 2 <= rows && !ends_within(FORMAT, m, row + r + 1); r += 2) {               \
            FUNCTION(FORMAT, false, 2, m, row + r, in, out + r);                                                   \
        }                                                                                                          \
        for (; r < rows; r++) {                                                                                    \
            if (ends_within(FORMAT, m, row + r)) {                                                                 \
                FUNCTION(FORMAT, is_masked(FORMAT), 1, m, row + r, in, out + r);                                   \
            } else {                                                                                               \
                FUNCTION(FORMAT, false, 1, m, row + r, in, out + r);                                               \
            }                                                                                                      \
        }                                                                                                          \
        return true
    switch (m->format) {
    WN_BLOCKS(WN_Q4_0);
    WN_BLOCKS(WN_Q4_1);
    WN_BLOCKS(WN_Q8_0);
    WN_PLANES(WN_INT8, decode_rows);
    WN_PLANES(WN_INT4, decode_groups);
    WN_BLOCKS(WN_MASKED_Q4_0);
    WN_BLOCKS(WN_MASKED_Q4_1);
    WN_BLOCKS(WN_MASKED_Q8_0);
    WN_PLANES(WN_MASKED_INT8, decode_rows);
    WN_PLANES(WN_MASKED_INT4, decode_groups);
    WN_PLANES(WN_BLOCK4_INT8, decode_rows);
    default: return false;
    }
#undef WN_BLOCKS
#undef WN_PLANES
}

#pragma clang attribute pop
#endif
