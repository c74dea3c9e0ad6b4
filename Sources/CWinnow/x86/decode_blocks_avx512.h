// Rows of blocks of 32 for one token, with AVX-512: the arithmetic of block8_rows. A lane is a block of sixteen.
#ifndef WN_DECODE_BLOCKS_AVX512_H
#define WN_DECODE_BLOCKS_AVX512_H
#include "codes_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// What sixteen blocks are multiplied with, a lane each, zeros past the last: scales of whole blocks or of their halves, and offsets
// of formats that have them.
typedef struct run_scales {
    __m512 scale[2], offset[2];
} run_scales;

// Sums of the products of both halves of sixteen blocks, a lane each.
typedef struct run_sums {
    __m512i half[2];
} run_sums;

// How a format's run is read: its codes pair after pair out of the row, or out of a buffer that a run is unpacked to.
WN_INLINE bool is_buffered(const int format) {
    return format > WN_BLOCK4_INT8 && format != WN_Q5_0 && format != WN_Q5_1 && format != WN_IQ4_NL && !is_super_block(format);
}
// Codes that carry a sign come with 128 added, or what is left of it after a shift; that is taken off again as whole numbers.
WN_INLINE bool is_signed_block(const int format) {
    switch (format) {
    case WN_Q4_1: case WN_MASKED_Q4_1: return false;
    case WN_Q4_0: case WN_Q8_0: case WN_MASKED_Q4_0: case WN_MASKED_Q8_0: return true;
    default: return !block_layout(format).has_offsets;
    }
}
WN_INLINE __m512i shifted_sign(const int format, __m512i halves) {
    switch (format) {
    case WN_Q6_K: return _mm512_srai_epi32(halves, 2);
    case WN_Q5_0: return _mm512_srai_epi32(halves, 3);
    case WN_Q4_0: case WN_MASKED_Q4_0: return _mm512_srai_epi32(halves, 4);
    default: return halves;
    }
}
WN_INLINE bool is_halved(const int format) { return format > WN_BLOCK4_INT8 && block_layout(format).has_halves; }

// Eight bytes for each of two blocks of 256 as sixteen numbers times the blocks' factors.
WN_INLINE __m512 two_times_eight(uint64_t first, uint64_t second, bool is_signed, float d, float e) {
    __m128i bytes = _mm_set_epi64x((long long)second, (long long)first);
    __m512i words = is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(words), _mm512_mask_blend_ps(0xFF00, _mm512_set1_ps(d), _mm512_set1_ps(e)));
}

WN_INLINE void k_scale_bytes(const uint8_t *from, uint64_t *scales, uint64_t *minima) {
    uint32_t a = word32(from + 4), b = word32(from + 8), c = word32(from + 12);
    *scales = (a & 0x3F3F3F3Fu) | (uint64_t)((c & 0x0F0F0F0Fu) | (a >> 2 & 0x30303030u)) << 32;
    *minima = (b & 0x3F3F3F3Fu) | (uint64_t)((c >> 4 & 0x0F0F0F0Fu) | (b >> 2 & 0x30303030u)) << 32;
}

WN_INLINE uint64_t iq4_scale_bytes(const uint8_t *from) {
    uint64_t low = _pdep_u64(word32(from + 4), 0x0F0F0F0F0F0F0F0Fu);
    uint64_t high = _pdep_u64((uint64_t)from[2] | (uint64_t)from[3] << 8, 0x3030303030303030u);
    // 32 is taken off each byte, none of which borrows.
    return ((low | high | 0x8080808080808080u) - 0x2020202020202020u) ^ 0x8080808080808080u;
}

// Of one or two blocks of 256.
WN_INLINE run_scales super_scales(const int format, const uint8_t *from, bool both) {
    const uint8_t *other = both ? from + block_layout(format).bytes : from;
    run_scales s;
    if (format == WN_Q6_K) {
        const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        __m512i one = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(from + 192)));
        __m512i two = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(other + 192)));
        __m512 first = _mm512_mul_ps(_mm512_cvtepi32_ps(one), _mm512_set1_ps(wn_half(from + 208)));
        __m512 second = _mm512_mul_ps(_mm512_cvtepi32_ps(two), _mm512_set1_ps(both ? wn_half(other + 208) : 0));
        s.scale[0] = _mm512_permutex2var_ps(first, even, second);
        s.scale[1] = _mm512_permutex2var_ps(first, odd, second);
        return s;
    }
    if (format == WN_IQ4_XS) {
        float d = wn_half(from), e = both ? wn_half(other) : 0;
        s.scale[0] = two_times_eight(iq4_scale_bytes(from), iq4_scale_bytes(other), true, d, e);
        return s;
    }
    uint64_t scales[2], minima[2];
    k_scale_bytes(from, &scales[0], &minima[0]);
    k_scale_bytes(other, &scales[1], &minima[1]);
    s.scale[0] = two_times_eight(scales[0], scales[1], false, wn_half(from), both ? wn_half(other) : 0);
    s.offset[0] = two_times_eight(minima[0], minima[1], false, -wn_half(from + 2), both ? -wn_half(other + 2) : 0);
    return s;
}

