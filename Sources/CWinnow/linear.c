// float64 linear algebra over the pool: tiles, panels, factors.
#include "linear.h"

#include <math.h>
#include <string.h>

static const wn_linear_table *wn_linear_functions(void) {
    switch (wn_isa_current()) {
#if defined(__x86_64__)
    case WN_ISA_AVX512: return &wn_linear_avx512;
    case WN_ISA_AVX2: return &wn_linear_avx2;
#endif
#if defined(__aarch64__)
    case WN_ISA_NEON: return &wn_linear_neon;
#endif
    default: return &wn_linear_scalar;
    }
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

// ---- Gram --------------------------------------------------------------------------------------------------------
typedef struct wn_gram_job {
    const wn_linear_table *table;
    const float *x;
    size_t stride, tokens, columns, across;
    double *gram;
} wn_gram_job;

static void wn_gram_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_gram_job *job = context;
    size_t row = chunk / job->across * WN_TILE_ROWS, column = chunk % job->across * WN_TILE_COLUMNS;
    size_t rows = least(job->columns - row, WN_TILE_ROWS);
    if (column >= row + rows) return;
    job->table->gram_tile(job->x, job->stride, job->tokens, row, rows, column,
                          least(job->columns - column, WN_TILE_COLUMNS), job->gram, job->columns);
}

void wn_gram_add(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, double *gram) {
    size_t across = (columns + WN_TILE_COLUMNS - 1) / WN_TILE_COLUMNS;
    wn_gram_job job = {wn_linear_functions(), x, stride, tokens, columns, across, gram};
    wn_pool_run(pool, across * ((columns + WN_TILE_ROWS - 1) / WN_TILE_ROWS), wn_gram_chunk, &job);
}

static void wn_sums_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_gram_job *job = context;
    size_t begin = chunk * 64;
    job->table->add_sums(job->x + begin, job->stride, job->tokens, least(job->columns - begin, 64), job->gram + begin);
}

void wn_add_sums(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, double *sums) {
    wn_gram_job job = {wn_linear_functions(), x, stride, tokens, columns, 0, sums};
    wn_pool_run(pool, (columns + 63) / 64, wn_sums_chunk, &job);
}

// ---- Products ----------------------------------------------------------------------------------------------------
typedef struct wn_gemm_job {
    const wn_linear_table *table;
    const wn_gemm *product;
    size_t across;
} wn_gemm_job;

static void wn_gemm_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_gemm_job *job = context;
    const wn_gemm *p = job->product;
    size_t row = chunk / job->across * WN_TILE_ROWS, column = chunk % job->across * WN_TILE_COLUMNS;
    size_t rows = least(p->rows - row, WN_TILE_ROWS);
    if (p->lower && column >= row + rows) return;
    job->table->gemm_tile(p, row, rows, column, least(p->columns - column, WN_TILE_COLUMNS));
}

void wn_gemm_run(wn_pool *pool, const wn_gemm *product) {
    if (product->rows == 0 || product->columns == 0 || product->depth == 0) return;
    size_t across = (product->columns + WN_TILE_COLUMNS - 1) / WN_TILE_COLUMNS;
    wn_gemm_job job = {wn_linear_functions(), product, across};
    wn_pool_run(pool, across * ((product->rows + WN_TILE_ROWS - 1) / WN_TILE_ROWS), wn_gemm_chunk, &job);
}

// ---- Cholesky ----------------------------------------------------------------------------------------------------
typedef struct wn_panel_job {
    const wn_linear_table *table;
    double *panel;  // the first row below the block
    const double *t;
    size_t stride, rows, count;
} wn_panel_job;

static void wn_panel_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_panel_job *job = context;
    size_t end = least((chunk + 1) * 16, job->rows);
    for (size_t r = chunk * 16; r < end; r++) job->table->solve_row(job->panel + r * job->stride, job->t, job->count);
}

bool wn_cholesky(wn_pool *pool, double *a, size_t n, size_t *pivot, double *value) {
    const wn_linear_table *table = wn_linear_functions();
    double t[WN_BLOCK * WN_BLOCK] __attribute__((aligned(64)));
    for (size_t first = 0; first < n; first += WN_BLOCK) {
        size_t count = least(n - first, WN_BLOCK), rest = n - first - count;
        double *block = a + first * n + first;
        memset(t, 0, sizeof t);
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j <= i; j++) t[j * WN_BLOCK + i] = block[i * n + j];
        }
        size_t good = table->factor_block(t, count, value);
        if (good < count) {
            *pivot = first + good;
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j <= i; j++) block[i * n + j] = t[j * WN_BLOCK + i];
            memset(block + i * n + i + 1, 0, (n - first - i - 1) * sizeof *a);
        }
        if (rest == 0) break;
        wn_panel_job panel = {table, block + count * n, t, n, rest, count};
        wn_pool_run(pool, (rest + 15) / 16, wn_panel_chunk, &panel);
        const double *below = block + count * n;
        wn_gemm trailing = {below, n, 1, below, 1, n, block + count * n + count, n, rest, rest, count, -1, true, false};
        wn_gemm_run(pool, &trailing);
    }
    return true;
}

