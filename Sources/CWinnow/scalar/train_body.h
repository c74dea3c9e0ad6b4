// Kernels of training over vectors of 16 lanes, compiled once for each instruction set. Included by a file that
// defines WN_TABLE and the tile of its products: WN_TILE_ROWS rows by WN_TILE_VECTORS vectors.
#include "vectors.h"

#include "../train.h"

enum { TILE_COLUMNS = 16 * WN_TILE_VECTORS };

// A splat that is nothing but a broadcast: adding to zero would be an operation of its own.
WN_INLINE f32x16 broadcast(float value) {
    f32x16 v = {value};
    return __builtin_shufflevector(v, v, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

WN_INLINE f32x16 fma16(f32x16 a, f32x16 b, f32x16 c) { return __builtin_elementwise_fma(a, b, c); }
WN_INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }
WN_INLINE size_t most(size_t a, size_t b) { return a > b ? a : b; }

// Rounded to bfloat16, to the nearest and ties to even; NaN stays one.
WN_INLINE f32x16 rounded16(f32x16 x) {
    u32x16 bits = (u32x16)x;
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
    return keep_nan(x, (f32x16)bits);
}

// ---- Packing ---------------------------------------------------------------------------------------------------
// `lines` of at most 16 contiguous runs of `depth` floats, `stride` apart, become depth rows `width` apart. Writes 16
// floats a row: what is too many, the next row or the slack at the end takes.
WN_INLINE void pack_lines(
    const bool rounds, const float *from, size_t stride, size_t lines, size_t depth, float *out, size_t width) {
    f32x16 r[16];
    size_t k = 0;
    for (; k + 16 <= depth; k += 16) {
        if (lines == 16) {
#pragma unroll
            for (size_t i = 0; i < 16; i++) r[i] = load(from + i * stride + k);
        } else {
            for (size_t i = 0; i < 16; i++) r[i] = i < lines ? load(from + i * stride + k) : splat(0);
        }
        transpose16(r);
#pragma unroll
        for (size_t i = 0; i < 16; i++) store(out + (k + i) * width, rounds ? rounded16(r[i]) : r[i]);
    }
    if (k < depth) {
        for (size_t i = 0; i < 16; i++) r[i] = i < lines ? load_part(from + i * stride + k, depth - k, 0) : splat(0);
        transpose16(r);
        for (size_t i = 0; i < depth - k; i++) store(out + (k + i) * width, rounds ? rounded16(r[i]) : r[i]);
    }
}

// Panels of `width` lines: line l, depth k of the view stands at out[panel][k][l % width]; `rounds`: as a bfloat16.
WN_INLINE void pack(const bool rounds, const float *data, size_t line_stride, size_t depth_stride, size_t lines,
                    size_t depth, const size_t width, float *out) {
    for (size_t first = 0; first < lines; first += width, out += width * depth) {
        size_t count = least(width, lines - first);
        const float *from = data + first * line_stride;
        if (depth_stride == 1) {
            // From the last group of 16 to the first: each one's surplus is overwritten by the one that it belongs to.
            // One group of a narrow panel writes into the row below, which comes after it.
            if (width <= 16) {
                pack_lines(rounds, from, line_stride, count, depth, out, width);
            } else {
                for (size_t l = 0; l < width; l += 16) {
                    size_t some = count > l ? least(16, count - l) : 0;
                    pack_lines(rounds, from + (some ? l * line_stride : 0), line_stride, some, depth, out + l, width);
                }
            }
        } else if (line_stride == 1 && count == width) {
            for (size_t k = 0; k < depth; k++) memcpy(out + k * width, from + k * depth_stride, width * sizeof(float));
        } else {
            for (size_t k = 0; k < depth; k++) {
                for (size_t l = 0; l < width; l++) {
                    out[k * width + l] = l < count ? from[l * line_stride + k * depth_stride] : 0;
                }
            }
        }
        if (!rounds || depth_stride == 1) continue;
        for (size_t i = 0; i < width * depth; i += 16) {
            size_t n = least(16, width * depth - i);
            f32x16 some = rounded16(load_part(out + i, n, 0));
            memcpy(out + i, &some, n * sizeof(float));
        }
    }
}

static void pack_rows(wn_view a, size_t rows, size_t depth, void *out) {
    pack(false, a.data, a.row_stride, a.column_stride, rows, depth, WN_TILE_ROWS, out);
}

static void pack_columns(wn_view b, size_t columns, size_t depth, void *out) {
    pack(false, b.data, b.column_stride, b.row_stride, columns, depth, TILE_COLUMNS, out);
}

static void pack_rounded_rows(wn_view a, size_t rows, size_t depth, void *out) {
    pack(true, a.data, a.row_stride, a.column_stride, rows, depth, WN_TILE_ROWS, out);
}

static void pack_rounded_columns(wn_view b, size_t columns, size_t depth, void *out) {
    pack(true, b.data, b.column_stride, b.row_stride, columns, depth, TILE_COLUMNS, out);
}

// ---- Products --------------------------------------------------------------------------------------------------
WN_INLINE void tile(const float *restrict a, const float *restrict b, size_t depth, float *restrict out, size_t stride,
                    bool accumulate) {
    f32x16 sums[WN_TILE_ROWS][WN_TILE_VECTORS];
#pragma unroll
    for (int i = 0; i < WN_TILE_ROWS; i++) {
#pragma unroll
        for (int v = 0; v < WN_TILE_VECTORS; v++) sums[i][v] = (f32x16){0};
    }
    for (size_t k = 0; k < depth; k++, a += WN_TILE_ROWS, b += TILE_COLUMNS) {
        f32x16 column[WN_TILE_VECTORS];
#pragma unroll
        for (int v = 0; v < WN_TILE_VECTORS; v++) column[v] = load(b + 16 * v);
#pragma unroll
        for (int i = 0; i < WN_TILE_ROWS; i++) {
            f32x16 row = broadcast(a[i]);
#pragma unroll
            for (int v = 0; v < WN_TILE_VECTORS; v++) sums[i][v] = fma16(row, column[v], sums[i][v]);
        }
    }
#pragma unroll
    for (int i = 0; i < WN_TILE_ROWS; i++) {
#pragma unroll
        for (int v = 0; v < WN_TILE_VECTORS; v++) {
            float *to = out + (size_t)i * stride + 16 * v;
            store(to, accumulate ? load(to) + sums[i][v] : sums[i][v]);
        }
    }
}

static void multiply(const void *packed_rows, const void *packed_columns, size_t rows, size_t columns, size_t depth,
                     float *out, size_t out_stride, bool accumulate) {
    const float *a = packed_rows, *b = packed_columns;
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
        size_t wide = least(TILE_COLUMNS, columns - j);
        for (size_t i = 0; i < rows; i += WN_TILE_ROWS) {
            size_t high = least(WN_TILE_ROWS, rows - i);
            float *to = out + i * out_stride + j;
            if (wide == TILE_COLUMNS && high == WN_TILE_ROWS) {
                tile(a + i * depth, b + j * depth, depth, to, out_stride, accumulate);
                continue;
            }
            float part[WN_TILE_ROWS * TILE_COLUMNS];
            tile(a + i * depth, b + j * depth, depth, part, TILE_COLUMNS, false);
            for (size_t r = 0; r < high; r++) {
                for (size_t c = 0; c < wide; c++) {
                    float sum = part[r * TILE_COLUMNS + c];
                    to[r * out_stride + c] = accumulate ? to[r * out_stride + c] + sum : sum;
                }
            }
        }
    }
}

