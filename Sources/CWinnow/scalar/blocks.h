// The other block formats of GGUF, a block at a time: codes with a scale, and sometimes an offset, for each sixteen
// columns. Layouts as ggml has them (ggml-common.h, and the `gguf` Python package's quants.py).
#ifndef WN_BLOCKS_H
#define WN_BLOCKS_H
#include "../products.h"

enum { WN_BLOCK_COLUMNS = 256, WN_SUB_BLOCK = 16 };

// w = scale * code + offset
typedef struct wn_block {
    int8_t codes[WN_BLOCK_COLUMNS];
    float scales[WN_BLOCK_COLUMNS / WN_SUB_BLOCK];
    float offsets[WN_BLOCK_COLUMNS / WN_SUB_BLOCK];  // only where has_offsets
    bool has_offsets;
} wn_block;

// How a format packs its columns; `width` 0 for a format that is not one of these.
typedef struct wn_block_layout {
    size_t width, bytes;
    void (*unpack)(const uint8_t *from, wn_block *block);
} wn_block_layout;

wn_block_layout wn_block_layout_of(int32_t format);
// The row multiplied out, rounded as the `gguf` package rounds.
void wn_row_f32_blocks(const wn_matrix *matrix, size_t row, float *out);
#endif
