// Kernels of training against their definitions in float64: products, ways back, losses; one thread and four alike.
#include <stdlib.h>

#include "cases.h"

static float *floats(wn_case_run *run, size_t count, double low, double high) {
    float *values = wn_yard_take(&run->yard, count * sizeof(float));
    for (size_t i = 0; i < count; i++) values[i] = (float)wn_dice_between(&run->dice, low, high);
    return values;
}

static float *copy(wn_case_run *run, const float *values, size_t count) {
    float *same = wn_yard_take(&run->yard, count * sizeof(float));
    memcpy(same, values, count * sizeof(float));
    return same;
}

static void *workspace(wn_case_run *run, size_t bytes) {
    return wn_yard_take(&run->yard, (bytes + 63) / 64 * 64);
}

// ---- Products --------------------------------------------------------------------------------------------------
// c->kind: 0 for float32, else 1 + wn_bf16.
static void check_gemm(wn_case_run *run, int layout) {
    const wn_case *c = run->c;
    if (c->kind && !wn_bf16_select_local(c->kind - 1)) return;
    size_t rows = c->rows, columns = c->columns, depth = c->tokens, stride = columns + 3;
    float *a = floats(run, rows * depth, -1, 1), *b = floats(run, columns * depth, -1, 1);
    if (c->numbers == WN_NUMBERS_EXACT) {
        for (size_t i = 0; i < rows * depth; i++) a[i] = (float)wn_dice_below(&run->dice, 9) - 4;
        for (size_t i = 0; i < columns * depth; i++) b[i] = (float)wn_dice_below(&run->dice, 9) - 4;
    }
    size_t count = rows ? (rows - 1) * stride + columns : 0;
    float *before = floats(run, count, -3, -2), *out = copy(run, before, count), *again = copy(run, before, count);
    wn_view av = layout == 2 ? (wn_view){a, 1, rows} : (wn_view){a, depth, 1};
    wn_view bv = layout == 1 ? (wn_view){b, 1, depth} : (wn_view){b, columns, 1};
    bool adds = c->variant % 2;
    void (*gemm)(wn_pool *, void *, size_t, size_t, size_t, wn_view, wn_view, float *, size_t, bool) =
        c->kind ? wn_gemm_bf16 : wn_gemm_f32;
    gemm(run->pools[0], workspace(run, wn_gemm_workspace(run->pools[0])), rows, columns, depth, av, bv, out, stride, adds);
    gemm(run->pools[2], workspace(run, wn_gemm_workspace(run->pools[2])), rows, columns, depth, av, bv, again, stride, adds);
    wn_bf16_select_local(-1);
    for (size_t i = 0; c->kind && i < rows * depth; i++) a[i] = (float)wn_bfloat_value(wn_nearest_bfloat(a[i]));
    for (size_t i = 0; c->kind && i < columns * depth; i++) b[i] = (float)wn_bfloat_value(wn_nearest_bfloat(b[i]));
    wn_expect_same(run, "another number of threads", again, out, count * sizeof(float));
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            double sum = adds ? before[r * stride + j] : 0, magnitude = fabs(sum);
            for (size_t k = 0; k < depth; k++) {
                double term = (double)av.data[r * av.row_stride + k * av.column_stride]
                              * bv.data[k * bv.row_stride + j * bv.column_stride];
                sum += term;
                magnitude += fabs(term);
            }
            bool exact = c->numbers == WN_NUMBERS_EXACT && !adds;
            // A rounding for each of the fused additions, at most.
            wn_expect_near(run, "out", r * columns + j, out[r * stride + j], sum,
                           exact ? 0 : wn_unit * ((double)depth + 4) * magnitude);
        }
        for (size_t j = columns; j < stride && r + 1 < rows; j++) {
            if (out[r * stride + j] != before[r * stride + j]) wn_fail(run, "written between rows");
        }
    }
}