// ---- Norms -----------------------------------------------------------------------------------------------------
WN_INLINE size_t lanes(size_t c, size_t columns) { return least(16, columns - c); }

static void rms_norm_backward(const float *x, const float *weight, float epsilon, const float *d_y, float *d_x, bool add,
                              float *scale, size_t columns) {
    f32x16 squares = splat(0), products = splat(0);
    for (size_t c = 0; c < columns; c += 16) {
        size_t n = lanes(c, columns);
        f32x16 v = load_part(x + c, n, 0);
        squares = fma16(v, v, squares);
        products = fma16(load_part(d_y + c, n, 0) * load_part(weight + c, n, 0), v, products);
    }
    float s = 1 / sqrtf(sum16(squares) / (float)columns + epsilon);
    *scale = s;
    if (!d_x) return;
    float back = sum16(products) * s * s * s / (float)columns;
    for (size_t c = 0; c < columns; c++) {
        float d = d_y[c] * weight[c] * s - x[c] * back;
        d_x[c] = add ? d_x[c] + d : d;
    }
}

static void layer_norm_backward(const float *x, const float *weight, float epsilon, const float *d_y, float *d_x,
                                bool add, float *mean_and_scale, size_t columns) {
    f32x16 sum = splat(0);
    for (size_t c = 0; c < columns; c += 16) sum += load_part(x + c, lanes(c, columns), 0);
    float mean = sum16(sum) / (float)columns;
    f32x16 squares = splat(0), products = splat(0), totals = splat(0);
    for (size_t c = 0; c < columns; c += 16) {
        size_t n = lanes(c, columns);
        f32x16 v = load_part(x + c, n, mean) - mean, d = load_part(d_y + c, n, 0) * load_part(weight + c, n, 0);
        squares = fma16(v, v, squares);
        products = fma16(d, v, products);
        totals += d;
    }
    float s = 1 / sqrtf(sum16(squares) / (float)columns + epsilon);
    mean_and_scale[0] = mean;
    mean_and_scale[1] = s;
    if (!d_x) return;
    float back = sum16(products) * s * s * s / (float)columns, shift = sum16(totals) * s / (float)columns;
    for (size_t c = 0; c < columns; c++) {
        float d = d_y[c] * weight[c] * s - shift - (x[c] - mean) * back;
        d_x[c] = add ? d_x[c] + d : d;
    }
}