void wn_invert_lower(wn_pool *pool, double *a, size_t n, double *scratch) {
    double inverse[WN_BLOCK * WN_BLOCK] __attribute__((aligned(64)));
    size_t blocks = (n + WN_BLOCK - 1) / WN_BLOCK;
    for (size_t index = blocks; index-- > 0;) {
        size_t first = index * WN_BLOCK, count = least(n - first, WN_BLOCK), rest = n - first - count;
        double *block = a + first * n + first;
        // Row i of the inverse from the rows above it.
        memset(inverse, 0, sizeof inverse);
        for (size_t i = 0; i < count; i++) {
            double *own = inverse + i * WN_BLOCK;
            own[i] = 1;
            for (size_t k = 0; k < i; k++) {
                double factor = -block[i * n + k];
                const double *other = inverse + k * WN_BLOCK;
                for (size_t j = 0; j <= k; j++) own[j] = fma(factor, other[j], own[j]);
            }
            for (size_t j = 0; j <= i; j++) own[j] /= block[i * n + i];
        }
        if (rest > 0) {
            // What stands below becomes -(inverse below) (below) (inverse of the block).
            double *below = block + count * n;
            memset(scratch, 0, rest * count * sizeof *scratch);
            wn_gemm right = {below, n, 1, inverse, WN_BLOCK, 1, scratch, count, rest, count, count, -1, false, false};
            wn_gemm_run(pool, &right);
            for (size_t r = 0; r < rest; r++) memset(below + r * n, 0, count * sizeof *a);
            wn_gemm left = {below + count, n, 1, scratch, count, 1, below, n, rest, count, rest, 1, false, true};
            wn_gemm_run(pool, &left);
        }
        for (size_t i = 0; i < count; i++) memcpy(block + i * n, inverse + i * WN_BLOCK, (i + 1) * sizeof *a);
    }
}

void wn_mirror_lower(double *a, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) a[i * n + j] = a[j * n + i];
    }
}

void wn_reverse_f64(double *a, size_t count) {
    for (size_t i = 0, j = count; i + 1 < j; i++) {
        double value = a[--j];
        a[j] = a[i];
        a[i] = value;
    }
}

// ---- Sweep -------------------------------------------------------------------------------------------------------
typedef struct wn_sweep_job {
    const wn_linear_table *table;
    const wn_sweep *sweep;
} wn_sweep_job;

static void wn_sweep_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_sweep_job *job = context;
    size_t first = chunk * WN_SLAB;
    job->table->sweep_slab(job->sweep, first, least(job->sweep->rows - first, WN_SLAB));
}

void wn_sweep_block(wn_pool *pool, const wn_sweep *sweep) {
    wn_sweep_job job = {wn_linear_functions(), sweep};
    wn_pool_run(pool, (sweep->rows + WN_SLAB - 1) / WN_SLAB, wn_sweep_chunk, &job);
}

bool wn_sweep_scores(const double *weights, const uint8_t *pruned, size_t stride, size_t count, const double *norms,
                     float *scores) {
    bool finite = true;
    for (size_t c = 0; c < count; c++) {
        scores[c] = pruned[c * stride] ? -1 : (float)(fabs(weights[c * stride]) * norms[c]);
        finite = finite && isfinite(scores[c]);
    }
    return finite;
}

void wn_mark_pruned(const uint8_t *mask, size_t count, uint8_t *pruned, size_t stride) {
    for (size_t c = 0; c < count; c++) {
        if (!(mask[c / 8] >> (c % 8) & 1)) pruned[c * stride] = 1;
    }
}

void wn_mask_of_pruned(const uint8_t *pruned, size_t stride, size_t count, uint8_t *mask) {
    memset(mask, 0, (count + 7) / 8);
    for (size_t c = 0; c < count; c++) mask[c / 8] |= (uint8_t)(!pruned[c * stride] << (c % 8));
}

void wn_scatter_f64(const float *row, size_t count, double *out, size_t stride) {
    for (size_t c = 0; c < count; c++) out[c * stride] = (double)row[c];
}

void wn_gather_f64(const double *in, size_t stride, size_t count, float *row) {
    for (size_t c = 0; c < count; c++) row[c] = (float)in[c * stride];
}

void wn_gather_codes(const int8_t *in, size_t stride, size_t count, int8_t *row) {
    for (size_t c = 0; c < count; c++) row[c] = in[c * stride];
}

void wn_write_codes(wn_format format, const int8_t *codes, size_t columns, const void *scales, void *out) {
    uint8_t *bytes = out;
    const uint8_t *next = scales;
    size_t head = format == WN_Q4_1 ? 4 : 2;
    int zero = format == WN_Q4_1 ? 0 : 8;
    switch (format) {
    case WN_Q4_0: case WN_Q4_1:
        for (size_t c = 0; c < columns; c += 32, next += head, bytes += head + 16) {
            memcpy(bytes, next, head);
            for (size_t i = 0; i < 16; i++) {
                bytes[head + i] = (uint8_t)((codes[c + i] + zero) | (codes[c + 16 + i] + zero) << 4);
            }
        }
        return;
    case WN_Q8_0:
        for (size_t c = 0; c < columns; c += 32, next += 2, bytes += 34) {
            memcpy(bytes, next, 2);
            memcpy(bytes + 2, codes + c, 32);
        }
        return;
    case WN_INT8: memcpy(bytes, codes, columns); return;
    case WN_INT4:
        for (size_t c = 0; c < columns; c += 2) {
            bytes[c / 2] = (uint8_t)((codes[c] + 8) | (c + 1 < columns ? codes[c + 1] + 8 : 8) << 4);
        }
        return;
    default: return;
    }
}
