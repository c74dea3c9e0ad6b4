// Attention over lists of segments.
#include <stdlib.h>

#include "cases.h"

// The variants: how the slots of a head are cut, and what queries look like.
typedef struct wn_cut { size_t count, slots[6]; } wn_cut;
static const wn_cut cuts[] = {
    {1, {1}}, {3, {64, 64, 13}}, {4, {5, 64, 1, 30}}, {2, {200, 7}}, {5, {64, 64, 64, 64, 64}}, {6, {1, 1, 2, 1, 1, 1}},
};

typedef struct wn_cache {
    wn_segment *segments;  // [kv_heads, count]
    float *keys, *values;  // [kv_heads, slots, width], as the stored type has them
    size_t count, slots;
} wn_cache;

// What a slot says of a value: of eight bits by its own code and scale, which half a step at most may be off.
static double stored(wn_case_run *run, wn_kv_type type, float value, const char *slot, size_t column, float peak) {
    switch (type) {
    case WN_KV_INT8: {
        float scale;
        memcpy(&scale, slot, sizeof scale);
        double read = (double)scale * ((const int8_t *)slot + sizeof scale)[column];
        wn_expect_near(run, "scale", column, scale, peak / 127.0, 1e-6 * peak);
        wn_expect_near(run, "code", column, read, value, 0.5001 * peak / 127.0);
        return read;
    }
    case WN_KV_F16: return wn_half_value(wn_nearest_half(value));
    case WN_KV_BF16: return wn_bfloat_value(wn_nearest_bfloat(value));
    default: return value;
    }
}

static wn_cache make_cache(wn_case_run *run, const wn_cut *cut) {
    const wn_case *c = run->c;
    wn_kv_type type = (wn_kv_type)c->format;
    size_t width = c->columns, bytes = wn_kv_slot_bytes(type, width);
    wn_cache cache = {.count = cut->count};
    for (size_t s = 0; s < cut->count; s++) cache.slots += cut->slots[s];
    size_t all = c->kv_heads * cache.slots * width;
    cache.segments = wn_yard_take(&run->yard, c->kv_heads * cut->count * sizeof(wn_segment));
    cache.keys = wn_yard_take(&run->yard, all * sizeof(float));
    cache.values = wn_yard_take(&run->yard, all * sizeof(float));
    for (size_t h = 0, slot = 0; h < c->kv_heads; h++) {
        for (size_t s = 0; s < cut->count; s++) {
            char *keys = wn_yard_take(&run->yard, cut->slots[s] * bytes), *values = wn_yard_take(&run->yard, cut->slots[s] * bytes);
            cache.segments[h * cut->count + s] = (wn_segment){keys, values, (uint32_t)cut->slots[s]};
            for (size_t i = 0; i < cut->slots[s]; i++, slot++) {
                float *key = cache.keys + slot * width, *value = cache.values + slot * width;
                for (size_t d = 0; d < width; d++) {
                    key[d] = (float)wn_dice_between(&run->dice, -2, 2);
                    value[d] = (float)wn_dice_between(&run->dice, -1, 1) + (float)(d % 3);
                }
                wn_kv_store(type, key, keys + i * bytes, width);
                wn_kv_store(type, value, values + i * bytes, width);
                float peaks[2] = {0, 0};
                for (size_t d = 0; d < width; d++) {
                    peaks[0] = fmaxf(peaks[0], fabsf(key[d]));
                    peaks[1] = fmaxf(peaks[1], fabsf(value[d]));
                }
                for (size_t d = 0; d < width; d++) {
                    key[d] = (float)stored(run, type, key[d], keys + i * bytes, d, peaks[0]);
                    value[d] = (float)stored(run, type, value[d], values + i * bytes, d, peaks[1]);
                }
            }
        }
    }
    return cache;
}