static void norm_weights(const float *x, const float *d_y, const float *scales, bool layer, float *d_weight,
                         float *d_bias, size_t tokens, size_t stride, size_t columns) {
    float weights[64] = {0}, biases[64] = {0};
    for (size_t t = 0; t < tokens; t++, x += stride, d_y += stride) {
        float mean = layer ? scales[2 * t] : 0, scale = layer ? scales[2 * t + 1] : scales[t];
        for (size_t c = 0; c < columns; c++) {
            weights[c] += d_y[c] * ((x[c] - mean) * scale);
            biases[c] += d_y[c];
        }
    }
    for (size_t c = 0; c < columns; c++) {
        if (d_weight) d_weight[c] += weights[c];
        if (d_bias) d_bias[c] += biases[c];
    }
}

// ---- Gates -----------------------------------------------------------------------------------------------------
WN_INLINE f32x16 sigmoid16(f32x16 x) { return 1.0f / (1.0f + exp16(-x)); }

WN_INLINE f32x16 activation(wn_gate kind, f32x16 g, f32x16 *slope) {
    if (kind == WN_GATE_RELU) {
        i32x16 on = g > 0.0f;
        *slope = (f32x16)(on & (i32x16)splat(1));
        // A NaN is not above 0, and must not vanish.
        return keep_nan(g, (f32x16)(on & (i32x16)g));
    }
    if (kind == WN_GATE_SILU) {
        f32x16 s = sigmoid16(g);
        *slope = s + g * s * (1.0f - s);
        return g * s;
    }
    if (kind == WN_GATE_EXACT_GELU) {
        f32x16 share;
        for (int l = 0; l < 16; l++) share[l] = 0.5f * (1 + erff(g[l] * 0.70710678f));
        *slope = share + g * 0.39894228f * exp16(-0.5f * g * g);
        return g * share;
    }
    f32x16 squared = g * g, inner = 1.595769122f * (g + 0.044715f * g * squared), s = sigmoid16(inner);
    *slope = s + g * s * (1.0f - s) * (1.595769122f * (1.0f + 0.134145f * squared));
    return g * s;
}

