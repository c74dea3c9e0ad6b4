// Inputs of products and the gate, with AVX2.
#ifndef WN_INPUTS_AVX2_H
#define WN_INPUTS_AVX2_H
#include <math.h>

#include "unpack_avx2.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt"))), apply_to = function)

// ---- Elementwise ---------------------------------------------------------------------------------------------
// exp by Cody and Waite's reduction and a polynomial of degree 7: within 2 ulp; flushes below -87.
WN_INLINE __m256 exp8(__m256 x) {
    x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(88.02f)), _mm256_set1_ps(-87.0f));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 f = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    f = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), f);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(p, f), f, _mm256_add_ps(f, _mm256_set1_ps(1)));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    const __m256 one = _mm256_set1_ps(1), sign = _mm256_set1_ps(-0.0f);
    for (size_t i = 0; i < count; i += 8) {
        __m256 g = load_part(gate + i, count - i), u = load_part(up + i, count - i);
        __m256 s = _mm256_div_ps(g, _mm256_add_ps(one, exp8(_mm256_xor_ps(g, sign))));
        // exp8 stops at -87: a gate that is not finite must stay what it is.
        s = _mm256_blendv_ps(s, g, _mm256_cmp_ps(g, g, _CMP_UNORD_Q));
        if (count - i >= 8) {
            _mm256_storeu_ps(out + i, _mm256_mul_ps(s, u));
        } else {
            _mm256_maskstore_ps(out + i, first_lanes(count - i), _mm256_mul_ps(s, u));
        }
    }
}

// ---- Inputs --------------------------------------------------------------------------------------------------
WN_INLINE float norm_scale(const float *x, size_t columns, float epsilon) {
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (size_t c = 0; c < columns; c += 16) {
        __m256 a = load_part(x + c, columns - c);
        __m256 b = columns - c > 8 ? load_part(x + c + 8, columns - c - 8) : _mm256_setzero_ps();
        sums[0] = _mm256_fmadd_ps(a, a, sums[0]);
        sums[1] = _mm256_fmadd_ps(b, b, sums[1]);
    }
    return 1 / sqrtf(reduce8(_mm256_add_ps(sums[0], sums[1])) / (float)columns + epsilon);
}

WN_INLINE __m256 input_value(const float *x, const float *weight, __m256 scale, size_t c, size_t columns) {
    if (c >= columns) return _mm256_setzero_ps();
    __m256 v = load_part(x + c, columns - c);
    return weight ? _mm256_mul_ps(_mm256_mul_ps(v, scale), load_part(weight + c, columns - c)) : v;
}

// What scales values up to `largest` to codes up to `top`; 0 where the quotient is infinite.
WN_INLINE float inverse_scale(float top, float largest) {
    float inverse = top / largest;
    return inverse < INFINITY ? inverse : 0;
}

// Eight 32-bit integers as signed bytes, in order.
WN_INLINE void store_bytes(int8_t *to, __m256i v) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)to, _mm_packs_epi16(words, words));
}

static void prepare_block8(wn_input *in, size_t token, const float *x, const float *weight, __m256 scale) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    size_t columns = in->columns, blocks = wn_block_stride(in->stride);
    int8_t *q = in->q + token * in->stride;
    float *scales = in->scales + token * blocks, *sums = in->sums + token * blocks;
    for (size_t b = 0; b < in->stride / 32; b++) {
        __m256 v[4];
        __m256 peak = _mm256_setzero_ps();
        WN_UNROLL for (int i = 0; i < 4; i++) {
            v[i] = input_value(x, weight, scale, 32 * b + 8 * (size_t)i, columns);
            peak = _mm256_max_ps(peak, _mm256_andnot_ps(sign, v[i]));
        }
        float largest = max8(peak);
        __m256 inverse = _mm256_set1_ps(inverse_scale(127, largest));
        __m256i sum = _mm256_setzero_si256();
        WN_UNROLL for (int i = 0; i < 4; i++) {
            __m256i value = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
            store_bytes(q + 32 * b + 8 * (size_t)i, value);
            sum = _mm256_add_epi32(sum, value);
        }
        scales[b] = largest / 127;
        sums[b] = scales[b] * (float)reduce8i(sum);
    }
    for (size_t b = in->stride / 32; b < blocks; b++) scales[b] = sums[b] = 0;
}

static void prepare_planes16(wn_input *in, size_t token, const float *x, const float *weight, __m256 scale) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    size_t columns = in->columns, blocks = wn_block_stride(in->stride);
    int8_t *hi = in->q + token * in->stride, *lo = in->lo + token * in->stride;
    int16_t *wide = in->wide + token * in->stride;
    int32_t *isums = in->isums + token * blocks;
    __m256 peak = _mm256_setzero_ps();
    for (size_t c = 0; c < columns; c += 8) {
        peak = _mm256_max_ps(peak, _mm256_andnot_ps(sign, input_value(x, weight, scale, c, columns)));
    }
    float largest = max8(peak);
    __m256 inverse = _mm256_set1_ps(inverse_scale((float)(32512 >> in->shift), largest));
    __m128i shift = _mm_cvtsi32_si128(in->shift);
    int64_t total = 0;
    for (size_t b = 0; b < blocks; b++) {
        isums[b] = 0;
        if (b >= in->stride / 32) continue;
        __m256i sum = _mm256_setzero_si256();
        for (size_t c = 32 * b; c < 32 * b + 32; c += 8) {
            __m256i value = _mm256_cvtps_epi32(_mm256_mul_ps(input_value(x, weight, scale, c, columns), inverse));
            value = _mm256_sll_epi32(value, shift);
            __m256i low = _mm256_srai_epi32(_mm256_slli_epi32(value, 24), 24);
            store_bytes(hi + c, _mm256_srai_epi32(_mm256_sub_epi32(value, low), 8));
            store_bytes(lo + c, low);
            _mm_storeu_si128(
                (__m128i *)(wide + c),
                _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1)));
            sum = _mm256_add_epi32(sum, value);
        }
        isums[b] = reduce8i(sum);
        total += isums[b];
    }
    in->scales[token] = largest / 32512;
    in->totals[token] = total;
}

static void prepare(wn_input *in, size_t token, const float *x, const float *weight, float epsilon) {
    size_t columns = in->columns;
    __m256 scale = _mm256_set1_ps(weight ? norm_scale(x, columns, epsilon) : 1);
    if (in->kind == WN_INPUT_BLOCK8) {
        prepare_block8(in, token, x, weight, scale);
    } else if (in->kind == WN_INPUT_PLANES16) {
        prepare_planes16(in, token, x, weight, scale);
    } else {
        float *out = in->f32 + token * in->f32_stride;
        for (size_t c = 0; c < columns; c += 8) {
            __m256 value = input_value(x, weight, scale, c, columns);
            if (columns - c >= 8) {
                _mm256_storeu_ps(out + c, value);
            } else {
                _mm256_maskstore_ps(out + c, first_lanes(columns - c), value);
            }
        }
    }
}

#pragma clang attribute pop
#endif
