#ifndef WN_FOREIGN_H
#define WN_FOREIGN_H
#include "wn_matrix.h"

// ---- Matrices as other tools pack them -------------------------------------------------------------------------
// Read once, when a matrix is asked for, and turned into one of the formats of wn_matrix.h.

// Unsigned codes of 1 to 8 bits in little-endian words of 32. Code i of stream s is bits i * bits and up of the words
// at s * stream_stride, s * stream_stride + word_stride, ... Where `padded`, a code never straddles two words: each
// holds 32 / bits of them. `awq`: code i of stream s is 4 bits of the word at i * word_stride + s / 8, in the order
// 0 2 4 6 1 3 5 7 of s % 8.
typedef struct wn_bit_codes {
    const void *words;
    size_t word_stride, stream_stride;
    unsigned bits;
    bool padded, awq;
} wn_bit_codes;

// out[s - begin][i] for streams begin..<end, i < count.
void wn_bit_codes_read(const wn_bit_codes *codes, size_t begin, size_t end, size_t count, uint8_t *out);

// What a byte stands for before it is scaled.
typedef enum { WN_BYTE_UNSIGNED = 0, WN_BYTE_SIGNED = 1, WN_BYTE_E4M3 = 2, WN_BYTE_E5M2 = 3 } wn_byte_kind;

// w = (value of the byte - zero) * scale; both may be for a block of columns and rows.
typedef struct wn_scaling {
    int32_t kind;             // wn_byte_kind
    const float *scales;      // [row blocks, groups]
    const int16_t *zeros;     // the same shape, or NULL; integers only
    size_t groups, columns_per_group, rows_per_group;
    const uint32_t *group_of; // [columns], each below `groups`, or NULL: column / columns_per_group
} wn_scaling;

// Row `row` of `columns` bytes in a dense format: F32, F16 and BF16 (the product in float32, rounded once more to the
// format), INT8 (one group), INT4 (`group` columns of it a scale) and Q8_0. For the last three every value has to fit.
// out: row_bytes of the format; scales: INT8 one f32, INT4 f16s, else NULL.
void wn_scaled_row(const wn_scaling *scaling, const uint8_t *bytes, size_t row, size_t columns, wn_format format,
                   size_t group, void *out, void *scales);

// Bytes of `size` a value, kept ones in order, with zeros in the places of the others; bit c of `mask` little-endian.
// Returns the values taken.
size_t wn_expand_row(const uint8_t *mask, const void *kept, size_t size, size_t columns, void *out);

// Whether each of the floats is finite, and whether each is a float16 exactly.
bool wn_floats_are_finite(const float *values, size_t count);
bool wn_floats_are_halves(const float *values, size_t count);
#endif
