// Elementwise operations and attention over vectors of 16 lanes, compiled once for each instruction set: the order
// of every sum is the same in all of them. Included by a file that defines WN_TABLE.
#include "vectors.h"

#include "../ops.h"

static void rms_norm(const float *x, const float *weight, float epsilon, float *out, size_t columns) {
    f32x16 sum = {0};
    size_t c = 0;
    for (; c + 16 <= columns; c += 16) sum = __builtin_elementwise_fma(load(x + c), load(x + c), sum);
    if (c < columns) {
        f32x16 v = load_part(x + c, columns - c, 0);
        sum = __builtin_elementwise_fma(v, v, sum);
    }
    float scale = 1 / sqrtf(sum16(sum) / (float)columns + epsilon);
    for (c = 0; c < columns; c++) out[c] = x[c] * scale * weight[c];
}

// Writes `values` of 16 gates and as many `up` (or ones) over all elements.
#define WN_GATE(values)                                                                                            \
    size_t i = 0;                                                                                                  \
    for (; i + 16 <= count; i += 16) {                                                                             \
        f32x16 g = load(gate + i), u = up ? load(up + i) : splat(1);                                               \
        store(out + i, values);                                                                                    \
    }                                                                                                              \
    if (i < count) {                                                                                               \
        f32x16 g = load_part(gate + i, count - i, 0), u = up ? load_part(up + i, count - i, 0) : splat(1);         \
        f32x16 y = values;                                                                                         \
        memcpy(out + i, &y, (count - i) * sizeof(float));                                                          \
    }

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    WN_GATE(g / (1.0f + exp16(-g)) * u)
}

// GELU's tanh form is x sigmoid(2 u).
WN_INLINE f32x16 gelu16(f32x16 g) {
    return g / (1.0f + exp16(-2.0f * (0.797884561f * (g + 0.044715f * g * g * g))));
}

static void gelu_multiply(const float *gate, const float *up, float *out, size_t count) { WN_GATE(gelu16(g) * u) }

// x Phi(x): below 0 the tail itself, so that no difference from 1 is taken.
WN_INLINE f32x16 gelu_erf16(f32x16 x) {
    f32x16 tail = normal_tail16(x);
    i32x16 positive = x > splat(0);
    return x * (f32x16)(((i32x16)(1.0f - tail) & positive) | ((i32x16)tail & ~positive));
}

static void gelu_erf_multiply(const float *gate, const float *up, float *out, size_t count) {
    WN_GATE(gelu_erf16(g) * u)
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *out,
                       size_t columns) {
    size_t whole = columns / 16 * 16, rest = columns - whole;
    f32x16 sum = {0};
    for (size_t c = 0; c < whole; c += 16) sum += load(x + c);
    if (rest > 0) sum += load_part(x + whole, rest, 0);
    float mean = sum16(sum) / (float)columns;
    sum = splat(0);
    for (size_t c = 0; c < whole; c += 16) {
        f32x16 v = load(x + c) - mean;
        sum = __builtin_elementwise_fma(v, v, sum);
    }
    if (rest > 0) {
        f32x16 v = load_part(x + whole, rest, mean) - mean;
        sum = __builtin_elementwise_fma(v, v, sum);
    }
    float scale = 1 / sqrtf(sum16(sum) / (float)columns + epsilon);
    for (size_t c = 0; c < columns; c++) out[c] = (x[c] - mean) * scale * weight[c] + bias[c];
}

static void soft_cap(float *x, float cap, size_t count) {
    for (size_t i = 0; i < count; i += 16) {
        size_t part = count - i < 16 ? count - i : 16;
        f32x16 v = load_part(x + i, part, 0), y = cap * tanh16(v / cap);
        // exp16 stops at its ends, and would make a number of a NaN.
        for (size_t k = 0; k < part; k++) x[i + k] = v[k] == v[k] ? y[k] : v[k];
    }
}

static void add(float *into, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) into[i] += x[i];
}

static void rope(float *x, size_t heads, size_t head_width, size_t rotary_width, const float *table, bool interleaved) {
    size_t half = rotary_width / 2;
    const float *cosines = table, *sines = table + half;
    for (size_t h = 0; h < heads; h++, x += head_width) {
        if (interleaved) {
            for (size_t i = 0; i < half; i++) {
                float a = x[2 * i], b = x[2 * i + 1];
                x[2 * i] = a * cosines[i] - b * sines[i];
                x[2 * i + 1] = a * sines[i] + b * cosines[i];
            }
        } else {
            for (size_t i = 0; i < half; i++) {
                float a = x[i], b = x[i + half];
                x[i] = a * cosines[i] - b * sines[i];
                x[i + half] = a * sines[i] + b * cosines[i];
            }
        }
    }
}

