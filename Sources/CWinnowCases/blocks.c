// The larger block formats of GGUF: blocks of any bytes, but scales of moderate size. What they mean is what
// wn_row_f32 says in plain C, which the tests of WinnowWeights hold to the `gguf` package bit for bit; the cases here hold
// the rows and products of every instruction set to those values.
#include "cases.h"

// Where a block's float16 numbers begin; -1 for none.
typedef struct wn_halves { int first, second; } wn_halves;

static wn_halves halves_of(wn_format format) {
    switch (format) {
    case WN_Q5_1: case WN_Q4_K: case WN_Q5_K: return (wn_halves){0, 2};
    case WN_Q2_K: return (wn_halves){80, 82};
    case WN_Q3_K: return (wn_halves){108, -1};
    case WN_Q6_K: return (wn_halves){208, -1};
    case WN_TQ1_0: return (wn_halves){52, -1};
    case WN_TQ2_0: return (wn_halves){64, -1};
    case WN_MXFP4: case WN_NVFP4: case WN_IQ1_M: return (wn_halves){-1, -1};
    default: return (wn_halves){0, -1};
    }
}

static void put_half(wn_case_run *run, uint8_t *block, int at) {
    if (at < 0) return;
    uint16_t half = wn_nearest_half(wn_dice_between(&run->dice, -0.1, 0.1));
    memcpy(block + at, &half, 2);
}

static void fill_block(wn_case_run *run, wn_format format, uint8_t *block, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) block[i] = (uint8_t)wn_dice_below(&run->dice, 256);
    wn_halves halves = halves_of(format);
    put_half(run, block, halves.first);
    put_half(run, block, halves.second);
    if (format == WN_MXFP4) block[0] = (uint8_t)(110 + wn_dice_below(&run->dice, 20));
    if (format == WN_IQ1_M) {
        uint16_t half = wn_nearest_half(wn_dice_between(&run->dice, -0.1, 0.1));
        for (size_t i = 0; i < 4; i++) {
            uint8_t *top = block + 49 + 2 * i;
            *top = (uint8_t)((*top & 15) | (half >> 4 * i & 15) << 4);
        }
    }
}

void wn_blocks_make(wn_case_run *run, wn_format format, wn_weights *weights) {
    const wn_case *c = run->c;
    size_t width, bytes;
    wn_ggml_block(format, &width, &bytes);
    size_t row_bytes = c->columns / width * bytes, stride = row_bytes + (c->seed % 3 == 0 ? 3 : 0);
    size_t all = (c->rows - 1) * stride + row_bytes;
    uint8_t *values = wn_yard_take(&run->yard, all);
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t at = 0; at < row_bytes; at += bytes) fill_block(run, format, values + r * stride + at, bytes);
    }
    weights->matrix = (wn_matrix){.format = format, .rows = c->rows, .columns = c->columns, .values = values,
                                  .row_bytes = stride, .values_end = values + all};
    weights->values = wn_yard_take(&run->yard, c->rows * c->columns * sizeof(double));
    weights->magnitudes = wn_yard_take(&run->yard, c->rows * c->columns * sizeof(double));
    weights->codes = NULL;
    float *row = wn_yard_take(&run->yard, c->columns * sizeof(float));
    bool has_offsets = format == WN_Q5_1 || format == WN_Q2_K || format == WN_Q4_K || format == WN_Q5_K;
    for (size_t r = 0; r < c->rows; r++) {
        wn_isa_select_local(WN_ISA_SCALAR);
        wn_row_f32(&weights->matrix, r, row);
        wn_isa_select_local(-1);
        for (size_t i = 0; i < c->columns; i++) {
            // A block's scale and offset are not known here: its largest weight says how far they reach.
            float largest = 0;
            for (size_t j = i / 32 * 32; has_offsets && j < i / 32 * 32 + 32; j++) largest = fmaxf(largest, fabsf(row[j]));
            weights->values[r * c->columns + i] = row[i];
            weights->magnitudes[r * c->columns + i] = has_offsets ? 4 * largest : fabsf(row[i]);
        }
    }
}
