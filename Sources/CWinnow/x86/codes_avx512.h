// The codes of packed rows as they are read, 64 columns at a time, with AVX-512.
#ifndef WN_CODES_AVX512_H
#define WN_CODES_AVX512_H
#include "ggml_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

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

WN_INLINE bool is_masked(const int format) { return format >= WN_MASKED_Q4_0 && format <= WN_BLOCK4_INT8; }
WN_INLINE bool is_four_bit(const int format) {
    return format == WN_Q4_0 || format == WN_Q4_1 || format == WN_INT4 || format == WN_MASKED_Q4_0
           || format == WN_MASKED_Q4_1 || format == WN_MASKED_INT4;
}
// Bytes from one block of 32 to the next, and those before its codes.
WN_INLINE size_t block_step(const int format) {
    switch (format) {
    case WN_Q4_1: return 20;
    case WN_Q8_0: return 34;
    case WN_Q5_0: return 22;
    case WN_Q5_1: return 24;
    default: return 18;
    }
}
WN_INLINE size_t block_head(const int format) { return format == WN_Q8_0 ? 2 : block_step(format) - 16; }
WN_INLINE bool is_super_block(const int format) {
    return format == WN_Q4_K || format == WN_Q5_K || format == WN_Q6_K || format == WN_IQ4_XS;
}

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

WN_INLINE uint32_t word32(const uint8_t *from) {
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

// Sixteen signed bytes with 128 added, in each 128 bits.
WN_INLINE __m512i unsigned_table(const int8_t *table) {
    __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    return _mm512_xor_si512(all, _mm512_set1_epi8((char)0x80));
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
    if (format == WN_Q5_0 || format == WN_Q5_1) {
        uint64_t fifths = word32(block + head - 4);
        if (both) fifths |= (uint64_t)word32(block + step + head - 4) << 32;
        bytes = _mm512_mask_add_epi8(bytes, fifths, bytes, _mm512_set1_epi8(16));
    }
    if (format == WN_IQ4_NL) bytes = _mm512_shuffle_epi8(unsigned_table(wn_iq4_values), bytes);
    return both ? bytes : _mm512_zextsi256_si512(_mm512_castsi512_si256(bytes));
}

// The `pair`th two blocks of 32 of a block of 256, codes unsigned.
WN_INLINE __m512i super_codes(const int format, const uint8_t *block, const size_t pair) {
    const __m512i low = _mm512_set1_epi8(15);
    if (format == WN_IQ4_XS) {
        const __m512i shifts = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
        __m512i bytes = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(block + 8 + 32 * pair)));
        bytes = _mm512_and_si512(_mm512_srlv_epi64(_mm512_shuffle_i64x2(bytes, bytes, 0x50), shifts), low);
        return _mm512_shuffle_epi8(unsigned_table(wn_iq4_values), bytes);
    }
    if (format == WN_Q6_K) {
        __m512i bytes = _mm512_loadu_si512(block + pair / 2 * 64);
        if (pair % 2) bytes = _mm512_srli_epi16(bytes, 4);
        const long long shift = 4 * (long long)(pair % 2);
        const __m512i shifts = _mm512_setr_epi64(shift, shift, shift, shift, shift + 2, shift + 2, shift + 2, shift + 2);
        __m512i top = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(block + 128 + pair / 2 * 32)));
        top = _mm512_and_si512(_mm512_srlv_epi64(top, shifts), _mm512_set1_epi8(3));
        return _mm512_or_si512(_mm512_and_si512(bytes, low), _mm512_slli_epi16(top, 4));
    }
    const __m512i shifts = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4);
    const uint8_t *packed = block + (format == WN_Q5_K ? 48 : 16) + 32 * pair;
    __m512i bytes = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)packed));
    bytes = _mm512_and_si512(_mm512_srlv_epi64(bytes, shifts), low);
    if (format == WN_Q4_K) return bytes;
    const long long bit = 2 * (long long)pair;
    const __m512i bits = _mm512_setr_epi64(bit, bit, bit, bit, bit + 1, bit + 1, bit + 1, bit + 1);
    __m512i fifths = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(block + 16)));
    fifths = _mm512_and_si512(_mm512_srlv_epi64(fifths, bits), _mm512_set1_epi8(1));
    return _mm512_or_si512(bytes, _mm512_slli_epi16(fifths, 4));
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
    if (is_super_block(format)) {
        const uint8_t *block = stream->next + c / 256 * block_layout(format).bytes;
        ask_ahead(block + 32 * (turn % 4), turn);
        return super_codes(format, block, turn % 4);
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

#pragma clang attribute pop
#endif
