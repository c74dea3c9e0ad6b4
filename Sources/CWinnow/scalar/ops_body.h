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

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    for (size_t i = 0; i < count; i += 16) {
        size_t part = count - i < 16 ? count - i : 16;
        f32x16 g = load_part(gate + i, part, 0), u = load_part(up + i, part, 0);
        f32x16 y = g / (1.0f + exp16(-g)) * u;
        memcpy(out + i, &y, part * sizeof(float));
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *out,
                       size_t columns) {
    f32x16 sum = {0};
    for (size_t c = 0; c < columns; c += 16) {
        sum += load_part(x + c, columns - c < 16 ? columns - c : 16, 0);
    }
    float mean = sum16(sum) / (float)columns;
    sum = splat(0);
    for (size_t c = 0; c < columns; c += 16) {
        f32x16 v = load_part(x + c, columns - c < 16 ? columns - c : 16, mean) - mean;
        sum = __builtin_elementwise_fma(v, v, sum);
    }
    float scale = 1 / sqrtf(sum16(sum) / (float)columns + epsilon);
    for (size_t c = 0; c < columns; c++) out[c] = (x[c] - mean) * scale * weight[c] + bias[c];
}

// GELU's tanh form is x sigmoid(2 u).
static void gelu_multiply(const float *gate, const float *up, float *out, size_t count) {
    for (size_t i = 0; i < count; i += 16) {
        size_t part = count - i < 16 ? count - i : 16;
        f32x16 g = load_part(gate + i, part, 0), u = up ? load_part(up + i, part, 0) : splat(1);
        f32x16 inner = 0.797884561f * (g + 0.044715f * g * g * g);
        f32x16 y = g / (1.0f + exp16(-2.0f * inner)) * u;
        memcpy(out + i, &y, part * sizeof(float));
    }
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

// One query over a run of slots: online softmax; `out` holds the sum not yet divided.
WN_INLINE void attend_run(const float *query, const float *keys, const float *values, size_t slots, size_t width,
                          float scale, float cap, const float *bias, float *out, float *largest, float *total) {
    float scores[WN_RUN];
    for (size_t i = 0; i < WN_RUN; i++) scores[i] = -INFINITY;
    size_t slot = 0;
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
    for (size_t first = 0; first < width; first += 64) {
        size_t left = width - first < 64 ? width - first : 64, whole = left / 16;
        if (left % 16 == 0) {
            f32x16 acc[4];
            for (size_t i = 0; i < whole; i++) acc[i] = load(out + first + 16 * i) * keep;
            for (size_t s = 0; s < slots; s++) {
                f32x16 p = splat(scores[s]);
                for (size_t i = 0; i < whole; i++) {
                    acc[i] = __builtin_elementwise_fma(p, load(values + s * width + first + 16 * i), acc[i]);
                }
            }
            for (size_t i = 0; i < whole; i++) store(out + first + 16 * i, acc[i]);
        } else {
            for (size_t c = first; c < first + left; c++) {
                float acc = out[c] * keep;
                for (size_t s = 0; s < slots; s++) acc = __builtin_elementwise_fma(scores[s], values[s * width + c], acc);
                out[c] = acc;
            }
        }
    }
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
            for (size_t r = 0; r < row_count; r++) {
                if (rows[r].visible <= seen) continue;
                size_t slots = rows[r].visible - seen < run ? rows[r].visible - seen : run;
                for (size_t g = 0; g < group; g++) {
                    size_t offset = (kv_head * group + g) * head_width;
                    const float *bias = rows[r].bias;
                    if (bias) bias += (kv_head * group + g) * rows[r].bias_stride + seen;
                    if (head_width == 64) {
                        attend_run(rows[r].query + offset, wide_k, wide_v, slots, 64, scale, cap, bias,
                                   rows[r].out + offset, &largest[r * group + g], &total[r * group + g]);
                    } else {
                        attend_run(rows[r].query + offset, wide_k, wide_v, slots, head_width, scale, cap, bias,
                                   rows[r].out + offset, &largest[r * group + g], &total[r * group + g]);
                    }
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
    .layer_norm = layer_norm, .gelu_multiply = gelu_multiply, .soft_cap = soft_cap,
};
