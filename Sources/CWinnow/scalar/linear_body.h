// float64 kernels over vectors of 8 lanes, compiled once for each instruction set: the order of every sum is the same
// in all of them. Included by a file that defines WN_TABLE, and WN_PANEL where not 6 rows of a tile fit the registers.
#include <math.h>
#pragma clang diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions only
#include <string.h>

#include "../linear.h"

#pragma clang fp contract(off)

typedef double f64x8 __attribute__((vector_size(64), aligned(8)));
typedef float f32x16 __attribute__((vector_size(64), aligned(4)));
#define WN_INLINE static inline __attribute__((always_inline))
#ifndef WN_PANEL
#define WN_PANEL 6
#endif

WN_INLINE f64x8 load8(const double *from) { return *(const f64x8 *)from; }
WN_INLINE void store8(double *to, f64x8 v) { *(f64x8 *)to = v; }
WN_INLINE f64x8 splat8(double value) { return (f64x8){0} + value; }
WN_INLINE f64x8 fma8(f64x8 a, f64x8 b, f64x8 c) { return __builtin_elementwise_fma(a, b, c); }

// ---- Products --------------------------------------------------------------------------------------------------
// out[panel][8] = sum_k a[k][panel] b[k][8]
WN_INLINE void micro_f64(const double *a, const double *b, size_t depth, double *out) {
    f64x8 sum[WN_PANEL];
    for (size_t r = 0; r < WN_PANEL; r++) sum[r] = splat8(0);
    for (size_t k = 0; k < depth; k++, a += WN_PANEL, b += 8) {
        f64x8 v = load8(b);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < WN_PANEL; r++) sum[r] = fma8(splat8(a[r]), v, sum[r]);
    }
    for (size_t r = 0; r < WN_PANEL; r++) store8(out + 8 * r, sum[r]);
}

// Columns (or rows) of an operand as panels of `width`, each [depth, width], filled up with zeros.
WN_INLINE void pack_f64(const double *from, size_t step, size_t depth_step, size_t count, size_t depth, size_t width,
                        double *out) {
    for (size_t first = 0; first < count; first += width, out += width * depth) {
        size_t part = count - first < width ? count - first : width;
        const double *source = from + first * step;
        if (depth_step == 1) {
            // Along the depth values are neighbours: row by row.
            if (part < width) memset(out, 0, width * depth * sizeof *out);
            for (size_t i = 0; i < part; i++) {
                for (size_t k = 0; k < depth; k++) out[k * width + i] = source[i * step + k];
            }
            continue;
        }
        for (size_t k = 0; k < depth; k++) {
            for (size_t i = 0; i < part; i++) out[k * width + i] = source[i * step + k * depth_step];
            for (size_t i = part; i < width; i++) out[k * width + i] = 0;
        }
    }
}

static void gemm_tile(const wn_gemm *p, size_t row, size_t rows, size_t column, size_t columns) {
    double a[WN_TILE_ROWS * WN_TILE_DEPTH] __attribute__((aligned(64)));
    double b[WN_TILE_COLUMNS * WN_TILE_DEPTH] __attribute__((aligned(64)));
    double out[WN_PANEL * 8] __attribute__((aligned(64)));
    size_t total = p->a_lower && row + rows < p->depth ? row + rows : p->depth;
    for (size_t k = 0; k < total; k += WN_TILE_DEPTH) {
        size_t depth = total - k < WN_TILE_DEPTH ? total - k : WN_TILE_DEPTH;
        pack_f64(p->a + row * p->a_row + k * p->a_depth, p->a_row, p->a_depth, rows, depth, WN_PANEL, a);
        pack_f64(p->b + column * p->b_column + k * p->b_depth, p->b_column, p->b_depth, columns, depth, 8, b);
        for (size_t j = 0; j < columns; j += 8) {
            size_t wide = columns - j < 8 ? columns - j : 8;
            for (size_t i = 0; i < rows; i += WN_PANEL) {
                size_t high = rows - i < WN_PANEL ? rows - i : WN_PANEL;
                micro_f64(a + i * depth, b + j * depth, depth, out);
                double *c = p->c + (row + i) * p->c_stride + column + j;
                for (size_t r = 0; r < high; r++, c += p->c_stride) {
                    if (wide == 8) {
                        store8(c, fma8(splat8(p->sign), load8(out + 8 * r), load8(c)));
                    } else {
                        for (size_t s = 0; s < wide; s++) c[s] = fma(p->sign, out[8 * r + s], c[s]);
                    }
                }
            }
        }
    }
}

