#ifndef WN_TRAIN_H
#define WN_TRAIN_H
#include "wn_pool.h"

// Kernels of training: float32, row-major. No result depends on the number of threads, and none on which of its rows
// or columns stand beside it: every element is summed in one fixed order.

// ---- Matrix products ---------------------------------------------------------------------------------------
// A [rows, columns] view: element (r, c) stands at data[r * row_stride + c * column_stride]. One of the two strides
// should be 1; a transposed matrix is a view with its strides exchanged.
typedef struct wn_view { const float *data; size_t row_stride, column_stride; } wn_view;

// out[i, j] = sum_k a[i, k] * b[k, j], or added to what is there. `out` has rows `out_stride` floats apart.
// The sum runs through k in order, in equal blocks of at most 256 that are added one after another.
// `workspace`: wn_gemm_workspace(pool) bytes, 64-byte aligned, of this call alone. `pool` may be NULL.
void wn_gemm_f32(wn_pool *pool, void *workspace, size_t rows, size_t columns, size_t depth, wn_view a, wn_view b,
                 float *out, size_t out_stride, bool accumulate);
// The same with a and b rounded to bfloat16 (ties to even), their products and sums in float32, numbers below float32's
// normal ones taken for 0. Blocks of at most 512, begun from what is there where it is added to. Which instruction does it
// (`wn_bf16_current`) decides the order of a block's sum: its bits are those of any number of threads, not of any machine.
void wn_gemm_bf16(wn_pool *pool, void *workspace, size_t rows, size_t columns, size_t depth, wn_view a, wn_view b,
                  float *out, size_t out_stride, bool accumulate);
size_t wn_gemm_workspace(const wn_pool *pool);

// ---- Norms, backward ---------------------------------------------------------------------------------------
// Of y = x * weight / sqrt(mean(x^2) + epsilon). d_x is written (or added to), d_weight is added to; either may be
// NULL. scales: room for `tokens` floats.
void wn_rms_norm_backward(wn_pool *pool, const float *x, const float *weight, float epsilon, const float *d_y,
                          float *d_x, bool add_to_d_x, float *d_weight, float *scales, size_t tokens, size_t columns);
// Of y = (x - mean) * weight / sqrt(variance + epsilon) + bias. scales: room for 2 * tokens floats.
void wn_layer_norm_backward(wn_pool *pool, const float *x, const float *weight, float epsilon, const float *d_y,
                            float *d_x, bool add_to_d_x, float *d_weight, float *d_bias, float *scales, size_t tokens,
                            size_t columns);

// ---- Gates -------------------------------------------------------------------------------------------------
typedef enum { WN_GATE_SILU = 0, WN_GATE_GELU = 1, WN_GATE_RELU = 2, WN_GATE_EXACT_GELU = 3 } wn_gate;
// out = act(gate) * up; `up` NULL: act(gate). GELU in its tanh form, or exact, x (1 + erf(x / sqrt(2))) / 2.
void wn_gate_forward(wn_pool *pool, wn_gate kind, const float *gate, const float *up, float *out, size_t count);
// d_gate = d_out * up * act'(gate), d_up = d_out * act(gate), both written; either may be d_out's own memory.
void wn_gate_backward(wn_pool *pool, wn_gate kind, const float *gate, const float *up, const float *d_out,
                      float *d_gate, float *d_up, size_t count);

// ---- Rows --------------------------------------------------------------------------------------------------
void wn_add_to(wn_pool *pool, const float *x, float scale, float *into, size_t count);  // into += scale * x
void wn_add_bias(wn_pool *pool, const float *bias, float *into, size_t tokens, size_t columns);
// into[c] += sum_t x[t, c], tokens in order.
void wn_sum_rows(wn_pool *pool, const float *x, size_t tokens, size_t columns, float *into);
// The rotation of wn_rope_part, or its transpose: what a gradient takes. The first `rotary_width` values of a head turn.
void wn_rope_rows(wn_pool *pool, float *x, size_t x_stride, size_t heads, size_t head_width, size_t rotary_width,
                  size_t tokens, const float *table, const int32_t *positions, bool interleaved, bool backward);

// ---- Attention ---------------------------------------------------------------------------------------------
// Attention of `sequences` sequences of `length` tokens each, grouped queries, no [length, length] buffer.
// q, out [sequences * length, heads * head_width]; k, v [..., kv_heads * head_width]; rows without gaps.
// log_sums [sequences * length, heads]: log sum exp of each query's scores, what backward starts from.
// window: tokens that a query sees, its own among them; 0: all. cap: scores become cap * tanh(score / cap); 0: none.
// starts: NULL, or for each token of a sequence the first one that it may see (documents packed in one sequence).
// ends: NULL: causal, a token sees none after itself. Or for each the one past the last that it sees, itself among them
// (encoders).
typedef struct wn_attention_shape {
    size_t sequences, length, heads, kv_heads, head_width, window;
    float scale, cap;
    const int32_t *starts, *ends;  // [sequences * length], positions within the sequence
} wn_attention_shape;
void wn_attention_forward(wn_pool *pool, const wn_attention_shape *shape, const float *q, const float *k, const float *v,
                          float *out, float *log_sums, void *workspace);
// d_q, d_k and d_v are written.
void wn_attention_backward(wn_pool *pool, const wn_attention_shape *shape, const float *q, const float *k,
                           const float *v, const float *out, const float *log_sums, const float *d_out, float *d_q,
                           float *d_k, float *d_v, void *workspace);
size_t wn_attention_workspace(const wn_pool *pool, size_t head_width);

// ---- Losses ------------------------------------------------------------------------------------------------
// For each row of logits [tokens, vocabulary] and its target: loss[t] = log sum exp - logit of the target, and the
// logits become their gradient, weight[t] * (softmax - 1 at the target). A target below 0 counts nothing: loss 0,
// gradient 0. cap: the logits were cap * tanh(x / cap), and x's gradient is wanted: they are capped here first.
void wn_cross_entropy(wn_pool *pool, float *logits, const int32_t *targets, const float *weights, float cap,
                      double *losses, bool gradient, size_t tokens, size_t vocabulary);
// KL(teacher || student) of each row, both softened by `temperature`, times temperature^2; the student's logits
// become weight[t] times their gradient. Rows of weight 0 count nothing. cap and teacher_cap: as above, of each; the
// teacher's logits are capped in place.
void wn_kl_divergence(wn_pool *pool, float *student, float *teacher, const float *weights, float temperature, float cap,
                      float teacher_cap, double *losses, bool gradient, size_t tokens, size_t vocabulary);
#endif