static void gate_forward(wn_gate kind, const float *gate, const float *up, float *out, size_t count) {
    for (size_t i = 0; i < count; i += 16) {
        size_t n = lanes(i, count);
        f32x16 slope, y = activation(kind, load_part(gate + i, n, 0), &slope);
        if (up) y *= load_part(up + i, n, 0);
        memcpy(out + i, &y, n * sizeof(float));
    }
}

static void gate_backward(wn_gate kind, const float *gate, const float *up, const float *d_out, float *d_gate,
                          float *d_up, size_t count) {
    for (size_t i = 0; i < count; i += 16) {
        size_t n = lanes(i, count);
        f32x16 slope, y = activation(kind, load_part(gate + i, n, 0), &slope), d = load_part(d_out + i, n, 0);
        f32x16 g = up ? d * load_part(up + i, n, 0) * slope : d * slope, u = d * y;
        memcpy(d_gate + i, &g, n * sizeof(float));
        if (d_up) memcpy(d_up + i, &u, n * sizeof(float));
    }
}

// ---- Rows ------------------------------------------------------------------------------------------------------
static void add_to(const float *x, float scale, float *into, size_t count) {
    for (size_t i = 0; i < count; i++) into[i] += scale * x[i];
}

static void sum_rows(const float *x, size_t tokens, size_t stride, size_t columns, float *into) {
    float sums[64] = {0};
    for (size_t t = 0; t < tokens; t++, x += stride) {
        for (size_t c = 0; c < columns; c++) sums[c] += x[c];
    }
    for (size_t c = 0; c < columns; c++) into[c] += sums[c];
}

// ---- Attention -------------------------------------------------------------------------------------------------
enum { BLOCK = WN_ATTENTION_BLOCK };

// The first position that a query at `position` may see.
WN_INLINE size_t first_seen(const wn_attention_shape *shape, size_t sequence, size_t position) {
    size_t first = shape->window && position + 1 > shape->window ? position + 1 - shape->window : 0;
    if (!shape->starts) return first;
    size_t start = (size_t)shape->starts[sequence * shape->length + position];
    return start > first ? start : first;
}

// The last one.
WN_INLINE size_t last_seen(const wn_attention_shape *shape, size_t sequence, size_t position) {
    return shape->ends ? (size_t)shape->ends[sequence * shape->length + position] - 1 : position;
}

// Scores of a block [BLOCK, BLOCK], queries from `query`, keys from `key`: scaled, capped, -infinity where unseen.
WN_INLINE void mask_scores(const wn_attention_shape *shape, size_t sequence, float *scores, size_t query, size_t queries,
                           size_t key, size_t keys) {
    for (size_t i = 0; i < queries; i++) {
        float *row = scores + i * BLOCK;
        size_t first = first_seen(shape, sequence, query + i), last = last_seen(shape, sequence, query + i);
        for (size_t j = 0; j < BLOCK; j += 16) {
            f32x16 s = load(row + j) * shape->scale;
            if (shape->cap > 0) s = keep_nan(s, shape->cap * tanh16(s / shape->cap));
            store(row + j, s);
        }
        if (first > key || last < key + BLOCK - 1 || keys < BLOCK) {
            for (size_t j = 0; j < BLOCK; j++) {
                if (key + j < first || key + j > last || j >= keys) row[j] = -INFINITY;
            }
        }
    }
}