// ---- Norms -----------------------------------------------------------------------------------------------------
static void check_norm(wn_case_run *run, bool layer) {
    const wn_case *c = run->c;
    size_t n = c->columns, tokens = c->tokens;
    float *x = floats(run, tokens * n, -2, 3), *weight = floats(run, n, -2, 2), *d_y = floats(run, tokens * n, -1, 1);
    float *start = floats(run, tokens * n, -1, 1), epsilon = 1e-5f;
    for (int adds = 0; adds < 2; adds++) {
        float *d_x = copy(run, start, tokens * n), *d_w = floats(run, n, 0, 0), *d_b = floats(run, n, 0, 0);
        float *scales = floats(run, tokens * (layer ? 2 : 1), 0, 0);
        if (layer) {
            wn_layer_norm_backward(run->pools[adds * 2], x, weight, epsilon, d_y, d_x, adds, d_w, d_b, scales, tokens, n);
        } else {
            wn_rms_norm_backward(run->pools[adds * 2], x, weight, epsilon, d_y, d_x, adds, d_w, scales, tokens, n);
        }
        double *weights = calloc(2 * n, sizeof(double)), *biases = weights + n;
        for (size_t t = 0; t < tokens; t++) {
            const float *row = x + t * n, *d = d_y + t * n;
            double mean = 0, variance = 0, total = 0, product = 0;
            for (size_t i = 0; layer && i < n; i++) mean += row[i] / (double)n;
            for (size_t i = 0; i < n; i++) variance += (row[i] - mean) * (row[i] - mean) / (double)n;
            double s = 1 / sqrt(variance + epsilon);
            for (size_t i = 0; i < n; i++) {
                total += (double)d[i] * weight[i] / (double)n;
                product += (double)d[i] * weight[i] * (row[i] - mean) * s / (double)n;
                weights[i] += d[i] * (row[i] - mean) * s;
                biases[i] += d[i];
            }
            for (size_t i = 0; i < n; i++) {
                double slope = s * (d[i] * (double)weight[i] - (layer ? total : 0) - (row[i] - mean) * s * product);
                double value = slope + (adds ? start[t * n + i] : 0);
                // Means of n terms of size 2 or less, and a few roundings; a row of one value has s of 1 / sqrt(epsilon).
                double allowed = wn_unit * (32 + (double)n / 4) * (4 * s + 16 * s * s + fabs(value) + 1);
                wn_expect_near(run, "d_x", t * n + i, d_x[t * n + i], value, allowed);
            }
        }
        for (size_t i = 0; i < n; i++) {
            double allowed = wn_unit * (32 + (double)n / 4 + (double)tokens) * 4 * ((double)tokens + fabs(weights[i]));
            if (n > 1) wn_expect_near(run, "d_weight", i, d_w[i], weights[i], 32 * allowed);
            if (layer) wn_expect_near(run, "d_bias", i, d_b[i], biases[i], allowed);
        }
        free(weights);
    }
}

// ---- Gates -----------------------------------------------------------------------------------------------------
static double act(wn_gate kind, double x) {
    if (kind == WN_GATE_RELU) return x > 0 ? x : 0;
    if (kind == WN_GATE_EXACT_GELU) return 0.5 * x * (1 + erf(x / sqrt(2)));
    double inner = kind == WN_GATE_SILU ? x : 1.5957691216 * (x + 0.044715 * x * x * x);
    return x / (1 + exp(-inner));
}

static void check_gate(wn_case_run *run, wn_gate kind) {
    size_t count = run->c->columns;
    float *gate = floats(run, count, -5, 5), *up = floats(run, count, -3, 3), *d_out = floats(run, count, -2, 2);
    for (int gated = 0; gated < 2; gated++) {
        float *out = floats(run, count, 0, 0), *d_gate = floats(run, count, 0, 0), *d_up = floats(run, count, 0, 0);
        wn_gate_forward(run->pools[1], kind, gate, gated ? up : NULL, out, count);
        wn_gate_backward(run->pools[1], kind, gate, gated ? up : NULL, d_out, d_gate, gated ? d_up : NULL, count);
        for (size_t i = 0; i < count; i++) {
            double x = gate[i], u = gated ? up[i] : 1, y = act(kind, x), step = 1e-5;
            double slope = kind == WN_GATE_RELU ? x > 0 : (act(kind, x + step) - act(kind, x - step)) / (2 * step);
            wn_expect_near(run, "out", i, out[i], y * u, 1e-6 * (1 + fabs(y * u)));
            wn_expect_near(run, "d_gate", i, d_gate[i], d_out[i] * u * slope, 4e-6 * (1 + fabs(u)));
            if (gated) wn_expect_near(run, "d_up", i, d_up[i], d_out[i] * y, 1e-5);
        }
    }
}

// ---- Rows ------------------------------------------------------------------------------------------------------
static void check_rows(wn_case_run *run) {
    size_t n = run->c->columns, tokens = run->c->tokens;
    float *x = floats(run, tokens * n, -1, 1), *bias = floats(run, n, -1, 1), *sums = copy(run, bias, n);
    float *into = copy(run, x, tokens * n), *scaled = copy(run, x, tokens * n);
    wn_add_bias(run->pools[2], bias, into, tokens, n);
    wn_sum_rows(run->pools[2], x, tokens, n, sums);
    wn_add_to(run->pools[2], x, -0.5f, scaled, tokens * n);
    for (size_t c = 0; c < n; c++) {
        double sum = bias[c];
        for (size_t t = 0; t < tokens; t++) {
            sum += x[t * n + c];
            wn_expect_near(run, "biased", t * n + c, into[t * n + c], (double)x[t * n + c] + bias[c], 2 * wn_unit);
            wn_expect_near(run, "added", t * n + c, scaled[t * n + c], 0.5 * x[t * n + c], wn_unit);
        }
        wn_expect_near(run, "sum", c, sums[c], sum, wn_unit * (double)(tokens + 1) * ((double)tokens + 1));
    }
}

