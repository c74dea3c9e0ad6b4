#include "blocks_body.h"

// A product and a sum are two roundings.
#pragma clang fp contract(off)

bool wn_is_ggml_block(int32_t format) { return format >= WN_Q5_0; }

bool wn_has_halves(int32_t format) { return block_layout(format).has_halves; }

void wn_ggml_block(wn_format format, size_t *columns, size_t *bytes) {
    wn_block_layout layout = block_layout((int32_t)format);
    *columns = layout.width;
    *bytes = layout.bytes;
}

void wn_row_f32_blocks(const wn_matrix *m, size_t row, float *out) {
    wn_block_layout layout = block_layout(m->format);
    const uint8_t *from = m->values + row * m->row_bytes;
    int8_t codes[WN_BLOCK_COLUMNS];
    float scales[WN_SUB_BLOCKS], offsets[WN_SUB_BLOCKS] = {0};
    for (size_t start = 0; start < m->columns; start += layout.width, from += layout.bytes) {
        unpack_block(m->format, from, codes, scales, offsets);
        for (size_t c = 0; c < layout.width; c++) {
            float value = scales[c / WN_SUB_BLOCK] * (float)codes[c];
            out[start + c] = layout.has_offsets ? value + offsets[c / WN_SUB_BLOCK] : value;
        }
    }
}
