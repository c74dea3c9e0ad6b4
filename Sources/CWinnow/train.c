// Training kernels over whole tensors: blocks, pool jobs, fixed orders of sums.
#include "train.h"

#include <string.h>

static const wn_train_table *wn_train_functions(void) {
    switch (wn_isa_current()) {
#if defined(__x86_64__)
    case WN_ISA_AVX512: return &wn_train_avx512;
    case WN_ISA_AVX2: return &wn_train_avx2;
#endif
#if defined(__aarch64__)
    case WN_ISA_NEON: return &wn_train_neon;
#endif
    default: return &wn_train_scalar;
    }
}

static size_t wn_least(size_t a, size_t b) { return a < b ? a : b; }
static size_t wn_round(size_t value, size_t to) { return (value + to - 1) / to * to; }
static size_t wn_threads(const wn_pool *pool) { return pool ? wn_pool_threads(pool) : 1; }

// ---- Matrix products -------------------------------------------------------------------------------------------
// Tiles are at most 16 rows and 32 columns: a panel's last tile may stand out by so much.
enum {
    WN_PACKED_A = WN_GEMM_DEPTH * (WN_GEMM_ROWS + 16) + WN_GEMM_SLACK,
    WN_PACKED_B = WN_GEMM_DEPTH * (WN_GEMM_COLUMNS + 32) + WN_GEMM_SLACK,
    WN_PACK_COLUMNS = 64  // columns of B that one chunk packs: a multiple of every tile's
};

size_t wn_gemm_workspace(const wn_pool *pool) {
    return (WN_PACKED_B + WN_PACKED_A * wn_threads(pool)) * sizeof(float);
}

typedef struct wn_gemm_job {
    const wn_gemm_kernels *kernels;
    wn_view a, b;
    size_t rows, columns, depth;
    float *packed_a, *packed_b, *out;
    size_t out_stride;
    bool accumulate;
} wn_gemm_job;

static void wn_pack_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_gemm_job *job = context;
    size_t first = chunk * WN_PACK_COLUMNS;
    wn_view b = job->b;
    b.data += first * b.column_stride;
    size_t line = wn_round(job->depth, job->kernels->unit) * job->kernels->element;
    job->kernels->pack_columns(b, wn_least(WN_PACK_COLUMNS, job->columns - first), job->depth,
                               (uint8_t *)job->packed_b + first * line);
}

static void wn_gemm_chunk(void *context, size_t chunk, size_t worker) {
    const wn_gemm_job *job = context;
    size_t first = chunk * WN_GEMM_ROWS, rows = wn_least(WN_GEMM_ROWS, job->rows - first);
    float *packed = job->packed_a + worker * WN_PACKED_A;
    wn_view a = job->a;
    a.data += first * a.row_stride;
    job->kernels->pack_rows(a, rows, job->depth, packed);
    job->kernels->multiply(packed, job->packed_b, rows, job->columns, job->depth, job->out + first * job->out_stride,
                           job->out_stride, job->accumulate);
}

static void wn_run_gemm(const wn_gemm_kernels *kernels, wn_pool *pool, void *workspace, size_t rows, size_t columns,
                        size_t depth, wn_view a, wn_view b, float *out, size_t out_stride, bool accumulate) {
    if (rows == 0 || columns == 0) return;
    if (depth == 0) {
        for (size_t r = 0; r < rows && !accumulate; r++) memset(out + r * out_stride, 0, columns * sizeof(float));
        return;
    }
    // Blocks of the sum as equal as multiples of 16 allow.
    size_t blocks = (depth + kernels->depth - 1) / kernels->depth;
    size_t most = wn_round((depth + blocks - 1) / blocks, kernels->unit < 16 ? 16 : kernels->unit);
    // A small product costs less than waking anybody.
    wn_pool *own = rows * columns * depth < 1 << 17 ? NULL : pool;
    wn_gemm_job job = {.kernels = kernels, .packed_b = workspace, .out_stride = out_stride, .rows = rows};
    job.packed_a = job.packed_b + WN_PACKED_B;
    for (size_t column = 0; column < columns; column += WN_GEMM_COLUMNS) {
        job.columns = wn_least(WN_GEMM_COLUMNS, columns - column);
        job.out = out + column;
        for (size_t begin = 0; begin < depth; begin += most) {
            job.depth = wn_least(most, depth - begin);
            job.a = a;
            job.a.data += begin * a.column_stride;
            job.b = b;
            job.b.data += begin * b.row_stride + column * b.column_stride;
            job.accumulate = accumulate || begin > 0;
            wn_pool_run(own, (job.columns + WN_PACK_COLUMNS - 1) / WN_PACK_COLUMNS, wn_pack_chunk, &job);
            wn_pool_run(own, (rows + WN_GEMM_ROWS - 1) / WN_GEMM_ROWS, wn_gemm_chunk, &job);
        }
    }
}

