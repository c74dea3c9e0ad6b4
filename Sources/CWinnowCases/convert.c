// Halves to and from float32: all 65,536 of them, the ties between them, the ends.
#include "cases.h"

static double half_value(const wn_case *c, uint16_t half) {
    return c->format == WN_KV_F16 ? wn_half_value(half) : wn_bfloat_value(half);
}

static bool is_nan_half(const wn_case *c, uint16_t half) {
    return (half & 0x7FFF) > (c->format == WN_KV_F16 ? 0x7C00 : 0x7F80);
}

static void check_widening(wn_case_run *run) {
    const wn_case *c = run->c;
    size_t count = 65536;
    // One byte off, so that the halves are not aligned.
    uint8_t *from = (uint8_t *)wn_yard_take(&run->yard, 2 * count + 1);
    float *to = wn_yard_take(&run->yard, count * sizeof(float));
    for (size_t i = 0; i < count; i++) memcpy(from + 2 * i, &(uint16_t){(uint16_t)i}, 2);
    memmove(from + 1, from, 2 * count);
    if (c->format == WN_KV_F16) {
        wn_f16_to_f32(from + 1, to, count);
    } else {
        wn_bf16_to_f32(from + 1, to, count);
    }
    for (size_t i = 0; i < count; i++) {
        wn_expect_near(run, "half", i, to[i], half_value(c, (uint16_t)i), 0);
        if (!isnan(to[i]) && signbit(to[i]) != (int)(i >> 15)) wn_fail(run, "half %zu lost its sign", i);
    }
}

// Stores through both ways that round: the bulk conversion and the one for a KV slot.
static void check_narrowing(wn_case_run *run, const float *from, size_t count) {
    const wn_case *c = run->c;
    uint8_t *bulk = (uint8_t *)wn_yard_take(&run->yard, 2 * count + 1);
    uint16_t *slot = wn_yard_take(&run->yard, 2 * count);
    if (c->format == WN_KV_F16) {
        wn_f32_to_f16(from, bulk + 1, count);
    } else {
        wn_f32_to_bf16(from, bulk + 1, count);
    }
    wn_kv_store((wn_kv_type)c->format, from, slot, count);
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bulk + 1 + 2 * i, 2);
        if (isnan(from[i])) {
            if (!is_nan_half(c, half)) wn_fail(run, "a NaN became %#x", half);
            if (!is_nan_half(c, slot[i])) wn_fail(run, "a NaN became %#x in a KV slot", slot[i]);
            continue;
        }
        uint16_t expected = c->format == WN_KV_F16 ? wn_nearest_half(from[i]) : wn_nearest_bfloat(from[i]);
        if (half != expected) wn_fail(run, "%a became %#x, not %#x", (double)from[i], half, expected);
        if (slot[i] != expected) wn_fail(run, "%a became %#x, not %#x, in a KV slot", (double)from[i], slot[i], expected);
    }
}

void wn_run_convert(wn_case_run *run) {
    const wn_case *c = run->c;
    if (c->variant == 0) {
        check_widening(run);
        return;
    }
    size_t count = 0, room = 40000;
    float *from = wn_yard_take(&run->yard, room * sizeof(float));
    uint16_t infinity = c->format == WN_KV_F16 ? 0x7C00 : 0x7F80;
    // Every ninth half, the tie above it, and the floats next to that tie; both signs.
    for (uint16_t half = (uint16_t)(c->variant - 1); half < infinity && count + 8 < room; half = (uint16_t)(half + 9)) {
        float value = (float)half_value(c, half), tie = (float)((half_value(c, half) + half_value(c, (uint16_t)(half + 1))) / 2);
        if (half + 1 == infinity) tie = c->format == WN_KV_F16 ? 65520.0f : 0x1.FFp127f;
        float four[4] = {value, tie, nextafterf(tie, 0), nextafterf(tie, INFINITY)};
        for (size_t i = 0; i < 4; i++) {
            from[count++] = four[i];
            from[count++] = -four[i];
        }
    }
    check_narrowing(run, from, count);
    if (c->variant > 1) return;
    static const uint32_t ends[] = {0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000,
                                    0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF, 0x7F80FFFF};
    float *last = wn_yard_take(&run->yard, sizeof ends);
    memcpy(last, ends, sizeof ends);
    check_narrowing(run, last, sizeof ends / sizeof ends[0]);
}