// ---- Gram matrix -----------------------------------------------------------------------------------------------
WN_INLINE void micro_f32(const float *a, const float *b, size_t depth, float *out) {
    f32x16 sum[WN_PANEL];
    for (size_t r = 0; r < WN_PANEL; r++) sum[r] = (f32x16){0};
    for (size_t k = 0; k < depth; k++, a += WN_PANEL, b += 16) {
        f32x16 v = *(const f32x16 *)b;
#pragma clang loop unroll(full)
        for (size_t r = 0; r < WN_PANEL; r++) sum[r] = __builtin_elementwise_fma((f32x16){0} + a[r], v, sum[r]);
    }
    for (size_t r = 0; r < WN_PANEL; r++) *(f32x16 *)(out + 16 * r) = sum[r];
}

WN_INLINE void pack_f32(const float *from, size_t stride, size_t count, size_t depth, size_t width, float *out) {
    for (size_t first = 0; first < count; first += width) {
        size_t part = count - first < width ? count - first : width;
        for (size_t k = 0; k < depth; k++, out += width) {
            const float *source = from + k * stride + first;
            for (size_t i = 0; i < part; i++) out[i] = source[i];
            for (size_t i = part; i < width; i++) out[i] = 0;
        }
    }
}

static void gram_tile(const float *x, size_t stride, size_t tokens, size_t row, size_t rows, size_t column,
                      size_t columns, double *gram, size_t gram_stride) {
    float a[WN_TILE_ROWS * WN_GRAM_RUN] __attribute__((aligned(64)));
    float b[WN_TILE_COLUMNS * WN_GRAM_RUN] __attribute__((aligned(64)));
    float out[WN_PANEL * 16] __attribute__((aligned(64)));
    for (size_t t = 0; t < tokens; t += WN_GRAM_RUN) {
        size_t depth = tokens - t < WN_GRAM_RUN ? tokens - t : WN_GRAM_RUN;
        pack_f32(x + t * stride + row, stride, rows, depth, WN_PANEL, a);
        pack_f32(x + t * stride + column, stride, columns, depth, 16, b);
        for (size_t j = 0; j < columns; j += 16) {
            size_t wide = columns - j < 16 ? columns - j : 16;
            for (size_t i = 0; i < rows; i += WN_PANEL) {
                size_t high = rows - i < WN_PANEL ? rows - i : WN_PANEL;
                if (column + j > row + i + high - 1) continue;  // above the diagonal
                micro_f32(a + i * depth, b + j * depth, depth, out);
                double *c = gram + (row + i) * gram_stride + column + j;
                for (size_t r = 0; r < high; r++, c += gram_stride) {
                    for (size_t s = 0; s < wide; s++) c[s] += (double)out[16 * r + s];
                }
            }
        }
    }
}

static void add_sums(const float *x, size_t stride, size_t tokens, size_t columns, double *sums) {
    for (size_t t = 0; t < tokens; t++, x += stride) {
        for (size_t c = 0; c < columns; c++) sums[c] += (double)x[c];
    }
}

// ---- Factors ---------------------------------------------------------------------------------------------------
static size_t factor_block(double *t, size_t count, double *value) {
    for (size_t j = 0; j < count; j++) {
        double *own = t + j * WN_BLOCK;
        *value = own[j];
        if (!(own[j] > 0) || !isfinite(own[j])) return j;
        double root = sqrt(own[j]);
        own[j] = root;
        for (size_t i = j + 1; i < count; i++) own[i] /= root;
        for (size_t k = j + 1; k < count; k++) {
            double *row = t + k * WN_BLOCK, factor = -own[k];
            for (size_t i = k; i < count; i++) row[i] = fma(factor, own[i], row[i]);
        }
    }
    return count;
}

static void solve_row(double *row, const double *t, size_t count) {
    for (size_t k = 0; k < count; k++, t += WN_BLOCK) {
        row[k] /= t[k];
        double factor = -row[k];
        for (size_t j = k + 1; j < count; j++) row[j] = fma(factor, t[j], row[j]);
    }
}

// ---- Sweep -----------------------------------------------------------------------------------------------------
// What the scales of a group of columns are, where they are found on the way.
static void find_scales(const wn_sweep *s, const wn_code_grid *grid, size_t column, size_t row, const double *slab) {
    size_t group = column / grid->group, end = (group + 1) * grid->group;
    double largest[8] = {0};
    for (size_t c = column; c < end && c < s->first + s->count; c++) {
        const double *w = slab + (c - s->first) * WN_SLAB;
        const uint8_t *pruned = s->pruned + c * s->stride + row;
        for (size_t r = 0; r < 8; r++) {
            if (!pruned[r] && fabs(w[r]) > fabs(largest[r])) largest[r] = w[r];
        }
    }
    for (size_t r = 0; r < 8; r++) {
        float wanted = (float)(largest[r] / grid->low), stored;
        uint16_t half;
        wn_f32_to_f16(&wanted, &half, 1);
        wn_f16_to_f32(&half, &stored, 1);
        grid->scales[group * s->stride + row + r] = (double)stored;
    }
}

