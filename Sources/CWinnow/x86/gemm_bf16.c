#if defined(__x86_64__)
// Products of training in bfloat16: by AVX512_BF16's dot products of pairs, or by AMX's tiles. Both read the same panels, of
// 16 lines: blocks of 16 lines by 32 depths, [line][depth] for A and [pair of depths][column][2] for B.
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../train.h"
#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c,bmi2"))), apply_to = function)
#include "../scalar/vectors.h"

enum { LINES = 16, DEPTHS = 32, BLOCK_BYTES = LINES * DEPTHS * 2 };

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

// ---- Packing ---------------------------------------------------------------------------------------------------
WN_INLINE __mmask16 first_lanes(size_t count) { return (__mmask16)((1u << least(count, 16)) - 1); }
WN_INLINE f32x16 as_pairs(__m512 low, __m512 high) { return (f32x16)_mm512_cvtne2ps_pbh(high, low); }

// A block of `lines` lines by `depth` depths, zeros past them. Lines that are contiguous make a vector a line, [line][depth];
// depths that are, one a pair of depths. Returns which.
WN_INLINE bool load_block(const float *from, size_t line_stride, size_t depth_stride, size_t lines, size_t depth,
                          f32x16 r[16]) {
    if (depth_stride == 1) {
        const __mmask16 low = first_lanes(depth), high = first_lanes(depth > 16 ? depth - 16 : 0);
        for (size_t i = 0; i < 16; i++) {
            const float *line = from + (i < lines ? i : 0) * line_stride;
            __m512 second = high ? _mm512_maskz_loadu_ps(high, line + 16) : _mm512_setzero_ps();
            r[i] = i < lines ? as_pairs(_mm512_maskz_loadu_ps(low, line), second) : splat(0);
        }
        return true;
    }
    if (line_stride == 1) {
        const __mmask16 all = first_lanes(lines);
        const __m512i together = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                                  6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        for (size_t i = 0; i < 16; i++) {
            size_t k = 2 * i;
            __m512 even = k < depth ? _mm512_maskz_loadu_ps(all, from + k * depth_stride) : _mm512_setzero_ps();
            __m512 odd = k + 1 < depth ? _mm512_maskz_loadu_ps(all, from + (k + 1) * depth_stride) : _mm512_setzero_ps();
            r[i] = (f32x16)_mm512_permutexvar_epi16(together, (__m512i)as_pairs(even, odd));
        }
        return false;
    }
    float copy[LINES * DEPTHS] = {0};
    for (size_t i = 0; i < lines; i++) {
        for (size_t k = 0; k < depth; k++) copy[i * DEPTHS + k] = from[i * line_stride + k * depth_stride];
    }
    for (size_t i = 0; i < 16; i++) r[i] = as_pairs(_mm512_loadu_ps(copy + i * DEPTHS), _mm512_loadu_ps(copy + i * DEPTHS + 16));
    return true;
}

WN_INLINE void pack(const bool by_line, const float *data, size_t line_stride, size_t depth_stride, size_t lines,
                    size_t depth, uint8_t *out) {
    for (size_t l = 0; l < lines; l += LINES) {
        for (size_t k = 0; k < depth; k += DEPTHS, out += BLOCK_BYTES) {
            f32x16 r[16];
            const float *from = data + l * line_stride + k * depth_stride;
            if (load_block(from, line_stride, depth_stride, least(LINES, lines - l), least(DEPTHS, depth - k), r) != by_line) {
                transpose16(r);
            }
            for (size_t i = 0; i < 16; i++) store((float *)out + 16 * i, r[i]);
        }
    }
}

static void pack_rows(wn_view a, size_t rows, size_t depth, void *out) {
    pack(true, a.data, a.row_stride, a.column_stride, rows, depth, out);
}

static void pack_columns(wn_view b, size_t columns, size_t depth, void *out) {
    pack(false, b.data, b.column_stride, b.row_stride, columns, depth, out);
}

// ---- Tiles at the edge -----------------------------------------------------------------------------------------
// What is computed for a whole tile of 32 x 32 where less of it is wanted: the same sums, by way of a copy.
enum { EDGE = 32 };

