// Arithmetic probes: what they say they did is what their vectors hold.
#include "cases.h"

// Multiply-adds of a round: chains times lanes, or tiles. A set that lacks the instruction answers 0.
static double per_round(wn_isa isa, wn_probe_kind kind, double done) {
    static const double rounds[4][WN_PROBE_COUNT] = {{48, 0, 96}, {96, 0, 384}, {192, 384, 768}, {48, 0, 192}};
    if (kind == WN_PROBE_BF16 && done > 0 && wn_bf16_available(WN_BF16_TILES)) return 4 * 16 * 16 * 32;
    return kind == WN_PROBE_BF16 && done == 0 ? 0 : rounds[isa][kind];
}

// Every word that is read is counted, whatever the streams.
static void check_reading(wn_case_run *run) {
    for (size_t lines = 1; lines < 2000; lines = 3 * lines + 1) {
        uint64_t *words = wn_yard_take(&run->yard, lines * 64 + 64);
        words = (uint64_t *)(((uintptr_t)words + 63) / 64 * 64);
        for (size_t i = 0; i < 8 * lines; i++) words[i] = 1 + (i % 8 == 5);
        for (int i = 0; i < 3; i++) {
            size_t pieces = 8 * wn_pool_threads(run->pools[i]);
            size_t read = lines < pieces ? lines : lines / pieces * pieces;
            for (size_t streams = 1; streams <= 16; streams = streams * 3 - 1) {
                double sum = (double)wn_read_memory(run->pools[i], words, lines * 64, streams);
                wn_expect_near(run, "words read", lines, sum, 9 * (double)read, 0);
            }
        }
    }
    wn_expect_near(run, "no streams", 0, (double)wn_read_memory(run->pools[0], NULL, 64, 0), 0, 0);
}

void wn_run_probe(wn_case_run *run) {
    check_reading(run);
    const wn_case *c = run->c;
    for (size_t i = 0; i < 3; i++) {
        double done = wn_probe(run->pools[i], (wn_probe_kind)c->kind, c->rows);
        double expected = per_round(run->isa, (wn_probe_kind)c->kind, done) * (double)c->rows
                          * 8 * (double)wn_pool_threads(run->pools[i]);
        wn_expect_near(run, "multiply-adds", i, done, expected, 0);
    }
    wn_expect_near(run, "too many rounds", 0, wn_probe(run->pools[0], (wn_probe_kind)c->kind, WN_PROBE_ROUNDS + 1), 0, 0);
}
