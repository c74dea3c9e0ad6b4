// The larger block formats of GGUF: codes with a scale, and sometimes an offset, for each sixteen columns.
#ifndef WN_BLOCKS_H
#define WN_BLOCKS_H
#include "../products.h"

enum { WN_BLOCK_COLUMNS = 256, WN_SUB_BLOCK = 16, WN_SUB_BLOCKS = WN_BLOCK_COLUMNS / WN_SUB_BLOCK };

// How a format packs its columns; `width` 0 for a format that is not one of these.
typedef struct wn_block_layout {
    size_t width, bytes;
    bool has_offsets;  // w = scale * code + offset, else w = scale * code
} wn_block_layout;

bool wn_is_ggml_block(int32_t format);
// The row multiplied out, rounded as the `gguf` package rounds.
void wn_row_f32_blocks(const wn_matrix *matrix, size_t row, float *out);
#endif
