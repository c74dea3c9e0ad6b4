// Arithmetic roofs: a probe on every thread of a pool at once.
#include "probes.h"

#include <stdatomic.h>

static const wn_probe_table *wn_probe_functions(void) {
    switch (wn_isa_current()) {
#if defined(__x86_64__)
    case WN_ISA_AVX512: return &wn_probes_avx512;
    case WN_ISA_AVX2: return &wn_probes_avx2;
#endif
#if defined(__aarch64__)
    case WN_ISA_NEON: return wn_has_byte_dot() ? &wn_probes_neon_dot : &wn_probes_neon;
#endif
    default: return &wn_probes_scalar;
    }
}

// What the CPU has beyond its set.
static bool wn_probe_has(wn_isa isa, wn_probe_kind kind) {
#if defined(__x86_64__)
    if (isa == WN_ISA_AVX512 && kind == WN_PROBE_BF16) return __builtin_cpu_supports("avx512bf16");
#endif
    (void)isa;
    (void)kind;
    return true;
}

typedef struct wn_probe_job {
    wn_probe_function function;
    size_t rounds;
    volatile int one;
    _Atomic uint64_t done;
} wn_probe_job;

static void wn_probe_chunk(void *context, size_t chunk, size_t worker) {
    (void)chunk;
    (void)worker;
    wn_probe_job *job = context;
    atomic_fetch_add_explicit(&job->done, (uint64_t)job->function(job->rounds, job->one), memory_order_relaxed);
}

// Pieces a thread: one that is held up leaves its last to others.
enum { WN_PROBE_PIECES = 8 };

double wn_probe(wn_pool *pool, wn_probe_kind kind, size_t rounds) {
    wn_isa isa = wn_isa_current();
    if ((unsigned)kind >= WN_PROBE_COUNT || rounds > WN_PROBE_ROUNDS || !wn_probe_has(isa, kind)) return 0;
    wn_probe_job job = {.function = wn_probe_functions()->kinds[kind], .rounds = rounds, .one = 1};
    if (!job.function) return 0;
    wn_pool_run(pool, WN_PROBE_PIECES * wn_pool_threads(pool), wn_probe_chunk, &job);
    return (double)atomic_load(&job.done);
}
