// Selection: the only place where top-k happens. A histogram over order-preserving bits, no sort.
#include <math.h>
#include <string.h>

#include "wn_select.h"

// Float bits in the order of the values; -0 and +0 alike. False for NaN.
static inline bool wn_ordered(float value, uint32_t *ordered) {
    uint32_t bits;
    value += 0.0f;  // -0 becomes +0
    memcpy(&bits, &value, sizeof bits);
    *ordered = bits & 0x80000000 ? ~bits : bits | 0x80000000;
    return value == value;
}

size_t wn_popcount(const uint8_t *bytes, size_t count) {
    size_t total = 0, i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        total += (size_t)__builtin_popcountll(word);
    }
    for (; i < count; i++) total += (size_t)__builtin_popcount(bytes[i]);
    return total;
}

bool wn_select_top(const float *scores, size_t count, size_t keep, uint8_t *mask) {
    static const int shifts[3] = {21, 10, 0}, widths[3] = {11, 11, 10};
    uint32_t prefix = 0, prefix_mask = 0, ordered;
    if (keep > count) keep = count;
    size_t left = keep;  // still to be found among those that share the prefix
    for (int pass = 0; pass < 3; pass++) {
        uint32_t histogram[2048] = {0};
        for (size_t i = 0; i < count; i++) {
            if (!wn_ordered(scores[i], &ordered)) return false;
            if ((ordered & prefix_mask) == prefix) histogram[ordered >> shifts[pass] & ((1u << widths[pass]) - 1)]++;
        }
        uint32_t digit = (1u << widths[pass]) - 1;
        while (digit > 0 && histogram[digit] < left) left -= histogram[digit--];
        prefix |= digit << shifts[pass];
        prefix_mask |= ((1u << widths[pass]) - 1) << shifts[pass];
    }
    // `prefix` is the smallest kept score; of its equals the last `left` are kept: the lowest index goes first.
    memset(mask, 0, (count + 7) / 8);
    if (keep == 0) return true;
    for (size_t i = count; i-- > 0;) {
        wn_ordered(scores[i], &ordered);
        bool kept = ordered > prefix;
        if (ordered == prefix && left > 0) {
            kept = true;
            left--;
        }
        mask[i / 8] |= (uint8_t)(kept << (i % 8));
    }
    return true;
}

bool wn_select_n_of_m(const float *scores, size_t count, size_t keep, size_t of, uint8_t *mask) {
    uint32_t ordered;
    for (size_t i = 0; i < count; i++) {
        if (!wn_ordered(scores[i], &ordered)) return false;
    }
    memset(mask, 0, (count + 7) / 8);
    for (size_t start = 0; start < count; start += of) {
        size_t size = count - start < of ? count - start : of, wanted = (size * keep + of - 1) / of;
        for (size_t i = 0; i < size; i++) {
            // Kept when fewer than `wanted` stand above it; an equal at a higher index stands above.
            float value = scores[start + i];
            size_t above = 0;
            for (size_t j = 0; j < size; j++) above += scores[start + j] > value || (scores[start + j] == value && j > i);
            if (above < wanted) mask[(start + i) / 8] |= (uint8_t)(1 << ((start + i) % 8));
        }
    }
    return true;
}

bool wn_count_scores(const float *scores, size_t count, uint32_t prefix, uint32_t prefix_mask, unsigned shift,
                     unsigned width, uint64_t *histogram) {
    uint32_t ordered, digits = (1u << width) - 1;
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good &= wn_ordered(scores[i], &ordered);
        if ((ordered & prefix_mask) == prefix) histogram[ordered >> shift & digits]++;
    }
    return good;
}

size_t wn_select_above(const float *scores, size_t count, uint32_t threshold, size_t ties_pruned, uint8_t *mask) {
    uint32_t ordered;
    size_t ties = 0;
    memset(mask, 0, (count + 7) / 8);
    for (size_t i = 0; i < count; i++) {
        wn_ordered(scores[i], &ordered);
        bool kept = ordered > threshold;
        if (ordered == threshold) kept = ties++ >= ties_pruned;
        mask[i / 8] |= (uint8_t)(kept << (i % 8));
    }
    return ties;
}

bool wn_saliency(float *values, const float *norms, size_t count) {
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        float score = norms ? fabsf(values[i]) * norms[i] : fabsf(values[i]);
        uint32_t bits;
        memcpy(&bits, &score, sizeof bits);
        bad |= (bits & 0x7F800000) == 0x7F800000;
        values[i] = score;
    }
    return !bad;
}