// out = softmax(scale q K^T) V for one head of one row. A score is off by the roundings of a dot of width / 16 steps; that
// moves exp by as much, and so each share of the sum; exp and the sums over slots add their own.
static void check_head(wn_case_run *run, const wn_cache *cache, const float *query, const float *out, size_t kv_head,
                       size_t visible, double scale, const float *bias, size_t index) {
    size_t width = run->c->columns;
    const float *keys = cache->keys + kv_head * cache->slots * width, *values = cache->values + kv_head * cache->slots * width;
    double scores[512], largest = -INFINITY, reach = 0, total = 0;
    for (size_t s = 0; s < visible; s++) {
        double sum = 0, size = 0;
        for (size_t d = 0; d < width; d++) {
            sum += (double)query[d] * keys[s * width + d];
            size += fabs((double)query[d] * keys[s * width + d]);
        }
        scores[s] = sum * scale + (bias ? bias[s] : 0);
        largest = fmax(largest, scores[s]);
        reach = fmax(reach, fabs(scale) * size + (bias ? fabs(bias[s]) : 0));
    }
    for (size_t s = 0; s < visible; s++) total += scores[s] = exp(scores[s] - largest);
    double moved = wn_unit * (2 * reach * (6 + sqrt((double)width / 16)) + 24 + 3 * sqrt((double)visible));
    for (size_t d = 0; d < width; d++) {
        double value = 0, size = 0;
        for (size_t s = 0; s < visible; s++) {
            value += scores[s] / total * values[s * width + d];
            size += scores[s] / total * fabs(values[s * width + d]);
        }
        // Where all that is seen is next to nothing, float32 has subnormals or zero.
        wn_expect_near(run, "out", index + d, out[d], value, moved * size + 1e-38);
    }
}

void wn_run_attention(wn_case_run *run) {
    const wn_case *c = run->c;
    wn_kv_type type = (wn_kv_type)c->format;
    size_t width = c->columns, row_floats = c->heads * width, group = c->heads / c->kv_heads;
    // Two sequences: rows of the first, then of the second, so that one call holds two lists.
    wn_cache caches[2] = {make_cache(run, &cuts[c->variant]), make_cache(run, &cuts[(c->variant + 1) % 6])};
    size_t first_rows = c->tokens - c->tokens / 4;
    // EXACT has no meaning here: such cases ask with large queries, whose softmax is nearly one slot.
    double reach = c->numbers == WN_NUMBERS_EXACT ? 60 : 2;
    float *queries = wn_yard_take(&run->yard, c->tokens * row_floats * sizeof(float));
    for (size_t i = 0; i < c->tokens * row_floats; i++) queries[i] = (float)wn_dice_between(&run->dice, -reach, reach);
    float *out = wn_yard_take(&run->yard, c->tokens * row_floats * sizeof(float));
    float *other = wn_yard_take(&run->yard, c->tokens * row_floats * sizeof(float));
    wn_attention_row *rows = wn_yard_take(&run->yard, c->tokens * sizeof(wn_attention_row));
    float scale = (float)(1 / sqrt((double)width));
    // Every other row adds to its scores.
    size_t most = caches[0].slots > caches[1].slots ? caches[0].slots : caches[1].slots;
    float *bias = wn_yard_take(&run->yard, c->heads * most * sizeof(float));
    for (size_t i = 0; i < c->heads * most; i++) bias[i] = (float)wn_dice_between(&run->dice, -3, 3);
    for (size_t t = 0; t < c->tokens; t++) {
        const wn_cache *cache = &caches[t >= first_rows];
        size_t visible = 1 + wn_dice_below(&run->dice, cache->slots);
        if (t == 0) visible = cache->slots;
        rows[t] = (wn_attention_row){queries + t * row_floats, out + t * row_floats, cache->segments, cache->count,
                                     cache->count, visible, t % 2 ? bias : NULL, most};
    }
    wn_attend(run->pools[0], rows, c->tokens, c->heads, c->kv_heads, width, scale, type);
    for (size_t t = 0; t < c->tokens; t++) {
        for (size_t h = 0; h < c->heads; h++) {
            check_head(run, &caches[t >= first_rows], queries + t * row_floats + h * width, out + t * row_floats + h * width,
                       h / group, rows[t].visible, scale, rows[t].bias ? rows[t].bias + h * most : NULL,
                       t * row_floats + h * width);
        }
    }
    for (size_t t = 0; t < c->tokens; t++) rows[t].out = other + t * row_floats;
    for (size_t i = 1; i < 3; i++) {
        wn_attend(run->pools[i], rows, c->tokens, c->heads, c->kv_heads, width, scale, type);
        wn_expect_same(run, i == 1 ? "2 threads against 1" : "4 threads against 1", other, out, c->tokens * row_floats * sizeof(float));
    }
    for (size_t t = 0; t < c->tokens; t++) {
        wn_attend(run->pools[0], &rows[t], 1, c->heads, c->kv_heads, width, scale, type);
        wn_expect_same(run, "a row alone against others", other + t * row_floats, out + t * row_floats, row_floats * sizeof(float));
    }
}
