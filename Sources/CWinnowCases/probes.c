// Arithmetic probes: what they say they did is what their vectors hold.
#include "cases.h"

// Multiply-adds of a round: chains times lanes. A set that lacks the instruction answers 0.
static double per_round(wn_isa isa, wn_probe_kind kind, double done) {
    static const double rounds[4][WN_PROBE_COUNT] = {{48, 0, 96}, {96, 0, 384}, {192, 384, 768}, {48, 0, 192}};
    return kind == WN_PROBE_BF16 && done == 0 ? 0 : rounds[isa][kind];
}

void wn_run_probe(wn_case_run *run) {
    const wn_case *c = run->c;
    for (size_t i = 0; i < 3; i++) {
        double done = wn_probe(run->pools[i], (wn_probe_kind)c->kind, c->rows);
        double expected = per_round(run->isa, (wn_probe_kind)c->kind, done) * (double)c->rows
                          * 8 * (double)wn_pool_threads(run->pools[i]);
        wn_expect_near(run, "multiply-adds", i, done, expected, 0);
    }
    wn_expect_near(run, "too many rounds", 0, wn_probe(run->pools[0], (wn_probe_kind)c->kind, WN_PROBE_ROUNDS + 1), 0, 0);
}