// ---- Attention -------------------------------------------------------------------------------------------------
WN_INLINE void widen(wn_kv_type type, const void *from, float *to, size_t slots, size_t width) {
    size_t count = slots * width;
    if (type == WN_KV_INT8) {
        size_t bytes = wn_kv_slot_bytes(type, width);
        for (size_t s = 0; s < slots; s++) {
            const char *slot = (const char *)from + s * bytes;
            const int8_t *codes = (const int8_t *)(slot + sizeof(float));
            float scale;
            memcpy(&scale, slot, sizeof scale);
            for (size_t i = 0; i < width; i++) to[s * width + i] = scale * (float)codes[i];
        }
    } else if (type == WN_KV_F16) {
        const _Float16 *halves = from;
        for (size_t i = 0; i < count; i++) to[i] = (float)halves[i];
    } else {
        const uint16_t *halves = from;
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = (uint32_t)halves[i] << 16;
            memcpy(&to[i], &bits, sizeof bits);
        }
    }
}

WN_INLINE float dot(const float *a, const float *b, size_t width) {
    f32x16 sum = {0};
    size_t i = 0;
    for (; i + 16 <= width; i += 16) sum = __builtin_elementwise_fma(load(a + i), load(b + i), sum);
    if (i < width) sum = __builtin_elementwise_fma(load_part(a + i, width - i, 0), load_part(b + i, width - i, 0), sum);
    return sum16(sum);
}

// Products of a vector of a query with those of one key, in 16 sums.
WN_INLINE f32x16 dot_lanes(const float *query, const float *key, size_t width) {
    f32x16 sum = {0};
    for (size_t i = 0; i < width; i += 16) sum = __builtin_elementwise_fma(load(query + i), load(key + i), sum);
    return sum;
}

// The dots of a query with 16 keys, each summed in the order of `dot`; whole vectors.
WN_INLINE f32x16 dots2(const float *query, const float *keys, size_t width) {
    f32x16 a = dot_lanes(query, keys, width), b = dot_lanes(query, keys + width, width);
    return low8(a, b) + high8(a, b);
}
WN_INLINE f32x16 dots4(const float *query, const float *keys, size_t width) {
    f32x16 a = dots2(query, keys, width), b = dots2(query, keys + 2 * width, width);
    return low4(a, b) + high4(a, b);
}
WN_INLINE f32x16 dots8(const float *query, const float *keys, size_t width) {
    f32x16 a = dots4(query, keys, width), b = dots4(query, keys + 4 * width, width);
    return low2(a, b) + high2(a, b);
}
WN_INLINE f32x16 dots16(const float *query, const float *keys, size_t width) {
    f32x16 a = dots8(query, keys, width), b = dots8(query, keys + 8 * width, width);
    return low1(a, b) + high1(a, b);
}

// What a query gives a run of slots, not yet divided: online softmax. Returns what its sums so far are multiplied with.
WN_INLINE float score_run(const float *query, const float *keys, size_t slots, size_t width, float scale, float cap,
                          const float *bias, float *scores, float *largest, float *total) {
    for (size_t i = 0; i < WN_RUN; i++) scores[i] = -INFINITY;
    size_t slot = 0;
    if (width % 16 == 0) {
        for (; slot + 16 <= slots; slot += 16) {
            store(scores + slot, scale * dots16(query, keys + slot * width, width));
        }
    }
    for (; slot < slots; slot++) scores[slot] = scale * dot(query, keys + slot * width, width);
    if (cap > 0) soft_cap(scores, cap, slots);
    if (bias) {
        for (slot = 0; slot < slots; slot++) scores[slot] += bias[slot];
    }
    f32x16 peak = load(scores);
    for (size_t i = 16; i < WN_RUN; i += 16) peak = __builtin_elementwise_max(peak, load(scores + i));
    float old = *largest, new = fmaxf(old, max16(peak));
    f32x16 sum = {0};
    for (size_t i = 0; i < slots; i += 16) {
        f32x16 p = exp16(load(scores + i) - new);
        store(scores + i, p);
        sum += p;
    }
    float keep = old == -INFINITY ? 0 : exp1(old - new);
    *largest = new;
    *total = *total * keep + sum16(sum);
    return keep;
}

