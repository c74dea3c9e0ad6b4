// Rows unpacked 64 columns at a time into signed codes: 0 is the grid's zero, so that only Q4_1 has an offset.
#ifndef WN_ARM_UNPACK_H
#define WN_ARM_UNPACK_H
#include <arm_neon.h>

#include "../products.h"
#include "../scalar/codes.h"

#define WN_INLINE static inline __attribute__((always_inline))

// A place in a row: `next` moves along the kept values of masked formats.
typedef struct wn_reader {
    const wn_matrix *matrix;
    const uint8_t *row, *mask, *next;
} wn_reader;

WN_INLINE bool wn_is_masked(const wn_matrix *m) { return m->format >= WN_MASKED_Q4_0; }
WN_INLINE bool wn_is_affine(const wn_matrix *m) { return m->format == WN_Q4_1 || m->format == WN_MASKED_Q4_1; }

WN_INLINE wn_reader wn_read_row(const wn_matrix *m, size_t row) {
    wn_reader reader = {m, m->values + row * m->row_bytes, NULL, NULL};
    if (wn_is_masked(m)) {
        reader.mask = m->mask + row * m->mask_stride;
        reader.next = m->values + m->row_offsets[row];
    }
    return reader;
}

// 16 bytes of which `left` may be read; the others are 0.
WN_INLINE uint8x16_t wn_load_part(const uint8_t *from, size_t left) {
    if (__builtin_expect(left >= 16, 1)) return vld1q_u8(from);
    uint8_t bytes[16] = {0};
    memcpy(bytes, from, left);
    return vld1q_u8(bytes);
}

WN_INLINE uint8x16_t wn_load_kept(const uint8_t *from, const uint8_t *end) {
    return wn_load_part(from, from < end ? (size_t)(end - from) : 0);
}

// 1 for each of 16 mask bits that is set.
WN_INLINE uint8x16_t wn_flags16(const uint8_t *mask) {
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t both = vcombine_u8(vdup_n_u8(mask[0]), vdup_n_u8(mask[1]));
    return vandq_u8(vtstq_u8(both, vld1q_u8(bits)), vdupq_n_u8(1));
}

// For each set flag how many stand before it, 255 for the others: what a table lookup takes to spread packed bytes.
WN_INLINE uint8x16_t wn_ranks16(uint8x16_t flags) {
    const uint8x16_t zero = vdupq_n_u8(0);
    uint8x16_t sums = vaddq_u8(flags, vextq_u8(zero, flags, 15));
    sums = vaddq_u8(sums, vextq_u8(zero, sums, 14));
    sums = vaddq_u8(sums, vextq_u8(zero, sums, 12));
    sums = vaddq_u8(sums, vextq_u8(zero, sums, 8));
    // One less where set; all bits where not.
    return vorrq_u8(vsubq_u8(sums, vdupq_n_u8(1)), vceqq_u8(flags, zero));
}

// Nibbles of 16 bytes in column order, low first.
WN_INLINE uint8x16x2_t wn_nibbles(uint8x16_t bytes) {
    return vzipq_u8(vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8(bytes, 4));
}

WN_INLINE void wn_store_codes(int8_t *to, uint8x16_t codes, int zero) {
    vst1q_s8(to, vsubq_s8(vreinterpretq_s8_u8(codes), vdupq_n_s8((int8_t)zero)));
}

WN_INLINE void wn_masked_nibbles64(wn_reader *reader, const uint8_t *mask, int zero, int8_t *out) {
    // 64 nibbles and room for a load that begins at the last.
    int8_t packed[80];
    const uint8_t *end = reader->matrix->values_end;
    for (size_t half = 0; half < 2; half++) {
        uint8x16x2_t nibbles = wn_nibbles(wn_load_kept(reader->next + 16 * half, end));
        wn_store_codes(packed + 32 * half, nibbles.val[0], zero);
        wn_store_codes(packed + 32 * half + 16, nibbles.val[1], zero);
    }
    vst1q_s8(packed + 64, vdupq_n_s8(0));
    size_t taken = 0;
    for (size_t c = 0; c < 64; c += 16) {
        uint8x16_t ranks = wn_ranks16(wn_flags16(mask + c / 8));
        vst1q_s8(out + c, vqtbl1q_s8(vld1q_s8(packed + taken), ranks));
        taken += (size_t)__builtin_popcount((unsigned)mask[c / 8] | (unsigned)mask[c / 8 + 1] << 8);
    }
    reader->next += (taken + 1) / 2;
}

