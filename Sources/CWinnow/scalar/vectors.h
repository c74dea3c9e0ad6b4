// Vectors of 16 float32 lanes, compiled for whatever instruction set the including file asks for: the order of every
// sum is the same in all of them.
#include <math.h>
#pragma clang diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions only
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float f32x16 __attribute__((vector_size(64), aligned(4)));
typedef int32_t i32x16 __attribute__((vector_size(64), aligned(4)));
typedef uint32_t u32x16 __attribute__((vector_size(64), aligned(4)));
#define WN_INLINE static inline __attribute__((always_inline))

WN_INLINE f32x16 splat(float value) { return (f32x16){0} + value; }

WN_INLINE f32x16 load(const float *from) { return *(const f32x16 *)from; }
WN_INLINE void store(float *to, f32x16 v) { *(f32x16 *)to = v; }

WN_INLINE f32x16 load_part(const float *from, size_t count, float rest) {
    f32x16 v = splat(rest);
    memcpy(&v, from, count * sizeof(float));
    return v;
}

WN_INLINE float sum16(f32x16 v) {
    typedef float f32x8 __attribute__((vector_size(32)));
    typedef float f32x4 __attribute__((vector_size(16)));
    f32x8 a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    f32x4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
    return (b[0] + b[2]) + (b[1] + b[3]);
}

// The lower or upper halves of each run of 2 * N lanes, of two vectors: what one level of sum16 adds.
#define WN_HALVES(name, ...) \
    WN_INLINE f32x16 name(f32x16 v, f32x16 w) { return __builtin_shufflevector(v, w, __VA_ARGS__); }
WN_HALVES(low8, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
WN_HALVES(high8, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
WN_HALVES(low4, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
WN_HALVES(high4, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
WN_HALVES(low2, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29)
WN_HALVES(high2, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31)
WN_HALVES(low1, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
WN_HALVES(high1, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#undef WN_HALVES

WN_INLINE float max16(f32x16 v) {
    v = __builtin_elementwise_max(v, high8(v, v));
    v = __builtin_elementwise_max(v, high4(v, v));
    v = __builtin_elementwise_max(v, high2(v, v));
    return fmaxf(v[0], v[1]);
}

// One step of a transpose in place: lanes whose bit `s` differs from their row's change places.
#define WN_EXCHANGE(s, low, high)                                                                                   \
    for (int i = 0; i < 16; i++) {                                                                                  \
        if (i & (s)) continue;                                                                                      \
        f32x16 a = r[i], b = r[i + (s)];                                                                            \
        r[i] = __builtin_shufflevector(a, b, low);                                                                  \
        r[i + (s)] = __builtin_shufflevector(a, b, high);                                                           \
    }
#define WN_LOW1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define WN_HIGH1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define WN_LOW2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define WN_HIGH2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define WN_LOW4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define WN_HIGH4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define WN_LOW8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define WN_HIGH8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31

WN_INLINE void transpose16(f32x16 r[16]) {
#pragma unroll
    WN_EXCHANGE(1, WN_LOW1, WN_HIGH1)
#pragma unroll
    WN_EXCHANGE(2, WN_LOW2, WN_HIGH2)
#pragma unroll
    WN_EXCHANGE(4, WN_LOW4, WN_HIGH4)
#pragma unroll
    WN_EXCHANGE(8, WN_LOW8, WN_HIGH8)
}

// exp by Cody and Waite's reduction and a polynomial of degree 7: within 2 ulp; 0 below -87.
WN_INLINE f32x16 exp16(f32x16 x) {
    x = __builtin_elementwise_min(x, splat(88.0f));
    i32x16 tiny = x < splat(-87.0f);
    x = __builtin_elementwise_max(x, splat(-87.0f));
    f32x16 n = __builtin_elementwise_roundeven(x * 1.44269504f);
    f32x16 f = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    f32x16 p = splat(1.0f / 5040);
    p = p * f + 1.0f / 720;
    p = p * f + 1.0f / 120;
    p = p * f + 1.0f / 24;
    p = p * f + 1.0f / 6;
    p = p * f + 0.5f;
    p = p * f * f + f + 1.0f;
    i32x16 power = (__builtin_convertvector(n, i32x16) + 127) << 23;
    i32x16 value = (i32x16)(p * (f32x16)power);
    return (f32x16)(value & ~tiny);
}

WN_INLINE float exp1(float x) { return exp16(splat(x))[0]; }

// Phi(-|x|), the normal distribution's share below -|x|, is erfc(z) / 2 at z = |x| / sqrt(2): exp(-z^2) times a
// polynomial in t = 1 / (1 + 0.3 z), fitted to 2e-8 of itself up to where exp16 gives 0. Relative error within 9 ulp + z^2
// ulp; NaN may become a number.
WN_INLINE f32x16 normal_tail16(f32x16 x) {
    f32x16 z = __builtin_elementwise_abs(x) * 0.70710678f;
    f32x16 t = 1.0f / (1.0f + 0.3f * z);
    f32x16 p = splat(-0.0647037998f);
    p = p * t + 0.24247846f;
    p = p * t - 0.255455524f;
    p = p * t + 0.272998184f;
    p = p * t - 0.0466617011f;
    p = p * t + 0.107143901f;
    p = p * t + 0.0742630213f;
    p = p * t + 0.0853424072f;
    p = p * t + 0.0845950544f;
    return exp16(-0.5f * x * x) * p * t;
}

// tanh as 1 - 2 / (1 + exp(2 x)): absolute error within 2e-7.
WN_INLINE f32x16 tanh16(f32x16 x) { return 1.0f - 2.0f / (1.0f + exp16(2.0f * x)); }

// Whether a vector holds a NaN: exp16 stops at its ends, and would make a number of one.
WN_INLINE f32x16 keep_nan(f32x16 x, f32x16 y) {
    i32x16 number = x == x;
    return (f32x16)(((i32x16)y & number) | ((i32x16)x & ~number));
}
