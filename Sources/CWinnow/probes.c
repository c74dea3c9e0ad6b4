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

// NULL where the CPU has no such instruction.
static wn_probe_function wn_probe_of(wn_probe_kind kind) {
#if defined(__x86_64__)
    if (kind == WN_PROBE_BF16 && wn_bf16_available(WN_BF16_TILES)) return wn_probe_tiles;
    if (kind == WN_PROBE_BF16 && !wn_bf16_available(WN_BF16_PAIRS)) return NULL;
#endif
    return wn_probe_functions()->kinds[kind];
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
    if ((unsigned)kind >= WN_PROBE_COUNT || rounds > WN_PROBE_ROUNDS) return 0;
    wn_probe_job job = {.function = wn_probe_of(kind), .rounds = rounds, .one = 1};
    if (!job.function) return 0;
    wn_pool_run(pool, WN_PROBE_PIECES * wn_pool_threads(pool), wn_probe_chunk, &job);
    return (double)atomic_load(&job.done);
}

// ---- Memory ----------------------------------------------------------------------------------------------------
typedef uint64_t wn_words2 __attribute__((vector_size(16)));

typedef struct wn_read_job {
    const uint8_t *memory;
    size_t bytes, streams;
    _Atomic uint64_t sum;
} wn_read_job;

// Lines that a stream reads before the next one's turn, and bytes that it asks for ahead: eight streams with both read
// 1.7 times as fast as one without, on a Xeon that shares its memory with other machines.
enum { WN_READ_STEP = 256, WN_READ_AHEAD = 1024 };

static inline void wn_read_line(const uint8_t *line, wn_words2 sums[4]) {
    __builtin_prefetch(line + WN_READ_AHEAD);
    const wn_words2 *words = (const wn_words2 *)line;
    for (int j = 0; j < 4; j++) sums[j] += words[j];
}

static void wn_read_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    wn_read_job *job = context;
    size_t part = job->bytes / job->streams / WN_READ_STEP * WN_READ_STEP;
    const uint8_t *first = job->memory + chunk * job->bytes;
    wn_words2 sums[4] = {{0}};
    for (size_t at = 0; at < part; at += WN_READ_STEP) {
        for (size_t stream = 0; stream < job->streams; stream++) {
            for (size_t i = 0; i < WN_READ_STEP; i += 64) wn_read_line(first + stream * part + at + i, sums);
        }
    }
    for (size_t at = job->streams * part; at < job->bytes; at += 64) wn_read_line(first + at, sums);
    wn_words2 all = sums[0] + sums[1] + sums[2] + sums[3];
    atomic_fetch_add_explicit(&job->sum, all[0] + all[1], memory_order_relaxed);
}

uint64_t wn_read_memory(wn_pool *pool, const void *memory, size_t bytes, size_t streams) {
    size_t pieces = WN_PROBE_PIECES * wn_pool_threads(pool);
    if (pieces > bytes / 64) pieces = bytes / 64;
    if (pieces == 0 || streams == 0 || streams > 16) return 0;
    wn_read_job job = {.memory = memory, .bytes = bytes / pieces / 64 * 64, .streams = streams};
    wn_pool_run(pool, pieces, wn_read_chunk, &job);
    return atomic_load(&job.sum);
}
