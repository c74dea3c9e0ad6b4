// The table of float64 kernels that an instruction set fills.
#ifndef WN_LINEAR_TABLE_H
#define WN_LINEAR_TABLE_H
#include "wn_linear.h"
#include "wn_select.h"

enum { WN_TILE_ROWS = 48, WN_TILE_COLUMNS = 64, WN_TILE_DEPTH = 128, WN_GRAM_RUN = 64, WN_BLOCK = 64, WN_SLAB = 32 };

typedef struct wn_linear_table {
    // The part of c that rows row..<row + rows and columns column..<column + columns make up: at most a tile.
    void (*gemm_tile)(const wn_gemm *product, size_t row, size_t rows, size_t column, size_t columns);
    void (*gram_tile)(const float *x, size_t stride, size_t tokens, size_t row, size_t rows, size_t column,
                      size_t columns, double *gram, size_t gram_stride);
    // Rows first..<first + count (at most a slab, a multiple of 8) of a block of columns.
    void (*sweep_slab)(const wn_sweep *sweep, size_t first, size_t count);
    // count <= WN_BLOCK; t [WN_BLOCK, WN_BLOCK] is upper: the transposed factor of a symmetric block. Returns the first
    // pivot that is not positive, or `count`.
    size_t (*factor_block)(double *t, size_t count, double *value);
    // x t = a, for a row of a.
    void (*solve_row)(double *row, const double *t, size_t count);
    void (*add_sums)(const float *x, size_t stride, size_t tokens, size_t columns, double *sums);
} wn_linear_table;

extern const wn_linear_table wn_linear_scalar;
#if defined(__x86_64__)
extern const wn_linear_table wn_linear_avx2;
extern const wn_linear_table wn_linear_avx512;
#endif
#if defined(__aarch64__)
extern const wn_linear_table wn_linear_neon;
#endif
#endif
