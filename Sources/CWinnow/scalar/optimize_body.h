// Optimizer passes over vectors of 16 lanes, compiled once for each instruction set. Nothing is contracted to fused
// multiply-adds: an element has the same bits in all of them. Included by a file that defines WN_TABLE.
#include <math.h>
#pragma clang diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions only
#pragma STDC FP_CONTRACT OFF
#include <string.h>

#include "../optimize.h"

typedef float f32x16 __attribute__((vector_size(64), aligned(4)));
typedef int32_t i32x16 __attribute__((vector_size(64), aligned(4)));
typedef double f64x16 __attribute__((vector_size(128), aligned(8)));
#define WN_INLINE static inline __attribute__((always_inline))

WN_INLINE f32x16 splat(float value) { return (f32x16){0} + value; }

WN_INLINE f32x16 load(const float *from, size_t part) {
    if (part == 16) return *(const f32x16 *)from;
    f32x16 v = {0};
    memcpy(&v, from, part * sizeof(float));
    return v;
}

WN_INLINE void store(float *to, f32x16 v, size_t part) {
    if (part == 16) {
        *(f32x16 *)to = v;
    } else {
        memcpy(to, &v, part * sizeof(float));
    }
}

// All ones in the lanes of kept weights.
WN_INLINE i32x16 kept(const uint8_t *bits, size_t i) {
    uint16_t word = 0xFFFF;
    if (bits) memcpy(&word, bits + i / 8, sizeof word);
    const i32x16 lanes = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    return (((i32x16){0} + (int32_t)word) & lanes) != 0;
}

WN_INLINE f32x16 pick(i32x16 mask, f32x16 v) { return (f32x16)((i32x16)v & mask); }
WN_INLINE f32x16 choose(i32x16 mask, f32x16 a, f32x16 b) { return (f32x16)(((i32x16)a & mask) | ((i32x16)b & ~mask)); }
WN_INLINE f32x16 magnitude(f32x16 v) { return (f32x16)((i32x16)v & 0x7FFFFFFF); }
WN_INLINE f32x16 sign(f32x16 v) {
    return pick(v > splat(0), splat(1)) - pick(v < splat(0), splat(1));
}

#define WN_RUNS(i, part) \
    for (size_t i = 0, part = count < 16 ? count : 16; i < count; i += 16, part = count - i < 16 ? count - i : 16)

// The two halves of Adam; the fused pass is both, in registers.
WN_INLINE f32x16 adam_first(f32x16 first, f32x16 gradient, const wn_adam *c) {
    f32x16 g = gradient * c->scale;
    return first * c->beta1 + g * c->rest1;
}

WN_INLINE f32x16 adam_second(f32x16 second, f32x16 term, const wn_adam *c) {
    return second * c->beta2 + term * term * c->rest2;
}

WN_INLINE f32x16 adam_value(f32x16 value, f32x16 term, f32x16 second, const wn_adam *c) {
    f32x16 under = __builtin_elementwise_sqrt(second) * c->root + c->epsilon;
    return value * c->keep - term / under * c->step;
}

WN_INLINE void adam_run(float *values, const float *gradients, float *first, float *second, const uint8_t *bits,
                        size_t i, size_t part, const wn_adam *c) {
    i32x16 k = kept(bits, i);
    f32x16 g = load(gradients + i, part);
    f32x16 m = pick(k, adam_first(load(first + i, part), g, c));
    f32x16 v = pick(k, adam_second(load(second + i, part), g * c->scale, c));
    f32x16 x = pick(k, adam_value(load(values + i, part), m, v, c));
    store(first + i, m, part);
    store(second + i, v, part);
    store(values + i, x, part);
}

static void adam_pass(float *values, const float *gradients, float *first, float *second, const uint8_t *bits,
                      size_t count, const wn_adam *constants) {
    const wn_adam own = *constants, *c = &own;
    size_t whole = count / 16 * 16;
    if (bits) {
        for (size_t i = 0; i < whole; i += 16) adam_run(values, gradients, first, second, bits, i, 16, c);
    } else {
        for (size_t i = 0; i < whole; i += 16) adam_run(values, gradients, first, second, NULL, i, 16, c);
    }
    if (whole < count) adam_run(values, gradients, first, second, bits, whole, count - whole, c);
}

