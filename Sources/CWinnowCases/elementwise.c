// Norms, gates, sums and rotations.
#include "cases.h"

static float *floats(wn_case_run *run, size_t count, double low, double high) {
    float *values = wn_yard_take(&run->yard, count * sizeof(float));
    for (size_t i = 0; i < count; i++) values[i] = (float)wn_dice_between(&run->dice, low, high);
    return values;
}

static void check_rms_norm(wn_case_run *run) {
    const wn_case *c = run->c;
    size_t in_stride = c->columns + 2, out_stride = c->columns + 1;
    float *x = floats(run, (c->tokens - 1) * in_stride + c->columns, -3, 3), *weight = floats(run, c->columns, -2, 2);
    float *out = floats(run, (c->tokens - 1) * out_stride + c->columns, -9, -8), epsilon = 1e-5f;
    if (c->columns > 1) x[0] = 1e4f;
    wn_rms_norm(x, in_stride, weight, epsilon, out, out_stride, c->tokens, c->columns);
    for (size_t t = 0; t < c->tokens; t++) {
        double squares = 0;
        for (size_t i = 0; i < c->columns; i++) squares += (double)x[t * in_stride + i] * x[t * in_stride + i];
        double scale = 1 / sqrt(squares / (double)c->columns + epsilon);
        for (size_t i = 0; i < c->columns; i++) {
            double value = x[t * in_stride + i] * scale * weight[i];
            // columns / 16 additions of squares, halved by the root, and a few roundings.
            double allowed = wn_unit * (8 + (double)c->columns / 32) * fabs(value);
            wn_expect_near(run, "out", t * c->columns + i, out[t * out_stride + i], value, allowed);
        }
        if (t + 1 < c->tokens && out[t * out_stride + c->columns] > -8) wn_fail(run, "written between rows");
    }
}

static void check_silu(wn_case_run *run) {
    size_t count = run->c->columns;
    float *gate = floats(run, count, -12, 12), *up = floats(run, count, -3, 3), *out = floats(run, count, 0, 0);
    static const float ends[] = {0, -0.0f, -87.2f, -88.5f, -104, -1e4f, 88.5f, 1e4f, 1e-30f, -1e38f, 1e38f};
    for (size_t i = 0; i < count && i < sizeof ends / sizeof ends[0] && count > 31; i++) gate[i] = ends[i];
    wn_silu_multiply(gate, up, out, count);
    for (size_t i = 0; i < count; i++) {
        double g = gate[i], e = exp(-g), value = g / (1 + e) * up[i];
        // exp within 2 ulp, with an argument that is exact; four more roundings. Where exp(-g) would overflow it stops
        // at about 2^127, which leaves less than 1e-35 of what should be 0 (times a gate no layer makes: 1e38).
        double floor = g < -87 ? fabs(g * up[i]) * 0x1p-125 : 0;
        wn_expect_near(run, "out", i, out[i], value, 16 * wn_unit * fabs(value) + floor + 0x1p-126);
    }
}

static void check_add(wn_case_run *run) {
    size_t count = run->c->columns;
    float *into = floats(run, count, -1e3, 1e3), *x = floats(run, count, -1, 1), *sums = floats(run, count, 0, 0);
    for (size_t i = 0; i < count; i++) sums[i] = into[i] + x[i];
    wn_add(into, x, count);
    wn_expect_same(run, "into", into, sums, count * sizeof(float));
}

