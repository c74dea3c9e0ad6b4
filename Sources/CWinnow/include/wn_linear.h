#ifndef WN_LINEAR_H
#define WN_LINEAR_H
#include "wn_matrix.h"

// ---- Linear algebra in float64 -----------------------------------------------------------------------------
// Matrices are row-major. Work is split over outputs, and every sum runs in the order of its index: the same bits for
// any number of threads and any instruction set.

// gram[i * columns + j] += sum over tokens of x[t, i] x[t, j] for j <= i. Products and sums of each run of 64 tokens
// are float32, runs are added in float64: call it with whole windows, so that the runs do not depend on the step.
void wn_gram_add(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, double *gram);
// sums[c] += sum over tokens of x[t, c], tokens in order.
void wn_add_sums(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, double *sums);

// c[i, j] += sign * sum_k a[i * a_row + k * a_depth] b[k * b_depth + j * b_column], rows of c `c_stride` apart.
typedef struct wn_gemm {
    const double *a;
    size_t a_row, a_depth;
    const double *b;
    size_t b_depth, b_column;
    double *c;
    size_t c_stride;
    size_t rows, columns, depth;
    double sign;
    bool lower;    // only where j <= i
    bool a_lower;  // a[i, k] is zero for k > i
} wn_gemm;
void wn_gemm_run(wn_pool *pool, const wn_gemm *product);

// a[n, n], of which the lower triangle is read, becomes L with a = L L^T; the rest is set to zero. False when a pivot
// is not positive: its index and what it was are told, and `a` is spoilt.
bool wn_cholesky(wn_pool *pool, double *a, size_t n, size_t *pivot, double *value);
// A lower triangle (the rest zero) becomes its inverse. scratch: 64 n.
void wn_invert_lower(wn_pool *pool, double *a, size_t n, double *scratch);
// The upper triangle takes the values of the lower one.
void wn_mirror_lower(double *a, size_t n);
// The elements in reverse order: of a matrix, both its rows and its columns.
void wn_reverse_f64(double *a, size_t count);

// ---- Columns in order, errors pushed on ------------------------------------------------------------------------
// Codes of a grid: w = scale * code + offset. Arrays are [groups, stride]: one run of rows a group of columns.
typedef struct wn_code_grid {
    double *scales;
    const double *offsets;  // NULL: 0
    int8_t *codes;          // [columns, stride]: what is written
    size_t group;           // columns
    const uint32_t *groups;  // of each column; NULL: column / group
    int32_t low, high;
    // Scales are found where a group begins, on the weights as they are by then that are not pruned yet: the float16
    // nearest to the value of largest magnitude divided by `low`.
    bool finds;
} wn_code_grid;

// One block of columns of W, transposed: weights[c * stride + r]. Columns are taken in order; a pruned weight becomes
// zero, another the value of its nearest code (or stays), e = (w - q) / U[c, c], and the columns after it in the block
// give way by e U[c, k]. `factor` is U, upper, with H^-1 = U^T U;
// NULL: the identity, no column gives way. rows: a multiple of 8, rows past the last hold zeros.
typedef struct wn_sweep {
    double *weights;
    size_t stride, rows;
    size_t first, count;    // the block's columns; count <= 256
    const double *factor;
    size_t factor_stride;
    uint8_t *pruned;        // [columns, stride], 1 for pruned
    size_t keep, of;        // N:M: `keep` of each `of` columns, chosen where a group begins; `of` 0: as `pruned` says
    const wn_code_grid *grid;  // NULL: weights that stay keep their value
    double *errors;         // [count, stride]
    double *losses;         // [stride], += e^2
} wn_sweep;
void wn_sweep_block(wn_pool *pool, const wn_sweep *sweep);

// scores[c] = float32 of |weights[c * stride]| * norms[c], or -1 where `pruned` is set already. False when one is NaN or infinite.
bool wn_sweep_scores(const double *weights, const uint8_t *pruned, size_t stride, size_t count, const double *norms,
                     float *scores);
// pruned[c * stride] = 1 where the mask's bit c is clear.
void wn_mark_pruned(const uint8_t *mask, size_t count, uint8_t *pruned, size_t stride);
// Sets bit c where pruned[c * stride] is 0; writes (count + 7) / 8 bytes.
void wn_mask_of_pruned(const uint8_t *pruned, size_t stride, size_t count, uint8_t *mask);
void wn_scatter_f64(const float *row, size_t count, double *out, size_t stride);
void wn_gather_f64(const double *in, size_t stride, size_t count, float *row);
void wn_gather_codes(const int8_t *in, size_t stride, size_t count, int8_t *row);
// A dense row of codes: Q4_0, Q4_1 (0..15), Q8_0, INT8, INT4, Q4_0 and INT4 around zero (-8..7). `scales` are the
// row's own of Q4_0, Q4_1 and Q8_0, as masked layouts keep them; the others have an array apart.
void wn_write_codes(wn_format format, const int8_t *codes, size_t columns, const void *scales, void *out);
#endif