static void adam_moment(const float *gradients, float *first, float *term, const uint8_t *bits, size_t count,
                        const wn_adam *constants) {
    const wn_adam own = *constants, *c = &own;
    WN_RUNS(i, part) {
        f32x16 m = pick(kept(bits, i), adam_first(load(first + i, part), load(gradients + i, part), c));
        store(first + i, m, part);
        store(term + i, m, part);
    }
}

static void adam_finish(float *values, const float *term, float *second, const uint8_t *bits, size_t count,
                        const wn_adam *constants) {
    const wn_adam own = *constants, *c = &own;
    WN_RUNS(i, part) {
        i32x16 k = kept(bits, i);
        f32x16 t = load(term + i, part);
        f32x16 v = pick(k, adam_second(load(second + i, part), t, c));
        f32x16 x = pick(k, adam_value(load(values + i, part), t, v, c));
        store(second + i, v, part);
        store(values + i, x, part);
    }
}

static void adam_aged_pass(float *values, const float *gradients, float *first, float *second, const int32_t *ages,
                           const float *steps, const float *roots, size_t count, const wn_adam *constants) {
    const wn_adam own = *constants, *c = &own;
    WN_RUNS(i, part) {
        f32x16 step = {0}, root = {0};
        for (size_t k = 0; k < part; k++) {
            step[k] = steps[ages[i + k]];
            root[k] = roots[ages[i + k]];
        }
        f32x16 g = load(gradients + i, part), m = adam_first(load(first + i, part), g, c);
        f32x16 v = adam_second(load(second + i, part), g * c->scale, c);
        f32x16 under = __builtin_elementwise_sqrt(v) * root + c->epsilon;
        store(values + i, load(values + i, part) * c->keep - m / under * step, part);
        store(first + i, m, part);
        store(second + i, v, part);
    }
}

static void sgd_pass(float *values, const float *gradients, float *velocity, const uint8_t *bits, size_t count,
                     const wn_sgd *constants) {
    const wn_sgd own = *constants, *c = &own;
    WN_RUNS(i, part) {
        i32x16 k = kept(bits, i);
        f32x16 x = load(values + i, part), g = load(gradients + i, part) * c->scale + x * c->decay, step = g;
        if (velocity) {
            f32x16 u = pick(k, load(velocity + i, part) * c->momentum + g * c->rest);
            store(velocity + i, u, part);
            step = c->nesterov ? g + u * c->momentum : u;
        }
        store(values + i, pick(k, x - step * c->rate), part);
    }
}

static void lion_pass(float *values, const float *gradients, float *first, const uint8_t *bits, size_t count,
                      const wn_lion *constants) {
    const wn_lion own = *constants, *c = &own;
    WN_RUNS(i, part) {
        i32x16 k = kept(bits, i);
        f32x16 g = load(gradients + i, part) * c->scale, m = load(first + i, part);
        f32x16 x = load(values + i, part) * c->keep - sign(m * c->beta1 + g * c->rest1) * c->rate;
        store(first + i, pick(k, m * c->beta2 + g * c->rest2), part);
        store(values + i, pick(k, x), part);
    }
}

static float sm3_pass(float *values, const float *gradients, float *momentum_state, float row, const float *columns,
                      float *columns_max, const uint8_t *bits, size_t count, const wn_sm3 *constants) {
    const wn_sm3 own = *constants, *c = &own;
    f32x16 largest = {0};
    WN_RUNS(i, part) {
        i32x16 k = kept(bits, i);
        f32x16 g = pick(k, load(gradients + i, part) * c->scale), column = load(columns + i, part);
        f32x16 nu = pick(k, choose(column < splat(row), column, splat(row)) + g * g);
        f32x16 update = pick(nu > splat(0), g / __builtin_elementwise_sqrt(nu + c->epsilon));
        if (momentum_state) {
            update = pick(k, load(momentum_state + i, part) * c->momentum + update * c->rest);
            store(momentum_state + i, update, part);
        }
        store(values + i, pick(k, load(values + i, part) * c->keep - update * c->rate), part);
        f32x16 peak = load(columns_max + i, part);
        store(columns_max + i, choose(nu > peak, nu, peak), part);
        // A NaN stays: it must be seen, not lost to a comparison.
        largest = choose((nu > largest) | (nu != nu), nu, largest);
    }
    float most = 0;
    for (int lane = 0; lane < 16; lane++) most = largest[lane] > most || largest[lane] != largest[lane] ? largest[lane] : most;
    return most;
}