void wn_gemm_f32(wn_pool *pool, void *workspace, size_t rows, size_t columns, size_t depth, wn_view a, wn_view b,
                 float *out, size_t out_stride, bool accumulate) {
    const wn_gemm_kernels *kernels = &wn_train_functions()->f32;
    wn_run_gemm(kernels, pool, workspace, rows, columns, depth, a, b, out, out_stride, accumulate);
}

const wn_gemm_kernels *wn_bf16_kernels(wn_bf16 kind) {
    switch (kind) {
#if defined(__x86_64__)
    case WN_BF16_TILES: return &wn_gemm_tiles;
    case WN_BF16_PAIRS: return &wn_gemm_pairs;
#endif
    default: return &wn_train_functions()->bf16;
    }
}

void wn_gemm_bf16(wn_pool *pool, void *workspace, size_t rows, size_t columns, size_t depth, wn_view a, wn_view b,
                  float *out, size_t out_stride, bool accumulate) {
    const wn_gemm_kernels *kernels = wn_bf16_kernels(wn_bf16_current());
    wn_run_gemm(kernels, pool, workspace, rows, columns, depth, a, b, out, out_stride, accumulate);
}

// ---- Norms -----------------------------------------------------------------------------------------------------
enum { WN_ROWS_AT_ONCE = 16, WN_STRIP = 64, WN_RUN_FLOATS = 1 << 14 };

typedef struct wn_norm_job {
    const wn_train_table *table;
    const float *x, *weight, *d_y;
    float epsilon;
    float *d_x, *d_weight, *d_bias, *scales;
    bool add, layer;
    size_t tokens, columns;
} wn_norm_job;

static void wn_norm_rows(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_norm_job *job = context;
    size_t first = chunk * WN_ROWS_AT_ONCE, end = wn_least(first + WN_ROWS_AT_ONCE, job->tokens);
    for (size_t t = first; t < end; t++) {
        size_t at = t * job->columns;
        float *d_x = job->d_x ? job->d_x + at : NULL;
        if (job->layer) {
            job->table->layer_norm_backward(job->x + at, job->weight, job->epsilon, job->d_y + at, d_x, job->add,
                                            job->scales + 2 * t, job->columns);
        } else {
            job->table->rms_norm_backward(job->x + at, job->weight, job->epsilon, job->d_y + at, d_x, job->add,
                                          job->scales + t, job->columns);
        }
    }
}

static void wn_norm_strip(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_norm_job *job = context;
    size_t first = chunk * WN_STRIP;
    job->table->norm_weights(job->x + first, job->d_y + first, job->scales, job->layer,
                             job->d_weight ? job->d_weight + first : NULL, job->d_bias ? job->d_bias + first : NULL,
                             job->tokens, job->columns, wn_least(WN_STRIP, job->columns - first));
}

static void wn_norm_backward(wn_pool *pool, wn_norm_job *job) {
    job->table = wn_train_functions();
    wn_pool_run(pool, (job->tokens + WN_ROWS_AT_ONCE - 1) / WN_ROWS_AT_ONCE, wn_norm_rows, job);
    if (job->d_weight || job->d_bias) wn_pool_run(pool, (job->columns + WN_STRIP - 1) / WN_STRIP, wn_norm_strip, job);
}

