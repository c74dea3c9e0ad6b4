// The table of training kernels that an instruction set fills.
#ifndef WN_TRAIN_TABLE_H
#define WN_TRAIN_TABLE_H
#include "wn_train.h"

// Blocks of a product: a sum's block, rows of A and columns of B packed at once.
enum { WN_GEMM_DEPTH = 256, WN_GEMM_ROWS = 96, WN_GEMM_COLUMNS = 2048, WN_GEMM_SLACK = 64 };
// Queries and keys of an attention block.
enum { WN_ATTENTION_BLOCK = 64 };

// How a product is made: both sides packed, then multiplied.
typedef struct wn_gemm_kernels {
    size_t element;  // bytes of a packed number
    size_t depth;    // the longest block of a sum: as many bytes in each precision
    size_t unit;     // what a block's depth is filled up to a multiple of, with zeros
    // Lines of A, or columns of B, as panels that `multiply` reads in order, zeros past the last. Panels stand in order of
    // their lines: 64 lines take 64 * depth numbers.
    void (*pack_rows)(wn_view a, size_t rows, size_t depth, void *out);
    void (*pack_columns)(wn_view b, size_t columns, size_t depth, void *out);
    // out (+)= packed A x packed B.
    void (*multiply)(const void *a, const void *b, size_t rows, size_t columns, size_t depth, float *out,
                     size_t out_stride, bool accumulate);
} wn_gemm_kernels;

typedef struct wn_train_table {
    wn_gemm_kernels f32;
    wn_gemm_kernels bf16;  // rounded to bfloat16, multiplied as float32: where no instruction does
    void (*rms_norm_backward)(const float *x, const float *weight, float epsilon, const float *d_y, float *d_x, bool add,
                              float *scale, size_t columns);
    void (*layer_norm_backward)(const float *x, const float *weight, float epsilon, const float *d_y, float *d_x,
                                bool add, float *mean_and_scale, size_t columns);
    // d_weight[c] += sum_t d_y[t, c] * (x[t, c] - mean[t]) * scale[t] for 64 columns or fewer; `layer`: with means.
    void (*norm_weights)(const float *x, const float *d_y, const float *scales, bool layer, float *d_weight,
                         float *d_bias, size_t tokens, size_t stride, size_t columns);
    void (*gate_forward)(wn_gate kind, const float *gate, const float *up, float *out, size_t count);
    void (*gate_backward)(wn_gate kind, const float *gate, const float *up, const float *d_out, float *d_gate,
                          float *d_up, size_t count);
    void (*add_to)(const float *x, float scale, float *into, size_t count);
    void (*sum_rows)(const float *x, size_t tokens, size_t stride, size_t columns, float *into);
    void (*attention_forward)(const wn_attention_shape *shape, size_t sequence, size_t kv_head, const float *q,
                              const float *k, const float *v, float *out, float *log_sums, float *scratch);
    void (*attention_backward)(const wn_attention_shape *shape, size_t sequence, size_t kv_head, const float *q,
                               const float *k, const float *v, const float *out, const float *log_sums,
                               const float *d_out, float *d_q, float *d_k, float *d_v, float *scratch);
    void (*cross_entropy)(float *logits, int32_t target, float weight, float cap, double *loss, bool gradient,
                          size_t vocabulary);
    void (*kl_divergence)(float *student, float *teacher, float weight, float temperature, float cap,
                          float teacher_cap, double *loss, bool gradient, size_t vocabulary);
} wn_train_table;

// Those of bfloat16. Pairs and tiles are multiplied from the same panels.
const wn_gemm_kernels *wn_bf16_kernels(wn_bf16 kind);

extern const wn_train_table wn_train_scalar;
#if defined(__x86_64__)
extern const wn_train_table wn_train_avx2;
extern const wn_train_table wn_train_avx512;
extern const wn_gemm_kernels wn_gemm_pairs, wn_gemm_tiles;  // of bfloat16
#endif
#if defined(__aarch64__)
extern const wn_train_table wn_train_neon;
#endif
#endif
