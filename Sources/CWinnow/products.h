// What the product files share: the layout of inputs and tiles, and the table an instruction set fills.
#ifndef WN_PRODUCTS_H
#define WN_PRODUCTS_H
#include <string.h>

#include "wn_matrix.h"

enum { WN_TILE_ROWS = 16, WN_TOKEN_BLOCK = 64 };

static inline size_t wn_round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }
// Floats between the rows of per-block arrays: whole runs of 16 blocks, zero past the last.
static inline size_t wn_block_stride(size_t stride) { return wn_round_up(stride / 32, 16); }

// Formats with one scale a row: their sums are integers, exact in any order.
static inline bool wn_is_by_row(const wn_matrix *m) {
    return m->format == WN_INT8 || m->format == WN_MASKED_INT8 || m->format == WN_BLOCK4_INT8;
}

// The bits of sixteen blocks of four columns as those of the columns.
static inline uint64_t wn_block4_columns(const uint8_t *mask) {
    uint64_t x = (uint64_t)mask[0] | (uint64_t)mask[1] << 8;
    x = (x | x << 24) & 0x000000FF000000FF;
    x = (x | x << 12) & 0x000F000F000F000F;
    x = (x | x << 6) & 0x0303030303030303;
    x = (x | x << 3) & 0x1111111111111111;
    return x * 15;
}

// Rows of a matrix unpacked for the micro-kernels, in a worker's scratch.
typedef struct wn_tile {
    size_t rows, columns, stride, block_stride;
    uint8_t *codes;   // [rows, stride], as the table that unpacks them reads them
    uint8_t *kept;    // [rows, stride] 0 or 1: MASKED_Q4_1 only, else NULL
    float *scales;    // [rows, block_stride]: w = scale * code + offset
    float *offsets;   // [rows, block_stride]
    float *half_scales;  // [rows, stride / 32, 8]: the scale of a block's first sixteen columns four times, then that of
                         // its last sixteen; formats with a scale for each, else NULL
    float *half_offsets;  // the same of offsets; Q2_K, else NULL
    float *values;    // [rows, columns] float32: for float32 inputs
    float row_scales[WN_TILE_ROWS];  // INT8
    bool is_signed;   // offsets are not used; AVX2: codes are signed bytes, AVX-512: they have 128 >> sign_shift added
    int32_t sign_shift;
} wn_tile;

// Sparse rows for many tokens: what is not zero, a pair of columns or a block of four at a time, in runs of columns
// whose inputs stay in the first-level cache. Sums are integers, so they have the bits of the dense tile.
enum { WN_PAIR_ROWS = 32, WN_PAIR_RUN = 96, WN_BLOCK_RUN = 192, WN_PAIR_TOKENS = 32 };
// What `wn_input.paired` says of the room for arranged inputs.
enum { WN_ARRANGED_PAIRS = 1, WN_ARRANGED_BLOCKS = 2, WN_ARRANGED_TOKENS = 3, WN_ARRANGED_BF16 = 4 };  // and wn_bf16
// Bytes of sixteen tokens of BLOCK8 inputs, arranged: their codes, and for each block of 32 two floats and two words.
#define WN_GROUP_BYTES(STRIDE) (24 * (STRIDE))
// Of sixteen tokens of PLANES16 inputs: both planes, and a word for each block.
#define WN_PLANES_BYTES(STRIDE) (34 * (STRIDE))

typedef struct wn_pair_list {
    size_t rows, runs, capacity;  // capacity: entries that leave the dense tile behind
    uint32_t *starts;             // [rows, runs + 1]
    const int32_t *codes;         // pairs: an int16 a column, an even number in each run, in `own`; blocks: four int8,
    int32_t *own;                 // where the matrix has them, at any address
    uint16_t *places;             // of the entry in its run
    int32_t *sums;                // [rows, WN_TOKEN_BLOCK]
    float scales[WN_PAIR_ROWS];
    int32_t shifts[WN_PAIR_ROWS];  // blocks: the sum of a row's codes
} wn_pair_list;

