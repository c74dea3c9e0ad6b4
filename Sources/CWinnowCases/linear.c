// float64 linear algebra against plain loops, and the bits of the scalar kernels.
#include <stdlib.h>

#include "cases.h"

// Runs `body` with each pool, then under the scalar kernels: all must leave the same bytes in `out` as the first did.
typedef void (*wn_linear_body)(wn_case_run *run, wn_pool *pool, double *out, void *context);

static void run_everywhere(wn_case_run *run, double *out, size_t count, wn_linear_body body, void *context) {
    double *again = wn_yard_take(&run->yard, count * sizeof *again);
    for (size_t i = 0; i < 4; i++) {
        double *into = i == 0 ? out : again;
        if (i == 3) wn_isa_select_local(WN_ISA_SCALAR);
        body(run, run->pools[i % 3], into, context);
        wn_isa_select_local(-1);
        if (i > 0) wn_expect_same(run, i == 3 ? "scalar kernels" : "another thread count", into, out, count * sizeof *out);
    }
}

static double *numbers(wn_case_run *run, size_t count) {
    double *values = wn_yard_take(&run->yard, count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = wn_dice_between(&run->dice, -2, 2);
    return values;
}

// ---- Gram and sums -----------------------------------------------------------------------------------------
typedef struct inputs { const float *x; size_t stride; } inputs;

static void gram_body(wn_case_run *run, wn_pool *pool, double *out, void *context) {
    const inputs *in = context;
    size_t n = run->c->columns;
    for (size_t i = 0; i < n * n; i++) out[i] = 0.5;
    wn_gram_add(pool, in->x, in->stride, run->c->tokens, n, out);
    wn_mirror_lower(out, n);  // tiles write a little above the diagonal
}

static void sums_body(wn_case_run *run, wn_pool *pool, double *out, void *context) {
    const inputs *in = context;
    memset(out, 0, run->c->columns * sizeof *out);
    wn_add_sums(pool, in->x, in->stride, run->c->tokens, run->c->columns, out);
}

static void run_inputs(wn_case_run *run, bool is_gram) {
    size_t n = run->c->columns, tokens = run->c->tokens, stride = n + 3, count = is_gram ? n * n : n;
    float *x = wn_yard_take(&run->yard, ((tokens - 1) * stride + n) * sizeof *x);
    for (size_t i = 0; i < (tokens - 1) * stride + n; i++) x[i] = (float)wn_dice_between(&run->dice, -3, 3);
    double *out = wn_yard_take(&run->yard, count * sizeof *out);
    inputs in = {x, stride};
    run_everywhere(run, out, count, is_gram ? gram_body : sums_body, &in);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t t = 0; t < tokens; t++) sum += (double)x[t * stride + i];
        if (!is_gram) wn_expect_near(run, "sum", i, out[i], sum, 0);
        for (size_t j = 0; is_gram && j <= i; j++) {
            double product = 0.5, size = 0;
            for (size_t t = 0; t < tokens; t++) {
                double value = (double)x[t * stride + i] * (double)x[t * stride + j];
                product += value;
                size += fabs(value);
            }
            // A run's sum is float32: each of its 64 steps may round once.
            wn_expect_near(run, "gram", i * n + j, out[i * n + j], product, 1e-12 + size * 64 * wn_unit);
        }
    }
}

// ---- Products ------------------------------------------------------------------------------------------------
static void gemm_body(wn_case_run *run, wn_pool *pool, double *out, void *context) {
    wn_gemm product = *(const wn_gemm *)context;
    for (size_t i = 0; i < product.rows * product.columns; i++) out[i] = (double)(i % 7);
    (void)run;
    product.c = out;
    product.c_stride = product.columns;
    wn_gemm_run(pool, &product);
}

// Variants: plain, both operands turned, the lower half only, a lower operand.
static void run_gemm(wn_case_run *run, int32_t variant) {
    size_t rows = run->c->rows, columns = run->c->columns, depth = run->c->tokens;
    const double *a = numbers(run, rows * depth), *b = numbers(run, depth * columns);
    double *out = wn_yard_take(&run->yard, rows * columns * sizeof *out);
    bool turned = variant == 1;
    wn_gemm product = {.a = a, .a_row = turned ? 1 : depth, .a_depth = turned ? rows : 1, .b = b,
                       .b_depth = turned ? 1 : columns, .b_column = turned ? depth : 1, .rows = rows, .columns = columns,
                       .depth = depth, .sign = variant == 0 ? 1 : -1, .lower = variant == 2, .a_lower = variant == 3};
    if (product.a_lower) {
        for (size_t i = 0; i < rows; i++) {
            for (size_t k = i + 1; k < depth; k++) ((double *)a)[i * depth + k] = 0;
        }
    }
    run_everywhere(run, out, rows * columns, gemm_body, &product);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            double sum = 0, size = 0;
            for (size_t k = 0; k < depth; k++) {
                double value = a[i * product.a_row + k * product.a_depth] * b[k * product.b_depth + j * product.b_column];
                sum += value;
                size += fabs(value);
            }
            if (product.lower && j > i) continue;
            double expected = (double)((i * columns + j) % 7) + product.sign * sum;
            wn_expect_near(run, "product", i * columns + j, out[i * columns + j], expected, 1e-13 + size * 1e-14);
        }
    }
}