static void attention_forward(const wn_attention_shape *shape, size_t sequence, size_t kv_head, const float *q,
                              const float *k, const float *v, float *out, float *log_sums, float *scratch) {
    size_t width = shape->head_width, group = shape->heads / shape->kv_heads, length = shape->length;
    size_t q_stride = shape->heads * width, k_stride = shape->kv_heads * width, panel = (BLOCK + 32) * (width + 64) + WN_GEMM_SLACK;
    float *queries = scratch, *keys = queries + panel, *values = keys + panel, *weights = values + panel;
    float *scores = weights + (BLOCK + 32) * BLOCK + WN_GEMM_SLACK;
    for (size_t g = 0; g < group; g++) {
        size_t head = kv_head * group + g;
        for (size_t query = 0; query < length; query += BLOCK) {
            size_t count = least(BLOCK, length - query), row = sequence * length + query;
            float *to = out + row * q_stride + head * width;
            float largest[BLOCK], total[BLOCK];
            for (size_t i = 0; i < count; i++) {
                largest[i] = -INFINITY;
                total[i] = 0;
                memset(to + i * q_stride, 0, width * sizeof(float));
            }
            pack_rows((wn_view){q + row * q_stride + head * width, q_stride, 1}, count, width, queries);
            size_t seen = length, last = 0;
            for (size_t i = 0; i < count; i++) {
                seen = least(seen, first_seen(shape, sequence, query + i) / BLOCK * BLOCK);
                last = most(last, last_seen(shape, sequence, query + i));
            }
            for (size_t key = seen; key <= last; key += BLOCK) {
                size_t some = least(BLOCK, length - key), at = (sequence * length + key) * k_stride + kv_head * width;
                pack_columns((wn_view){k + at, 1, k_stride}, some, width, keys);
                multiply(queries, keys, count, some, width, scores, BLOCK, false);
                mask_scores(shape, sequence, scores, query, count, key, some);
                for (size_t i = 0; i < count; i++) {
                    float *s = scores + i * BLOCK;
                    f32x16 peak = load(s);
                    for (size_t j = 16; j < BLOCK; j += 16) peak = __builtin_elementwise_max(peak, load(s + j));
                    float old = largest[i], new = fmaxf(old, max16(peak));
                    // Nothing of this block is seen, and nothing was before.
                    float from = new == -INFINITY ? 0 : new;
                    f32x16 sum = splat(0);
                    for (size_t j = 0; j < BLOCK; j += 16) {
                        f32x16 x = load(s + j) - from, p = keep_nan(x, exp16(x));
                        store(s + j, p);
                        sum += p;
                    }
                    float keep = old == -INFINITY ? 0 : exp1(old - new);
                    largest[i] = new;
                    total[i] = total[i] * keep + sum16(sum);
                    if (keep != 1) {
                        for (size_t c = 0; c < width; c++) to[i * q_stride + c] *= keep;
                    }
                }
                pack_rows((wn_view){scores, BLOCK, 1}, count, some, weights);
                pack_columns((wn_view){v + at, k_stride, 1}, width, some, values);
                multiply(weights, values, count, width, some, to, q_stride, true);
            }
            for (size_t i = 0; i < count; i++) {
                float inverse = 1 / total[i];
                for (size_t c = 0; c < width; c++) to[i * q_stride + c] *= inverse;
                log_sums[(row + i) * shape->heads + head] = largest[i] + logf(total[i]);
            }
        }
    }
}

