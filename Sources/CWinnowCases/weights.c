// Weight matrices packed by the definitions of wn_matrix.h, with the float64 value of every weight beside them.
#include "cases.h"

const char *wn_format_name(wn_format format) {
    static const char *const names[WN_FORMAT_COUNT] = {
        "f32", "f16", "bf16", "q4_0", "q4_1", "q8_0", "int8", "int4",
        "masked-q4_0", "masked-q4_1", "masked-q8_0", "masked-int8", "masked-int4", "masked-f16", "block4-int8",
        "q5_0", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "mxfp4", "tq1_0", "tq2_0",
        "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "nvfp4",
    };
    return names[format];
}

bool wn_format_masked(wn_format format) { return format >= WN_MASKED_Q4_0 && format < WN_Q5_0; }

// The dense format with the same values.
static wn_format dense_format(wn_format format) {
    switch (format) {
    case WN_MASKED_Q4_0: return WN_Q4_0;
    case WN_MASKED_Q4_1: return WN_Q4_1;
    case WN_MASKED_Q8_0: return WN_Q8_0;
    case WN_MASKED_INT8: case WN_BLOCK4_INT8: return WN_INT8;
    case WN_MASKED_INT4: return WN_INT4;
    case WN_MASKED_F16: return WN_F16;
    default: return format;
    }
}

// One row before it is packed: raw codes or float bits, what is kept, and the scales of its runs of columns.
typedef struct wn_plan {
    uint32_t *bits;      // [rows, columns]: unsigned code (4 bit), signed code as a byte, or float bits
    bool *kept;
    uint16_t *d, *m;     // [rows, scale_count]
    float *row_scale;    // [rows]
    size_t scale_count, run;  // scales a row; columns a scale covers
} wn_plan;

static bool keeps(wn_case_run *run, size_t row, size_t column) {
    const wn_case *c = run->c;
    switch ((wn_mask_pattern)c->pattern) {
    case WN_MASK_ALL: return true;
    case WN_MASK_NONE: return false;
    case WN_MASK_LAST: return column + 1 == c->columns;
    case WN_MASK_HALF: return wn_dice_below(&run->dice, 2) == 0;
    case WN_MASK_TWO_OF_FOUR: {
        static const uint8_t pairs[6] = {3, 5, 6, 9, 10, 12};
        size_t four = column / 4;
        return pairs[(5 * row + 7 * four + four / 6) % 6] >> column % 4 & 1;
    }
    case WN_MASK_TENTH: return wn_dice_below(&run->dice, 10) == 0;
    default: return wn_dice_below(&run->dice, c->rows) < row + (column % 7 == 0);
    }
}

static uint16_t scale_bits(wn_case_run *run, bool exact) {
    static const uint16_t powers[3] = {0x3800, 0x3C00, 0x4000};  // 0.5, 1, 2
    uint16_t sign = (uint16_t)(wn_dice_below(&run->dice, 2) << 15);
    if (exact) return sign | powers[wn_dice_below(&run->dice, 3)];
    uint16_t fraction = (uint16_t)wn_dice_below(&run->dice, 1024);
    switch (wn_dice_below(&run->dice, 16)) {
    case 0: return sign;             // zero
    case 1: return sign | fraction;  // subnormal
    default: return (uint16_t)(sign | (7 + wn_dice_below(&run->dice, 5)) << 10 | fraction);
    }
}