// Scales of sixteen blocks from `run`, `left` of them there.
WN_INLINE run_scales scales_of_run(const int format, const wn_matrix *m, size_t row, size_t run) {
    size_t blocks = m->columns / 32, left = blocks - run;
    run_scales s;
    if (is_super_block(format)) {
        const uint8_t *from = m->values + row * m->row_bytes + run / 8 * block_layout(format).bytes;
        return super_scales(format, from, left > 8);
    }
    if (!is_masked(format)) {
        const uint8_t *from = m->values + row * m->row_bytes + run * block_step(format);
        s.scale[0] = dense_scales(format, from, left, &s.offset[0]);
        return s;
    }
    const uint8_t *halves = (const uint8_t *)m->scales;
    if (format == WN_MASKED_Q4_1) {
        __m512i pairs = _mm512_maskz_loadu_epi32(tail16(left), halves + (row * blocks + run) * 4);
        s.offset[0] = high_halves(pairs);
        s.scale[0] = low_halves(pairs);
        return s;
    }
    s.scale[0] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(tail16(left), halves + (row * blocks + run) * 2));
    return s;
}

// A run of the formats that are unpacked to a buffer: its codes, zeros past the last, and its scales.
WN_INLINE run_scales unpack_run(const int format, const wn_matrix *m, size_t row, size_t run, uint8_t codes[512]) {
    const wn_block_layout layout = block_layout(format);
    const uint8_t *from = m->values + row * m->row_bytes + 32 * run / layout.width * layout.bytes;
    size_t columns = m->columns - 32 * run < 512 ? m->columns - 32 * run : 512;
    float d[32] = {0}, offset[32] = {0};
    for (size_t c = 0; c < columns; c += layout.width, from += layout.bytes) {
        unpack_unsigned(format, from, codes + c, d + c / 16, offset + c / 16);
    }
    if (__builtin_expect(columns < 512, 0)) memset(codes + columns, 0, 512 - columns);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    run_scales s;
    WN_UNROLL for (int half = 0; half < (layout.has_halves ? 2 : 1); half++) {
        const __m512i place = _mm512_add_epi32(even, _mm512_set1_epi32(half));
        s.scale[half] = _mm512_permutex2var_ps(_mm512_loadu_ps(d), place, _mm512_loadu_ps(d + 16));
        if (!layout.has_offsets) continue;
        s.offset[half] = _mm512_permutex2var_ps(_mm512_loadu_ps(offset), place, _mm512_loadu_ps(offset + 16));
    }
    return s;
}

// The sums of eight pairs of blocks, each four columns a lane, in the order of blocks.
WN_INLINE run_sums sums_of_pairs(const __m512i v[8]) {
    __m512i a[4], b[2];
    WN_UNROLL for (int i = 0; i < 4; i++) {
        a[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
    }
    WN_UNROLL for (int i = 0; i < 2; i++) {
        b[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]), _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
    }
    return (run_sums){{_mm512_shuffle_i32x4(b[0], b[1], 0x88), _mm512_shuffle_i32x4(b[0], b[1], 0xDD)}};
}

// Where those stand: lane b of the result is block b.
WN_INLINE __m512i in_order(__m512i sums) {
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15), sums);
}

// Of a pair alone: its blocks in the first two lanes.
WN_INLINE run_sums sums_of_pair(__m512i v) {
    v = _mm512_add_epi32(v, _mm512_shuffle_epi32(v, _MM_PERM_BADC));
    v = _mm512_add_epi32(v, _mm512_shuffle_epi32(v, _MM_PERM_CDAB));
    const __m512i first = _mm512_setr_epi32(0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(4));
    return (run_sums){{_mm512_maskz_permutexvar_epi32(3, first, v), _mm512_maskz_permutexvar_epi32(3, second, v)}};
}

// The sums of a run's blocks with the codes of `pairs` pairs; of the kept inputs too for MASKED_Q4_1. `pairs` 8 or 1 is a constant.
WN_INLINE void sum_run(
    const int format, const bool checked, const size_t pairs, code_stream *stream, const uint8_t *codes, const int8_t *q,
    size_t c, run_sums *sums, run_sums *kept_sums) {
    const bool has_kept = format == WN_MASKED_Q4_1;
    __m512i v[8], k[8];
    WN_UNROLL for (size_t pair = 0; pair < 8; pair++) {
        v[pair] = k[pair] = _mm512_setzero_si512();
        if (pair >= pairs) continue;
        uint64_t kept = 0;
        __m512i x = _mm512_loadu_si512(q + 64 * pair);
        __m512i w = is_buffered(format) ? _mm512_loadu_si512(codes + 64 * pair)
                                        : next_codes(format, checked, stream, c + 64 * pair, pair, &kept);
        v[pair] = _mm512_dpbusd_epi32(v[pair], w, x);
        if (has_kept) k[pair] = _mm512_dpbusd_epi32(k[pair], _mm512_maskz_mov_epi8(kept, _mm512_set1_epi8(1)), x);
    }
    if (pairs == 1) {
        *sums = sums_of_pair(v[0]);
        if (has_kept) *kept_sums = sums_of_pair(k[0]);
        return;
    }
    *sums = sums_of_pairs(v);
    if (has_kept) *kept_sums = sums_of_pairs(k);
    WN_UNROLL for (int half = 0; half < 2; half++) {
        // Whole blocks are put in order together.
        if (!is_halved(format)) continue;
        sums->half[half] = in_order(sums->half[half]);
    }
}