WN_INLINE double in_order(f64x16 sums) {
    double sum = 0;
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    return sum;
}

static double sum_squares(const float *x, const uint8_t *bits, size_t count) {
    f64x16 sums = {0};
    WN_RUNS(i, part) {
        f64x16 wide = __builtin_convertvector(pick(kept(bits, i), load(x + i, part)), f64x16);
        sums += wide * wide;
    }
    return in_order(sums);
}

static double factored_squares(const float *gradients, const float *columns, float row, const uint8_t *bits,
                               float scale, size_t count) {
    f64x16 sums = {0};
    WN_RUNS(i, part) {
        f32x16 u = pick(kept(bits, i), load(gradients + i, part) * scale * row * load(columns + i, part));
        f64x16 wide = __builtin_convertvector(u, f64x16);
        sums += wide * wide;
    }
    return in_order(sums);
}

static void factored_pass(float *values, const float *gradients, const float *columns, float row, const uint8_t *bits,
                          float scale, float keep_share, float rate, size_t count) {
    WN_RUNS(i, part) {
        f32x16 u = load(gradients + i, part) * scale * row * load(columns + i, part);
        store(values + i, pick(kept(bits, i), load(values + i, part) * keep_share - u * rate), part);
    }
}

static void add_pruned_decay(float *term, const float *values, const uint8_t *bits, float strength, size_t count) {
    WN_RUNS(i, part) {
        f32x16 t = load(term + i, part);
        store(term + i, choose(kept(bits, i), t, t + load(values + i, part) * strength), part);
    }
}

static void blend_pruned_pull(float *term, const float *values, const uint8_t *bits, float blend, float strength,
                              size_t count) {
    float rest = 1 - blend, pull = blend * strength;
    WN_RUNS(i, part) {
        f32x16 t = load(term + i, part);
        store(term + i, choose(kept(bits, i), t, t * rest + sign(load(values + i, part)) * pull), part);
    }
}

static void soft_threshold(float *values, float threshold, size_t count) {
    WN_RUNS(i, part) {
        f32x16 x = load(values + i, part), rest = magnitude(x) - threshold;
        f32x16 signed_rest = (f32x16)((i32x16)rest | ((i32x16)x & (int32_t)0x80000000));
        store(values + i, pick((rest > splat(0)) | (x != x), signed_rest), part);
    }
}

static void keep(float *values, const uint8_t *bits, size_t count) {
    WN_RUNS(i, part) { store(values + i, pick(kept(bits, i), load(values + i, part)), part); }
}

#if !defined(WN_OWN_EXPANSION)
WN_INLINE size_t count_kept(const uint8_t *bits, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i += 8) {
        uint32_t byte = bits[i / 8];
        if (count - i < 8) byte &= (1u << (count - i)) - 1;
        kept += (size_t)__builtin_popcount(byte);
    }
    return kept;
}

// Without branches on the mask, which would be guessed wrong half of the time.
static size_t expand_kept(const float *packed, const uint8_t *bits, float *out, size_t count) {
    size_t total = count_kept(bits, count), taken = 0;
    if (total == 0) {
        memset(out, 0, count * sizeof(float));
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t bit = bits[i / 8] >> i % 8 & 1, value;
        memcpy(&value, packed + (taken < total ? taken : total - 1), sizeof value);
        value &= 0 - bit;
        memcpy(out + i, &value, sizeof value);
        taken += bit;
    }
    return total;
}

static size_t pack_kept(const float *values, const uint8_t *bits, float *packed, size_t count) {
    size_t total = count_kept(bits, count), taken = 0;
    for (size_t i = 0; taken < total; i++) {
        packed[taken] = values[i];
        taken += bits[i / 8] >> i % 8 & 1;
    }
    return total;
}
#endif

const wn_optimize_table WN_TABLE = {
    .adam_pass = adam_pass, .adam_moment = adam_moment, .adam_finish = adam_finish, .sgd_pass = sgd_pass,
    .lion_pass = lion_pass, .sm3_pass = sm3_pass, .factored_squares = factored_squares,
    .factored_pass = factored_pass, .add_pruned_decay = add_pruned_decay, .blend_pruned_pull = blend_pruned_pull,
    .soft_threshold = soft_threshold, .keep = keep, .expand_kept = expand_kept, .pack_kept = pack_kept,
    .sum_squares = sum_squares, .adam_aged_pass = adam_aged_pass,
};