// ---- Attention -------------------------------------------------------------------------------------------------
static void check_attention(wn_case_run *run) {
    const wn_case *c = run->c;
    wn_attention_shape shape = {.sequences = 2, .length = c->tokens, .heads = c->heads, .kv_heads = c->kv_heads,
                                .head_width = c->columns, .scale = 1 / sqrtf((float)c->columns)};
    if (c->kind & 1) shape.window = 5;
    if (c->kind & 2) shape.cap = 1.5f;
    if (c->kind & 4) {
        // Two documents, the first one short: a token sees all of its own.
        int32_t *starts = wn_yard_take(&run->yard, 2 * c->tokens * sizeof *starts);
        int32_t *ends = wn_yard_take(&run->yard, 2 * c->tokens * sizeof *ends);
        for (size_t t = 0; t < 2 * c->tokens; t++) {
            size_t cut = t < c->tokens ? c->tokens / 3 : 0;
            starts[t] = (int32_t)(t % c->tokens < cut ? 0 : cut);
            ends[t] = (int32_t)(t % c->tokens < cut ? cut : c->tokens);
        }
        shape.starts = starts;
        shape.ends = ends;
    }
    size_t tokens = 2 * c->tokens, q_width = c->heads * c->columns, k_width = c->kv_heads * c->columns;
    size_t group = c->heads / c->kv_heads, width = c->columns;
    float *q = floats(run, tokens * q_width, -1.5, 1.5), *k = floats(run, tokens * k_width, -1.5, 1.5);
    float *v = floats(run, tokens * k_width, -1, 1), *d_out = floats(run, tokens * q_width, -1, 1);
    float *out = floats(run, tokens * q_width, 0, 0), *sums = floats(run, tokens * c->heads, 0, 0);
    float *d_q = floats(run, tokens * q_width, 7, 8), *d_k = floats(run, tokens * k_width, 7, 8);
    float *d_v = floats(run, tokens * k_width, 7, 8);
    void *space = workspace(run, wn_attention_workspace(run->pools[2], width));
    wn_attention_forward(run->pools[2], &shape, q, k, v, out, sums, space);
    wn_attention_backward(run->pools[2], &shape, q, k, v, out, sums, d_out, d_q, d_k, d_v, space);
    double *e_q = calloc(tokens * (q_width + 2 * k_width), sizeof(double)), *e_k = e_q + tokens * q_width;
    double *e_v = e_k + tokens * k_width, *p = calloc(c->tokens, sizeof(double)), *s = calloc(c->tokens, sizeof(double));
    for (size_t row = 0; row < tokens; row++) {
        size_t position = row % c->tokens, base = row - position;
        size_t first = shape.window && position + 1 > shape.window ? position + 1 - shape.window : 0;
        size_t end = shape.ends ? (size_t)shape.ends[row] : position + 1;
        if (shape.starts && (size_t)shape.starts[row] > first) first = (size_t)shape.starts[row];
        for (size_t h = 0; h < c->heads; h++) {
            const float *query = q + row * q_width + h * width, *d = d_out + row * q_width + h * width;
            double total = 0, mean = 0;
            for (size_t j = first; j < end; j++) {
                const float *key = k + (base + j) * k_width + h / group * width;
                s[j] = 0;
                for (size_t i = 0; i < width; i++) s[j] += (double)query[i] * key[i] * shape.scale;
                if (shape.cap > 0) s[j] = shape.cap * tanh(s[j] / shape.cap);
                total += exp(s[j]);
            }
            wn_expect_near(run, "log sum", row * c->heads + h, sums[row * c->heads + h], log(total), 2e-5);
            for (size_t i = 0; i < width; i++) {
                double value = 0;
                for (size_t j = first; j < end; j++) {
                    value += exp(s[j]) / total * v[(base + j) * k_width + h / group * width + i];
                }
                wn_expect_near(run, "out", row * q_width + h * width + i, out[row * q_width + h * width + i], value, 1e-5);
                mean += value * d[i];
            }
            for (size_t j = first; j < end; j++) {
                size_t at = (base + j) * k_width + h / group * width;
                double weight = exp(s[j]) / total, slope = -mean;
                for (size_t i = 0; i < width; i++) {
                    slope += (double)d[i] * v[at + i];
                    e_v[at + i] += weight * d[i];
                }
                slope *= weight * shape.scale;
                if (shape.cap > 0) slope *= 1 - s[j] / shape.cap * s[j] / shape.cap;
                for (size_t i = 0; i < width; i++) {
                    e_q[row * q_width + h * width + i] += slope * k[at + i];
                    e_k[at + i] += slope * query[i];
                }
            }
        }
    }
    for (size_t i = 0; i < tokens * q_width; i++) wn_expect_near(run, "d_q", i, d_q[i], e_q[i], 4e-5 * (1 + fabs(e_q[i])));
    for (size_t i = 0; i < tokens * k_width; i++) {
        wn_expect_near(run, "d_k", i, d_k[i], e_k[i], 4e-5 * (1 + fabs(e_k[i])));
        wn_expect_near(run, "d_v", i, d_v[i], e_v[i], 4e-5 * (1 + fabs(e_v[i])));
    }
    free(e_q);
    free(p);
    free(s);
}

