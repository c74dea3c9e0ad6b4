#include "blocks_body.h"

bool wn_is_ggml_block(int32_t format) { return format >= WN_Q5_0; }

bool wn_has_halves(int32_t format) { return block_layout(format).has_halves; }

void wn_ggml_block(wn_format format, size_t *columns, size_t *bytes) {
    wn_block_layout layout = block_layout((int32_t)format);
    *columns = layout.width;
    *bytes = layout.bytes;
}

void wn_row_f32_blocks(const wn_matrix *m, size_t row, float *out) { row_f32_blocks(m, row, out); }
