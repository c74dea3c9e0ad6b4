// What the families of cases share: guarded memory, numbers, float64 definitions, checks.
#ifndef WN_CASES_INTERNAL_H
#define WN_CASES_INTERNAL_H
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "wn_cases.h"

// ---- Guarded memory --------------------------------------------------------------------------------------
// Every buffer ends where a page begins that traps; the bytes before it are watched.
enum { WN_YARD_BUFFERS = 96 };
typedef struct wn_yard {
    size_t count;
    struct wn_fence {
        unsigned char *map;
        size_t map_bytes, slack;
    } fences[WN_YARD_BUFFERS];
} wn_yard;

// `bytes` of memory that end at a trap, filled with a pattern; aligned as far as `bytes` is a multiple of it.
void *wn_yard_take(wn_yard *yard, size_t bytes);
// False when something was written in front of a buffer.
bool wn_yard_untouched(const wn_yard *yard);
void wn_yard_free(wn_yard *yard);

// ---- Numbers ---------------------------------------------------------------------------------------------
typedef struct wn_dice { uint64_t state; } wn_dice;
uint64_t wn_dice_bits(wn_dice *dice);
size_t wn_dice_below(wn_dice *dice, size_t bound);
double wn_dice_between(wn_dice *dice, double low, double high);
double wn_half_value(uint16_t half);      // by the definition of binary16
double wn_bfloat_value(uint16_t half);
uint16_t wn_nearest_half(double value);   // ties to even, overflow to infinity
uint16_t wn_nearest_bfloat(float value);
extern const double wn_unit;              // 2^-24: the relative error of one float32 rounding

// ---- Checks ----------------------------------------------------------------------------------------------
typedef struct wn_case_run {
    const wn_case *c;
    wn_case_result *result;
    wn_yard yard;
    wn_dice dice;
    wn_isa isa;
    wn_pool *const *pools;  // of 1, 2 and 4 threads
} wn_case_run;

void wn_fail(wn_case_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A NaN on either side alone fails; `allowed` 0 asks for equality (-0 and 0 are equal).
void wn_expect_near(wn_case_run *run, const char *what, size_t index, double actual, double expected, double allowed);
void wn_expect_same(wn_case_run *run, const char *what, const void *actual, const void *expected, size_t bytes);

// ---- Weights ---------------------------------------------------------------------------------------------
typedef struct wn_weights {
    wn_matrix matrix;
    double *values;      // [rows, columns]: what each weight is
    double *magnitudes;  // [rows, columns]: |d| code + |offset|, what a kernel may add and take away again
    uint8_t *codes;      // [rows, columns]: what wn_row_codes answers
} wn_weights;
void wn_weights_make(wn_case_run *run, wn_format format, wn_weights *weights);
// The same for Q5_0 and what follows it; no codes.
void wn_blocks_make(wn_case_run *run, wn_format format, wn_weights *weights);
bool wn_format_masked(wn_format format);
const char *wn_format_name(wn_format format);
// Inputs of `tokens` rows that suit a kind: with EXACT numbers quantization loses nothing.
void wn_fill_inputs(wn_case_run *run, wn_input_kind kind, float *x, size_t stride);
wn_input wn_make_input(wn_case_run *run, wn_input_kind kind, size_t capacity);
// The value that a prepared input stands for.
double wn_input_value(const wn_input *input, size_t token, size_t column);

// ---- Families --------------------------------------------------------------------------------------------
void wn_run_product(wn_case_run *run);
void wn_run_gated(wn_case_run *run);
void wn_run_input(wn_case_run *run);
void wn_run_convert(wn_case_run *run);
void wn_run_elementwise(wn_case_run *run);
void wn_run_attention(wn_case_run *run);
void wn_run_logits(wn_case_run *run);
void wn_run_select(wn_case_run *run);
void wn_run_statistics(wn_case_run *run);
void wn_run_linear(wn_case_run *run);
void wn_run_train(wn_case_run *run);
void wn_run_optimize(wn_case_run *run);
void wn_run_probe(wn_case_run *run);
#endif
