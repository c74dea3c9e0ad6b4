// Products: every weight format, from every kind of input, in every way they may be asked for.
#include "cases.h"

// ---- Inputs ------------------------------------------------------------------------------------------------
// With EXACT numbers the largest of each block (or token) is 127 (or 32512): its scale is 1 and nothing is rounded.
void wn_fill_inputs(wn_case_run *run, wn_input_kind kind, float *x, size_t stride) {
    const wn_case *c = run->c;
    wn_dice *dice = &run->dice;
    for (size_t t = 0; t < c->tokens; t++) {
        float *row = x + t * stride;
        for (size_t i = 0; i < c->columns; i++) {
            switch ((wn_numbers)c->numbers) {
            case WN_NUMBERS_EXACT: {
                size_t reach = kind == WN_INPUT_PLANES16 ? 300 : kind == WN_INPUT_BLOCK8 ? 2 : 4;
                row[i] = (float)wn_dice_below(dice, 2 * reach + 1) - (float)reach;
                break;
            }
            case WN_NUMBERS_RANDOM:
                row[i] = (float)wn_dice_between(dice, -1, 1);
                if (wn_dice_below(dice, 100) == 0) row[i] *= 40;  // outliers, as activations have them
                break;
            case WN_NUMBERS_TINY: row[i] = (float)wn_dice_between(dice, -3e-40, 3e-40); break;
            case WN_NUMBERS_ZERO: row[i] = wn_dice_below(dice, 2) ? 0.0f : -0.0f; break;
            case WN_NUMBERS_HUGE: row[i] = (float)wn_dice_between(dice, -1e36, 1e36); break;
            }
        }
        if (c->numbers != WN_NUMBERS_EXACT || kind == WN_INPUT_F32) continue;
        size_t run_length = kind == WN_INPUT_BLOCK8 ? 32 : c->columns;
        for (size_t start = 0; start < c->columns; start += run_length) {
            size_t length = c->columns - start < run_length ? c->columns - start : run_length;
            float peak = kind == WN_INPUT_BLOCK8 ? 127 : 32512;
            row[start + wn_dice_below(dice, length)] = wn_dice_below(dice, 2) ? peak : -peak;
        }
    }
}

wn_input wn_make_input(wn_case_run *run, wn_input_kind kind, size_t capacity) {
    wn_input input;
    wn_input_place(&input, kind, run->c->columns, capacity,
                   wn_yard_take(&run->yard, wn_input_bytes(kind, run->c->columns, capacity)));
    return input;
}

double wn_input_value(const wn_input *input, size_t token, size_t column) {
    size_t blocks = ((input->stride / 32) + 15) / 16 * 16;
    size_t at = token * input->stride + column;
    switch (input->kind) {
    case WN_INPUT_F32: return input->f32[token * input->f32_stride + column];
    case WN_INPUT_BLOCK8: return (double)input->scales[token * blocks + column / 32] * input->q[at];
    default: return (double)input->scales[token] * (256 * input->q[at] + input->lo[at]);
    }
}

// ---- What a product must be ----------------------------------------------------------------------------------
typedef struct wn_answer {
    double *values, *allowed;  // [tokens, rows]
} wn_answer;

// What float32 sums may be off by. F32: n = columns / 16 additions in a lane; blocks: n = columns / 32 steps of a few
// roundings each. Roundings grow like the root of their number; 3 roots and 12 more leave room and still lie below a
// single dropped weight. INT8 rows sum exactly and round three times.
static wn_answer work_out(wn_case_run *run, const wn_weights *weights, const wn_input *input, bool exact) {
    const wn_case *c = run->c;
    wn_format format = (wn_format)weights->matrix.format;
    bool plain = input->kind == WN_INPUT_F32, by_row = format == WN_INT8 || format == WN_MASKED_INT8 || format == WN_BLOCK4_INT8;
    wn_answer answer = {wn_yard_take(&run->yard, c->tokens * c->rows * sizeof(double)),
                        wn_yard_take(&run->yard, c->tokens * c->rows * sizeof(double))};
    double *x = wn_yard_take(&run->yard, c->columns * sizeof(double));
    double steps = 12 + 3 * sqrt((double)c->columns / (plain ? 16 : 32));
    for (size_t t = 0; t < c->tokens; t++) {
        for (size_t i = 0; i < c->columns; i++) x[i] = wn_input_value(input, t, i);
        for (size_t r = 0; r < c->rows; r++) {
            const double *w = weights->values + r * c->columns, *size = weights->magnitudes + r * c->columns;
            double sum = 0, reach = 0;
            for (size_t i = 0; i < c->columns; i++) {
                sum += w[i] * x[i];
                reach += (plain ? fabs(w[i]) : size[i]) * fabs(x[i]);
            }
            double allowed = !plain && by_row ? 4 * wn_unit * fabs(sum) : steps * wn_unit * reach + 1e-38;
            answer.values[t * c->rows + r] = exact ? (double)(float)sum : sum;
            answer.allowed[t * c->rows + r] = exact ? 0 : allowed;
        }
    }
    return answer;
}