// Both halves, and what is added to them.
WN_INLINE __m512 whole_blocks(const size_t pairs, run_sums sums, __m512i shift) {
    __m512i both = _mm512_add_epi32(sums.half[0], sums.half[1]);
    return _mm512_cvtepi32_ps(_mm512_add_epi32(pairs == 1 ? both : in_order(both), shift));
}

// Adds a run of sixteen blocks, `there` of them, to the sums of a row.
WN_INLINE __m512 add_run(
    const int format, const bool checked, const size_t pairs, const wn_matrix *m, size_t row, const wn_input *in, size_t run,
    __mmask16 there, code_stream *stream, __m512 acc) {
    uint8_t codes[512] __attribute__((aligned(64)));
    run_scales s = is_buffered(format) ? unpack_run(format, m, row, run, codes) : scales_of_run(format, m, row, run);
    const __m512 dx = _mm512_loadu_ps(in->scales + run);
    run_sums sums, kept;
    sum_run(format, checked, pairs, stream, codes, in->q + 32 * run, 32 * run, &sums, &kept);
    if (is_halved(format)) {
        const int32_t *inputs = in->halves + run;
        const size_t blocks = wn_block_stride(in->stride);
        __m512 value = _mm512_setzero_ps();
        WN_UNROLL for (size_t half = 0; half < 2; half++) {
            __m512i dot = sums.half[half];
            if (is_signed_block(format)) {
                dot = _mm512_add_epi32(dot, shifted_sign(format, _mm512_loadu_si512(inputs + half * blocks)));
            }
            __m512 d = _mm512_cvtepi32_ps(dot);
            value = half ? _mm512_fmadd_ps(d, s.scale[half], value) : _mm512_mul_ps(d, s.scale[half]);
        }
        WN_UNROLL for (size_t half = 0; half < 2 && block_layout(format).has_offsets; half++) {
            __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(inputs + half * blocks));
            value = _mm512_fmadd_ps(sum, _mm512_mul_ps(s.offset[half], _mm512_set1_ps(-1.0f / 128)), value);
        }
        return _mm512_mask3_fmadd_ps(value, dx, acc, there);
    }
    const __m512 scale = _mm512_mul_ps(s.scale[0], dx);
    const __m512i none = _mm512_setzero_si512();
    if (format == WN_MASKED_Q4_1) {
        acc = _mm512_mask3_fmadd_ps(whole_blocks(pairs, sums, none), scale, acc, there);
        return _mm512_mask3_fmadd_ps(whole_blocks(pairs, kept, none), _mm512_mul_ps(s.offset[0], dx), acc, there);
    }
    if (is_signed_block(format)) {
        const int32_t *inputs = in->halves + run;
        __m512i both = _mm512_add_epi32(
            _mm512_loadu_si512(inputs), _mm512_loadu_si512(inputs + wn_block_stride(in->stride)));
        return _mm512_mask3_fmadd_ps(whole_blocks(pairs, sums, shifted_sign(format, both)), scale, acc, there);
    }
    acc = _mm512_mask3_fmadd_ps(s.offset[0], _mm512_loadu_ps(in->sums + run), acc, there);
    return _mm512_mask3_fmadd_ps(whole_blocks(pairs, sums, none), scale, acc, there);
}

WN_INLINE float decode_block8_row(
    const int format, const bool checked, const wn_matrix *m, size_t row, const wn_input *in) {
    const size_t blocks = m->columns / 32, padded = in->stride / 32;
    code_stream stream = open_codes(format, m, row);
    __m512 acc = _mm512_setzero_ps();
    size_t run = 0;
    for (; run + 16 <= blocks; run += 16) acc = add_run(format, checked, 8, m, row, in, run, 0xFFFF, &stream, acc);
    if (run == blocks) return reduce16(acc);
    // A tile adds the zeros of its padding too.
    __mmask16 there = tail16(padded - run);
    if (padded - run == 2) {
        acc = add_run(format, checked, 1, m, row, in, run, there, &stream, acc);
    } else {
        acc = add_run(format, checked, (padded - run) / 2, m, row, in, run, there, &stream, acc);
    }
    return reduce16(acc);
}

#pragma clang attribute pop
#endif