// ---- Losses ----------------------------------------------------------------------------------------------------
static double log_sum(const float *x, size_t n, double scale) {
    double peak = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) peak = x[i] > peak ? x[i] : peak;
    for (size_t i = 0; i < n; i++) sum += exp(scale * (x[i] - peak));
    return scale * peak + log(sum);
}

static double capped(double x, double cap) { return cap > 0 ? cap * tanh(x / cap) : x; }

static void check_kl(wn_case_run *run, const float *logits, const float *other, const float *weights, double *losses,
                     float cap, float teacher_cap) {
    size_t n = run->c->columns, tokens = run->c->tokens;
    float *student = copy(run, logits, tokens * n), *teacher = copy(run, other, tokens * n);
    double *a = malloc(2 * n * sizeof(double)), *b = a + n;
    wn_kl_divergence(run->pools[2], student, teacher, weights, 2, cap, teacher_cap, losses, true, tokens, n);
    for (size_t t = 0; t < tokens; t++) {
        double s = 0, r = 0, loss = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = capped(logits[t * n + i], cap);
            b[i] = capped(other[t * n + i], teacher_cap);
            s += exp(0.5 * a[i]);
            r += exp(0.5 * b[i]);
        }
        for (size_t i = 0; i < n; i++) {
            double p = exp(0.5 * b[i]) / r, q = exp(0.5 * a[i]) / s;
            double slope = cap > 0 ? 1 - a[i] / cap * a[i] / cap : 1;
            loss += 4 * p * (log(p) - log(q));
            wn_expect_near(run, "KL gradient", t * n + i, student[t * n + i], weights[t] * 2 * (q - p) * slope,
                           8e-6 * (p + q) + 1e-7);
        }
        wn_expect_near(run, "KL", t, losses[t], loss, 1e-5 * (1 + loss));
    }
    free(a);
}

static void check_losses(wn_case_run *run) {
    size_t n = run->c->columns, tokens = run->c->tokens;
    float *logits = floats(run, tokens * n, -8, 8), *other = floats(run, tokens * n, -8, 8);
    float *weights = floats(run, tokens, 0.25, 1);
    int32_t *targets = wn_yard_take(&run->yard, tokens * sizeof(int32_t));
    double *losses = wn_yard_take(&run->yard, tokens * sizeof(double));
    for (size_t t = 0; t < tokens; t++) targets[t] = t % 3 == 1 ? -1 : (int32_t)wn_dice_below(&run->dice, n);
    targets[0] = (int32_t)n - 1;
    float *own = copy(run, logits, tokens * n);
    wn_cross_entropy(run->pools[2], own, targets, weights, 0, losses, true, tokens, n);
    for (size_t t = 0; t < tokens; t++) {
        double sum = log_sum(logits + t * n, n, 1), loss = targets[t] < 0 ? 0 : sum - logits[t * n + (size_t)targets[t]];
        wn_expect_near(run, "loss", t, losses[t], loss, 4e-6 * (1 + loss));
        for (size_t i = 0; i < n; i++) {
            double p = targets[t] < 0 ? 0 : weights[t] * (exp(logits[t * n + i] - sum) - (i == (size_t)targets[t]));
            wn_expect_near(run, "gradient", t * n + i, own[t * n + i], p, 4e-6 * fabs(p) + 2e-7);
        }
    }
    check_kl(run, logits, other, weights, losses, 0, 0);
    check_kl(run, logits, other, weights, losses, 5, 0);
    check_kl(run, logits, other, weights, losses, 4, 6);
}

void wn_run_train(wn_case_run *run) {
    switch (run->c->format) {
    case 0: case 1: case 2: check_gemm(run, run->c->format); break;
    case 3: check_norm(run, false); break;
    case 4: check_norm(run, true); break;
    case 5: case 6: case 7: case 8: check_gate(run, (wn_gate)(run->c->format - 5)); break;
    case 9: check_rows(run); break;
    case 10: check_attention(run); break;
    default: check_losses(run);
    }
}