// ---- Rows and codes ------------------------------------------------------------------------------------------
static void check_rows(wn_case_run *run, const wn_weights *weights) {
    const wn_case *c = run->c;
    const wn_matrix *m = &weights->matrix;
    float *row = wn_yard_take(&run->yard, c->columns * sizeof(float));
    float *rows = wn_yard_take(&run->yard, c->rows * c->columns * sizeof(float));
    uint8_t *codes = wn_yard_take(&run->yard, c->columns);
    wn_rows_f32(run->pools[1], m, 0, c->rows, rows);
    bool coded = m->format >= WN_Q4_0 && m->format < WN_Q5_0 && m->format != WN_MASKED_F16;
    for (size_t r = 0; r < c->rows; r++) {
        wn_row_f32(m, r, row);
        wn_expect_same(run, "wn_rows_f32 against wn_row_f32", rows + r * c->columns, row, c->columns * sizeof(float));
        if (coded) wn_row_codes(m, r, codes);
        for (size_t i = 0; i < c->columns; i++) {
            size_t at = r * c->columns + i;
            // d c is exact in float32, so a row has one rounding at most: the nearest float, no tolerance.
            wn_expect_near(run, "wn_row_f32", at, row[i], (float)weights->values[at], 0);
            if (coded) wn_expect_near(run, "wn_row_codes", at, codes[i], weights->codes[at], 0);
        }
    }
}

// ---- Asking in every way -------------------------------------------------------------------------------------
typedef struct wn_asking {
    const wn_weights *weights, *gate;
    wn_input *input, *gate_input;
    float *x;
    size_t stride;
    const float *bias, *residual;  // residual: what ADD adds to, [tokens, rows]
    int32_t epilogue;
} wn_asking;

static void ask(wn_case_run *run, const wn_asking *asking, wn_pool *pool, size_t first_token, size_t tokens,
                size_t row_begin, size_t row_end, float *out, size_t out_stride) {
    const wn_case *c = run->c;
    wn_prepare(pool, asking->input, tokens, asking->x + first_token * asking->stride, asking->stride, NULL, 0);
    if (asking->gate_input && asking->gate_input != asking->input) {
        wn_prepare(pool, asking->gate_input, tokens, asking->x + first_token * asking->stride, asking->stride, NULL, 0);
    }
    for (size_t t = 0; t < tokens && asking->residual; t++) {
        memcpy(out + t * out_stride, asking->residual + (first_token + t) * c->rows + row_begin,
               (row_end - row_begin) * sizeof(float));
    }
    wn_product product = {
        .matrix = &asking->weights->matrix, .gate = asking->gate ? &asking->gate->matrix : NULL,
        .input = asking->input, .gate_input = asking->gate_input, .bias = asking->bias,
        .row_begin = row_begin, .row_end = row_end, .out = out, .out_stride = out_stride,
        .epilogue = asking->epilogue,
    };
    wn_products(pool, &product, 1);
}

// Products of views of one prepared input, as experts have them: the bits of the whole, wherever the tokens are cut.
static void check_views(wn_case_run *run, const wn_asking *asking, const float *whole, float *other) {
    const wn_case *c = run->c;
    if (c->tokens < 2 || asking->residual || (asking->gate_input && asking->gate_input != asking->input)) return;
    size_t cut = c->tokens / 2 + (c->tokens > 8 ? 3 : 0);
    wn_prepare(run->pools[1], asking->input, c->tokens, asking->x, asking->stride, NULL, 0);
    wn_input views[2];
    wn_product products[2];
    for (size_t i = 0; i < 2; i++) {
        wn_input_rows(asking->input, i * cut, i ? c->tokens - cut : cut, &views[i]);
        products[i] = (wn_product){
            .matrix = &asking->weights->matrix, .gate = asking->gate ? &asking->gate->matrix : NULL,
            .input = &views[i], .gate_input = asking->gate_input ? &views[i] : NULL, .bias = asking->bias,
            .row_end = c->rows, .out = other + i * cut * c->rows, .out_stride = c->rows, .epilogue = asking->epilogue,
        };
    }
    wn_products(run->pools[1], products, 2);
    wn_expect_same(run, "views of an input against the whole", other, whole, c->tokens * c->rows * sizeof(float));
}

