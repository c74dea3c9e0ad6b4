#ifndef WN_PACK_H
#define WN_PACK_H
#include "wn_matrix.h"

// ---- Packing under a mask: rows of a matrix into the masked layouts of wn_matrix.h ---------------------------
// `mask` is one row: bit c, little-endian in bytes, set when column c is kept; bits past `columns` are zero.

// Bytes of a row's kept codes of 4, 8 or 16 bits.
size_t wn_packed_row_bytes(unsigned code_bits, const uint8_t *mask, size_t columns);
// Writes the kept codes of row `row`, as the row's own grid has them, in the layout of the format's masked twin;
// `matrix` may be masked already. scratch: 2 * columns bytes. Returns the bytes written; 0 for F32 and BF16,
// which have no masked twin.
size_t wn_pack_row(const wn_matrix *matrix, size_t row, const uint8_t *mask, uint8_t *scratch, uint8_t *out);
// The scales that stand inside the blocks of a dense Q4_0, Q4_1 or Q8_0 row, as an array of their own.
void wn_pack_row_scales(const wn_matrix *matrix, size_t row, void *out);
// Sets the pruned of `columns` values of `bytes` bytes each (2 or 4) to zero, in place.
void wn_zero_pruned(void *values, size_t bytes, const uint8_t *mask, size_t columns);
#endif
