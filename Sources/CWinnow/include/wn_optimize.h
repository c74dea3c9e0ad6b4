#ifndef WN_OPTIMIZE_H
#define WN_OPTIMIZE_H
#include "wn_pool.h"

// ---- Optimizer passes over runs of weights, float32 -----------------------------------------------------------
// Every function works on `count` consecutive weights of one row. `bits`: the mask of these weights, bit i of byte
// i / 8 set when weight i is kept, readable up to whole 64-bit words; NULL keeps all. Where a weight is pruned, its
// value and state become +0, whatever its gradient is. Each element's arithmetic is the same in every instruction set
// (no fused multiply-add), so a run of training has the same bits on all of them.

// first = beta1 first + rest1 g; second = beta2 second + rest2 g^2; g = scale gradient;
// value = keep value - step first / (sqrt(second) root + epsilon).
// step = rate / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t), keep = 1 - rate * decay.
typedef struct wn_adam { float scale, beta1, rest1, beta2, rest2, root, epsilon, step, keep; } wn_adam;
void wn_adam_pass(float *values, const float *gradients, float *first, float *second, const uint8_t *bits,
                  size_t count, const wn_adam *c);
// The same in two halves, with room for terms between them: `term` is what enters second and the step.
void wn_adam_moment(const float *gradients, float *first, float *term, const uint8_t *bits, size_t count,
                    const wn_adam *c);
void wn_adam_finish(float *values, const float *term, float *second, const uint8_t *bits, size_t count,
                    const wn_adam *c);

// g = scale gradient + decay value; velocity = momentum velocity + rest g (starts: g);
// value -= rate * (nesterov ? g + momentum velocity : velocity). A NULL velocity is no momentum.
typedef struct wn_sgd { float scale, decay, momentum, rest, rate; bool nesterov; } wn_sgd;
void wn_sgd_pass(float *values, const float *gradients, float *velocity, const uint8_t *bits, size_t count,
                 const wn_sgd *c);

// value = keep value - rate sign(beta1 first + rest1 g); first = beta2 first + rest2 g. sign(0) and sign(NaN) are 0.
typedef struct wn_lion { float scale, beta1, rest1, beta2, rest2, rate, keep; } wn_lion;
void wn_lion_pass(float *values, const float *gradients, float *first, const uint8_t *bits, size_t count,
                  const wn_lion *c);

// nu = min(row, columns[i]) + g^2; update = g / sqrt(nu + epsilon), 0 where nu is 0;
// momentum_state = momentum momentum_state + rest update, unless it is NULL; value = keep value - rate update.
// columns_max[i] = max(columns_max[i], nu), which may be `columns` itself; returns the largest nu.
typedef struct wn_sm3 { float scale, momentum, rest, epsilon, rate, keep; } wn_sm3;
float wn_sm3_pass(float *values, const float *gradients, float *momentum_state, float row, const float *columns,
                  float *columns_max, const uint8_t *bits, size_t count, const wn_sm3 *c);

// update = scale gradient row columns[i]: the sum of its squares, in the order of wn_sum_squares.
double wn_factored_squares(const float *gradients, const float *columns, float row, const uint8_t *bits, float scale,
                           size_t count);
// value = keep value - rate update
void wn_factored_pass(float *values, const float *gradients, const float *columns, float row, const uint8_t *bits,
                      float scale, float keep, float rate, size_t count);

// term += strength value where pruned
void wn_add_pruned_decay(float *term, const float *values, const uint8_t *bits, float strength, size_t count);
// term = (1 - blend) term + blend strength sign(value) where pruned
void wn_blend_pruned_pull(float *term, const float *values, const uint8_t *bits, float blend, float strength,
                          size_t count);
// value = sign(value) max(|value| - threshold, 0), never -0
void wn_soft_threshold(float *values, float threshold, size_t count);
// Pruned values become +0.
void wn_keep(float *values, const uint8_t *bits, size_t count);

// Kept values from one after the other to their places, +0 elsewhere; and back. Return how many are kept.
size_t wn_expand_kept(const float *packed, const uint8_t *bits, float *out, size_t count);
size_t wn_pack_kept(const float *values, const uint8_t *bits, float *packed, size_t count);

// Of x^2 over kept elements, in float64: 16 sums, element i in sum i % 16, added at the end in order.
double wn_sum_squares(const float *x, const uint8_t *bits, size_t count);

// Adam with an age of its own for each element: its step and root are steps[age] and roots[age].
void wn_adam_aged_pass(float *values, const float *gradients, float *first, float *second, const int32_t *ages,
                       const float *steps, const float *roots, size_t count, const wn_adam *c);
#endif