// ---- Factors -------------------------------------------------------------------------------------------------
static void factor_body(wn_case_run *run, wn_pool *pool, double *out, void *context) {
    size_t n = run->c->columns, pivot = 0;
    double value = 0;
    memcpy(out, context, n * n * sizeof *out);
    if (!wn_cholesky(pool, out, n, &pivot, &value)) wn_fail(run, "pivot %zu is %g", pivot, value);
}

static void inverse_body(wn_case_run *run, wn_pool *pool, double *out, void *context) {
    size_t n = run->c->columns;
    double *scratch = malloc(64 * n * sizeof *scratch);
    memcpy(out, context, n * n * sizeof *out);
    wn_invert_lower(pool, out, n, scratch);
    free(scratch);
}

static void run_factor(wn_case_run *run) {
    size_t n = run->c->columns;
    // X^T X + I: positive definite.
    double *x = numbers(run, n * n), *a = wn_yard_take(&run->yard, n * n * sizeof *a);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = i == j;
            for (size_t k = 0; k < n; k++) sum += x[k * n + i] * x[k * n + j];
            a[i * n + j] = j <= i ? sum : 1e300;  // what must not be read
        }
    }
    double *l = wn_yard_take(&run->yard, n * n * sizeof *l), *inverse = wn_yard_take(&run->yard, n * n * sizeof *l);
    run_everywhere(run, l, n * n, factor_body, a);
    run_everywhere(run, inverse, n * n, inverse_body, l);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0, one = 0, size = 0;
            for (size_t k = 0; k <= i && k <= j; k++) sum += l[i * n + k] * l[j * n + k];
            for (size_t k = 0; k < n; k++) {
                one += l[i * n + k] * inverse[k * n + j];
                size += fabs(l[i * n + k] * inverse[k * n + j]);
            }
            if (j <= i) wn_expect_near(run, "L L^T", i * n + j, sum, a[i * n + j], 1e-10 * (double)n);
            if (j > i) wn_expect_near(run, "upper", i * n + j, l[i * n + j], 0, 0);
            wn_expect_near(run, "L L^-1", i * n + j, one, i == j, 1e-10 + size * 1e-10);
        }
    }
    // A pivot that is not positive is named, wherever it stands.
    for (size_t bad = 0; bad < n; bad += 1 + n / 3) {
        double before = a[bad * n + bad], value = 0;
        size_t pivot = n;
        a[bad * n + bad] = bad % 2 ? -1 : NAN;
        memcpy(inverse, a, n * n * sizeof *a);
        if (wn_cholesky(run->pools[1], inverse, n, &pivot, &value)) wn_fail(run, "a bad pivot passed");
        if (pivot != bad) wn_fail(run, "pivot %zu, not %zu", pivot, bad);
        a[bad * n + bad] = before;
    }
    wn_reverse_f64(x, n * n);
    memcpy(l, x, n * n * sizeof *l);
    wn_reverse_f64(l, n * n);
    for (size_t i = 0; i < n * n; i++) wn_expect_near(run, "reversed", i, l[i], x[n * n - 1 - i], 0);
}

// ---- Sweep ---------------------------------------------------------------------------------------------------
typedef struct sweep_case {
    const double *weights, *factor;
    const uint8_t *pruned;
    const double *scales, *offsets;
    size_t rows, columns, stride, keep, of;
    bool has_grid, finds;
    uint8_t *gone;   // what the last run pruned
    int8_t *codes;
    double *found;   // scales
} sweep_case;

static void sweep_body(wn_case_run *run, wn_pool *pool, double *out, void *context) {
    sweep_case *s = context;
    (void)run;
    size_t cells = s->columns * s->stride;
    double *errors = calloc(cells, sizeof *errors), *losses = calloc(s->stride, sizeof *losses);
    memcpy(out, s->weights, cells * sizeof *out);
    memcpy(s->gone, s->pruned, cells);
    memset(s->codes, 0, cells);
    memcpy(s->found, s->scales, s->stride * sizeof *s->found);
    wn_code_grid grid = {s->found, s->offsets, s->codes, s->columns, NULL, -8, 7, s->finds};
    wn_sweep sweep = {out, s->stride, s->stride, 0, s->columns, s->factor, s->columns, s->gone, s->keep, s->of,
                      s->has_grid ? &grid : NULL, errors, losses};
    wn_sweep_block(pool, &sweep);
    // What the rows lost goes behind the weights.
    memcpy(out + cells, losses, s->stride * sizeof *out);
    free(errors);
    free(losses);
}

