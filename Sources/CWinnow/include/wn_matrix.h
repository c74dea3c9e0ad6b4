#ifndef WN_MATRIX_H
#define WN_MATRIX_H
#include "wn_pool.h"

// ---- Weights ---------------------------------------------------------------------------------------------
// A weight matrix [rows, columns], as its file holds it. Row r gives output r.
// Dense layouts (`values`, rows `row_bytes` apart, any alignment):
//   F32, F16, BF16   plain
//   Q4_0             blocks of 32: f16 d, 16 bytes (low nibbles: elements 0-15, high: 16-31); w = d (c - 8)
//   Q4_1             blocks of 32: f16 d, f16 m, 16 bytes; w = d c + m
//   Q8_0             blocks of 32: f16 d, 32 int8; w = d c
//   Q5_0 ... NVFP4   as ggml has them, see scalar/blocks_body.h
//   INT8             int8 per weight; scales: f32 [rows]; w = s c
//   INT4             two columns a byte, even column in the low nibble; scales: f16 [rows, ceil(columns/group)],
//                    group 32, 64 or 128; w = s (c - 8)
// Masked layouts: `mask` holds one bit a weight, little-endian within bytes, rows `mask_stride` bytes apart
// (a multiple of 8; bits past `columns` are zero). `values` holds kept codes only, in column order; row r starts
// at byte row_offsets[r] (rows + 1 entries). 4-bit codes: within a row each run of 64 columns starts on a byte
// boundary, low nibble first.
//   MASKED_Q4_0      4-bit codes; scales: f16 d [rows, columns/32]
//   MASKED_Q4_1      4-bit codes; scales: f16 (d, m) pairs [rows, columns/32, 2]; a pruned weight is 0, not m
//   MASKED_Q8_0      int8 codes;  scales: f16 d [rows, columns/32]
//   MASKED_INT8      int8 codes;  scales: f32 [rows]
//   MASKED_INT4      4-bit codes; scales: f16 [rows, ceil(columns/group)]
//   MASKED_F16       f16 values;  row_offsets in bytes, even
//   BLOCK4_INT8      int8 codes of blocks of four columns that are kept or pruned together; scales: f32 [rows]. The mask
//                    holds one bit a block, and `columns` is a multiple of 4
typedef enum {
    WN_F32 = 0, WN_F16 = 1, WN_BF16 = 2, WN_Q4_0 = 3, WN_Q4_1 = 4, WN_Q8_0 = 5, WN_INT8 = 6, WN_INT4 = 7,
    WN_MASKED_Q4_0 = 8, WN_MASKED_Q4_1 = 9, WN_MASKED_Q8_0 = 10, WN_MASKED_INT8 = 11, WN_MASKED_INT4 = 12,
    WN_MASKED_F16 = 13, WN_BLOCK4_INT8 = 14,
    // Other blocks of GGUF, dense: run from their codes under AVX2 and AVX-512, multiplied out elsewhere.
    WN_Q5_0 = 15, WN_Q5_1 = 16, WN_Q2_K = 17, WN_Q3_K = 18, WN_Q4_K = 19, WN_Q5_K = 20, WN_Q6_K = 21,
    WN_IQ4_NL = 22, WN_IQ4_XS = 23, WN_MXFP4 = 24, WN_TQ1_0 = 25, WN_TQ2_0 = 26,
    WN_IQ1_S = 27, WN_IQ1_M = 28, WN_IQ2_XXS = 29, WN_IQ2_XS = 30, WN_IQ2_S = 31, WN_IQ3_XXS = 32, WN_IQ3_S = 33,
    WN_NVFP4 = 34,
    WN_FORMAT_COUNT = 35
} wn_format;

typedef struct wn_matrix {
    int32_t format;           // wn_format
    uint32_t group;           // columns a scale covers (INT4); 0 otherwise
    size_t rows, columns;
    const uint8_t *values;
    size_t row_bytes;         // dense only
    const uint8_t *values_end;  // one past the last byte that may be read of `values`
    const uint8_t *mask;      // masked only
    size_t mask_stride;
    bool two_of_four;           // masked only: every four columns keep two, and columns are a multiple of 64
    const uint32_t *row_offsets;
    const void *scales;
} wn_matrix;

// ---- Inputs ----------------------------------------------------------------------------------------------
// What a product reads, prepared once per group of products.
//   F32        the values themselves
//   BLOCK8     int8 in blocks of 32: x = scale * q (scale f32 = absmax/127, round to nearest even)
//   PLANES16   16 bit per token as two signed int8 planes: x = scale * (256 hi + lo), scale = absmax/32512
// Columns are padded with zeros to a multiple of 64; `stride` counts padded columns; per-block arrays are padded with zeros to runs of 16 blocks.
//   TOKEN8     8 bit per token, x = scale * 256 hi with scale = absmax/32512: PLANES16 whose lo plane is zero. It is
//              placed as PLANES16 and runs through the same products; no faster, what W8A8 of the papers computes.
//   BF16       the values themselves, placed as F32. Sixteen tokens or more are rounded to bfloat16, and so are weights of every
//              format, where the CPU multiplies it (`wn_bf16_current`); fewer are multiplied as F32. An element's bits then
//              depend on how many tokens are multiplied at once
typedef enum {
    WN_INPUT_F32 = 0, WN_INPUT_BLOCK8 = 1, WN_INPUT_PLANES16 = 2, WN_INPUT_TOKEN8 = 3, WN_INPUT_BF16 = 4
} wn_input_kind;

