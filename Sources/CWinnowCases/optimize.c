// Optimizer passes: every element has the bits of the definition, worked out one by one in float32 without contraction.
#include "cases.h"
#pragma STDC FP_CONTRACT OFF

static float *floats(wn_case_run *run, size_t count, double low, double high) {
    float *values = wn_yard_take(&run->yard, count * sizeof(float));
    for (size_t i = 0; i < count; i++) values[i] = (float)wn_dice_between(&run->dice, low, high);
    return values;
}

static float *copy(wn_case_run *run, const float *from, size_t count) {
    float *values = wn_yard_take(&run->yard, count * sizeof(float));
    memcpy(values, from, count * sizeof(float));
    return values;
}

// NULL for the pattern ALL of every other case: no mask is not the same path as a full one.
static uint8_t *mask(wn_case_run *run) {
    const wn_case *c = run->c;
    if (c->pattern == WN_MASK_ALL && c->variant % 2 == 0) return NULL;
    size_t bytes = (c->columns + 63) / 64 * 8;
    uint8_t *bits = wn_yard_take(&run->yard, bytes);
    memset(bits, 0, bytes);
    for (size_t i = 0; i < c->columns; i++) {
        bool keep = c->pattern == WN_MASK_ALL || (c->pattern == WN_MASK_LAST && i + 1 == c->columns)
                    || (c->pattern == WN_MASK_HALF && wn_dice_below(&run->dice, 2))
                    || (c->pattern == WN_MASK_TENTH && wn_dice_below(&run->dice, 10) == 0)
                    || (c->pattern == WN_MASK_RAGGED && i % 7 < 3);
        if (keep) bits[i / 8] |= (uint8_t)(1 << i % 8);
    }
    return bits;
}

static bool is_kept(const uint8_t *bits, size_t i) { return !bits || (bits[i / 8] >> i % 8 & 1); }
static float sign(float x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

static void check_adam(wn_case_run *run, bool halves) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2), *g = floats(run, n, -3, 3), *m = floats(run, n, -1, 1), *v = floats(run, n, 0, 2);
    float *x1 = copy(run, x, n), *m1 = copy(run, m, n), *v1 = copy(run, v, n), *term = floats(run, n, 0, 0);
    uint8_t *bits = mask(run);
    wn_adam c = {0.5f, 0.9f, 0.1f, 0.95f, 0.05f, 1.7f, 1e-8f, 0.01f, 0.999f};
    if (halves) {
        wn_adam_moment(g, m, term, bits, n, &c);
        wn_expect_same(run, "term", term, m, n * sizeof(float));
        wn_adam_finish(x, term, v, bits, n, &c);
    } else {
        wn_adam_pass(x, g, m, v, bits, n, &c);
    }
    for (size_t i = 0; i < n; i++) {
        float scaled = g[i] * c.scale, first = m1[i] * c.beta1 + scaled * c.rest1, entering = halves ? first : scaled;
        float second = v1[i] * c.beta2 + entering * entering * c.rest2;
        float value = x1[i] * c.keep - first / (sqrtf(second) * c.root + c.epsilon) * c.step;
        m1[i] = is_kept(bits, i) ? first : 0;
        v1[i] = is_kept(bits, i) ? second : 0;
        x1[i] = is_kept(bits, i) ? value : 0;
    }
    wn_expect_same(run, "first", m, m1, n * sizeof(float));
    wn_expect_same(run, "second", v, v1, n * sizeof(float));
    wn_expect_same(run, "values", x, x1, n * sizeof(float));
}

static void check_adam_aged(wn_case_run *run) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2), *g = floats(run, n, -3, 3), *m = floats(run, n, -1, 1), *v = floats(run, n, 0, 2);
    float *x1 = copy(run, x, n), *steps = floats(run, 9, 0, 1), *roots = floats(run, 9, 1, 4);
    int32_t *ages = wn_yard_take(&run->yard, n * sizeof(int32_t));
    for (size_t i = 0; i < n; i++) ages[i] = (int32_t)wn_dice_below(&run->dice, 9);
    wn_adam c = {0.5f, 0.9f, 0.1f, 0.95f, 0.05f, 0, 1e-8f, 0, 0.999f};
    for (size_t i = 0; i < n; i++) {
        float scaled = g[i] * c.scale, first = m[i] * c.beta1 + scaled * c.rest1;
        float second = v[i] * c.beta2 + scaled * scaled * c.rest2;
        x1[i] = x1[i] * c.keep - first / (sqrtf(second) * roots[ages[i]] + c.epsilon) * steps[ages[i]];
    }
    wn_adam_aged_pass(x, g, m, v, ages, steps, roots, n, &c);
    wn_expect_same(run, "values", x, x1, n * sizeof(float));
}

