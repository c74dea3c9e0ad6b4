// Operations over rows, whatever the instruction set: loops, pool jobs, selection.
#include "ops.h"

#include <math.h>
#include <string.h>

static const wn_ops_table *wn_ops_functions(void) {
    switch (wn_isa_current()) {
#if defined(__x86_64__)
    case WN_ISA_AVX512: return &wn_ops_avx512;
    case WN_ISA_AVX2: return &wn_ops_avx2;
#endif
#if defined(__aarch64__)
    case WN_ISA_NEON: return &wn_ops_neon;
#endif
    default: return &wn_ops_scalar;
    }
}

void wn_rms_norm(const float *x, size_t x_stride, const float *weight, float epsilon, float *out, size_t out_stride,
                 size_t tokens, size_t columns) {
    for (size_t t = 0; t < tokens; t++) {
        wn_ops_functions()->rms_norm(x + t * x_stride, weight, epsilon, out + t * out_stride, columns);
    }
}

void wn_silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    wn_ops_functions()->silu_multiply(gate, up, out, count);
}

void wn_layer_norm(const float *x, size_t x_stride, const float *weight, const float *bias, float epsilon, float *out,
                   size_t out_stride, size_t tokens, size_t columns) {
    for (size_t t = 0; t < tokens; t++) {
        wn_ops_functions()->layer_norm(x + t * x_stride, weight, bias, epsilon, out + t * out_stride, columns);
    }
}

void wn_gelu_multiply(const float *gate, const float *up, float *out, size_t count) {
    wn_ops_functions()->gelu_multiply(gate, up, out, count);
}

void wn_soft_cap(float *x, float cap, size_t count) { wn_ops_functions()->soft_cap(x, cap, count); }

void wn_add(float *into, const float *x, size_t count) { wn_ops_functions()->add(into, x, count); }

void wn_scale(float *x, float scale, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] *= scale;
}

void wn_add_scaled(float *into, const float *x, float scale, size_t count) {
    for (size_t i = 0; i < count; i++) into[i] += scale * x[i];
}

void wn_rope(float *x, size_t x_stride, size_t heads, size_t head_width, size_t tokens, const float *table,
             const int32_t *positions, bool interleaved) {
    wn_rope_part(x, x_stride, heads, head_width, head_width, tokens, table, positions, interleaved);
}

void wn_rope_part(float *x, size_t x_stride, size_t heads, size_t head_width, size_t rotary_width, size_t tokens,
                  const float *table, const int32_t *positions, bool interleaved) {
    const wn_ops_table *ops = wn_ops_functions();
    for (size_t t = 0; t < tokens; t++) {
        const float *row = table + (size_t)positions[t] * rotary_width;
        ops->rope(x + t * x_stride, heads, head_width, rotary_width, row, interleaved);
    }
}

void wn_gelu_erf_multiply(const float *gate, const float *up, float *out, size_t count) {
    wn_ops_functions()->gelu_erf_multiply(gate, up, out, count);
}

size_t wn_kv_slot_bytes(wn_kv_type type, size_t head_width) {
    if (type == WN_KV_INT8) return sizeof(float) + (head_width + 3) / 4 * 4;
    return head_width * (type == WN_KV_F32 ? 4 : 2);
}

void wn_kv_store(wn_kv_type type, const float *x, void *slot, size_t head_width) {
    wn_ops_functions()->kv_store(type, x, slot, head_width);
}

// ---- Attention -------------------------------------------------------------------------------------------------
enum { WN_ATTENTION_BLOCKS = 512 };

typedef struct wn_attention_job {
    const wn_ops_table *table;
    const wn_attention_row *rows;
    const uint32_t *starts;  // of row blocks, one more than there are
    size_t blocks, kv_heads, group, head_width;
    float scale, cap;
    wn_kv_type type;
} wn_attention_job;