void wn_rms_norm_backward(wn_pool *pool, const float *x, const float *weight, float epsilon, const float *d_y,
                          float *d_x, bool add_to_d_x, float *d_weight, float *scales, size_t tokens, size_t columns) {
    wn_norm_job job = {.x = x, .weight = weight, .epsilon = epsilon, .d_y = d_y, .d_x = d_x, .add = add_to_d_x,
                       .d_weight = d_weight, .scales = scales, .tokens = tokens, .columns = columns};
    wn_norm_backward(pool, &job);
}

void wn_layer_norm_backward(wn_pool *pool, const float *x, const float *weight, float epsilon, const float *d_y,
                            float *d_x, bool add_to_d_x, float *d_weight, float *d_bias, float *scales, size_t tokens,
                            size_t columns) {
    wn_norm_job job = {.x = x, .weight = weight, .epsilon = epsilon, .d_y = d_y, .d_x = d_x, .add = add_to_d_x,
                       .d_weight = d_weight, .d_bias = d_bias, .scales = scales, .layer = true, .tokens = tokens,
                       .columns = columns};
    wn_norm_backward(pool, &job);
}

// ---- Elementwise -----------------------------------------------------------------------------------------------
typedef struct wn_run_job {
    const wn_train_table *table;
    wn_gate kind;
    const float *gate, *up, *d_out;
    float *out, *d_gate, *d_up;
    float scale;
    size_t count;
} wn_run_job;

// A few values cost less than waking anybody.
static void wn_run_over(wn_pool *pool, size_t count, wn_chunk_function function, wn_run_job *job) {
    job->table = wn_train_functions();
    job->count = count;
    wn_pool_run(count < WN_RUN_FLOATS ? NULL : pool, (count + WN_RUN_FLOATS - 1) / WN_RUN_FLOATS, function, job);
}

static void wn_gate_forward_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_run_job *job = context;
    size_t at = chunk * WN_RUN_FLOATS, n = wn_least(WN_RUN_FLOATS, job->count - at);
    job->table->gate_forward(job->kind, job->gate + at, job->up ? job->up + at : NULL, job->out + at, n);
}

void wn_gate_forward(wn_pool *pool, wn_gate kind, const float *gate, const float *up, float *out, size_t count) {
    wn_run_job job = {.kind = kind, .gate = gate, .up = up, .out = out};
    wn_run_over(pool, count, wn_gate_forward_chunk, &job);
}

static void wn_gate_backward_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_run_job *job = context;
    size_t at = chunk * WN_RUN_FLOATS, n = wn_least(WN_RUN_FLOATS, job->count - at);
    job->table->gate_backward(job->kind, job->gate + at, job->up ? job->up + at : NULL, job->d_out + at,
                              job->d_gate + at, job->d_up ? job->d_up + at : NULL, n);
}

void wn_gate_backward(wn_pool *pool, wn_gate kind, const float *gate, const float *up, const float *d_out,
                      float *d_gate, float *d_up, size_t count) {
    wn_run_job job = {.kind = kind, .gate = gate, .up = up, .d_out = d_out, .d_gate = d_gate, .d_up = d_up};
    wn_run_over(pool, count, wn_gate_backward_chunk, &job);
}

static void wn_add_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_run_job *job = context;
    size_t at = chunk * WN_RUN_FLOATS, n = wn_least(WN_RUN_FLOATS, job->count - at);
    job->table->add_to(job->gate + at, job->scale, job->out + at, n);
}

void wn_add_to(wn_pool *pool, const float *x, float scale, float *into, size_t count) {
    wn_run_job job = {.gate = x, .out = into, .scale = scale};
    wn_run_over(pool, count, wn_add_chunk, &job);
}

typedef struct wn_rows_job {
    const wn_train_table *table;
    const float *x;
    float *into;
    size_t tokens, columns;
} wn_rows_job;