static void check_rope(wn_case_run *run, bool interleaved) {
    const wn_case *c = run->c;
    size_t width = c->columns, half = width / 2, stride = c->heads * width + 3, positions = 50;
    float *x = floats(run, (c->tokens - 1) * stride + c->heads * width, -5, 5);
    float *before = wn_yard_take(&run->yard, ((c->tokens - 1) * stride + c->heads * width) * sizeof(float));
    memcpy(before, x, ((c->tokens - 1) * stride + c->heads * width) * sizeof(float));
    float *table = wn_yard_take(&run->yard, positions * width * sizeof(float));
    for (size_t p = 0; p < positions; p++) {
        for (size_t i = 0; i < half; i++) {
            double angle = (double)p * pow(10000, -(double)i / (double)half);
            table[p * width + i] = (float)cos(angle);
            table[p * width + half + i] = (float)sin(angle);
        }
    }
    int32_t *at = wn_yard_take(&run->yard, c->tokens * sizeof(int32_t));
    for (size_t t = 0; t < c->tokens; t++) at[t] = (int32_t)wn_dice_below(&run->dice, positions);
    at[c->tokens - 1] = (int32_t)positions - 1;
    wn_rope(x, stride, c->heads, width, c->tokens, table, at, interleaved);
    for (size_t t = 0; t < c->tokens; t++) {
        for (size_t i = 0; i < c->heads * half; i++) {
            size_t head = i / half * width, pair = i % half;
            size_t first = t * stride + head + (interleaved ? 2 * pair : pair), second = first + (interleaved ? 1 : half);
            const float *row = table + (size_t)at[t] * width;
            double cosine = row[pair], sine = row[half + pair], a = before[first], b = before[second];
            // Two products and a sum: three roundings of at most |a| + |b|.
            double allowed = 3 * wn_unit * (fabs(a) + fabs(b));
            wn_expect_near(run, "first of a pair", first, x[first], a * cosine - b * sine, allowed);
            wn_expect_near(run, "second of a pair", second, x[second], a * sine + b * cosine, allowed);
        }
        for (size_t i = c->heads * width; i < stride && t + 1 < c->tokens; i++) {
            if (x[t * stride + i] != before[t * stride + i]) wn_fail(run, "written between tokens");
        }
    }
}

// Turning a part of each head is turning heads of that width, and leaves the rest.
static void check_rope_part(wn_case_run *run, bool interleaved) {
    const wn_case *c = run->c;
    size_t width = c->columns, part = width / 4 * 2, heads = c->heads, all = c->tokens * heads * width;
    if (part == 0) return;
    float *x = floats(run, all, -5, 5), *before = wn_yard_take(&run->yard, all * sizeof(float));
    float *narrow = wn_yard_take(&run->yard, c->tokens * heads * part * sizeof(float));
    float *table = floats(run, c->tokens * part, -1, 1);
    memcpy(before, x, all * sizeof(float));
    for (size_t h = 0; h < c->tokens * heads; h++) memcpy(narrow + h * part, x + h * width, part * sizeof(float));
    int32_t *at = wn_yard_take(&run->yard, c->tokens * sizeof(int32_t));
    for (size_t t = 0; t < c->tokens; t++) at[t] = (int32_t)t;
    wn_rope(narrow, heads * part, heads, part, c->tokens, table, at, interleaved);
    wn_rope_part(x, heads * width, heads, width, part, c->tokens, table, at, interleaved);
    for (size_t h = 0; h < c->tokens * heads; h++) {
        wn_expect_same(run, "the part that turns", x + h * width, narrow + h * part, part * sizeof(float));
        wn_expect_same(run, "the rest", x + h * width + part, before + h * width + part, (width - part) * sizeof(float));
    }
}