static void attention_backward(const wn_attention_shape *shape, size_t sequence, size_t kv_head, const float *q,
                               const float *k, const float *v, const float *out, const float *log_sums,
                               const float *d_out, float *d_q, float *d_k, float *d_v, float *scratch) {
    size_t width = shape->head_width, group = shape->heads / shape->kv_heads, length = shape->length;
    size_t q_stride = shape->heads * width, k_stride = shape->kv_heads * width, panel = (BLOCK + 32) * (width + 64) + WN_GEMM_SLACK;
    size_t square = (BLOCK + 32) * BLOCK + WN_GEMM_SLACK;
    float *lines = scratch, *keys = lines + panel, *values = keys + panel, *key_lines = values + panel;
    float *columns = key_lines + panel, *weights = columns + panel, *scores = weights + square, *slopes = scores + square;
    for (size_t t = 0; t < length; t++) {
        size_t row = sequence * length + t;
        memset(d_k + row * k_stride + kv_head * width, 0, width * sizeof(float));
        memset(d_v + row * k_stride + kv_head * width, 0, width * sizeof(float));
        memset(d_q + row * q_stride + kv_head * group * width, 0, group * width * sizeof(float));
    }
    for (size_t g = 0; g < group; g++) {
        size_t head = kv_head * group + g;
        for (size_t key = 0; key < length; key += BLOCK) {
            size_t some = least(BLOCK, length - key), at = (sequence * length + key) * k_stride + kv_head * width;
            pack_columns((wn_view){k + at, 1, k_stride}, some, width, keys);
            pack_columns((wn_view){v + at, 1, k_stride}, some, width, values);
            pack_columns((wn_view){k + at, k_stride, 1}, width, some, key_lines);
            for (size_t query = shape->ends ? 0 : key; query < length; query += BLOCK) {
                size_t count = least(BLOCK, length - query), row = sequence * length + query;
                size_t seen = length, last = 0;
                for (size_t i = 0; i < count; i++) {
                    seen = least(seen, first_seen(shape, sequence, query + i));
                    last = most(last, last_seen(shape, sequence, query + i));
                }
                if (seen >= key + some || last < key) continue;
                size_t own = row * q_stride + head * width;
                pack_rows((wn_view){q + own, q_stride, 1}, count, width, lines);
                multiply(lines, keys, count, some, width, scores, BLOCK, false);
                pack_rows((wn_view){d_out + own, q_stride, 1}, count, width, lines);
                multiply(lines, values, count, some, width, slopes, BLOCK, false);
                mask_scores(shape, sequence, scores, query, count, key, some);
                for (size_t i = 0; i < count; i++) {
                    // What the softmax takes off: the product of output and its gradient.
                    f32x16 sum = splat(0);
                    const float *o = out + own + i * q_stride, *d = d_out + own + i * q_stride;
                    for (size_t c = 0; c < width; c += 16) {
                        size_t n = lanes(c, width);
                        sum = fma16(load_part(o + c, n, 0), load_part(d + c, n, 0), sum);
                    }
                    float mean = sum16(sum), log_sum = log_sums[(row + i) * shape->heads + head];
                    for (size_t j = 0; j < BLOCK; j += 16) {
                        f32x16 s = load(scores + i * BLOCK + j), x = s - log_sum, p = keep_nan(x, exp16(x));
                        f32x16 slope = p * (load(slopes + i * BLOCK + j) - mean) * shape->scale;
                        if (shape->cap > 0) {
                            f32x16 share = s / shape->cap;
                            // Unseen scores are infinite, and their p is 0.
                            i32x16 off = s == -INFINITY;
                            slope *= 1.0f - share * share;
                            slope = (f32x16)((i32x16)slope & ~off);
                        }
                        // Columns past the block's keys hold whatever stood there.
                        i32x16 none = p == 0.0f;
                        slope = (f32x16)((i32x16)slope & ~none);
                        store(scores + i * BLOCK + j, p);
                        store(slopes + i * BLOCK + j, slope);
                    }
                }
                pack_rows((wn_view){scores, 1, BLOCK}, some, count, weights);
                pack_columns((wn_view){d_out + own, q_stride, 1}, width, count, columns);
                multiply(weights, columns, some, width, count, d_v + at, k_stride, true);
                pack_rows((wn_view){slopes, 1, BLOCK}, some, count, weights);
                pack_columns((wn_view){q + own, q_stride, 1}, width, count, columns);
                multiply(weights, columns, some, width, count, d_k + at, k_stride, true);
                pack_rows((wn_view){slopes, BLOCK, 1}, count, some, weights);
                multiply(weights, key_lines, count, width, some, d_q + own, q_stride, true);
            }
        }
    }
}

// ---- Losses ----------------------------------------------------------------------------------------------------
WN_INLINE float row_peak(const float *x, size_t count) {
    f32x16 peak = splat(-INFINITY);
    for (size_t i = 0; i < count; i += 16) {
        peak = __builtin_elementwise_max(peak, load_part(x + i, lanes(i, count), -INFINITY));
    }
    return max16(peak);
}