typedef struct wn_input {
    int32_t kind;
    size_t tokens, columns, stride;
    float *f32; size_t f32_stride;  // F32 only (floats between tokens)
    int8_t *q;                      // BLOCK8: [tokens, stride]; PLANES16: the hi plane
    int8_t *lo;                     // PLANES16 only
    float *scales;                  // BLOCK8: [tokens, blocks]; PLANES16: [tokens]
    float *sums;                    // BLOCK8: scale * sum of q per block, [tokens, blocks]
    int32_t *isums;                 // PLANES16: sum of 256 hi + lo per block of 32, [tokens, blocks]
    int64_t *totals;                // PLANES16: the same over all columns, [tokens]
    int16_t *wide;                  // room for what q and lo say once more, in the order that many tokens are multiplied in;
                                    // the whole input's in a view of rows
    int16_t *beside;                // PLANES16: the same for matrices with a scale for each group of columns
    int32_t *halves;                // BLOCK8: -128 times the sums of q in the halves of a block, [tokens, 2, blocks]; AVX-512
    int32_t *paired;                // 0, or in whose order `wide` is filled (products.h), and whether `beside` is; F32: NULL
    size_t first, whole;            // of a view of rows: where it begins in its input, whose tokens these are
    float *own_f32;                 // F32: memory of its own, for normalised values
    int32_t shift;                  // PLANES16: 0, or 8 where values are rounded to whole steps of the hi plane (TOKEN8)
} wn_input;

// Bytes of memory an input wants, and its layout inside `memory` (64-byte aligned, that many bytes).
size_t wn_input_bytes(wn_input_kind kind, size_t columns, size_t tokens);
void wn_input_place(wn_input *input, wn_input_kind kind, size_t columns, size_t tokens, void *memory);
// Fills `input` (already placed; `tokens` <= its capacity is set here) from x[t * x_stride + c]. With `weight`,
// each row is RMS-normalised first: x * weight / sqrt(mean(x^2) + epsilon). `pool` may be NULL.
// For F32, with weight NULL, the input only points at x: nothing is copied.
void wn_prepare(wn_pool *pool, wn_input *input, size_t tokens, float *x, size_t x_stride,
                const float *weight, float epsilon);
// Columns and bytes of a block of the other GGUF formats (WN_Q5_0 and up); zeros for every other format.
void wn_ggml_block(wn_format format, size_t *columns, size_t *bytes);
// `view` becomes rows first..<first + count of a filled input, over the same memory.
void wn_input_rows(const wn_input *input, size_t first, size_t count, wn_input *view);
// The kind a format wants in the fast mode (exact mode: always F32).
wn_input_kind wn_format_input(wn_format format);

// ---- Products --------------------------------------------------------------------------------------------
// out[t * out_stride + r - row_begin] = epilogue(sum_c W[r, c] x[t, c] + bias[r])
// An element depends on its weight row and its input row only: same bits for 1 token or 512, 1 thread or 4.
typedef enum {
    WN_STORE = 0,       // out = y
    WN_ADD = 1,         // out += y (residual)
    WN_GATED_SILU = 2,  // out = silu(gate row . x) * y, gate the same shape as matrix
    WN_GATED_GELU = 3,  // out = gelu(gate row . x) * y, GELU in its tanh form
    WN_GELU = 4,        // out = gelu(y)
    WN_RELU = 5,        // out = max(y, 0)
    WN_GATED_GELU_ERF = 6,  // as WN_GATED_GELU, GELU in its exact form
    WN_GELU_ERF = 7,
} wn_epilogue;

typedef struct wn_product {
    const wn_matrix *matrix;
    const wn_matrix *gate;    // GATED_* only; may have another format, and then another input
    const wn_input *input;
    const wn_input *gate_input;
    const float *bias;        // NULL or [rows]
    size_t row_begin, row_end;
    float *out;
    size_t out_stride;
    int32_t epilogue;
} wn_product;

// Runs all products as one pool job over chunks of rows. Inputs may differ in their tokens, a product's gate has as
// many as its input; an input without tokens makes no work.
void wn_products(wn_pool *pool, const wn_product *products, size_t count);
// Scratch bytes per worker that products of these formats and widths want (see wn_pool_reserve).
size_t wn_product_scratch(size_t columns);

// out[c] = row `row` as float32, multiplied out.
void wn_row_f32(const wn_matrix *matrix, size_t row, float *out);
// out[r - row_begin][c], rows row_begin..<row_end, on the pool.
void wn_rows_f32(wn_pool *pool, const wn_matrix *matrix, size_t row_begin, size_t row_end, float *out);
// The code of each weight of a row: unsigned, offset so that... dense: Q4: 0-15, Q8_0/INT8: code + 128.
// Pruned weights give the code of zero (8, 128) where the grid has one, and 0 in MASKED_Q4_1.
void wn_row_codes(const wn_matrix *matrix, size_t row, uint8_t *out);

// ---- Conversions (any alignment) ---------------------------------------------------------------------------
void wn_f16_to_f32(const void *in, float *out, size_t count);
void wn_bf16_to_f32(const void *in, float *out, size_t count);
void wn_f32_to_f16(const float *in, void *out, size_t count);   // nearest even
void wn_f32_to_bf16(const float *in, void *out, size_t count);  // nearest even; NaN stays NaN
#endif
