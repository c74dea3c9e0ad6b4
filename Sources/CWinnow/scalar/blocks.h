// The larger block formats of GGUF: codes with a scale, and sometimes an offset, for each sixteen columns.
#ifndef WN_BLOCKS_H
#define WN_BLOCKS_H
#include "../products.h"

enum { WN_BLOCK_COLUMNS = 256, WN_SUB_BLOCK = 16, WN_SUB_BLOCKS = WN_BLOCK_COLUMNS / WN_SUB_BLOCK };

// How a format packs its columns; `width` 0 for a format that is not one of these.
typedef struct wn_block_layout {
    size_t width, bytes;
    bool has_offsets;  // w = scale * code + offset, else w = scale * code
    bool has_halves;   // scales change after sixteen columns, else after 32
} wn_block_layout;

// Codebooks (grids.c): an entry is eight values of two bits (IQ1, IQ2) or four of three (IQ3), lowest first.
extern const uint16_t wn_grid_iq1[2048], wn_grid_iq2_xxs[256], wn_grid_iq2_xs[512], wn_grid_iq2_s[1024];
extern const uint16_t wn_grid_iq3_xxs[256], wn_grid_iq3_s[512];

bool wn_is_ggml_block(int32_t format);
// Whether a format has a scale for each half of 32 columns.
bool wn_has_halves(int32_t format);
// The row multiplied out, rounded as the `gguf` package rounds.
void wn_row_f32_blocks(const wn_matrix *matrix, size_t row, float *out);
#endif
