// Optimizer passes, whatever the instruction set.
#include "optimize.h"

static const wn_optimize_table *table(void) {
    switch (wn_isa_current()) {
#if defined(__x86_64__)
    case WN_ISA_AVX512: return &wn_optimize_avx512;
    case WN_ISA_AVX2: return &wn_optimize_avx2;
#endif
#if defined(__aarch64__)
    case WN_ISA_NEON: return &wn_optimize_neon;
#endif
    default: return &wn_optimize_scalar;
    }
}

void wn_adam_pass(float *values, const float *gradients, float *first, float *second, const uint8_t *bits,
                  size_t count, const wn_adam *c) {
    table()->adam_pass(values, gradients, first, second, bits, count, c);
}

void wn_adam_moment(const float *gradients, float *first, float *term, const uint8_t *bits, size_t count,
                    const wn_adam *c) {
    table()->adam_moment(gradients, first, term, bits, count, c);
}

void wn_adam_finish(float *values, const float *term, float *second, const uint8_t *bits, size_t count,
                    const wn_adam *c) {
    table()->adam_finish(values, term, second, bits, count, c);
}

void wn_sgd_pass(float *values, const float *gradients, float *velocity, const uint8_t *bits, size_t count,
                 const wn_sgd *c) {
    table()->sgd_pass(values, gradients, velocity, bits, count, c);
}

void wn_lion_pass(float *values, const float *gradients, float *first, const uint8_t *bits, size_t count,
                  const wn_lion *c) {
    table()->lion_pass(values, gradients, first, bits, count, c);
}

float wn_sm3_pass(float *values, const float *gradients, float *momentum_state, float row, const float *columns,
                  float *columns_max, const uint8_t *bits, size_t count, const wn_sm3 *c) {
    return table()->sm3_pass(values, gradients, momentum_state, row, columns, columns_max, bits, count, c);
}

double wn_factored_squares(const float *gradients, const float *columns, float row, const uint8_t *bits, float scale,
                           size_t count) {
    return table()->factored_squares(gradients, columns, row, bits, scale, count);
}

void wn_factored_pass(float *values, const float *gradients, const float *columns, float row, const uint8_t *bits,
                      float scale, float keep, float rate, size_t count) {
    table()->factored_pass(values, gradients, columns, row, bits, scale, keep, rate, count);
}

void wn_add_pruned_decay(float *term, const float *values, const uint8_t *bits, float strength, size_t count) {
    table()->add_pruned_decay(term, values, bits, strength, count);
}

void wn_blend_pruned_pull(float *term, const float *values, const uint8_t *bits, float blend, float strength,
                          size_t count) {
    table()->blend_pruned_pull(term, values, bits, blend, strength, count);
}

void wn_soft_threshold(float *values, float threshold, size_t count) {
    table()->soft_threshold(values, threshold, count);
}

void wn_keep(float *values, const uint8_t *bits, size_t count) { table()->keep(values, bits, count); }

size_t wn_expand_kept(const float *packed, const uint8_t *bits, float *out, size_t count) {
    return table()->expand_kept(packed, bits, out, count);
}

size_t wn_pack_kept(const float *values, const uint8_t *bits, float *packed, size_t count) {
    return table()->pack_kept(values, bits, packed, count);
}

double wn_sum_squares(const float *x, const uint8_t *bits, size_t count) { return table()->sum_squares(x, bits, count); }

void wn_adam_aged_pass(float *values, const float *gradients, float *first, float *second, const int32_t *ages,
                       const float *steps, const float *roots, size_t count, const wn_adam *c) {
    table()->adam_aged_pass(values, gradients, first, second, ages, steps, roots, count, c);
}