// Adds a run's values to the sums of `count` queries that see the same slots. A table with room for more sums in its
// registers takes several queries at once.
#ifndef WN_MIX_QUERIES
#define WN_MIX_QUERIES 1
#endif
WN_INLINE void mix_run(size_t count, const float (*scores)[WN_RUN], const float *keep, const float *values, size_t slots,
                       size_t width, float *const *out) {
    for (size_t first = 0; first < width; first += 64) {
        size_t left = width - first < 64 ? width - first : 64, whole = left / 16;
        if (left % 16 == 0) {
            f32x16 acc[WN_MIX_QUERIES][4];
            for (size_t q = 0; q < count; q++) {
                for (size_t i = 0; i < whole; i++) acc[q][i] = load(out[q] + first + 16 * i) * keep[q];
            }
            for (size_t s = 0; s < slots; s++) {
                for (size_t q = 0; q < count; q++) {
                    f32x16 p = splat(scores[q][s]);
                    for (size_t i = 0; i < whole; i++) {
                        acc[q][i] = __builtin_elementwise_fma(p, load(values + s * width + first + 16 * i), acc[q][i]);
                    }
                }
            }
            for (size_t q = 0; q < count; q++) {
                for (size_t i = 0; i < whole; i++) store(out[q] + first + 16 * i, acc[q][i]);
            }
        } else {
            for (size_t q = 0; q < count; q++) {
                for (size_t c = first; c < first + left; c++) {
                    float acc = out[q][c] * keep[q];
                    for (size_t s = 0; s < slots; s++) {
                        acc = __builtin_elementwise_fma(scores[q][s], values[s * width + c], acc);
                    }
                    out[q][c] = acc;
                }
            }
        }
    }
}

// Queries that see the same slots of a run; `count` is at most WN_MIX_QUERIES.
WN_INLINE void attend_run(size_t count, const float *const *queries, const float *keys, const float *values,
                          size_t slots, size_t width, float scale, float cap, const float *const *biases,
                          float *const *out, float *largest, float *total) {
    float scores[WN_MIX_QUERIES][WN_RUN], keep[WN_MIX_QUERIES];
    for (size_t q = 0; q < count; q++) {
        keep[q] = score_run(queries[q], keys, slots, width, scale, cap, biases[q], scores[q], &largest[q], &total[q]);
    }
    if (WN_MIX_QUERIES > 1 && count == WN_MIX_QUERIES) {
        mix_run(WN_MIX_QUERIES, (const float(*)[WN_RUN])scores, keep, values, slots, width, out);
    } else {
        for (size_t q = 0; q < count; q++) {
            mix_run(1, (const float(*)[WN_RUN])scores + q, keep + q, values, slots, width, out + q);
        }
    }
}

// Of a run that begins at slot `seen`.
WN_INLINE size_t visible_slots(const wn_attention_row *row, size_t seen, size_t run) {
    return row->visible <= seen ? 0 : row->visible - seen < run ? row->visible - seen : run;
}

static void attend(const wn_attention_row *rows, size_t row_count, size_t kv_head, size_t group, size_t head_width,
                   float scale, float cap, wn_kv_type type) {
    float keys[WN_RUN * WN_HEAD_WIDTH], values[WN_RUN * WN_HEAD_WIDTH];
    float largest[WN_ATTENTION_ROWS * WN_HEADS], total[WN_ATTENTION_ROWS * WN_HEADS];
    for (size_t r = 0; r < row_count; r++) {
        for (size_t g = 0; g < group; g++) {
            largest[r * group + g] = -INFINITY;
            total[r * group + g] = 0;
            memset(rows[r].out + (kv_head * group + g) * head_width, 0, head_width * sizeof(float));
        }
    }
    size_t most = 0, seen = 0, bytes = wn_kv_slot_bytes(type, head_width);
    for (size_t r = 0; r < row_count; r++) most = rows[r].visible > most ? rows[r].visible : most;
    const wn_segment *segments = rows[0].segments + kv_head * rows[0].segment_stride;
    for (size_t s = 0; s < rows[0].segment_count && seen < most; s++) {
        for (size_t start = 0; start < segments[s].count && seen < most; start += WN_RUN) {
            size_t run = segments[s].count - start < WN_RUN ? segments[s].count - start : WN_RUN;
            size_t needed = most - seen < run ? most - seen : run;
            const char *k = (const char *)segments[s].keys + start * bytes, *v = (const char *)segments[s].values + start * bytes;
            const float *wide_k = (const float *)k, *wide_v = (const float *)v;
            if (type != WN_KV_F32) {
                widen(type, k, keys, needed, head_width);
                widen(type, v, values, needed, head_width);
                wide_k = keys;
                wide_v = values;
            }
            for (size_t n = 0; n < row_count * group;) {
                const float *queries[WN_MIX_QUERIES], *biases[WN_MIX_QUERIES];
                float *out[WN_MIX_QUERIES];
                size_t slots = visible_slots(&rows[n / group], seen, run), first = n, count = 0;
                for (; n < row_count * group && count < WN_MIX_QUERIES; n++, count++) {
                    const wn_attention_row *row = &rows[n / group];
                    if (visible_slots(row, seen, run) != slots) break;
                    size_t head = kv_head * group + n % group;
                    queries[count] = row->query + head * head_width;
                    biases[count] = row->bias ? row->bias + head * row->bias_stride + seen : NULL;
                    out[count] = row->out + head * head_width;
                }
                if (slots == 0) continue;
                if (head_width == 64) {
                    attend_run(count, queries, wide_k, wide_v, slots, 64, scale, cap, biases, out, largest + first,
                               total + first);
                } else {
                    attend_run(count, queries, wide_k, wide_v, slots, head_width, scale, cap, biases, out,
                               largest + first, total + first);
                }
            }
            seen += run;
        }
    }
    for (size_t r = 0; r < row_count; r++) {
        for (size_t g = 0; g < group; g++) {
            float *out = rows[r].out + (kv_head * group + g) * head_width;
            for (size_t c = 0; c < head_width; c++) out[c] /= total[r * group + g];
        }
    }
}

