// The table of optimizer passes that an instruction set fills.
#ifndef WN_OPTIMIZE_TABLE_H
#define WN_OPTIMIZE_TABLE_H
#include "wn_optimize.h"

typedef struct wn_optimize_table {
    void (*adam_pass)(float *, const float *, float *, float *, const uint8_t *, size_t, const wn_adam *);
    void (*adam_moment)(const float *, float *, float *, const uint8_t *, size_t, const wn_adam *);
    void (*adam_finish)(float *, const float *, float *, const uint8_t *, size_t, const wn_adam *);
    void (*sgd_pass)(float *, const float *, float *, const uint8_t *, size_t, const wn_sgd *);
    void (*lion_pass)(float *, const float *, float *, const uint8_t *, size_t, const wn_lion *);
    float (*sm3_pass)(float *, const float *, float *, float, const float *, float *, const uint8_t *, size_t,
                      const wn_sm3 *);
    double (*factored_squares)(const float *, const float *, float, const uint8_t *, float, size_t);
    void (*factored_pass)(float *, const float *, const float *, float, const uint8_t *, float, float, float, size_t);
    void (*add_pruned_decay)(float *, const float *, const uint8_t *, float, size_t);
    void (*blend_pruned_pull)(float *, const float *, const uint8_t *, float, float, size_t);
    void (*soft_threshold)(float *, float, size_t);
    void (*keep)(float *, const uint8_t *, size_t);
    size_t (*expand_kept)(const float *, const uint8_t *, float *, size_t);
    size_t (*pack_kept)(const float *, const uint8_t *, float *, size_t);
    double (*sum_squares)(const float *, const uint8_t *, size_t);
    void (*adam_aged_pass)(float *, const float *, float *, float *, const int32_t *, const float *, const float *,
                           size_t, const wn_adam *);
} wn_optimize_table;

extern const wn_optimize_table wn_optimize_scalar;
#if defined(__x86_64__)
extern const wn_optimize_table wn_optimize_avx2;
extern const wn_optimize_table wn_optimize_avx512;
#endif
#if defined(__aarch64__)
extern const wn_optimize_table wn_optimize_neon;
#endif
#endif