static void wn_attention_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_attention_job *job = context;
    // Later rows see more: they are taken first.
    size_t block = job->blocks - 1 - chunk / job->kv_heads, kv_head = chunk % job->kv_heads;
    job->table->attend(job->rows + job->starts[block], job->starts[block + 1] - job->starts[block], kv_head, job->group,
                       job->head_width, job->scale, job->cap, job->type);
}

void wn_attend(wn_pool *pool, const wn_attention_row *rows, size_t row_count, size_t heads, size_t kv_heads,
               size_t head_width, float scale, wn_kv_type type) {
    wn_attend_capped(pool, rows, row_count, heads, kv_heads, head_width, scale, 0, type);
}

void wn_attend_capped(wn_pool *pool, const wn_attention_row *rows, size_t row_count, size_t heads, size_t kv_heads,
                      size_t head_width, float scale, float cap, wn_kv_type type) {
    uint32_t starts[WN_ATTENTION_BLOCKS + 1];
    size_t row = 0;
    while (row < row_count) {
        size_t first = row, blocks = 0, work = 0;
        while (row < row_count && blocks < WN_ATTENTION_BLOCKS) {
            starts[blocks++] = (uint32_t)(row - first);
            size_t end = row + WN_ATTENTION_ROWS;
            const wn_segment *segments = rows[row].segments;
            for (; row < row_count && row < end && rows[row].segments == segments; row++) work += rows[row].visible;
        }
        starts[blocks] = (uint32_t)(row - first);
        wn_attention_job job = {wn_ops_functions(), rows + first, starts, blocks, kv_heads, heads / kv_heads, head_width, scale, cap, type};
        // A few slots cost less than waking anybody.
        wn_pool_run(work * heads < 1024 ? NULL : pool, blocks * kv_heads, wn_attention_chunk, &job);
    }
}

// ---- Logits ------------------------------------------------------------------------------------------------------
double wn_log_sum_exp(const float *x, size_t count) { return wn_ops_functions()->log_sum_exp(x, count); }

size_t wn_argmax(const float *x, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++) best = x[i] > x[best] ? i : best;
    return best;
}

float wn_exp(float x) { return expf(x); }

void wn_softmax(float *x, size_t count) { wn_ops_functions()->softmax(x, count); }

bool wn_all_finite(const float *x, size_t count) {
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7F800000) == 0x7F800000;
    }
    return bad == 0;
}

// ---- Statistics ----------------------------------------------------------------------------------------------------
typedef struct wn_squares_job {
    const wn_ops_table *table;
    const float *x;
    size_t stride, tokens, columns;
    double *sums;
} wn_squares_job;

static void wn_squares_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_squares_job *job = context;
    size_t begin = chunk * 64, count = job->columns - begin < 64 ? job->columns - begin : 64;
    job->table->add_squares(job->x + begin, job->stride, job->tokens, count, job->sums + begin);
}

void wn_add_squares(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, double *sums) {
    wn_squares_job job = {wn_ops_functions(), x, stride, tokens, columns, sums};
    wn_pool_run(pool, (columns + 63) / 64, wn_squares_chunk, &job);
}

typedef struct wn_peaks_job {
    const float *x;
    size_t stride, tokens, columns;
    float *peaks;
} wn_peaks_job;

static void wn_peaks_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_peaks_job *job = context;
    size_t begin = chunk * 64, end = begin + 64 < job->columns ? begin + 64 : job->columns;
    for (size_t t = 0; t < job->tokens; t++) {
        const float *x = job->x + t * job->stride;
        for (size_t c = begin; c < end; c++) {
            float magnitude = fabsf(x[c]);
            // A NaN is taken, and not given up again.
            job->peaks[c] = magnitude <= job->peaks[c] ? job->peaks[c] : job->peaks[c] != job->peaks[c] ? job->peaks[c] : magnitude;
        }
    }
}

void wn_add_peaks(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, float *peaks) {
    wn_peaks_job job = {x, stride, tokens, columns, peaks};
    wn_pool_run(pool, (columns + 63) / 64, wn_peaks_chunk, &job);
}
