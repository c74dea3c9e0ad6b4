#ifndef WN_SELECT_H
#define WN_SELECT_H
#include "wn_pool.h"

// ---- Calibration statistics, float64 -----------------------------------------------------------------------
// sums[c] += sum over tokens of x[t, c]^2, tokens in order; columns split over the pool.
void wn_add_squares(wn_pool *pool, const float *x, size_t stride, size_t tokens, size_t columns, double *sums);

// ---- Selection ---------------------------------------------------------------------------------------------
// The only place where top-k happens. Scores must be finite and >= 0 or any order of floats without NaN.
// Sets bit c of `mask` (little-endian in bytes) for the `keep` largest of scores[0..<count]; among equal scores
// the lowest index is pruned first. Linear time (radix histogram on ordered bits). `mask` bytes cover count bits
// and are written whole. False when a score is NaN (mask untouched).
bool wn_select_top(const float *scores, size_t count, size_t keep, uint8_t *mask);
// Keeps `keep` of each `of` consecutive scores; a last short group of L keeps ceil(L * keep / of).
bool wn_select_n_of_m(const float *scores, size_t count, size_t keep, size_t of, uint8_t *mask);
size_t wn_popcount(const uint8_t *bytes, size_t count);
#endif
