// Packing under a mask: done once for each weight that a method prunes, so plain loops without branches.
#include "include/wn_pack.h"

#include <string.h>

#include "include/wn_select.h"

enum { WN_PACK_RUN = 64 };  // columns that start on a byte boundary

static inline size_t wn_is_kept(const uint8_t *mask, size_t column) { return mask[column / 8] >> (column % 8) & 1; }

size_t wn_packed_row_bytes(unsigned code_bits, const uint8_t *mask, size_t columns) {
    size_t bytes = (columns + 7) / 8, total = 0;
    if (code_bits != 4) return wn_popcount(mask, bytes) * code_bits / 8;
    for (size_t start = 0; start < bytes; start += WN_PACK_RUN / 8) {
        size_t size = bytes - start < WN_PACK_RUN / 8 ? bytes - start : WN_PACK_RUN / 8;
        total += (wn_popcount(mask + start, size) + 1) / 2;
    }
    return total;
}

static size_t wn_pack_four(const uint8_t *codes, const uint8_t *mask, size_t columns, uint8_t *out) {
    uint8_t run[WN_PACK_RUN + 1];
    size_t written = 0;
    for (size_t start = 0; start < columns; start += WN_PACK_RUN) {
        size_t count = columns - start < WN_PACK_RUN ? columns - start : WN_PACK_RUN, taken = 0;
        for (size_t i = 0; i < count; i++) {
            run[taken] = codes[start + i];
            taken += wn_is_kept(mask, start + i);
        }
        run[taken] = 0;
        for (size_t i = 0; i < taken; i += 2) out[written++] = (uint8_t)(run[i] | run[i + 1] << 4);
    }
    return written;
}

// Nothing is written past the last kept code: the next row's may stand there.
static size_t wn_pack_eight(const uint8_t *codes, const uint8_t *mask, size_t columns, uint8_t *out) {
    size_t taken = 0;
    for (size_t c = 0; c < columns; c++) {
        if (wn_is_kept(mask, c)) out[taken++] = codes[c] ^ 0x80;
    }
    return taken;
}

static size_t wn_pack_sixteen(const uint8_t *halves, const uint8_t *mask, size_t columns, uint8_t *out) {
    size_t taken = 0;
    for (size_t c = 0; c < columns; c++) {
        if (!wn_is_kept(mask, c)) continue;
        memcpy(out + taken, halves + 2 * c, 2);
        taken += 2;
    }
    return taken;
}

// Row `row` of a masked float16 matrix with zeros in the places of the pruned.
static void wn_expand_halves(const wn_matrix *m, size_t row, uint8_t *out) {
    const uint8_t *next = m->values + m->row_offsets[row], *mask = m->mask + row * m->mask_stride;
    memset(out, 0, 2 * m->columns);
    for (size_t c = 0; c < m->columns; c++) {
        if (!wn_is_kept(mask, c)) continue;
        memcpy(out + 2 * c, next, 2);
        next += 2;
    }
}

size_t wn_pack_row(const wn_matrix *m, size_t row, const uint8_t *mask, uint8_t *scratch, uint8_t *out) {
    switch (m->format) {
    case WN_F16: return wn_pack_sixteen(m->values + row * m->row_bytes, mask, m->columns, out);
    case WN_MASKED_F16:
        wn_expand_halves(m, row, scratch);
        return wn_pack_sixteen(scratch, mask, m->columns, out);
    case WN_Q8_0: case WN_INT8: case WN_MASKED_Q8_0: case WN_MASKED_INT8: case WN_BLOCK4_INT8:
        wn_row_codes(m, row, scratch);
        return wn_pack_eight(scratch, mask, m->columns, out);
    case WN_F32: case WN_BF16: return 0;
    default:
        wn_row_codes(m, row, scratch);
        return wn_pack_four(scratch, mask, m->columns, out);
    }
}

void wn_pack_row_scales(const wn_matrix *m, size_t row, void *out) {
    const uint8_t *block = m->values + row * m->row_bytes;
    size_t head = m->format == WN_Q4_1 ? 4 : 2, stride = m->format == WN_Q8_0 ? 34 : head + 16;
    uint8_t *next = out;
    for (size_t b = 0; b < m->columns / 32; b++, block += stride, next += head) memcpy(next, block, head);
}

void wn_zero_pruned(void *values, size_t bytes, const uint8_t *mask, size_t columns) {
    uint8_t *next = values;
    for (size_t c = 0; c < columns; c++, next += bytes) {
        if (!wn_is_kept(mask, c)) memset(next, 0, bytes);
    }
}