// The nearest code's value for 8 rows of a column; where `pruned`, a code that is not read again.
WN_INLINE f64x8 nearest(const wn_code_grid *grid, size_t column, size_t stride, size_t row, f64x8 w) {
    size_t place = (grid->groups ? grid->groups[column] : column / grid->group) * stride + row;
    f64x8 scale = load8(grid->scales + place), offset = grid->offsets ? load8(grid->offsets + place) : splat8(0);
    double code[8], step[8];
    store8(step, scale);
    f64x8 shifted = w - offset;
    store8(code, shifted);
    for (size_t r = 0; r < 8; r++) {
        // A group of zeros has no scale, and one code.
        double exact = step[r] != 0 ? __builtin_roundeven(code[r] / step[r]) : 0;
        exact = exact < grid->low ? grid->low : exact > grid->high ? grid->high : exact;
        code[r] = exact;
        grid->codes[column * stride + row + r] = (int8_t)exact;
    }
    return fma8(scale, load8(code), offset);
}

// The group of columns that begins at `column`: which of them go, for 8 rows.
static void choose_n_of_m(const wn_sweep *s, size_t column, size_t row, const double *slab) {
    size_t end = s->first + s->count, size = end - column < s->of ? end - column : s->of;
    for (size_t r = 0; r < 8; r++) {
        float scores[64];
        uint8_t mask[8];
        for (size_t i = 0; i < size; i++) {
            double u = s->factor ? s->factor[(column + i) * s->factor_stride + column + i] : 1;
            bool gone = s->pruned[(column + i) * s->stride + row + r];
            scores[i] = gone ? -1 : (float)(fabs(slab[(column + i - s->first) * WN_SLAB + r]) * (1 / u));
        }
        if (!wn_select_n_of_m(scores, size, s->keep, s->of, mask)) continue;  // NaN: found in the result
        for (size_t i = 0; i < size; i++) {
            if (!(mask[i / 8] >> (i % 8) & 1)) s->pruned[(column + i) * s->stride + row + r] = 1;
        }
    }
}

static void sweep_slab(const wn_sweep *s, size_t first, size_t count) {
    // Columns of a matrix may lie a multiple of a page apart, where a cache keeps few of them: a copy without gaps.
    double slab[256 * WN_SLAB] __attribute__((aligned(64)));
    size_t lanes = count / 8;
    for (size_t c = 0; c < s->count; c++) {
        memcpy(slab + c * WN_SLAB, s->weights + (s->first + c) * s->stride + first, count * sizeof(double));
    }
    for (size_t c = 0; c < s->count; c++) {
        size_t column = s->first + c;
        const double *u = s->factor ? s->factor + column * s->factor_stride + s->first : NULL;
        double *own = slab + c * WN_SLAB;
        f64x8 e[WN_SLAB / 8], diagonal = splat8(u ? u[c] : 1);
        for (size_t l = 0; l < lanes; l++) {
            size_t row = first + 8 * l;
            if (s->of && column % s->of == 0) choose_n_of_m(s, column, row, slab + 8 * l);
            if (s->grid && s->grid->finds && column % s->grid->group == 0) find_scales(s, s->grid, column, row, slab + 8 * l);
            f64x8 w = load8(own + 8 * l), q = w;
            if (s->grid) q = nearest(s->grid, column, s->stride, row, w);
            const uint8_t *pruned = s->pruned + column * s->stride + row;
            for (size_t r = 0; r < 8; r++) q[r] = pruned[r] ? 0 : q[r];
            e[l] = (w - q) / diagonal;
            store8(own + 8 * l, q);
            store8(s->errors + c * s->stride + row, e[l]);
            store8(s->losses + row, fma8(e[l], e[l], load8(s->losses + row)));
        }
        for (size_t k = c + 1; u && k < s->count; k++) {
            f64x8 factor = splat8(-u[k]);
            double *other = slab + k * WN_SLAB;
            for (size_t l = 0; l < lanes; l++) store8(other + 8 * l, fma8(factor, e[l], load8(other + 8 * l)));
        }
    }
    for (size_t c = 0; c < s->count; c++) {
        memcpy(s->weights + (s->first + c) * s->stride + first, slab + c * WN_SLAB, count * sizeof(double));
    }
}

const wn_linear_table WN_TABLE = {gemm_tile, gram_tile, sweep_slab, factor_block, solve_row, add_sums};
