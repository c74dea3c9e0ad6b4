// Inputs of products and the gate, with AVX-512.
#ifndef WN_INPUTS_AVX512_H
#define WN_INPUTS_AVX512_H
#include <math.h>

#include "unpack_avx512.h"

#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512vbmi2,"                  \
                          "avx512vpopcntdq,avx512bitalg,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"))),                   \
    apply_to = function)

// ---- Elementwise ---------------------------------------------------------------------------------------------
// exp by Cody and Waite's reduction and a polynomial of degree 7: within 2 ulp; below -87 a subnormal, at least that of -103.
WN_INLINE __m512 exp16(__m512 x) {
    x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.02f)), _mm512_set1_ps(-103.0f));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    __m512 f = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    f = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), f);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, f), f, _mm512_add_ps(f, _mm512_set1_ps(1)));
    return _mm512_scalef_ps(p, n);
}

static void silu_multiply(const float *gate, const float *up, float *out, size_t count) {
    const __m512 one = _mm512_set1_ps(1);
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 valid = tail16(count - i);
        __m512 g = _mm512_maskz_loadu_ps(valid, gate + i), u = _mm512_maskz_loadu_ps(valid, up + i);
        __m512 s = _mm512_div_ps(g, _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), g))));
        _mm512_mask_storeu_ps(out + i, valid, _mm512_mul_ps(s, u));
    }
}

// ---- Inputs ------------------------------------------------------------------------------------------------------
WN_INLINE float norm_scale(const float *x, size_t columns, float epsilon) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t c = 0; c < columns; c += 16) {
        __m512 v = _mm512_maskz_loadu_ps(tail16(columns - c), x + c);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    return 1 / sqrtf(reduce16(sum) / (float)columns + epsilon);
}

WN_INLINE __m512 input_value(const float *x, const float *weight, __m512 scale, size_t c, size_t columns) {
    __mmask16 valid = c < columns ? tail16(columns - c) : 0;
    __m512 v = _mm512_maskz_loadu_ps(valid, x + c);
    return weight ? _mm512_mul_ps(_mm512_mul_ps(v, scale), _mm512_maskz_loadu_ps(valid, weight + c)) : v;
}

static void prepare(wn_input *in, size_t token, const float *x, const float *weight, float epsilon) {
    size_t columns = in->columns, blocks = wn_block_stride(in->stride);
    __m512 scale = _mm512_set1_ps(weight ? norm_scale(x, columns, epsilon) : 1);
    if (in->kind == WN_INPUT_F32) {
        float *out = in->f32 + token * in->f32_stride;
        for (size_t c = 0; c < columns; c += 16) {
            _mm512_mask_storeu_ps(out + c, tail16(columns - c), input_value(x, weight, scale, c, columns));
        }
        return;
    }
    int8_t *q = in->q + token * in->stride;
    if (in->kind == WN_INPUT_BLOCK8) {
        float *scales = in->scales + token * blocks, *sums = in->sums + token * blocks;
        int32_t *halves = in->halves + token * 2 * blocks;
        for (size_t b = 0; b < in->stride / 32; b++) {
            __m512 v0 = input_value(x, weight, scale, 32 * b, columns);
            __m512 v1 = input_value(x, weight, scale, 32 * b + 16, columns);
            float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(v0), _mm512_abs_ps(v1)));
            __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
            __m512i i0 = _mm512_cvtps_epi32(_mm512_mul_ps(v0, inverse)), i1 = _mm512_cvtps_epi32(_mm512_mul_ps(v1, inverse));
            _mm_storeu_si128((__m128i *)(q + 32 * b), _mm512_cvtepi32_epi8(i0));
            _mm_storeu_si128((__m128i *)(q + 32 * b + 16), _mm512_cvtepi32_epi8(i1));
            scales[b] = largest / 127;
            int32_t first = _mm512_reduce_add_epi32(i0), second = _mm512_reduce_add_epi32(i1);
            sums[b] = scales[b] * (float)(first + second);
            halves[b] = -128 * first;
            halves[blocks + b] = -128 * second;
        }
        for (size_t b = in->stride / 32; b < blocks; b++) {
            scales[b] = sums[b] = 0;
            halves[b] = halves[blocks + b] = 0;
        }
        return;
    }
    int8_t *lo = in->lo + token * in->stride;
    int32_t *isums = in->isums + token * blocks;
    // Four chains, for each step waits for the one before.
    __m512 peaks[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t c = 0; c < columns; c += 64) {
        WN_UNROLL for (size_t i = 0; i < 4; i++) {
            peaks[i] = _mm512_max_ps(peaks[i], _mm512_abs_ps(input_value(x, weight, scale, c + 16 * i, columns)));
        }
    }
    float largest = _mm512_reduce_max_ps(
        _mm512_max_ps(_mm512_max_ps(peaks[0], peaks[1]), _mm512_max_ps(peaks[2], peaks[3])));
    __m512 inverse = _mm512_set1_ps(largest > 0 ? (float)(32512 >> in->shift) / largest : 0);
    __m128i shift = _mm_cvtsi32_si128(in->shift);
    int64_t total = 0;
    for (size_t b = 0; b < blocks; b++) {
        isums[b] = 0;
        if (b >= in->stride / 32) continue;
        __m512i sum = _mm512_setzero_si512();
        WN_UNROLL for (size_t half = 0; half < 2; half++) {
            size_t c = 32 * b + 16 * half;
            __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(input_value(x, weight, scale, c, columns), inverse));
            value = _mm512_sll_epi32(value, shift);
            __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(value, 24), 24);
            __m512i high = _mm512_srai_epi32(_mm512_sub_epi32(value, low), 8);
            _mm_storeu_si128((__m128i *)(q + c), _mm512_cvtepi32_epi8(high));
            _mm_storeu_si128((__m128i *)(lo + c), _mm512_cvtepi32_epi8(low));
            sum = _mm512_add_epi32(sum, value);
        }
        isums[b] = _mm512_reduce_add_epi32(sum);
        total += isums[b];
    }
    in->scales[token] = largest / 32512;
    in->totals[token] = total;
}

#pragma clang attribute pop
#endif
