// wn_prepare: what an input stands for, its sums, its padding.
#include "cases.h"

// What the input should stand for, in float64: x itself, or RMS-normalised.
static void wanted(const wn_case *c, const float *x, const float *weight, float epsilon, double *values) {
    double squares = 0;
    for (size_t i = 0; i < c->columns; i++) squares += (double)x[i] * x[i];
    double scale = 1 / sqrt(squares / (double)c->columns + epsilon);
    for (size_t i = 0; i < c->columns; i++) values[i] = weight ? x[i] * scale * weight[i] : x[i];
}

// Values as good as zero: 127 (or 32512) divided by a peak below these is no longer a float.
static double negligible(wn_input_kind kind) { return kind >= WN_INPUT_PLANES16 ? 0x1p-112 : kind == WN_INPUT_BLOCK8 ? 0x1p-120 : 0x1p-126; }

static void check_block8(wn_case_run *run, const wn_input *in, size_t t, const double *values, double slack) {
    const wn_case *c = run->c;
    double nothing = negligible((wn_input_kind)in->kind);
    size_t blocks = in->stride / 32, block_stride = (blocks + 15) / 16 * 16;
    for (size_t b = 0; b < block_stride; b++) {
        double scale = in->scales[t * block_stride + b], largest = 0;
        int sum = 0;
        for (size_t i = 32 * b; i < 32 * b + 32 && b < blocks; i++) {
            int q = in->q[t * in->stride + i];
            sum += q;
            if (i >= c->columns) {
                if (q != 0) wn_fail(run, "column %zu of the padding holds %d", i, q);
                continue;
            }
            if (fabs(values[i]) > largest) largest = fabs(values[i]);
            if (q == -128) wn_fail(run, "code -128 in column %zu", i);
            // Half a step, what the rounding of the value itself may move it, and the scale's own roundings.
            double allowed = scale * 0.5001 + slack * fabs(values[i]) + nothing;
            wn_expect_near(run, "scale * q", i, scale * q, values[i], allowed);
        }
        wn_expect_near(run, "scale", b, scale, largest / 127, (wn_unit + slack) * largest / 127 + nothing);
        // Both factors are floats: one rounding.
        wn_expect_near(run, "sum", b, in->sums[t * block_stride + b], scale * sum, wn_unit * fabs(scale * sum));
    }
}

static void check_planes16(wn_case_run *run, const wn_input *in, size_t t, const double *values, double slack) {
    const wn_case *c = run->c;
    double nothing = negligible((wn_input_kind)in->kind);
    size_t blocks = in->stride / 32, block_stride = (blocks + 15) / 16 * 16;
    double scale = in->scales[t], largest = 0, step = 1 << in->shift;
    int64_t total = 0;
    for (size_t b = 0; b < block_stride; b++) {
        int32_t sum = 0;
        for (size_t i = 32 * b; i < 32 * b + 32 && b < blocks; i++) {
            int32_t whole = 256 * in->q[t * in->stride + i] + in->lo[t * in->stride + i];
            sum += whole;
            if (i >= c->columns) {
                if (in->q[t * in->stride + i] != 0 || in->lo[t * in->stride + i] != 0) wn_fail(run, "padding %zu is not zero", i);
                continue;
            }
            if (fabs(values[i]) > largest) largest = fabs(values[i]);
            double allowed = scale * step * 0.51 + slack * fabs(values[i]) + nothing;
            if (in->shift && in->lo[t * in->stride + i] != 0) wn_fail(run, "column %zu of the lo plane is not zero", i);
            wn_expect_near(run, "scale * (256 hi + lo)", i, scale * whole, values[i], allowed);
        }
        total += sum;
        wn_expect_near(run, "isum", b, in->isums[t * block_stride + b], sum, 0);
    }
    wn_expect_near(run, "scale", t, scale, largest / 32512, (wn_unit + slack) * largest / 32512 + nothing);
    if (in->totals[t] != total) wn_fail(run, "total %zu is %lld, not %lld", t, (long long)in->totals[t], (long long)total);
}

void wn_run_input(wn_case_run *run) {
    const wn_case *c = run->c;
    wn_input_kind kind = (wn_input_kind)c->kind;
    size_t stride = c->columns + 3, bytes = wn_input_bytes(kind, c->columns, c->tokens);
    float *x = wn_yard_take(&run->yard, ((c->tokens - 1) * stride + c->columns) * sizeof(float));
    wn_fill_inputs(run, kind, x, stride);
    float *weight = NULL, epsilon = 1e-5f;
    if (c->variant == 1) {
        weight = wn_yard_take(&run->yard, c->columns * sizeof(float));
        for (size_t i = 0; i < c->columns; i++) weight[i] = (float)wn_dice_between(&run->dice, -2, 2);
    }
    double *values = wn_yard_take(&run->yard, c->columns * sizeof(double));
    wn_input input = wn_make_input(run, kind, c->tokens);
    wn_prepare(run->pools[0], &input, c->tokens, x, stride, weight, epsilon);
    if (kind == WN_INPUT_F32 && !weight && (input.f32 != x || input.f32_stride != stride)) wn_fail(run, "x was copied");
    // Squares add up with one rounding each over columns / 16 steps, halved by the root; the rest is a few roundings.
    double slack = weight ? wn_unit * (8 + (double)c->columns / 32) : 0, nothing = negligible(kind);
    for (size_t t = 0; t < c->tokens; t++) {
        wanted(c, x + t * stride, weight, epsilon, values);
        switch (kind) {
        case WN_INPUT_F32:
        case WN_INPUT_BF16:
            for (size_t i = 0; i < c->columns; i++) {
                wn_expect_near(run, "x", i, wn_input_value(&input, t, i), values[i], slack * fabs(values[i]) + nothing);
            }
            break;
        case WN_INPUT_BLOCK8: check_block8(run, &input, t, values, slack); break;
        case WN_INPUT_PLANES16:
        case WN_INPUT_TOKEN8: check_planes16(run, &input, t, values, slack); break;
        }
    }
    // The same bytes from more threads, from a token alone and, without a norm (whose sum differs by order), from scalar.
    wn_input other = wn_make_input(run, kind, c->tokens);
    void *first = kind == WN_INPUT_F32 ? (void *)input.own_f32 : kind == WN_INPUT_BLOCK8 ? (void *)input.scales : input.isums;
    void *second = kind == WN_INPUT_F32 ? (void *)other.own_f32 : kind == WN_INPUT_BLOCK8 ? (void *)other.scales : other.isums;
    memcpy(second, first, bytes);  // padding between arrays is nobody's
    wn_prepare(run->pools[2], &other, c->tokens, x, stride, weight, epsilon);
    wn_expect_same(run, "4 threads against 1", second, first, bytes);
    // Peaks without a reciprocal give codes of no meaning, in any way.
    if (!weight && c->numbers != WN_NUMBERS_TINY) {
        wn_isa_select(WN_ISA_SCALAR);
        wn_prepare(run->pools[0], &other, c->tokens, x, stride, weight, epsilon);
        wn_isa_select(run->isa);
        wn_expect_same(run, "scalar against this set", second, first, bytes);
    }
}