typedef struct wn_pair_table {
    int32_t arranged;  // WN_ARRANGED_*
    size_t run;        // entries of a run of columns, were none of them zero
    // Sixteen tokens of PLANES16 inputs into `wide`. Pairs: of each block of 64 tokens, or as many sixteens as are
    // left, [pairs of columns, tokens, 2].
    void (*arrange)(wn_input *input, size_t first);
    // Lists rows; false when there are too many pairs, or so large ones that 32 bits may not hold a sum.
    bool (*list)(const wn_matrix *matrix, size_t row, size_t rows, wn_pair_list *list);
    // The sums of a block of tokens, from token `first` on.
    void (*sum)(const wn_pair_list *list, const wn_input *input, size_t first);
    // out[t * WN_TILE_ROWS + r] of sixteen of the list's rows.
    void (*values)(const wn_pair_list *list, size_t row, const wn_input *input, size_t first, float *out);
} wn_pair_table;

typedef struct wn_product_table {
    // Unpacks rows for integer inputs (codes, scales, offsets), or for float32 ones (values).
    void (*unpack_codes)(const wn_matrix *matrix, size_t row, size_t rows, wn_tile *tile);
    void (*row_f32)(const wn_matrix *matrix, size_t row, float *out);
    // The same of Q5_0 and what follows it; NULL: plain C does it.
    void (*row_f32_blocks)(const wn_matrix *matrix, size_t row, float *out);
    bool has_ggml_blocks;  // computes with the codes of Q5_0 and what follows it; else their rows are multiplied out
    // out[t * WN_TILE_ROWS + r] for tokens first..<first + tokens.
    void (*dot_f32)(const wn_tile *tile, const wn_input *input, size_t first, size_t tokens, float *out);
    // Dense rows in floating point, converted in registers, for a few tokens; NULL: go through `values`.
    void (*dot_half)(const wn_matrix *matrix, size_t row, size_t rows, const wn_input *input, size_t first,
                     size_t tokens, float *out);
    void (*dot_block8)(const wn_tile *tile, const wn_input *input, size_t first, size_t tokens, float *out);
    // Sixteen tokens of a whole BLOCK8 input into `wide`, as `dot_block8` reads them there; NULL: it reads `q`.
    void (*arrange_block8)(wn_input *input, size_t first);
    // The same of PLANES16 into `beside`, for `dot_planes16`.
    void (*arrange_planes)(wn_input *input, size_t first);
    void (*dot_planes16)(const wn_tile *tile, const wn_input *input, size_t first, size_t tokens, float *out);
    void (*dot_planes16_rows)(const wn_tile *tile, const wn_input *input, size_t first, size_t tokens, float *out);
    void (*silu_multiply)(const float *gate, const float *up, float *out, size_t count);
    void (*prepare)(wn_input *input, size_t token, const float *x, const float *weight, float epsilon);
    // One-token products straight from the packed form, the same bits as through a tile, of any number of rows; false
    // for a format that needs the tile. NULL where there are none.
    bool (*decode)(const wn_matrix *matrix, size_t row, size_t rows, const wn_input *input, float *out);
    const wn_pair_table *pairs, *blocks;  // of MASKED_INT8 and BLOCK4_INT8; NULL: masks are multiplied out whatever they leave
} wn_product_table;

// A view of rows becomes the input that it is of; `wide` of PLANES16 is left where it is.
void wn_input_whole(wn_input *view);

extern const wn_product_table wn_products_scalar;
#if defined(__x86_64__)
extern const wn_product_table wn_products_avx2;
extern const wn_product_table wn_products_avx512;
#endif
#if defined(__aarch64__)
extern const wn_product_table wn_products_neon, wn_products_neon_dot;
#endif
const wn_product_table *wn_product_functions(void);
#endif