WN_INLINE void open_edge(float *part, const float *out, size_t stride, size_t high, size_t wide, bool accumulate) {
    memset(part, 0, EDGE * EDGE * sizeof(float));
    for (size_t r = 0; accumulate && r < high; r++) memcpy(part + r * EDGE, out + r * stride, wide * sizeof(float));
}

WN_INLINE void close_edge(const float *part, float *out, size_t stride, size_t high, size_t wide) {
    for (size_t r = 0; r < high; r++) memcpy(out + r * stride, part + r * EDGE, wide * sizeof(float));
}

// ---- Pairs -----------------------------------------------------------------------------------------------------
// Rows that share the loads of B: half a block, so that 8 x 2 sums stay in registers.
enum { PAIR_ROWS = 8 };

WN_INLINE void pairs_tile(const uint8_t *a, const uint8_t *b, size_t panels, size_t blocks, float *out, size_t stride,
                          bool accumulate) {
    __m512 sums[PAIR_ROWS][2];
#pragma unroll
    for (size_t i = 0; i < PAIR_ROWS; i++) {
#pragma unroll
        for (size_t v = 0; v < 2; v++) {
            sums[i][v] = accumulate && v < panels ? _mm512_loadu_ps(out + i * stride + 16 * v) : _mm512_setzero_ps();
        }
    }
    const uint8_t *second = b + (panels > 1 ? blocks * BLOCK_BYTES : 0);
    for (size_t k = 0; k < blocks; k++, a += BLOCK_BYTES, b += BLOCK_BYTES, second += BLOCK_BYTES) {
        for (size_t pair = 0; pair < 16; pair++) {
            __m512bh one = (__m512bh)_mm512_loadu_si512(b + 64 * pair), two = (__m512bh)_mm512_loadu_si512(second + 64 * pair);
#pragma unroll
            for (size_t i = 0; i < PAIR_ROWS; i++) {
                int32_t both;
                memcpy(&both, a + 64 * i + 4 * pair, sizeof both);
                __m512bh row = (__m512bh)_mm512_set1_epi32(both);
                sums[i][0] = _mm512_dpbf16_ps(sums[i][0], row, one);
                sums[i][1] = _mm512_dpbf16_ps(sums[i][1], row, two);
            }
        }
    }
#pragma unroll
    for (size_t i = 0; i < PAIR_ROWS; i++) {
        _mm512_storeu_ps(out + i * stride, sums[i][0]);
        if (panels > 1) _mm512_storeu_ps(out + i * stride + 16, sums[i][1]);
    }
}

static void multiply_pairs(const void *a, const void *b, size_t rows, size_t columns, size_t depth, float *out,
                           size_t out_stride, bool accumulate) {
    size_t blocks = (depth + DEPTHS - 1) / DEPTHS, panel = blocks * BLOCK_BYTES;
    for (size_t j = 0; j < columns; j += 2 * LINES) {
        size_t wide = least(2 * LINES, columns - j), panels = wide > LINES ? 2 : 1;
        for (size_t i = 0; i < rows; i += PAIR_ROWS) {
            const uint8_t *lines = (const uint8_t *)a + i / LINES * panel + i % LINES * 64;
            const uint8_t *others = (const uint8_t *)b + j / LINES * panel;
            size_t high = least(PAIR_ROWS, rows - i);
            float *to = out + i * out_stride + j;
            if (high == PAIR_ROWS && wide == panels * LINES) {
                pairs_tile(lines, others, panels, blocks, to, out_stride, accumulate);
                continue;
            }
            float part[EDGE * EDGE];
            open_edge(part, to, out_stride, high, wide, accumulate);
            pairs_tile(lines, others, panels, blocks, part, EDGE, true);
            close_edge(part, to, out_stride, high, wide);
        }
    }
}
#pragma clang attribute pop

const wn_gemm_kernels wn_gemm_pairs = {2, 2 * WN_GEMM_DEPTH, DEPTHS, pack_rows, pack_columns, multiply_pairs};