// Whole, over threads, a token alone, a part of the rows, under the scalar kernels.
static void check_every_way(wn_case_run *run, const wn_asking *asking, const wn_answer *answer) {
    const wn_case *c = run->c;
    size_t outputs = c->tokens * c->rows;
    float *whole = wn_yard_take(&run->yard, outputs * sizeof(float));
    float *other = wn_yard_take(&run->yard, outputs * sizeof(float));
    for (size_t i = 0; i < 3; i++) {
        if (!wn_pool_reserve(run->pools[i], wn_product_scratch(c->columns))) wn_fail(run, "no scratch");
    }
    ask(run, asking, run->pools[0], 0, c->tokens, 0, c->rows, whole, c->rows);
    for (size_t i = 0; i < outputs; i++) wn_expect_near(run, "out", i, whole[i], answer->values[i], answer->allowed[i]);
    for (size_t i = 1; i < 3; i++) {
        ask(run, asking, run->pools[i], 0, c->tokens, 0, c->rows, other, c->rows);
        wn_expect_same(run, i == 1 ? "2 threads against 1" : "4 threads against 1", other, whole, outputs * sizeof(float));
    }
    for (size_t t = 0; t < c->tokens; t++) {
        ask(run, asking, run->pools[0], t, 1, 0, c->rows, other, c->rows);
        wn_expect_same(run, "a token alone against a batch", other, whole + t * c->rows, c->rows * sizeof(float));
    }
    check_views(run, asking, whole, other);
    // Part of the rows, into a wider output whose other columns stay as they were.
    size_t begin = c->rows / 3, end = c->rows - c->rows / 4, width = end - begin, stride = width + 5;
    float *part = wn_yard_take(&run->yard, ((c->tokens - 1) * stride + width) * sizeof(float));
    for (size_t i = 0; i < (c->tokens - 1) * stride + width; i++) part[i] = -77;
    ask(run, asking, run->pools[1], 0, c->tokens, begin, end, part, stride);
    for (size_t t = 0; t < c->tokens; t++) {
        wn_expect_same(run, "part of the rows against all", part + t * stride, whole + t * c->rows + begin, width * sizeof(float));
        for (size_t i = width; i < stride && t + 1 < c->tokens; i++) {
            if (part[t * stride + i] != -77) wn_fail(run, "written between rows of the output");
        }
    }
    wn_isa_select(WN_ISA_SCALAR);
    // Where rows are multiplied out, there is nothing to compare integer inputs with.
    bool comparable = asking->input->kind == WN_INPUT_F32
                      || wn_format_input((wn_format)asking->weights->matrix.format) == (wn_input_kind)asking->input->kind;
    if (!comparable) {
        wn_isa_select(run->isa);
        return;
    }
    ask(run, asking, run->pools[0], 0, c->tokens, 0, c->rows, other, c->rows);
    wn_isa_select(run->isa);
    for (size_t i = 0; i < outputs; i++) {
        wn_expect_near(run, "out against scalar", i, whole[i], other[i], answer->allowed[i]);
    }
}

static float *random_floats(wn_case_run *run, size_t count, bool exact) {
    float *values = wn_yard_take(&run->yard, count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        values[i] = exact ? (float)wn_dice_below(&run->dice, 65) - 32 : (float)wn_dice_between(&run->dice, -2, 2);
    }
    return values;
}

static float *make_x(wn_case_run *run, wn_input_kind kind, size_t *stride) {
    const wn_case *c = run->c;
    *stride = c->columns + (c->seed % 2 ? 3 : 0);
    float *x = wn_yard_take(&run->yard, ((c->tokens - 1) * *stride + c->columns) * sizeof(float));
    wn_fill_inputs(run, kind, x, *stride);
    return x;
}