static void wn_bias_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_rows_job *job = context;
    size_t first = chunk * WN_ROWS_AT_ONCE, end = wn_least(first + WN_ROWS_AT_ONCE, job->tokens);
    for (size_t t = first; t < end; t++) job->table->add_to(job->x, 1, job->into + t * job->columns, job->columns);
}

void wn_add_bias(wn_pool *pool, const float *bias, float *into, size_t tokens, size_t columns) {
    wn_rows_job job = {wn_train_functions(), bias, into, tokens, columns};
    wn_pool_run(pool, (tokens + WN_ROWS_AT_ONCE - 1) / WN_ROWS_AT_ONCE, wn_bias_chunk, &job);
}

static void wn_sum_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_rows_job *job = context;
    size_t first = chunk * WN_STRIP;
    job->table->sum_rows(job->x + first, job->tokens, job->columns, wn_least(WN_STRIP, job->columns - first),
                         job->into + first);
}

void wn_sum_rows(wn_pool *pool, const float *x, size_t tokens, size_t columns, float *into) {
    wn_rows_job job = {wn_train_functions(), x, into, tokens, columns};
    wn_pool_run(pool, (columns + WN_STRIP - 1) / WN_STRIP, wn_sum_chunk, &job);
}

typedef struct wn_rope_job {
    float *x;
    size_t stride, heads, head_width, rotary_width, tokens;
    const float *table;
    const int32_t *positions;
    bool interleaved, backward;
} wn_rope_job;

static void wn_rope_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_rope_job *job = context;
    size_t first = chunk * WN_ROWS_AT_ONCE, end = wn_least(first + WN_ROWS_AT_ONCE, job->tokens);
    size_t half = job->rotary_width / 2, step = job->interleaved ? 2 : 1, other = job->interleaved ? 1 : half;
    float sign = job->backward ? -1 : 1;
    for (size_t t = first; t < end; t++) {
        const float *cosines = job->table + (size_t)job->positions[t] * job->rotary_width, *sines = cosines + half;
        for (size_t h = 0; h < job->heads; h++) {
            float *x = job->x + t * job->stride + h * job->head_width;
            for (size_t i = 0; i < half; i++) {
                float a = x[i * step], b = x[i * step + other], sine = sign * sines[i];
                x[i * step] = a * cosines[i] - b * sine;
                x[i * step + other] = a * sine + b * cosines[i];
            }
        }
    }
}

void wn_rope_rows(wn_pool *pool, float *x, size_t x_stride, size_t heads, size_t head_width, size_t rotary_width,
                  size_t tokens, const float *table, const int32_t *positions, bool interleaved, bool backward) {
    wn_rope_job job = {x,     x_stride,  heads,       head_width, rotary_width, tokens,
                       table, positions, interleaved, backward};
    wn_pool_run(pool, (tokens + WN_ROWS_AT_ONCE - 1) / WN_ROWS_AT_ONCE, wn_rope_chunk, &job);
}

// ---- Attention -------------------------------------------------------------------------------------------------
static size_t wn_attention_floats(size_t head_width) {
    size_t panel = (WN_ATTENTION_BLOCK + 32) * (head_width + 64) + WN_GEMM_SLACK;
    size_t square = (WN_ATTENTION_BLOCK + 32) * WN_ATTENTION_BLOCK + WN_GEMM_SLACK;
    return (5 * panel + 3 * square + 15) / 16 * 16;
}

size_t wn_attention_workspace(const wn_pool *pool, size_t head_width) {
    return wn_attention_floats(head_width) * wn_threads(pool) * sizeof(float);
}

typedef struct wn_attention_train_job {
    const wn_train_table *table;
    const wn_attention_shape *shape;
    const float *q, *k, *v, *d_out;
    float *out, *log_sums, *d_q, *d_k, *d_v, *workspace;
    size_t scratch;
} wn_attention_train_job;

static void wn_attention_forward_chunk(void *context, size_t chunk, size_t worker) {
    const wn_attention_train_job *job = context;
    size_t kv_heads = job->shape->kv_heads;
    job->table->attention_forward(job->shape, chunk / kv_heads, chunk % kv_heads, job->q, job->k, job->v, job->out,
                                  job->log_sums, job->workspace + worker * job->scratch);
}