static void check_layer_norm(wn_case_run *run) {
    const wn_case *c = run->c;
    size_t n = c->columns, in_stride = n + 2, out_stride = n + 1;
    float *x = floats(run, (c->tokens - 1) * in_stride + n, -2, 4), *weight = floats(run, n, -2, 2);
    float *bias = floats(run, n, -1, 1), *out = floats(run, (c->tokens - 1) * out_stride + n, -99, -98), epsilon = 1e-5f;
    wn_layer_norm(x, in_stride, weight, bias, epsilon, out, out_stride, c->tokens, n);
    for (size_t t = 0; t < c->tokens; t++) {
        const float *row = x + t * in_stride;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++) mean += row[i] / (double)n;
        for (size_t i = 0; i < n; i++) variance += (row[i] - mean) * (row[i] - mean) / (double)n;
        double scale = 1 / sqrt(variance + epsilon);
        for (size_t i = 0; i < n; i++) {
            double value = (row[i] - mean) * scale * weight[i] + bias[i];
            // The mean is off by columns / 16 roundings of values up to 4, the root by as many of squares.
            double allowed = wn_unit * (16 + (double)n / 8) * (4 * scale * fabs(weight[i]) + fabs(value) + 1);
            wn_expect_near(run, "out", t * n + i, out[t * out_stride + i], value, allowed);
        }
        if (t + 1 < c->tokens && out[t * out_stride + n] > -98) wn_fail(run, "written between rows");
    }
}

static void check_gelu(wn_case_run *run) {
    size_t count = run->c->columns;
    float *gate = floats(run, count, -6, 12), *up = floats(run, count, -3, 3), *out = floats(run, count, 0, 0);
    static const float ends[] = {0, -0.0f, -9, -12, -104, -1e4f, 88.5f, 1e4f, 1e-30f};
    for (size_t i = 0; i < count && i < sizeof ends / sizeof ends[0] && count > 31; i++) gate[i] = ends[i];
    for (int gated = 1; gated >= 0; gated--) {
        wn_gelu_multiply(gate, gated ? up : NULL, out, count);
        for (size_t i = 0; i < count; i++) {
            double g = gate[i], inner = 0.797884561f * (g + 0.044715f * g * g * g), times = gated ? up[i] : 1;
            double value = g / (1 + exp(-2 * inner)) * times;
            // The exponent carries a few roundings of its own size. Where exp would overflow it stops at about 2^127.
            double allowed = wn_unit * (16 + 16 * fmin(fabs(inner), 100)) * fabs(value);
            double floor = inner < -43 ? fabs(g * times) * 0x1p-125 : 0;
            wn_expect_near(run, "out", i, out[i], value, allowed + floor + 0x1p-126);
        }
        wn_gelu_erf_multiply(gate, gated ? up : NULL, out, count);
        for (size_t i = 0; i < count; i++) {
            double g = gate[i], times = gated ? up[i] : 1, value = 0.5 * g * (1 + erf(g * 0.70710678118654752)) * times;
            // 1 + erf is off by a rounding of 1, whatever is left of it.
            wn_expect_near(run, "exact", i, out[i], value, wn_unit * (8 * fabs(value) + 4 * fabs(g * times)) + 0x1p-126);
        }
    }
}

static void check_soft_cap(wn_case_run *run) {
    size_t count = run->c->columns;
    float cap = 5, *x = floats(run, count, -12, 12), *before = floats(run, count, 0, 0);
    static const float ends[] = {0, -1e4f, 1e4f, 1e38f, -1e38f, 1e-30f};
    for (size_t i = 0; i < count && i < sizeof ends / sizeof ends[0] && count > 31; i++) x[i] = ends[i];
    memcpy(before, x, count * sizeof(float));
    wn_soft_cap(x, cap, count);
    // A difference of values up to 1: absolute, a few roundings.
    for (size_t i = 0; i < count; i++) wn_expect_near(run, "x", i, x[i], cap * tanh(before[i] / cap), 16 * wn_unit * cap);
}

void wn_run_elementwise(wn_case_run *run) {
    switch (run->c->variant) {
    case 0: check_rms_norm(run); break;
    case 1: check_silu(run); break;
    case 2: check_add(run); break;
    case 3: check_rope(run, true); check_rope_part(run, true); break;
    case 4: check_rope(run, false); check_rope_part(run, false); break;
    case 5: check_layer_norm(run); break;
    case 6: check_gelu(run); break;
    default: check_soft_cap(run);
    }
}
