// The kernel cases: shapes, numbers and masks, with what every instruction set must answer for them. The tests, the
// standalone program of Tools/check-kernels and timings share this list. Answers are worked out in float64 from the
// definitions of wn_matrix.h and wn_ops.h, never by the kernels themselves.
#ifndef WN_CASES_H
#define WN_CASES_H
#include "winnow.h"

typedef enum {
    WN_CASE_PRODUCT = 0,   // one matrix, one input, plain or with bias or added
    WN_CASE_GATED = 1,     // silu(gate) * product
    WN_CASE_INPUT = 2,     // wn_prepare
    WN_CASE_CONVERT = 3,   // halves to and from float32
    WN_CASE_ELEMENTWISE = 4,
    WN_CASE_ATTENTION = 5,
    WN_CASE_LOGITS = 6,
    WN_CASE_SELECT = 7,
    WN_CASE_STATISTICS = 8,
    WN_CASE_OPTIMIZE = 9,
    WN_CASE_TRAIN = 10,     // products and ways back of training
    WN_CASE_LINEAR = 11,    // float64 linear algebra
    WN_CASE_PROBE = 12,      // arithmetic roofs
    WN_CASE_FAMILY_COUNT = 13
} wn_case_family;
const char *wn_case_family_name(wn_case_family family);

// Which weights a masked matrix keeps.
typedef enum {
    WN_MASK_ALL = 0, WN_MASK_NONE = 1, WN_MASK_LAST = 2,  // the last column of each row only
    WN_MASK_HALF = 3, WN_MASK_TENTH = 4,
    WN_MASK_RAGGED = 5,                                    // row r keeps about r / rows
    WN_MASK_COUNT = 6,
    WN_MASK_TWO_OF_FOUR = 6,                               // in cases of its own: columns are a multiple of 64
} wn_mask_pattern;

// EXACT: small integers and powers of two, so that float32 sums are exact in any order and the answer is one value.
// RANDOM: anything, to a tolerance. TINY, ZERO, HUGE: inputs at the ends of float32.
typedef enum { WN_NUMBERS_EXACT = 0, WN_NUMBERS_RANDOM = 1, WN_NUMBERS_TINY = 2, WN_NUMBERS_ZERO = 3, WN_NUMBERS_HUGE = 4 } wn_numbers;

typedef struct wn_case {
    wn_case_family family;
    char name[96];
    int32_t format;      // wn_format; attention and conversions: wn_kv_type
    int32_t gate;        // GATED: the gate's format
    int32_t kind;        // wn_input_kind
    int32_t numbers;     // wn_numbers
    int32_t pattern;     // wn_mask_pattern
    int32_t variant;     // which of a family's operations or epilogues
    uint32_t group;
    size_t rows, columns, tokens;
    size_t heads, kv_heads;
    uint64_t seed;
} wn_case;

typedef struct wn_case_result {
    bool passed;
    double share;       // the largest error, as a share of what the case allows
    char message[192];  // the first thing that was wrong
} wn_case_result;

// Writes at most `capacity` cases and returns how many there are. The same list on every machine.
size_t wn_case_list(wn_case *cases, size_t capacity);

// Runs cases under one instruction set, in a child process: a kernel that reads or writes past its buffers (they end at
// a page nobody may touch) stops the child, and the case it was in has failed. The caller's own instruction set is
// left alone. False when no child can be started or this CPU lacks the set.
bool wn_cases_run(wn_isa isa, const wn_case *cases, size_t count, wn_case_result *results);
#endif
