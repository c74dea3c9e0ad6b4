// What products read: which form a format wants, its layout, filling it.
#include "products.h"

wn_input_kind wn_format_input(wn_format format) {
    switch (format) {
    case WN_Q4_0: case WN_Q4_1: case WN_Q8_0:
    case WN_MASKED_Q4_0: case WN_MASKED_Q4_1: case WN_MASKED_Q8_0: return WN_INPUT_BLOCK8;
    case WN_INT8: case WN_INT4: case WN_MASKED_INT8: case WN_MASKED_INT4:
    case WN_BLOCK4_INT8: return WN_INPUT_PLANES16;
    case WN_Q5_0: case WN_Q5_1: case WN_Q3_K: case WN_Q4_K: case WN_Q5_K: case WN_Q6_K: case WN_IQ4_NL: case WN_IQ4_XS:
    case WN_MXFP4: case WN_TQ1_0: case WN_TQ2_0: case WN_Q2_K: case WN_IQ1_S: case WN_IQ1_M: case WN_IQ2_XXS:
    case WN_IQ2_XS: case WN_IQ2_S: case WN_IQ3_XXS: case WN_IQ3_S: case WN_NVFP4:
        return wn_product_functions()->has_ggml_blocks ? WN_INPUT_BLOCK8 : WN_INPUT_F32;
    default: return WN_INPUT_F32;
    }
}

size_t wn_input_bytes(wn_input_kind kind, size_t columns, size_t tokens) {
    size_t stride = wn_round_up(columns, 64), blocks = wn_block_stride(stride);
    switch (kind) {
    case WN_INPUT_F32: return wn_round_up(tokens * columns * sizeof(float), 64);
    case WN_INPUT_BF16: return wn_round_up(tokens * columns * sizeof(float), 64) + wn_round_up(tokens, 16) * 2 * stride + 64;
    case WN_INPUT_BLOCK8:
        return tokens * stride + 4 * tokens * blocks * sizeof(float) + (tokens + 15) / 16 * WN_GROUP_BYTES(stride) + 64;
    case WN_INPUT_PLANES16:
    case WN_INPUT_TOKEN8:
        return 2 * tokens * stride + 2 * wn_round_up(tokens, 16) * stride + (tokens + 15) / 16 * WN_PLANES_BYTES(stride)
               + tokens * blocks * sizeof(int32_t)
               + wn_round_up(tokens * sizeof(int64_t), 64) + wn_round_up(tokens * sizeof(float), 64) + 64;
    }
    return 0;
}

void wn_input_place(wn_input *input, wn_input_kind kind, size_t columns, size_t tokens, void *memory) {
    memset(input, 0, sizeof *input);
    unsigned char *next = memory;
    size_t stride = wn_round_up(columns, 64), blocks = wn_block_stride(stride);
    input->kind = kind == WN_INPUT_TOKEN8 ? WN_INPUT_PLANES16 : kind == WN_INPUT_BF16 ? WN_INPUT_F32 : kind;
    input->shift = kind == WN_INPUT_TOKEN8 ? 8 : 0;
    input->tokens = input->whole = tokens;
    input->columns = columns;
    input->stride = stride;
    switch (kind) {
    case WN_INPUT_F32:
    case WN_INPUT_BF16:
        input->own_f32 = (float *)next;
        input->f32 = input->own_f32;
        input->f32_stride = columns;
        if (kind == WN_INPUT_F32) break;
        input->wide = (int16_t *)(next + wn_round_up(tokens * columns * sizeof(float), 64));
        input->paired = (int32_t *)(input->wide + wn_round_up(tokens, 16) * stride);
        break;
    case WN_INPUT_BLOCK8:
        input->scales = (float *)next;
        next += tokens * blocks * sizeof(float);
        input->sums = (float *)next;
        next += tokens * blocks * sizeof(float);
        input->halves = (int32_t *)next;
        next += 2 * tokens * blocks * sizeof(int32_t);
        input->q = (int8_t *)next;
        input->wide = (int16_t *)(next + tokens * stride);
        input->paired = (int32_t *)((uint8_t *)input->wide + (tokens + 15) / 16 * WN_GROUP_BYTES(stride));
        break;
    case WN_INPUT_PLANES16:
    case WN_INPUT_TOKEN8:
        input->isums = (int32_t *)next;
        next += tokens * blocks * sizeof(int32_t);
        input->totals = (int64_t *)next;
        next += wn_round_up(tokens * sizeof(int64_t), 64);
        input->scales = (float *)next;
        next += wn_round_up(tokens * sizeof(float), 64);
        input->q = (int8_t *)next;
        next += tokens * stride;
        input->lo = (int8_t *)next;
        next += tokens * stride;
        input->wide = (int16_t *)next;
        input->beside = input->wide + wn_round_up(tokens, 16) * stride;
        input->paired = (int32_t *)((uint8_t *)input->beside + (tokens + 15) / 16 * WN_PLANES_BYTES(stride));
        break;
    }
}

