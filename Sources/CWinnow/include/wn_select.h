#ifndef WN_SELECT_H
#define WN_SELECT_H
#include "wn_pool.h"

// ---- Calibration statistics, float64 -----------------------------------------------------------------------
// sums[c] += sum over tokens of x[t, c]^2, tokens in order; columns split over the pool.
void wn_add_squares(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, double *sums);

// peaks[c] = max of itself and |x[t, c]| over tokens; NaN where one of them is NaN.
void wn_add_peaks(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, float *peaks);

// ---- Selection ---------------------------------------------------------------------------------------------
// The only place where top-k happens. Scores must be finite and >= 0 or any order of floats without NaN.
// Sets bit c of `mask` (little-endian in bytes) for the `keep` largest of scores[0..<count]; among equal scores
// the lowest index is pruned first. Linear time (radix histogram on ordered bits). `mask` bytes cover count bits
// and are written whole. False when a score is NaN (mask untouched).
bool wn_select_top(const float *scores, size_t count, size_t keep, uint8_t *mask);
// Keeps `keep` of each `of` consecutive scores; a last short group of L keeps ceil(L * keep / of).
bool wn_select_n_of_m(const float *scores, size_t count, size_t keep, size_t of, uint8_t *mask);

// ---- Selection over more scores than are in memory at once ---------------------------------------------------
// Scores come in pieces; their order-preserving bits are counted digit by digit until the threshold is known.
// For each score whose bits under `prefix_mask` are `prefix`: counts bits >> shift & (2^width - 1) in `histogram`.
// False when a score is NaN.
bool wn_count_scores(const float *scores, size_t count, uint32_t prefix, uint32_t prefix_mask, unsigned shift,
                     unsigned width, uint64_t *histogram);
// Sets the bits of the scores whose ordered bits are above `threshold`; of those equal to it the first
// `ties_pruned` are pruned, the others kept. Returns how many were equal. `mask` bytes are written whole.
size_t wn_select_above(const float *scores, size_t count, uint32_t threshold, size_t ties_pruned, uint8_t *mask);

// values[c] = |values[c]| * norms[c], or |values[c]| without norms. False when a result is NaN or infinite.
bool wn_saliency(float *values, const float *norms, size_t count);
size_t wn_popcount(const uint8_t *bytes, size_t count);
#endif