// ---- Tiles -----------------------------------------------------------------------------------------------------
#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c,bmi2,amx-tile,amx-bf16"))), \
    apply_to = function)
typedef struct tile_shape {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shape;

// Sums of `high` by `wide` panels, one or two each. Tiles 0 to 3 hold sums, 4 and 5 A, 6 and 7 B.
WN_INLINE void tiles_tile(const int high, const int wide, const uint8_t *a, const uint8_t *b, size_t blocks, float *out,
                          size_t stride, bool accumulate) {
    const size_t bytes = stride * sizeof(float);
    float *below = out + LINES * stride;
    if (accumulate) {
        _tile_loadd(0, out, bytes);
        if (wide > 1) _tile_loadd(1, out + LINES, bytes);
        if (high > 1) _tile_loadd(2, below, bytes);
        if (high > 1 && wide > 1) _tile_loadd(3, below + LINES, bytes);
    } else {
        _tile_zero(0);
        if (wide > 1) _tile_zero(1);
        if (high > 1) _tile_zero(2);
        if (high > 1 && wide > 1) _tile_zero(3);
    }
    for (size_t k = 0; k < blocks; k++, a += BLOCK_BYTES, b += BLOCK_BYTES) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (wide > 1) {
            _tile_loadd(7, b + blocks * BLOCK_BYTES, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (high > 1) {
            _tile_loadd(5, a + blocks * BLOCK_BYTES, 64);
            _tile_dpbf16ps(2, 5, 6);
            if (wide > 1) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, out, bytes);
    if (wide > 1) _tile_stored(1, out + LINES, bytes);
    if (high > 1) _tile_stored(2, below, bytes);
    if (high > 1 && wide > 1) _tile_stored(3, below + LINES, bytes);
}

static void tiles_of(size_t high, size_t wide, const uint8_t *a, const uint8_t *b, size_t blocks, float *out, size_t stride,
                     bool accumulate) {
    if (high > 1 && wide > 1) {
        tiles_tile(2, 2, a, b, blocks, out, stride, accumulate);
    } else if (high > 1) {
        tiles_tile(2, 1, a, b, blocks, out, stride, accumulate);
    } else if (wide > 1) {
        tiles_tile(1, 2, a, b, blocks, out, stride, accumulate);
    } else {
        tiles_tile(1, 1, a, b, blocks, out, stride, accumulate);
    }
}

static void multiply_tiles(const void *a, const void *b, size_t rows, size_t columns, size_t depth, float *out,
                           size_t out_stride, bool accumulate) {
    size_t blocks = (depth + DEPTHS - 1) / DEPTHS, panel = blocks * BLOCK_BYTES;
    tile_shape shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = 64;
        shape.rows[i] = LINES;
    }
    _tile_loadconfig(&shape);
    for (size_t j = 0; j < columns; j += 2 * LINES) {
        size_t wide = least(2 * LINES, columns - j), wide_panels = (wide + LINES - 1) / LINES;
        for (size_t i = 0; i < rows; i += 2 * LINES) {
            size_t high = least(2 * LINES, rows - i), high_panels = (high + LINES - 1) / LINES;
            const uint8_t *lines = (const uint8_t *)a + i / LINES * panel, *others = (const uint8_t *)b + j / LINES * panel;
            float *to = out + i * out_stride + j;
            if (high % LINES == 0 && wide % LINES == 0) {
                tiles_of(high_panels, wide_panels, lines, others, blocks, to, out_stride, accumulate);
                continue;
            }
            float part[EDGE * EDGE];
            open_edge(part, to, out_stride, high, wide, accumulate);
            tiles_of(high_panels, wide_panels, lines, others, blocks, part, EDGE, true);
            close_edge(part, to, out_stride, high, wide);
        }
    }
    _tile_release();
}
#pragma clang attribute pop

const wn_gemm_kernels wn_gemm_tiles = {2, 2 * WN_GEMM_DEPTH, DEPTHS, pack_rows, pack_columns, multiply_tiles};
#endif