static void check_sgd(wn_case_run *run) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2), *g = floats(run, n, -3, 3), *u = floats(run, n, -1, 1);
    float *x1 = copy(run, x, n), *u1 = copy(run, u, n);
    uint8_t *bits = mask(run);
    for (int kind = 0; kind < 3; kind++) {
        wn_sgd c = {0.25f, 0.1f, 0.9f, 0.7f, 0.02f, kind == 1};
        wn_sgd_pass(x, g, kind == 2 ? NULL : u, bits, n, &c);
        for (size_t i = 0; i < n; i++) {
            float slope = g[i] * c.scale + x1[i] * c.decay, velocity = u1[i] * c.momentum + slope * c.rest;
            float step = kind == 2 ? slope : kind == 1 ? slope + (is_kept(bits, i) ? velocity : 0) * c.momentum : velocity;
            if (kind != 2) u1[i] = is_kept(bits, i) ? velocity : 0;
            x1[i] = is_kept(bits, i) ? x1[i] - step * c.rate : 0;
        }
        wn_expect_same(run, "velocity", u, u1, n * sizeof(float));
        wn_expect_same(run, "values", x, x1, n * sizeof(float));
    }
}

static void check_lion(wn_case_run *run) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2), *g = floats(run, n, -3, 3), *m = floats(run, n, -1, 1);
    g[0] = m[0] = 0;  // no direction
    float *x1 = copy(run, x, n), *m1 = copy(run, m, n);
    uint8_t *bits = mask(run);
    wn_lion c = {0.5f, 0.9f, 0.1f, 0.99f, 0.01f, 0.003f, 0.9997f};
    wn_lion_pass(x, g, m, bits, n, &c);
    for (size_t i = 0; i < n; i++) {
        float scaled = g[i] * c.scale, step = sign(m1[i] * c.beta1 + scaled * c.rest1);
        x1[i] = is_kept(bits, i) ? x1[i] * c.keep - step * c.rate : 0;
        m1[i] = is_kept(bits, i) ? m1[i] * c.beta2 + scaled * c.rest2 : 0;
    }
    wn_expect_same(run, "first", m, m1, n * sizeof(float));
    wn_expect_same(run, "values", x, x1, n * sizeof(float));
}

static void check_sm3(wn_case_run *run) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2), *g = floats(run, n, -3, 3), *m = floats(run, n, -1, 1), *columns = floats(run, n, 0, 3);
    float *peaks = floats(run, n, 0, 1), *x1 = copy(run, x, n), *m1 = copy(run, m, n), *peaks1 = copy(run, peaks, n);
    uint8_t *bits = mask(run);
    if (n > 2) g[1] = columns[1] = 0;
    wn_sm3 c = {0.5f, 0.9f, 0.1f, 0, 0.01f, 0.999f};
    float row = 1.25f, most = wn_sm3_pass(x, g, m, row, columns, peaks, bits, n, &c), most1 = 0;
    for (size_t i = 0; i < n; i++) {
        float scaled = g[i] * c.scale, nu = (columns[i] < row ? columns[i] : row) + scaled * scaled;
        float update = m1[i] * c.momentum + (nu > 0 ? scaled / sqrtf(nu) : 0) * c.rest;
        m1[i] = is_kept(bits, i) ? update : 0;
        x1[i] = is_kept(bits, i) ? x1[i] * c.keep - update * c.rate : 0;
        if (is_kept(bits, i)) {
            peaks1[i] = nu > peaks1[i] ? nu : peaks1[i];
            most1 = nu > most1 ? nu : most1;
        }
    }
    wn_expect_same(run, "values", x, x1, n * sizeof(float));
    wn_expect_same(run, "momentum", m, m1, n * sizeof(float));
    wn_expect_same(run, "columns", peaks, peaks1, n * sizeof(float));
    wn_expect_near(run, "largest", 0, most, most1, 0);
}