WN_INLINE void wn_masked_bytes64(wn_reader *reader, const uint8_t *mask, int8_t *out) {
    for (size_t c = 0; c < 64; c += 16) {
        uint8x16_t bytes = wn_load_kept(reader->next, reader->matrix->values_end);
        vst1q_u8((uint8_t *)out + c, vqtbl1q_u8(bytes, wn_ranks16(wn_flags16(mask + c / 8))));
        reader->next += (size_t)__builtin_popcount((unsigned)mask[c / 8] | (unsigned)mask[c / 8 + 1] << 8);
    }
}

// Sixteen blocks of four columns; four of them a lookup.
WN_INLINE void wn_block4_bytes64(wn_reader *reader, const uint8_t *mask, int8_t *out) {
    const uint64_t kept = wn_block4_columns(mask);
    for (size_t c = 0; c < 64; c += 16) {
        uint8_t bits[2] = {(uint8_t)(kept >> c), (uint8_t)(kept >> c >> 8)};
        uint8x16_t bytes = wn_load_kept(reader->next, reader->matrix->values_end);
        vst1q_u8((uint8_t *)out + c, vqtbl1q_u8(bytes, wn_ranks16(wn_flags16(bits))));
        reader->next += (size_t)__builtin_popcount((unsigned)bits[0] | (unsigned)bits[1] << 8);
    }
}

// Codes of columns c..<c + 64 (c a multiple of 64), 0 past the last; in turn from the first to the last run of a row.
WN_INLINE void wn_read_codes64(wn_reader *reader, size_t c, int8_t *out) {
    const wn_matrix *m = reader->matrix;
    size_t left = m->columns - c < 64 ? m->columns - c : 64;
    switch (m->format) {
    case WN_MASKED_Q4_0: case WN_MASKED_INT4: wn_masked_nibbles64(reader, reader->mask + c / 8, 8, out); return;
    case WN_MASKED_Q4_1: wn_masked_nibbles64(reader, reader->mask + c / 8, 0, out); return;
    case WN_BLOCK4_INT8: wn_block4_bytes64(reader, reader->mask + c / 32, out); return;
    case WN_MASKED_Q8_0: case WN_MASKED_INT8: wn_masked_bytes64(reader, reader->mask + c / 8, out); return;
    default: break;
    }
    if (left < 64) memset(out, 0, 64);
    if (m->format == WN_INT8) {
        memcpy(out, reader->row + c, left);
        return;
    }
    for (size_t start = 0; start < left; start += 32, out += 32) {
        size_t block = (c + start) / 32;
        if (m->format == WN_Q8_0) {
            memcpy(out, reader->row + block * 34 + 2, 32);
        } else if (m->format == WN_INT4) {
            size_t count = left - start < 32 ? left - start : 32;
            uint8x16x2_t nibbles = wn_nibbles(wn_load_part(reader->row + block * 16, (count + 1) / 2));
            wn_store_codes(out, nibbles.val[0], 8);
            wn_store_codes(out + 16, nibbles.val[1], 8);
            if (count < 32) memset(out + count, 0, 32 - count);
        } else {
            size_t head = m->format == WN_Q4_1 ? 4 : 2;
            int zero = m->format == WN_Q4_1 ? 0 : 8;
            uint8x16_t packed = vld1q_u8(reader->row + block * (head + 16) + head);
            wn_store_codes(out, vandq_u8(packed, vdupq_n_u8(15)), zero);
            wn_store_codes(out + 16, vshrq_n_u8(packed, 4), zero);
        }
    }
}

// 8 float16 values of columns c..<c + 8 of a MASKED_F16 row; 0 where pruned.
WN_INLINE float16x8_t wn_read_halves8(wn_reader *reader, size_t c) {
    uint8_t bits = reader->mask[c / 8];
    uint8_t two[2] = {bits, 0};
    uint8x16_t ranks = wn_ranks16(wn_flags16(two));
    uint8x16_t first = vshlq_n_u8(ranks, 1);  // 254 where pruned: past the table
    uint8x16_t index = vzip1q_u8(first, vaddq_u8(first, vdupq_n_u8(1)));
    uint8x16_t bytes = wn_load_kept(reader->next, reader->matrix->values_end);
    reader->next += 2 * (size_t)__builtin_popcount(bits);
    return vreinterpretq_f16_u8(vqtbl1q_u8(bytes, index));
}
#endif
