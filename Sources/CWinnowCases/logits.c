// What is asked of logits: log-sum-exp, softmax, the best, whether they are finite.
#include "cases.h"

static float *make_logits(wn_case_run *run) {
    size_t count = run->c->columns;
    float *x = wn_yard_take(&run->yard, count * sizeof(float));
    double reach = run->c->numbers == WN_NUMBERS_HUGE ? 1e5 : 30;
    for (size_t i = 0; i < count; i++) x[i] = (float)wn_dice_between(&run->dice, -reach, reach);
    if (run->c->numbers == WN_NUMBERS_ZERO) memset(x, 0, count * sizeof(float));
    // Suppressed tokens, as samplers and masks leave them.
    for (size_t i = 1; i < count && run->c->numbers == WN_NUMBERS_EXACT; i += 1 + i % 5) x[i] = -INFINITY;
    return x;
}

static double largest_of(const float *x, size_t count) {
    double largest = -INFINITY;
    for (size_t i = 0; i < count; i++) largest = fmax(largest, x[i]);
    return largest;
}

static void check_log_sum_exp(wn_case_run *run) {
    size_t count = run->c->columns;
    float *x = make_logits(run);
    double largest = largest_of(x, count), sum = 0, moved = 0;
    for (size_t i = 0; i < count; i++) {
        double p = exp(x[i] - largest);
        sum += p;
        // x - largest is rounded once before exp; exp is within 2 ulp.
        moved += x[i] == -INFINITY ? 0 : p * wn_unit * (4 + fabs(x[i] - largest));
    }
    double allowed = moved / sum + (double)count * 0x1p-126 + 1e-15 * fabs(largest);
    wn_expect_near(run, "log_sum_exp", 0, wn_log_sum_exp(x, count), largest + log(sum), allowed);
    for (size_t i = 0; i < count; i++) x[i] = -INFINITY;
    wn_expect_near(run, "log_sum_exp of nothing", 0, wn_log_sum_exp(x, count), -INFINITY, 0);
    x[count - 1] = INFINITY;
    wn_expect_near(run, "log_sum_exp of infinity", 0, wn_log_sum_exp(x, count), INFINITY, 0);
}

static void check_softmax(wn_case_run *run) {
    size_t count = run->c->columns;
    float *x = make_logits(run), *p = wn_yard_take(&run->yard, count * sizeof(float));
    memcpy(p, x, count * sizeof(float));
    wn_softmax(p, count);
    double largest = largest_of(x, count), sum = 0;
    for (size_t i = 0; i < count; i++) sum += exp(x[i] - largest);
    for (size_t i = 0; i < count; i++) {
        double value = exp(x[i] - largest) / sum, distance = x[i] == -INFINITY ? 0 : fabs(x[i] - largest);
        // The rounding of x - largest, exp, partial sums of 16 in float32, the division; below exp(-87) it is 0.
        wn_expect_near(run, "p", i, p[i], value, wn_unit * (20 + 2 * distance) * value + 0x1p-125);
    }
}

static void check_argmax(wn_case_run *run) {
    size_t count = run->c->columns;
    float *x = make_logits(run);
    for (size_t round = 0; round < 4; round++) {
        size_t best = wn_dice_below(&run->dice, count), second = wn_dice_below(&run->dice, count);
        float before[2] = {x[best], x[second]};
        x[best] = x[second] = 1e6f;  // a tie: the lower index wins
        wn_expect_near(run, "argmax", 0, (double)wn_argmax(x, count), (double)(best < second ? best : second), 0);
        x[best] = before[0];
        x[second] = before[1];
    }
    for (size_t i = 0; i < count; i++) x[i] = -INFINITY;
    wn_expect_near(run, "argmax of nothing", 0, (double)wn_argmax(x, count), 0, 0);
}

static void check_finite(wn_case_run *run) {
    size_t count = run->c->columns;
    float *x = wn_yard_take(&run->yard, count * sizeof(float));
    for (size_t i = 0; i < count; i++) x[i] = i % 2 ? 3.4e38f : -1e-45f;
    if (!wn_all_finite(x, count)) wn_fail(run, "finite numbers were refused");
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < count; i += 1 + count / 70) {
        size_t at = count - 1 - i;
        float before = x[at];
        x[at] = bad[i % 3];
        if (wn_all_finite(x, count)) wn_fail(run, "%g at %zu was taken for finite", (double)bad[i % 3], at);
        x[at] = before;
    }
}

void wn_run_logits(wn_case_run *run) {
    static void (*const checks[])(wn_case_run *) = {check_log_sum_exp, check_softmax, check_argmax, check_finite};
    checks[run->c->variant](run);
}