static void check_factored(wn_case_run *run) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2), *g = floats(run, n, -3, 3), *columns = floats(run, n, 0.1, 3), *x1 = copy(run, x, n);
    uint8_t *bits = mask(run);
    double squares = wn_factored_squares(g, columns, 1.5f, bits, 0.5f, n), sums[16] = {0}, sum = 0;
    wn_factored_pass(x, g, columns, 1.5f, bits, 0.5f, 0.99f, 0.02f, n);
    for (size_t i = 0; i < n; i++) {
        float update = g[i] * 0.5f * 1.5f * columns[i];
        if (is_kept(bits, i)) sums[i % 16] += (double)update * update;
        x1[i] = is_kept(bits, i) ? x1[i] * 0.99f - update * 0.02f : 0;
    }
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    wn_expect_near(run, "squares", 0, squares, sum, 0);
    wn_expect_same(run, "values", x, x1, n * sizeof(float));
}

static void check_terms(wn_case_run *run) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2), *t = floats(run, n, -3, 3), *t1 = copy(run, t, n);
    uint8_t *bits = mask(run);
    wn_add_pruned_decay(t, x, bits, 0.3f, n);
    for (size_t i = 0; i < n; i++) t1[i] = is_kept(bits, i) ? t1[i] : t1[i] + x[i] * 0.3f;
    wn_expect_same(run, "decayed", t, t1, n * sizeof(float));
    float pull = 0.25f * 0.2f;
    wn_blend_pruned_pull(t, x, bits, 0.25f, 0.2f, n);
    for (size_t i = 0; i < n; i++) t1[i] = is_kept(bits, i) ? t1[i] : t1[i] * 0.75f + sign(x[i]) * pull;
    wn_expect_same(run, "pulled", t, t1, n * sizeof(float));
    float *soft = copy(run, x, n);
    if (n > 2) x[0] = soft[0] = -0.5f;  // on the threshold
    wn_soft_threshold(soft, 0.5f, n);
    for (size_t i = 0; i < n; i++) {
        float rest = fabsf(x[i]) - 0.5f, value = rest > 0 ? copysignf(rest, x[i]) : 0;
        wn_expect_same(run, "thresholded", &soft[i], &value, sizeof value);
    }
    wn_keep(x, bits, n);
    for (size_t i = 0; i < n; i++) {
        if (!is_kept(bits, i) && x[i] != 0) wn_fail(run, "a pruned value is kept");
    }
}

static void check_packing(wn_case_run *run) {
    size_t n = run->c->columns, kept = 0, words = (n + 63) / 64 * 8;
    float *x = floats(run, n, -2, 2), *out = floats(run, n, 7, 8);
    uint8_t *bits = mask(run), *full = wn_yard_take(&run->yard, words);
    if (!bits) bits = memset(full, 0xFF, words);
    for (size_t i = 0; i < n; i++) kept += is_kept(bits, i);
    // What is packed ends at a page that traps: nothing may be read or written past the last kept.
    float *packed = wn_yard_take(&run->yard, kept * sizeof(float));
    wn_expect_near(run, "packed", 0, (double)wn_pack_kept(x, bits, packed, n), (double)kept, 0);
    wn_expect_near(run, "expanded", 0, (double)wn_expand_kept(packed, bits, out, n), (double)kept, 0);
    for (size_t i = 0, k = 0; i < n; i++) {
        float value = is_kept(bits, i) ? x[i] : 0;
        if (is_kept(bits, i)) wn_expect_same(run, "packed", &packed[k++], &value, sizeof value);
        wn_expect_same(run, "expanded", &out[i], &value, sizeof value);
    }
}

static void check_sum_squares(wn_case_run *run) {
    size_t n = run->c->columns;
    float *x = floats(run, n, -2, 2);
    uint8_t *bits = mask(run);
    double sums[16] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) sums[i % 16] += is_kept(bits, i) ? (double)x[i] * x[i] : 0;
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    wn_expect_near(run, "squares", 0, wn_sum_squares(x, bits, n), sum, 0);
}

void wn_run_optimize(wn_case_run *run) {
    switch (run->c->variant / 2) {
    case 0: check_adam(run, false); break;
    case 1: check_adam(run, true); break;
    case 2: check_sgd(run); break;
    case 3: check_lion(run); break;
    case 4: check_sm3(run); break;
    case 5: check_factored(run); break;
    case 6: check_terms(run); break;
    case 7: check_packing(run); break;
    case 8: check_sum_squares(run); break;
    default: check_adam_aged(run);
    }
}
