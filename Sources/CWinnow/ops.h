// The table of elementwise operations and attention that an instruction set fills.
#ifndef WN_OPS_TABLE_H
#define WN_OPS_TABLE_H
#include "wn_ops.h"
#include "wn_select.h"

// Rows of one attention unit: consecutive, with the same segments.
enum { WN_ATTENTION_ROWS = 32, WN_RUN = 64, WN_HEAD_WIDTH = 256, WN_HEADS = 64 };

typedef struct wn_ops_table {
    void (*rms_norm)(const float *x, const float *weight, float epsilon, float *out, size_t columns);
    void (*silu_multiply)(const float *gate, const float *up, float *out, size_t count);
    void (*add)(float *into, const float *x, size_t count);
    void (*rope)(float *x, size_t heads, size_t head_width, size_t rotary_width, const float *table, bool interleaved);
    // Rows with the same segments, the query heads of one KV head.
    void (*attend)(const wn_attention_row *rows, size_t row_count, size_t kv_head, size_t group, size_t head_width,
                   float scale, float cap, wn_kv_type type);
    double (*log_sum_exp)(const float *x, size_t count);
    void (*softmax)(float *x, size_t count);
    void (*kv_store)(wn_kv_type type, const float *x, void *slot, size_t head_width);
    void (*add_squares)(const float *x, size_t stride, size_t tokens, size_t columns, double *sums);
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon, float *out,
                       size_t columns);
    void (*gelu_multiply)(const float *gate, const float *up, float *out, size_t count);
    void (*gelu_erf_multiply)(const float *gate, const float *up, float *out, size_t count);
    void (*soft_cap)(float *x, float cap, size_t count);
} wn_ops_table;

extern const wn_ops_table wn_ops_scalar;
#if defined(__x86_64__)
extern const wn_ops_table wn_ops_avx2;
extern const wn_ops_table wn_ops_avx512;
#endif
#if defined(__aarch64__)
extern const wn_ops_table wn_ops_neon;
#endif
#endif
