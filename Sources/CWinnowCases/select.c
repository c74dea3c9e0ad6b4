// Selection against a sort, and calibration sums.
#include <stdlib.h>

#include "cases.h"

typedef struct wn_ranked { float score; size_t index; } wn_ranked;

// Pruned first: the lowest score, and among equals the lowest index.
static int by_pruning(const void *a, const void *b) {
    const wn_ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void keep_by_sort(const float *scores, size_t first, size_t count, size_t keep, uint8_t *mask, wn_ranked *ranked) {
    for (size_t i = 0; i < count; i++) ranked[i] = (wn_ranked){scores[first + i], first + i};
    qsort(ranked, count, sizeof *ranked, by_pruning);
    for (size_t i = count - keep; i < count; i++) mask[ranked[i].index / 8] |= (uint8_t)(1 << ranked[i].index % 8);
}

// The variants of scores: magnitudes, few values with many ties, all alike, both signs with infinities and zeros of both
// signs, neighbouring floats.
static void fill_scores(wn_case_run *run, float *scores) {
    const wn_case *c = run->c;
    for (size_t i = 0; i < c->columns; i++) {
        switch (c->variant) {
        case 0: scores[i] = (float)fabs(wn_dice_between(&run->dice, -1, 1)); break;
        case 1: scores[i] = (float)wn_dice_below(&run->dice, 3); break;
        case 2: scores[i] = 0.25f; break;
        case 3: {
            static const float ends[] = {0.0f, -0.0f, INFINITY, -INFINITY, 1e-45f, -1e-45f, 3.4e38f, -3.4e38f};
            scores[i] = wn_dice_below(&run->dice, 2) ? ends[wn_dice_below(&run->dice, 8)] : (float)wn_dice_between(&run->dice, -5, 5);
            break;
        }
        default: {
            uint32_t bits = 0x3F800000 + (uint32_t)wn_dice_below(&run->dice, 40);
            memcpy(&scores[i], &bits, sizeof bits);
        }
        }
    }
}

static void check_selection(wn_case_run *run, const float *scores, size_t keep, size_t of, uint8_t *mask, uint8_t *expected,
                            wn_ranked *ranked) {
    size_t count = run->c->columns, bytes = (count + 7) / 8;
    memset(mask, 0xFF, bytes);
    memset(expected, 0, bytes);
    if (of == 0) {
        size_t kept = keep < count ? keep : count;
        keep_by_sort(scores, 0, count, kept, expected, ranked);
        if (!wn_select_top(scores, count, keep, mask)) wn_fail(run, "scores were refused");
        if (wn_popcount(mask, bytes) != kept) wn_fail(run, "%zu kept, not %zu", wn_popcount(mask, bytes), kept);
    } else {
        for (size_t start = 0; start < count; start += of) {
            size_t length = count - start < of ? count - start : of;
            keep_by_sort(scores, start, length, (length * keep + of - 1) / of, expected, ranked);
        }
        if (!wn_select_n_of_m(scores, count, keep, of, mask)) wn_fail(run, "scores were refused");
    }
    wn_expect_same(run, of == 0 ? "wn_select_top" : "wn_select_n_of_m", mask, expected, bytes);
}

void wn_run_select(wn_case_run *run) {
    size_t count = run->c->columns, bytes = (count + 7) / 8;
    float *scores = wn_yard_take(&run->yard, count * sizeof(float));
    uint8_t *mask = wn_yard_take(&run->yard, bytes), *expected = wn_yard_take(&run->yard, bytes);
    wn_ranked *ranked = wn_yard_take(&run->yard, count * sizeof(wn_ranked));
    fill_scores(run, scores);
    const size_t keeps[] = {0, 1, count / 3, count / 2, count - 1, count, count + 5};
    for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) check_selection(run, scores, keeps[i], 0, mask, expected, ranked);
    static const size_t patterns[][2] = {{2, 4}, {1, 4}, {4, 8}, {0, 4}, {4, 4}, {1, 2}, {7, 16}, {3, 5}};
    for (size_t i = 0; i < 8; i++) check_selection(run, scores, patterns[i][0], patterns[i][1], mask, expected, ranked);
    // A NaN is refused wherever it stands, and the mask stays as it was.
    for (size_t i = 0; i < count; i += 1 + count / 5) {
        float before = scores[count - 1 - i];
        scores[count - 1 - i] = i % 2 ? NAN : -NAN;
        memset(mask, 0x5A, bytes);
        memset(expected, 0x5A, bytes);
        if (wn_select_top(scores, count, count / 2, mask)) wn_fail(run, "a NaN was ranked");
        if (wn_select_n_of_m(scores, count, 2, 4, mask)) wn_fail(run, "a NaN was ranked in a group");
        wn_expect_same(run, "mask after a NaN", mask, expected, bytes);
        scores[count - 1 - i] = before;
    }
}

void wn_run_statistics(wn_case_run *run) {
    const wn_case *c = run->c;
    size_t stride = c->columns + 1, bytes = c->columns * sizeof(double);
    float *x = wn_yard_take(&run->yard, ((c->tokens - 1) * stride + c->columns) * sizeof(float));
    for (size_t i = 0; i < (c->tokens - 1) * stride + c->columns; i++) x[i] = (float)wn_dice_between(&run->dice, -9, 9);
    double *sums = wn_yard_take(&run->yard, bytes), *expected = wn_yard_take(&run->yard, bytes);
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < c->columns; j++) sums[j] = expected[j] = (double)j;
        // A square of a float is exact in float64, and tokens are added in order: one value, no tolerance.
        for (size_t t = 0; t < c->tokens; t++) {
            for (size_t j = 0; j < c->columns; j++) expected[j] += (double)x[t * stride + j] * (double)x[t * stride + j];
        }
        wn_add_squares(run->pools[i], x, stride, c->tokens, c->columns, sums);
        wn_expect_same(run, "sums", sums, expected, bytes);
    }
}