// log sum exp(scale * x), NaN where a value is.
WN_INLINE double row_log_sum(const float *x, float scale, size_t count) {
    float peak = row_peak(x, count);
    double total = 0;
    for (size_t first = 0; first < count; first += 2048) {
        f32x16 sum = splat(0);
        size_t end = least(first + 2048, count);
        for (size_t i = first; i < end; i += 16) {
            f32x16 v = (load_part(x + i, lanes(i, end), -INFINITY) - peak) * scale;
            sum += keep_nan(v, exp16(v));
        }
        total += (double)sum16(sum);
    }
    return (double)peak * (double)scale + log(total);
}

// x = cap * tanh(x / cap); 0: x stays.
static void cap_row(float *row, float cap, size_t count) {
    for (size_t i = 0; cap > 0 && i < count; i += 16) {
        size_t n = lanes(i, count);
        f32x16 v = load_part(row + i, n, 0), y = keep_nan(v, cap * tanh16(v / cap));
        memcpy(row + i, &y, n * sizeof(float));
    }
}

static void cross_entropy(float *logits, int32_t target, float weight, float cap, double *loss, bool gradient,
                          size_t vocabulary) {
    *loss = 0;
    if (target < 0) {
        if (gradient) memset(logits, 0, vocabulary * sizeof(float));
        return;
    }
    cap_row(logits, cap, vocabulary);
    double log_sum = row_log_sum(logits, 1, vocabulary);
    *loss = log_sum - (double)logits[target];
    if (!gradient) return;
    float at = logits[target];
    for (size_t i = 0; i < vocabulary; i += 16) {
        size_t n = lanes(i, vocabulary);
        f32x16 y = load_part(logits + i, n, 0), p = weight * exp16(y - (float)log_sum);
        if (cap > 0) p *= 1.0f - (y / cap) * (y / cap);
        memcpy(logits + i, &p, n * sizeof(float));
    }
    logits[target] -= cap > 0 ? weight * (1 - (at / cap) * (at / cap)) : weight;
}

static void kl_divergence(float *student, float *teacher, float weight, float temperature, float cap,
                          float teacher_cap, double *loss, bool gradient, size_t vocabulary) {
    *loss = 0;
    if (weight == 0) {
        if (gradient) memset(student, 0, vocabulary * sizeof(float));
        return;
    }
    cap_row(student, cap, vocabulary);
    cap_row(teacher, teacher_cap, vocabulary);
    float scale = 1 / temperature;
    double student_sum = row_log_sum(student, scale, vocabulary), teacher_sum = row_log_sum(teacher, scale, vocabulary);
    double total = 0;
    for (size_t i = 0; i < vocabulary; i += 16) {
        size_t n = lanes(i, vocabulary);
        f32x16 y = load_part(student + i, n, -INFINITY), s = y * scale - (float)student_sum;
        f32x16 t = load_part(teacher + i, n, -INFINITY) * scale - (float)teacher_sum;
        f32x16 p = exp16(t), q = exp16(s), difference = n == 16 ? t - s : splat(0);
        for (size_t l = 0; n < 16 && l < n; l++) difference[l] = t[l] - s[l];
        total += (double)sum16(p * difference);
        if (!gradient) continue;
        f32x16 d = weight * temperature * (q - p);
        if (cap > 0) d *= 1.0f - (y / cap) * (y / cap);
        memcpy(student + i, &d, n * sizeof(float));
    }
    *loss = total * (double)temperature * (double)temperature;
}

const wn_train_table WN_TABLE = {
    .f32 = {sizeof(float), WN_GEMM_DEPTH, 1, pack_rows, pack_columns, multiply},
    .bf16 = {sizeof(float), WN_GEMM_DEPTH, 1, pack_rounded_rows, pack_rounded_columns, multiply},
    .rms_norm_backward = rms_norm_backward, .layer_norm_backward = layer_norm_backward,
    .norm_weights = norm_weights, .gate_forward = gate_forward, .gate_backward = gate_backward, .add_to = add_to,
    .sum_rows = sum_rows, .attention_forward = attention_forward, .attention_backward = attention_backward,
    .cross_entropy = cross_entropy, .kl_divergence = kl_divergence,
};