void wn_attention_forward(wn_pool *pool, const wn_attention_shape *shape, const float *q, const float *k, const float *v,
                          float *out, float *log_sums, void *workspace) {
    wn_attention_train_job job = {.table = wn_train_functions(), .shape = shape, .q = q, .k = k, .v = v, .out = out,
                                  .log_sums = log_sums, .workspace = workspace,
                                  .scratch = wn_attention_floats(shape->head_width)};
    wn_pool_run(pool, shape->sequences * shape->kv_heads, wn_attention_forward_chunk, &job);
}

static void wn_attention_backward_chunk(void *context, size_t chunk, size_t worker) {
    const wn_attention_train_job *job = context;
    size_t kv_heads = job->shape->kv_heads;
    job->table->attention_backward(job->shape, chunk / kv_heads, chunk % kv_heads, job->q, job->k, job->v, job->out,
                                   job->log_sums, job->d_out, job->d_q, job->d_k, job->d_v,
                                   job->workspace + worker * job->scratch);
}

void wn_attention_backward(wn_pool *pool, const wn_attention_shape *shape, const float *q, const float *k,
                           const float *v, const float *out, const float *log_sums, const float *d_out, float *d_q,
                           float *d_k, float *d_v, void *workspace) {
    wn_attention_train_job job = {.table = wn_train_functions(), .shape = shape, .q = q, .k = k, .v = v,
                                  .out = (float *)(uintptr_t)out, .log_sums = (float *)(uintptr_t)log_sums,
                                  .d_out = d_out, .d_q = d_q, .d_k = d_k, .d_v = d_v, .workspace = workspace,
                                  .scratch = wn_attention_floats(shape->head_width)};
    wn_pool_run(pool, shape->sequences * shape->kv_heads, wn_attention_backward_chunk, &job);
}

// ---- Losses ----------------------------------------------------------------------------------------------------
typedef struct wn_loss_job {
    const wn_train_table *table;
    float *logits, *teacher;
    const float *weights;
    const int32_t *targets;
    float cap, teacher_cap, temperature;
    double *losses;
    bool gradient;
    size_t vocabulary;
} wn_loss_job;

static void wn_cross_entropy_chunk(void *context, size_t t, size_t worker) {
    (void)worker;
    const wn_loss_job *job = context;
    job->table->cross_entropy(job->logits + t * job->vocabulary, job->targets[t], job->weights[t], job->cap,
                              job->losses + t, job->gradient, job->vocabulary);
}

void wn_cross_entropy(wn_pool *pool, float *logits, const int32_t *targets, const float *weights, float cap,
                      double *losses, bool gradient, size_t tokens, size_t vocabulary) {
    wn_loss_job job = {.table = wn_train_functions(), .logits = logits, .targets = targets, .weights = weights,
                       .cap = cap, .losses = losses, .gradient = gradient, .vocabulary = vocabulary};
    wn_pool_run(pool, tokens, wn_cross_entropy_chunk, &job);
}

static void wn_kl_chunk(void *context, size_t t, size_t worker) {
    (void)worker;
    const wn_loss_job *job = context;
    job->table->kl_divergence(job->logits + t * job->vocabulary, job->teacher + t * job->vocabulary, job->weights[t],
                              job->temperature, job->cap, job->teacher_cap, job->losses + t, job->gradient,
                              job->vocabulary);
}

void wn_kl_divergence(wn_pool *pool, float *student, float *teacher, const float *weights, float temperature, float cap,
                      float teacher_cap, double *losses, bool gradient, size_t tokens, size_t vocabulary) {
    wn_loss_job job = {.table = wn_train_functions(), .logits = student, .teacher = teacher, .weights = weights,
                       .cap = cap, .teacher_cap = teacher_cap, .temperature = temperature, .losses = losses,
                       .gradient = gradient, .vocabulary = vocabulary};
    wn_pool_run(pool, tokens, wn_kl_chunk, &job);
}