static void run_sweep(wn_case_run *run, int32_t variant) {
    size_t rows = run->c->rows, columns = run->c->columns, stride = (rows + 7) / 8 * 8, cells = columns * stride;
    double *weights = wn_yard_take(&run->yard, cells * sizeof *weights);
    double *factor = wn_yard_take(&run->yard, columns * columns * sizeof *factor);
    double *scales = wn_yard_take(&run->yard, stride * sizeof *scales), *offsets = wn_yard_take(&run->yard, stride * sizeof *scales);
    uint8_t *pruned = wn_yard_take(&run->yard, cells), *gone = wn_yard_take(&run->yard, cells);
    int8_t *codes = wn_yard_take(&run->yard, cells);
    for (size_t i = 0; i < cells; i++) {
        weights[i] = i % stride < rows ? wn_dice_between(&run->dice, -1, 1) : 0;
        pruned[i] = i % stride < rows && wn_dice_below(&run->dice, 3) == 0;
        if (pruned[i]) weights[i] = 0;
    }
    for (size_t i = 0; i < columns * columns; i++) {
        size_t r = i / columns, c = i % columns;
        factor[i] = r == c ? wn_dice_between(&run->dice, 0.5, 2) : r < c ? wn_dice_between(&run->dice, -0.2, 0.2) : NAN;
    }
    for (size_t r = 0; r < stride; r++) {
        scales[r] = r % 5 == 4 ? 0 : 0.125 + 0.01 * (double)r;
        offsets[r] = variant == 3 ? -0.25 : 0;
    }
    double *found = wn_yard_take(&run->yard, stride * sizeof *found);
    sweep_case s = {weights, factor, pruned, scales, variant == 3 ? offsets : NULL, rows, columns, stride,
                    2, variant == 1 || variant == 4 ? 4 : 0, variant >= 2, variant == 4, gone, codes, found};
    double *out = wn_yard_take(&run->yard, (cells + stride) * sizeof *out);
    run_everywhere(run, out, cells + stride, sweep_body, &s);
    double row[256];
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) row[c] = weights[c * stride + r];
        double loss = 0;
        for (size_t c = 0; c < columns; c++) {
            if (s.of && c % 4 == 0) {
                // Exactly two of four stay, unless more were gone before.
                size_t kept = 0, before = 0, size = columns - c < 4 ? columns - c : 4;
                for (size_t i = 0; i < size; i++) {
                    kept += !gone[(c + i) * stride + r];
                    before += !pruned[(c + i) * stride + r];
                    if (pruned[(c + i) * stride + r] && !gone[(c + i) * stride + r]) wn_fail(run, "a pruned weight came back");
                }
                size_t wanted = (size * 2 + 3) / 4;
                if (kept != (before < wanted ? before : wanted)) wn_fail(run, "row %zu column %zu keeps %zu", r, c, kept);
                for (size_t i = 0; i < size; i++) {
                    for (size_t j = 0; j < size; j++) {
                        double kept_score = fabs(row[c + i]) / factor[(c + i) * (columns + 1)];
                        double gone_score = fabs(row[c + j]) / factor[(c + j) * (columns + 1)];
                        if (!gone[(c + i) * stride + r] && gone[(c + j) * stride + r] && !pruned[(c + j) * stride + r]
                            && gone_score > kept_score * (1 + 1e-6)) wn_fail(run, "the larger score went");
                    }
                }
            } else if (!s.of && gone[c * stride + r] != pruned[c * stride + r]) {
                wn_fail(run, "the mask changed");
            }
            double q = row[c], code = codes[c * stride + r];
            if (s.has_grid) {
                double offset = variant == 3 ? offsets[r] : 0, scale = found[r];
                q = scale * code + offset;
                double step = fabs(scale), best = fabs(row[c] - offset) > 8 * step ? INFINITY : step / 2;
                if (code < -8 || code > 7) wn_fail(run, "code %g", code);
                if (!gone[c * stride + r] && step > 0 && code > -8 && code < 7) {
                    wn_expect_near(run, "rounding", c, q, row[c], best + 1e-12);
                }
            }
            if (gone[c * stride + r]) q = 0;
            double e = (row[c] - q) / factor[c * columns + c];
            loss += e * e;
            for (size_t k = c + 1; k < columns; k++) row[k] -= e * factor[c * columns + k];
            wn_expect_near(run, "weight", c, out[c * stride + r], q, 1e-9);
            row[c] = out[c * stride + r];
        }
        wn_expect_near(run, "loss", r, out[cells + r], loss, 1e-9 + 1e-9 * loss);
    }
}

void wn_run_linear(wn_case_run *run) {
    int32_t variant = run->c->variant;
    if (variant < 2) run_inputs(run, variant == 0);
    else if (variant < 6) run_gemm(run, variant - 2);
    else if (variant == 6) run_factor(run);
    else run_sweep(run, variant - 7);
}