static uint32_t weight_bits(wn_case_run *run, wn_format format, bool exact) {
    // Small codes in long rows keep exact sums under 2^24.
    bool small = exact && run->c->columns > 4096;
    switch (format) {
    case WN_Q4_0: case WN_Q4_1: case WN_INT4: return (uint32_t)wn_dice_below(&run->dice, 16);
    case WN_Q8_0: case WN_INT8: return (uint8_t)(small ? (int)wn_dice_below(&run->dice, 17) - 8 : (int)wn_dice_below(&run->dice, 256) - 128);
    default: break;
    }
    float value = exact ? (float)((int)wn_dice_below(&run->dice, 17) - 8) : (float)wn_dice_between(&run->dice, -1, 1);
    if (!exact && wn_dice_below(&run->dice, 64) == 0) value *= 30;
    if (format == WN_F16) return !exact && wn_dice_below(&run->dice, 32) == 0 ? (uint32_t)wn_dice_below(&run->dice, 1024) : wn_nearest_half(value);
    if (format == WN_BF16) return wn_nearest_bfloat(value);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void plan_weights(wn_case_run *run, wn_format format, wn_plan *plan) {
    const wn_case *c = run->c;
    wn_format dense = dense_format(format);
    bool exact = c->numbers == WN_NUMBERS_EXACT;
    size_t weights = c->rows * c->columns;
    plan->run = dense == WN_INT4 ? c->group : 32;
    plan->scale_count = (c->columns + plan->run - 1) / plan->run;
    plan->bits = wn_yard_take(&run->yard, weights * sizeof(uint32_t));
    plan->kept = wn_yard_take(&run->yard, weights * sizeof(bool));
    plan->d = wn_yard_take(&run->yard, c->rows * plan->scale_count * sizeof(uint16_t));
    plan->m = wn_yard_take(&run->yard, c->rows * plan->scale_count * sizeof(uint16_t));
    plan->row_scale = wn_yard_take(&run->yard, c->rows * sizeof(float));
    for (size_t i = 0; i < weights; i++) {
        plan->bits[i] = weight_bits(run, dense, exact);
        size_t row = i / c->columns, column = i % c->columns;
        // A block is what its last column is.
        plan->kept[i] = !wn_format_masked(format)
                        || (format != WN_BLOCK4_INT8 ? keeps(run, row, column)
                            : column % 4 == 0        ? keeps(run, row, column + 3)
                                                     : plan->kept[i - 1]);
    }
    for (size_t i = 0; i < c->rows * plan->scale_count; i++) {
        plan->d[i] = scale_bits(run, exact);
        plan->m[i] = scale_bits(run, exact);
    }
    for (size_t r = 0; r < c->rows; r++) {
        plan->row_scale[r] = exact ? (float)ldexp(1, (int)wn_dice_below(&run->dice, 3) - 1) : (float)wn_dice_between(&run->dice, -0.02, 0.02);
    }
}

// ---- The definitions -------------------------------------------------------------------------------------
static void define(wn_case_run *run, wn_format format, const wn_plan *plan, wn_weights *weights) {
    const wn_case *c = run->c;
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t column = 0; column < c->columns; column++) {
            size_t i = r * c->columns + column, scale = r * plan->scale_count + column / plan->run;
            uint32_t bits = plan->bits[i];
            double d = wn_half_value(plan->d[scale]), m = wn_half_value(plan->m[scale]);
            double value, code = 0, offset = 0;
            switch (dense_format(format)) {
            case WN_F32: {
                float plain;
                memcpy(&plain, &bits, sizeof plain);
                value = plain;
                break;
            }
            case WN_F16: value = wn_half_value((uint16_t)bits); break;
            case WN_BF16: value = wn_bfloat_value((uint16_t)bits); break;
            case WN_Q4_1:
                code = bits;
                value = d * code + m;
                offset = m;
                break;
            case WN_Q4_0: case WN_INT4:
                code = bits;
                value = d * (code - 8);
                offset = d * 8;
                break;
            default:
                if (dense_format(format) == WN_INT8) d = plan->row_scale[r];
                code = (double)(int8_t)bits + 128;
                value = d * (code - 128);
                offset = d * 128;
                break;
            }
            if (!plan->kept[i]) {
                code = format == WN_MASKED_Q4_1 ? 0 : format == WN_MASKED_Q8_0 || dense_format(format) == WN_INT8 ? 128 : 8;
                if (format == WN_MASKED_F16) code = 0;
                value = 0;
            }
            weights->values[i] = value;
            weights->codes[i] = (uint8_t)code;
            weights->magnitudes[i] = code == 0 && offset == 0 ? fabs(value) : fabs(d) * code + fabs(offset);
        }
    }
}

// ---- Packing ---------------------------------------------------------------------------------------------
static void put16(uint8_t *to, uint32_t bits) { memcpy(to, &(uint16_t){(uint16_t)bits}, 2); }

static void pack_dense_row(wn_format format, size_t columns, const uint32_t *bits, const uint16_t *d,
                           const uint16_t *m, uint8_t *to) {
    size_t head = format == WN_Q4_1 ? 4 : 2, block_bytes = head + (format == WN_Q8_0 ? 32 : 16);
    for (size_t c = 0; c < columns; c++) {
        uint8_t *block = to + c / 32 * block_bytes;
        size_t i = c % 32;
        switch (format) {
        case WN_F32: memcpy(to + 4 * c, &bits[c], 4); break;
        case WN_F16: case WN_BF16: put16(to + 2 * c, bits[c]); break;
        case WN_INT8: to[c] = (uint8_t)bits[c]; break;
        case WN_INT4: to[c / 2] = (uint8_t)(c % 2 ? to[c / 2] | bits[c] << 4 : bits[c]); break;
        case WN_Q8_0: block[head + i] = (uint8_t)bits[c]; break;
        default: block[head + i % 16] = (uint8_t)(i < 16 ? bits[c] : block[head + i % 16] | bits[c] << 4);
        }
        if (i > 0 || (format != WN_Q4_0 && format != WN_Q4_1 && format != WN_Q8_0)) continue;
        put16(block, d[c / 32]);
        if (format == WN_Q4_1) put16(block + 2, m[c / 32]);
    }
}

static size_t dense_row_bytes(wn_format format, size_t columns) {
    switch (format) {
    case WN_F32: return 4 * columns;
    case WN_F16: case WN_BF16: return 2 * columns;
    case WN_INT8: return columns;
    case WN_INT4: return (columns + 1) / 2;
    case WN_Q4_0: return columns / 32 * 18;
    case WN_Q4_1: return columns / 32 * 20;
    default: return columns / 32 * 34;
    }
}

