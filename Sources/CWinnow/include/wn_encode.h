#ifndef WN_ENCODE_H
#define WN_ENCODE_H
#include "wn_matrix.h"

// ---- Encoding: rows of float32 into the dense layouts of wn_matrix.h -----------------------------------------
// One row of `columns` floats (a multiple of 32 for block formats and INT4), rounded to the nearest code.
// out: row_bytes of the format. scales: INT8 one f32, INT4 ceil(columns/group) f16; NULL for the others.
//   Q8_0, INT8   scale = absmax / 127
//   Q4_0, INT4   scale = (the value of largest magnitude) / -8, so that this value is met exactly
//   Q4_1         scale = (max - min) / 15, offset = min
// False when a value or its scale is not finite in the format: nothing can be said of `out` then.
bool wn_encode_row(wn_format format, size_t group, const float *x, size_t columns, void *out, void *scales);

// Row `row` of a masked matrix in the dense layout with the same grid: the pruned weights get the code of zero.
// MASKED_Q4_1 has no such code and is refused (false). Scales that stand in arrays of their own (INT8, INT4)
// are the same in both layouts and are not written.
bool wn_unmask_row(const wn_matrix *matrix, size_t row, void *out);
#endif