// Rounded where sixteen tokens or more meet an instruction for it, else float32; every kind of instruction that there is.
static void check_bf16(wn_case_run *run) {
    const wn_case *c = run->c;
    wn_weights weights;
    wn_weights_make(run, (wn_format)c->format, &weights);
    wn_input input = wn_make_input(run, WN_INPUT_BF16, c->tokens);
    size_t stride, outputs = c->tokens * c->rows;
    float *x = make_x(run, WN_INPUT_F32, &stride), *rounded = wn_yard_take(&run->yard, c->tokens * c->columns * sizeof(float));
    float *out = wn_yard_take(&run->yard, outputs * sizeof(float)), *other = wn_yard_take(&run->yard, outputs * sizeof(float));
    const double *given = weights.values;
    double *near = wn_yard_take(&run->yard, c->rows * c->columns * sizeof(double));
    for (size_t i = 0; i < c->rows * c->columns; i++) near[i] = wn_bfloat_value(wn_nearest_bfloat((float)given[i]));
    for (int kind = WN_BF16_ROUNDED; kind <= WN_BF16_TILES; kind++) {
        if (!wn_bf16_select_local(kind)) continue;
        bool rounds = kind != WN_BF16_ROUNDED && c->tokens >= 16;
        for (size_t i = 0; i < c->tokens * c->columns; i++) {
            float value = x[i / c->columns * stride + i % c->columns];
            rounded[i] = rounds ? (float)wn_bfloat_value(wn_nearest_bfloat(value)) : value;
        }
        wn_input same = {.kind = WN_INPUT_F32, .f32 = rounded, .f32_stride = c->columns};
        weights.values = rounds ? near : (double *)(uintptr_t)given;
        wn_answer answer = work_out(run, &weights, &same, false);
        for (int threads = 0; threads < 2; threads++) {
            wn_prepare(run->pools[2 * threads], &input, c->tokens, x, stride, NULL, 0);
            wn_product product = {.matrix = &weights.matrix, .input = &input, .row_end = c->rows,
                                  .out = threads ? other : out, .out_stride = c->rows};
            wn_products(run->pools[2 * threads], &product, 1);
        }
        wn_expect_same(run, "another number of threads", other, out, outputs * sizeof(float));
        // An element has one chain of additions here, and sixteen of float32.
        for (size_t i = 0; i < outputs; i++) {
            wn_expect_near(run, "out", i, out[i], answer.values[i], answer.allowed[i] * (rounds ? 4 : 1));
        }
    }
    wn_bf16_select_local(-1);
}

void wn_run_product(wn_case_run *run) {
    const wn_case *c = run->c;
    wn_input_kind kind = (wn_input_kind)c->kind;
    if (kind == WN_INPUT_BF16) {
        check_bf16(run);
        return;
    }
    bool exact = c->numbers == WN_NUMBERS_EXACT;
    // An instruction set that has no integer products of a format is not asked for them.
    if (kind != WN_INPUT_F32 && wn_format_input((wn_format)c->format) != kind) return;
    wn_weights weights;
    wn_weights_make(run, (wn_format)c->format, &weights);
    check_rows(run, &weights);
    wn_input input = wn_make_input(run, kind, c->tokens);
    wn_asking asking = {.weights = &weights, .input = &input, .epilogue = c->variant == 2 ? WN_ADD : WN_STORE};
    asking.x = make_x(run, kind, &asking.stride);
    if (c->variant >= 1) asking.bias = random_floats(run, c->rows, exact);
    if (c->variant == 2) asking.residual = random_floats(run, c->tokens * c->rows, exact);
    wn_prepare(NULL, &input, c->tokens, asking.x, asking.stride, NULL, 0);
    wn_answer answer = work_out(run, &weights, &input, exact);
    for (size_t i = 0; i < c->tokens * c->rows; i++) {
        double bias = asking.bias ? asking.bias[i % c->rows] : 0, residual = asking.residual ? asking.residual[i] : 0;
        double value = answer.values[i] + bias;
        if (exact) value = (float)value;
        answer.values[i] = exact ? (double)(float)(value + residual) : value + residual;
        // A rounding for each of the two additions.
        if (!exact) answer.allowed[i] += wn_unit * (fabs(value) + fabs(answer.values[i]));
    }
    check_every_way(run, &asking, &answer);
}

void wn_run_gated(wn_case_run *run) {
    const wn_case *c = run->c;
    wn_weights weights, gate;
    wn_weights_make(run, (wn_format)c->format, &weights);
    wn_weights_make(run, (wn_format)c->gate, &gate);
    wn_input input = wn_make_input(run, (wn_input_kind)c->kind, c->tokens);
    // A gate of the same format shares the input; another gets the kind it wants.
    wn_input other = wn_make_input(run, wn_format_input((wn_format)c->gate), c->tokens);
    wn_asking asking = {.weights = &weights, .gate = &gate, .input = &input, .epilogue = WN_GATED_SILU};
    asking.gate_input = c->gate == c->format ? &input : &other;
    asking.x = make_x(run, (wn_input_kind)c->kind, &asking.stride);
    wn_prepare(NULL, &input, c->tokens, asking.x, asking.stride, NULL, 0);
    wn_prepare(NULL, asking.gate_input, c->tokens, asking.x, asking.stride, NULL, 0);
    wn_answer answer = work_out(run, &weights, &input, false), gates = work_out(run, &gate, asking.gate_input, false);
    for (size_t i = 0; i < c->tokens * c->rows; i++) {
        double g = gates.values[i], y = answer.values[i], silu = g / (1 + exp(-g));
        // silu grows at most 1.1 times its argument, and is itself within 16 roundings (exp within 2 ulp).
        answer.allowed[i] = fabs(silu) * answer.allowed[i] + 1.1 * gates.allowed[i] * (fabs(y) + answer.allowed[i])
                            + 16 * wn_unit * fabs(silu * y) + 1e-35;
        answer.values[i] = silu * y;
    }
    check_every_way(run, &asking, &answer);
}