static void kv_store(wn_kv_type type, const float *x, void *slot, size_t head_width) {
    if (type == WN_KV_F32) {
        memcpy(slot, x, head_width * sizeof(float));
    } else if (type == WN_KV_F16) {
        _Float16 *halves = slot;
        for (size_t i = 0; i < head_width; i++) halves[i] = (_Float16)x[i];
    } else if (type == WN_KV_INT8) {
        float peak = 0, sum = 0;
        for (size_t i = 0; i < head_width; i++) {
            peak = fmaxf(peak, fabsf(x[i]));
            sum += x[i] * 0;  // NaN where a value is NaN or infinite: no code says that, the scale does
        }
        float scale = peak / 127 + sum, inverse = peak > 0 ? 127 / peak : 0;
        int8_t *codes = (int8_t *)slot + sizeof scale;
        memcpy(slot, &scale, sizeof scale);
        for (size_t i = 0; i < head_width; i++) codes[i] = sum == 0 ? (int8_t)lrintf(x[i] * inverse) : 1;
    } else {
        uint16_t *halves = slot;
        for (size_t i = 0; i < head_width; i++) {
            uint32_t bits;
            memcpy(&bits, &x[i], sizeof bits);
            // Rounding up would carry a NaN out of its exponent.
            halves[i] = (bits & 0x7FFFFFFF) > 0x7F800000 ? (uint16_t)(bits >> 16 | 0x40)
                                                         : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
        }
    }
}

// ---- Logits and statistics -----------------------------------------------------------------------------------------
WN_INLINE float largest_of(const float *x, size_t count) {
    f32x16 peak = splat(-INFINITY);
    size_t i = 0;
    for (; i + 16 <= count; i += 16) peak = __builtin_elementwise_max(peak, load(x + i));
    if (i < count) peak = __builtin_elementwise_max(peak, load_part(x + i, count - i, -INFINITY));
    return max16(peak);
}

static double log_sum_exp(const float *x, size_t count) {
    float largest = largest_of(x, count);
    if (!isfinite(largest)) return largest;
    double sums[16] = {0};
    for (size_t i = 0; i < count; i += 16) {
        size_t part = count - i < 16 ? count - i : 16;
        f32x16 p = exp16(load_part(x + i, part, -INFINITY) - largest);
        for (int lane = 0; lane < 16; lane++) sums[lane] += (double)p[lane];
    }
    double sum = 0;
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    return (double)largest + log(sum);
}

static void softmax(float *x, size_t count) {
    float largest = largest_of(x, count);
    double sum = 0;
    for (size_t i = 0; i < count; i += 16) {
        size_t part = count - i < 16 ? count - i : 16;
        f32x16 p = exp16(load_part(x + i, part, -INFINITY) - largest);
        sum += (double)sum16(p);
        memcpy(x + i, &p, part * sizeof(float));
    }
    float inverse = (float)(1 / sum);
    for (size_t i = 0; i < count; i++) x[i] *= inverse;
}

static void add_squares(const float *x, size_t stride, size_t tokens, size_t columns, double *sums) {
    for (size_t t = 0; t < tokens; t++, x += stride) {
        for (size_t c = 0; c < columns; c++) sums[c] += (double)x[c] * (double)x[c];
    }
}

const wn_ops_table WN_TABLE = {
    .rms_norm = rms_norm, .silu_multiply = silu_multiply, .add = add, .rope = rope, .attend = attend,
    .log_sum_exp = log_sum_exp, .softmax = softmax, .kv_store = kv_store, .add_squares = add_squares,
    .layer_norm = layer_norm, .gelu_multiply = gelu_multiply,
    .gelu_erf_multiply = gelu_erf_multiply, .soft_cap = soft_cap,
};