typedef struct wn_prepare_job {
    const wn_product_table *table;
    wn_input *input;
    const float *x;
    size_t x_stride;
    const float *weight;
    float epsilon;
} wn_prepare_job;

enum { WN_PREPARE_TOKENS = 8 };

static void wn_prepare_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const wn_prepare_job *job = context;
    size_t first = chunk * WN_PREPARE_TOKENS, end = first + WN_PREPARE_TOKENS;
    if (end > job->input->tokens) end = job->input->tokens;
    for (size_t token = first; token < end; token++) {
        job->table->prepare(job->input, token, job->x + token * job->x_stride, job->weight, job->epsilon);
    }
}

void wn_prepare(wn_pool *pool, wn_input *input, size_t tokens, float *x, size_t x_stride, const float *weight,
                float epsilon) {
    input->tokens = input->whole = tokens;
    if (input->paired) input->paired[0] = input->paired[1] = 0;
    if (input->kind == WN_INPUT_F32) {
        input->f32 = weight ? input->own_f32 : x;
        input->f32_stride = weight ? input->columns : x_stride;
        if (!weight) return;
    }
    wn_prepare_job job = {wn_product_functions(), input, x, x_stride, weight, epsilon};
    size_t chunks = (tokens + WN_PREPARE_TOKENS - 1) / WN_PREPARE_TOKENS;
    if (pool) {
        wn_pool_run(pool, chunks, wn_prepare_chunk, &job);
    } else {
        for (size_t chunk = 0; chunk < chunks; chunk++) wn_prepare_chunk(&job, chunk, 0);
    }
}

void wn_input_rows(const wn_input *input, size_t first, size_t count, wn_input *view) {
    size_t blocks = wn_block_stride(input->stride);
    *view = *input;
    view->tokens = count;
    if (input->f32) view->f32 += first * input->f32_stride;
    if (input->q) view->q += first * input->stride;
    if (input->lo) view->lo += first * input->stride;
    if (input->scales) view->scales += first * (input->kind == WN_INPUT_BLOCK8 ? blocks : 1);
    if (input->sums) view->sums += first * blocks;
    if (input->isums) view->isums += first * blocks;
    if (input->totals) view->totals += first;
    if (input->halves) view->halves += first * 2 * blocks;
    if (input->kind == WN_INPUT_PLANES16) view->wide += first * input->stride;
    view->first += first;
}

void wn_input_whole(wn_input *view) {
    size_t blocks = wn_block_stride(view->stride), first = view->first;
    if (view->f32) view->f32 -= first * view->f32_stride;
    if (view->q) view->q -= first * view->stride;
    if (view->scales) view->scales -= first * (view->kind == WN_INPUT_BLOCK8 ? blocks : 1);
    if (view->sums) view->sums -= first * blocks;
    if (view->halves) view->halves -= first * 2 * blocks;
    if (view->lo) view->lo -= first * view->stride;
    if (view->isums) view->isums -= first * blocks;
    if (view->totals) view->totals -= first;
    view->tokens = view->whole;
    view->first = 0;
}
