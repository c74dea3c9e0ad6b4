#ifndef WN_OPS_H
#define WN_OPS_H
#include "wn_pool.h"

// ---- Elementwise and norms: float32, rows `stride` floats apart ---------------------------------------------
// out[t, c] = x[t, c] * weight[c] / sqrt(mean_c(x^2) + epsilon); sums in fixed 16-lane order.
void wn_rms_norm(const float *x, size_t x_stride, const float *weight, float epsilon,
                 float *out, size_t out_stride, size_t tokens, size_t columns);
// out[t, c] = (x[t, c] - mean) * weight[c] / sqrt(variance + epsilon) + bias[c]; the same order of sums.
void wn_layer_norm(const float *x, size_t x_stride, const float *weight, const float *bias, float epsilon,
                   float *out, size_t out_stride, size_t tokens, size_t columns);
void wn_silu_multiply(const float *gate, const float *up, float *out, size_t count);
// gelu(gate) * up in GELU's tanh form, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); `up` NULL: gelu(gate).
void wn_gelu_multiply(const float *gate, const float *up, float *out, size_t count);
// The same in GELU's exact form, 0.5 x (1 + erf(x / sqrt(2))).
void wn_gelu_erf_multiply(const float *gate, const float *up, float *out, size_t count);
// x = cap * tanh(x / cap), in place.
void wn_soft_cap(float *x, float cap, size_t count);
void wn_add(float *into, const float *x, size_t count);
// x *= scale, in place.
void wn_scale(float *x, float scale, size_t count);
// into += scale * x.
void wn_add_scaled(float *into, const float *x, float scale, size_t count);

// ---- Rotary position embedding, in place ----------------------------------------------------------------
// x[t * x_stride + h * head_width ...]; table: cos then sin, [positions, head_width/2] each, interleaved as
// row p = head_width/2 cosines, head_width/2 sines. `interleaved`: pairs (2i, 2i+1) (GGUF llama rows);
// otherwise (i, i + head_width/2) (Hugging Face rows). positions[t] is the row for token t.
void wn_rope(float *x, size_t x_stride, size_t heads, size_t head_width, size_t tokens,
             const float *table, const int32_t *positions, bool interleaved);
// The same of the first `rotary_width` columns of each head, for which the table is made; the others stay.
void wn_rope_part(float *x, size_t x_stride, size_t heads, size_t head_width, size_t rotary_width, size_t tokens,
                  const float *table, const int32_t *positions, bool interleaved);

// ---- Attention -------------------------------------------------------------------------------------------
typedef enum { WN_KV_F32 = 0, WN_KV_F16 = 1, WN_KV_BF16 = 2, WN_KV_INT8 = 3 } wn_kv_type;
// Of one key or one value. INT8: a float32 scale, largest / 127, then a code for each column, in whole words of four bytes.
size_t wn_kv_slot_bytes(wn_kv_type type, size_t head_width);
// Slots of one (layer, KV head): keys [count, slot bytes], values [count, slot bytes].
typedef struct wn_segment { const void *keys; const void *values; uint32_t count; } wn_segment;
// One query row of one sequence: `queries` heads of it share these segments (grouped queries).
// Sees the first `visible` slots of the list in order.
typedef struct wn_attention_row {
    const float *query;      // [heads, head_width] of this token
    float *out;              // [heads, head_width]
    const wn_segment *segments;   // [kv_heads] lists, `segment_count` each: list k starts at k * segment_stride
    size_t segment_stride;
    size_t segment_count;
    size_t visible;
    const float *bias;       // NULL, or added to scaled scores: of query head h and slot s bias[h * bias_stride + s]
    size_t bias_stride;
} wn_attention_row;
// out = softmax(scale * q K^T) V by online softmax over fixed runs of 64 slots, in list order: no [T, T] buffer,
// same bits for a row alone or among others. Consecutive rows with the same segments share loads.
void wn_attend(wn_pool *pool, const wn_attention_row *rows, size_t row_count, size_t heads, size_t kv_heads,
               size_t head_width, float scale, wn_kv_type type);
// The same with scores of cap * tanh(score / cap) (Gemma 2); a cap of 0 is none.
void wn_attend_capped(wn_pool *pool, const wn_attention_row *rows, size_t row_count, size_t heads, size_t kv_heads,
                      size_t head_width, float scale, float cap, wn_kv_type type);
// Writes float32 keys or values of one head into slots [slot, slot + 1) of a page.
void wn_kv_store(wn_kv_type type, const float *x, void *slot, size_t head_width);

// ---- Logits ----------------------------------------------------------------------------------------------
// log(sum(exp(x))) in float64 sums, fixed order.
double wn_log_sum_exp(const float *x, size_t count);
size_t wn_argmax(const float *x, size_t count);  // lowest index wins ties
void wn_softmax(float *x, size_t count);
// e^x, by libm.
float wn_exp(float x);
bool wn_all_finite(const float *x, size_t count);
#endif
