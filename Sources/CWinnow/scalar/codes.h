// Reading packed rows one weight at a time: what every format means, in one place.
#ifndef WN_CODES_H
#define WN_CODES_H
#include "../products.h"

void wn_row_kept(const wn_matrix *matrix, size_t row, uint8_t *out, size_t stride);
void wn_row_f32_plain(const wn_matrix *matrix, size_t row, float *out);
void wn_block_scale(const wn_matrix *matrix, size_t row, size_t block, size_t blocks, float *scale, float *offset);

static inline float wn_half(const void *bytes) {
    _Float16 value;
    memcpy(&value, bytes, sizeof value);
    return (float)value;
}

// The value of a row over two planes: exact sums, rounded once. The codes' offset is 128.
static inline float wn_planes_value(int64_t high, int64_t low, int64_t total, float row_scale, float scale) {
    return (float)(256 * high + low - 128 * total) * (row_scale * scale);
}
#endif