// Appends the kept codes of a row; `to` NULL only counts. Returns their bytes.
static size_t pack_masked_row(wn_format format, size_t columns, const uint32_t *bits, const bool *kept, uint8_t *to) {
    size_t bytes = 0, nibbles = 0;
    for (size_t c = 0; c < columns; c++) {
        if (c % 64 == 0) {  // each run of 64 columns starts on a byte
            bytes += (nibbles + 1) / 2;
            nibbles = 0;
        }
        if (!kept[c]) continue;
        if (format == WN_F16) {
            if (to) put16(to + bytes, bits[c]);
            bytes += 2;
        } else if (format == WN_Q8_0 || format == WN_INT8) {
            if (to) to[bytes] = (uint8_t)bits[c];
            bytes++;
        } else {
            size_t at = bytes + nibbles / 2;
            if (to) to[at] = (uint8_t)(nibbles % 2 ? to[at] | bits[c] << 4 : bits[c]);
            nibbles++;
        }
    }
    return bytes + (nibbles + 1) / 2;
}

static void pack_masked(wn_case_run *run, wn_format dense, const wn_plan *plan, wn_matrix *m) {
    size_t rows = m->rows, columns = m->columns;
    size_t width = m->format == WN_BLOCK4_INT8 ? 4 : 1;  // columns a bit of the mask stands for
    m->mask_stride = (columns / width + 63) / 64 * 8;
    m->two_of_four = run->c->pattern == WN_MASK_TWO_OF_FOUR;
    uint8_t *mask = wn_yard_take(&run->yard, rows * m->mask_stride);
    memset(mask, 0, rows * m->mask_stride);
    uint32_t *offsets = wn_yard_take(&run->yard, (rows + 1) * sizeof(uint32_t));
    offsets[0] = 0;
    for (size_t r = 0; r < rows; r++) {
        const bool *kept = plan->kept + r * columns;
        for (size_t b = 0; b < columns / width; b++) {
            mask[r * m->mask_stride + b / 8] |= (uint8_t)(kept[width * b] << b % 8);
        }
        offsets[r + 1] = offsets[r] + (uint32_t)pack_masked_row(dense, columns, plan->bits + r * columns, kept, NULL);
    }
    uint8_t *values = wn_yard_take(&run->yard, offsets[rows]);
    for (size_t r = 0; r < rows; r++) {
        pack_masked_row(dense, columns, plan->bits + r * columns, plan->kept + r * columns, values + offsets[r]);
    }
    m->values = values;
    m->values_end = values + offsets[rows];
    m->mask = mask;
    m->row_offsets = offsets;
}

static void pack_dense(wn_case_run *run, const wn_plan *plan, wn_matrix *m) {
    size_t bytes = dense_row_bytes((wn_format)m->format, m->columns);
    m->row_bytes = bytes + (run->c->seed % 3 == 0 ? 3 : 0);  // rows need not touch, nor be aligned
    uint8_t *values = wn_yard_take(&run->yard, (m->rows - 1) * m->row_bytes + bytes);
    for (size_t r = 0; r < m->rows; r++) {
        pack_dense_row((wn_format)m->format, m->columns, plan->bits + r * m->columns,
                       plan->d + r * plan->scale_count, plan->m + r * plan->scale_count, values + r * m->row_bytes);
    }
    m->values = values;
    m->values_end = values + (m->rows - 1) * m->row_bytes + bytes;
}

static void pack_scales(wn_case_run *run, wn_format format, const wn_plan *plan, wn_matrix *m) {
    size_t count = m->rows * plan->scale_count;
    switch (format) {
    case WN_INT8: case WN_MASKED_INT8: case WN_BLOCK4_INT8: m->scales = plan->row_scale; return;
    case WN_INT4: case WN_MASKED_INT4: case WN_MASKED_Q4_0: case WN_MASKED_Q8_0: m->scales = plan->d; return;
    case WN_MASKED_Q4_1: {
        uint16_t *pairs = wn_yard_take(&run->yard, 2 * count * sizeof(uint16_t));
        for (size_t i = 0; i < count; i++) {
            pairs[2 * i] = plan->d[i];
            pairs[2 * i + 1] = plan->m[i];
        }
        m->scales = pairs;
        return;
    }
    default: return;
    }
}

void wn_weights_make(wn_case_run *run, wn_format format, wn_weights *weights) {
    if (format >= WN_Q5_0) {
        wn_blocks_make(run, format, weights);
        return;
    }
    const wn_case *c = run->c;
    wn_format dense = dense_format(format);
    wn_plan plan;
    plan_weights(run, format, &plan);
    weights->values = wn_yard_take(&run->yard, c->rows * c->columns * sizeof(double));
    weights->magnitudes = wn_yard_take(&run->yard, c->rows * c->columns * sizeof(double));
    weights->codes = wn_yard_take(&run->yard, c->rows * c->columns);
    define(run, format, &plan, weights);
    wn_matrix *m = &weights->matrix;
    *m = (wn_matrix){.format = format, .group = dense == WN_INT4 ? c->group : 0, .rows = c->rows, .columns = c->columns};
    if (wn_format_masked(format)) {
        pack_masked(run, dense, &plan, m);
    } else {
        pack_dense(run, &plan, m);
    }
    pack_scales(run, format, &plan, m);
}
