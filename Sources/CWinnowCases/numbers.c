// Seeded numbers, and halves by their definitions.
#include "cases.h"

const double wn_unit = 0x1p-24;

uint64_t wn_dice_bits(wn_dice *dice) {  // SplitMix64
    uint64_t z = dice->state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

size_t wn_dice_below(wn_dice *dice, size_t bound) { return (size_t)((wn_dice_bits(dice) >> 32) * bound >> 32); }

double wn_dice_between(wn_dice *dice, double low, double high) {
    return low + (high - low) * ((double)(wn_dice_bits(dice) >> 11) * 0x1p-53);
}

static double power(int exponent) {  // of two, normal
    uint64_t bits = (uint64_t)(1023 + exponent) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double wn_half_value(uint16_t half) {
    double sign = half >> 15 ? -1 : 1;
    int exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? fraction * power(-24) : (1024 + fraction) * power(exponent - 25));
}

double wn_bfloat_value(uint16_t half) {
    double sign = half >> 15 ? -1 : 1;
    int exponent = half >> 7 & 255, fraction = half & 127;
    if (exponent == 255) return fraction ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? fraction * power(-133) : (128 + fraction) * power(exponent - 134));
}

// The 15 bits whose value is nearest, among halves that grow with their bits; the even one of two as near.
static uint16_t nearest(double size, double (*value)(uint16_t), uint16_t infinity, double overflow) {
    if (size >= overflow) return infinity;
    uint16_t low = 0, high = infinity;  // value(low) <= size < value(high)
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (value(middle) <= size) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if (high == infinity) return low;
    double below = size - value(low), above = value(high) - size;
    return below < above || (below == above && low % 2 == 0) ? low : high;
}

uint16_t wn_nearest_half(double value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    return sign | nearest(fabs(value), wn_half_value, 0x7C00, 65520);
}

uint16_t wn_nearest_bfloat(float value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    return sign | nearest(fabs((double)value), wn_bfloat_value, 0x7F80, 0x1.FFp127);
}
