// The pool: workers spin for some tens of microseconds after a job, then sleep on a futex-like condition. A job ends
// when its chunks are done, whoever did them: a worker whose core is taken by another process holds nobody up.
#define _GNU_SOURCE
#include "wn_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wn_memory.h"

enum { WN_LINE = 64, WN_SPINS = 3000 };
static const uint64_t WN_CLOSED = UINT32_MAX;

typedef struct wn_worker {
    wn_pool *pool;
    size_t index;
    pthread_t thread;
} wn_worker;

struct wn_pool {
    size_t threads;
    bool spins;
    wn_worker *workers;
    unsigned char *scratch;
    size_t scratch_bytes;
    // The job: written by the caller while the ticket is closed, read by workers between two looks at the ticket.
    _Atomic(wn_chunk_function) function;
    _Atomic(void *) context;
    atomic_size_t chunks;
    // The job's number in the upper half, the next chunk in the lower one; WN_CLOSED there: none can be claimed.
    _Alignas(WN_LINE) _Atomic(uint64_t) ticket;
    _Alignas(WN_LINE) atomic_size_t done_chunks;
    _Alignas(WN_LINE) atomic_size_t sleepers;
    atomic_bool closing;
    size_t started;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    bool caller_sleeps;
};

static inline void wn_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Takes part in the current job; returns its number.
static uint32_t wn_work(wn_pool *pool, size_t worker) {
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    uint32_t job = (uint32_t)(ticket >> 32);
    for (;;) {
        // What is read here belongs to `job` if the ticket below is claimed: the caller writes the next job only after it
        // closed the ticket, and whoever sees a part of that job sees the ticket closed.
        wn_chunk_function function = atomic_load_explicit(&pool->function, memory_order_acquire);
        void *context = atomic_load_explicit(&pool->context, memory_order_acquire);
        size_t chunks = atomic_load_explicit(&pool->chunks, memory_order_acquire);
        if ((uint32_t)(ticket >> 32) != job || (uint32_t)ticket >= chunks) return job;
        if (!atomic_compare_exchange_weak_explicit(
                &pool->ticket, &ticket, ticket + 1, memory_order_acq_rel, memory_order_acquire)) continue;
        function(context, (uint32_t)ticket, worker);
        if (atomic_fetch_add_explicit(&pool->done_chunks, 1, memory_order_acq_rel) + 1 == chunks && worker != 0) {
            pthread_mutex_lock(&pool->mutex);
            if (pool->caller_sleeps) pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
        ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    }
}

static inline uint32_t wn_current_job(wn_pool *pool) {
    return (uint32_t)(atomic_load_explicit(&pool->ticket, memory_order_acquire) >> 32);
}

static void *wn_worker_main(void *argument) {
    wn_worker *worker = argument;
    wn_pool *pool = worker->pool;
    uint32_t seen = 0;
    for (;;) {
        size_t spins = pool->spins ? WN_SPINS : 0;
        while (wn_current_job(pool) == seen && spins > 0) {
            wn_pause();
            spins--;
        }
        if (wn_current_job(pool) == seen) {
            pthread_mutex_lock(&pool->mutex);
            atomic_fetch_add(&pool->sleepers, 1);
            // A worker may have taken the closing pool's last job for one of its own: there will be no other.
            while ((uint32_t)(atomic_load(&pool->ticket) >> 32) == seen && !atomic_load(&pool->closing)) {
                pthread_cond_wait(&pool->wake, &pool->mutex);
            }
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->mutex);
        }
        if (atomic_load(&pool->closing)) return NULL;
        seen = wn_work(pool, worker->index);
    }
}

// Before a job is written: a late worker that still holds the last job's ticket and reads the new count of chunks would
// take the chunk after the last for its own.
static void wn_close(wn_pool *pool) {
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_relaxed);
    atomic_store_explicit(&pool->ticket, ticket | WN_CLOSED, memory_order_relaxed);
}

// Lets workers see a job of `chunks` chunks whose fields are written.
static void wn_publish(wn_pool *pool) {
    uint64_t job = (uint32_t)((atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1);
    atomic_store(&pool->ticket, job << 32);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static size_t wn_processors(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (size_t)CPU_COUNT(&set);
#endif
    return 1;
}

wn_pool *wn_pool_create(size_t threads) {
    if (threads < 1) threads = 1;
    wn_pool *pool = aligned_alloc(WN_LINE, (sizeof(wn_pool) + WN_LINE - 1) / WN_LINE * WN_LINE);
    if (!pool) return NULL;
    memset(pool, 0, sizeof *pool);
    pool->threads = threads;
    pool->spins = wn_processors() >= threads;
    pool->workers = calloc(threads, sizeof *pool->workers);
    if (!pool->workers) {
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (size_t index = 1; index < threads; index++) {
        wn_worker *worker = &pool->workers[index];
        worker->pool = pool;
        worker->index = index;
        // Kernels keep tiles on the stack; some systems give threads no more than 128 KiB of it.
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 2 << 20);
        int code = pthread_create(&worker->thread, &attributes, wn_worker_main, worker);
        pthread_attr_destroy(&attributes);
        if (code != 0) {
            wn_pool_destroy(pool);
            return NULL;
        }
        pool->started++;
#if defined(__linux__)
        char name[16];
        snprintf(name, sizeof name, "winnow-%zu", index);
        pthread_setname_np(worker->thread, name);
#endif
    }
    return pool;
}

void wn_pool_destroy(wn_pool *pool) {
    if (!pool) return;
    atomic_store(&pool->closing, true);
    atomic_store(&pool->chunks, 0);
    wn_publish(pool);
    for (size_t index = 1; index <= pool->started; index++) pthread_join(pool->workers[index].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    wn_free_zeroed(pool->scratch);
    free(pool->workers);
    free(pool);
}

size_t wn_pool_threads(const wn_pool *pool) { return pool->threads; }

void wn_pool_run(wn_pool *pool, size_t chunks, wn_chunk_function function, void *context) {
    if (chunks == 0) return;
    if (!pool || pool->threads == 1 || chunks == 1) {
        for (size_t chunk = 0; chunk < chunks; chunk++) function(context, chunk, 0);
        return;
    }
    wn_close(pool);
    atomic_store_explicit(&pool->function, function, memory_order_release);
    atomic_store_explicit(&pool->context, context, memory_order_release);
    atomic_store_explicit(&pool->chunks, chunks, memory_order_release);
    atomic_store_explicit(&pool->done_chunks, 0, memory_order_relaxed);
    wn_publish(pool);
    wn_work(pool, 0);
    size_t spins = pool->spins ? WN_SPINS : 0;
    while (atomic_load_explicit(&pool->done_chunks, memory_order_acquire) < chunks && spins > 0) {
        wn_pause();
        spins--;
    }
    if (atomic_load_explicit(&pool->done_chunks, memory_order_acquire) < chunks) {
        pthread_mutex_lock(&pool->mutex);
        pool->caller_sleeps = true;
        while (atomic_load(&pool->done_chunks) < chunks) pthread_cond_wait(&pool->done, &pool->mutex);
        pool->caller_sleeps = false;
        pthread_mutex_unlock(&pool->mutex);
    }
}

bool wn_pool_reserve(wn_pool *pool, size_t bytes) {
    bytes = (bytes + 4095) / 4096 * 4096;
    if (bytes <= pool->scratch_bytes) return true;
    if (bytes > SIZE_MAX / pool->threads) return false;
    unsigned char *scratch = wn_allocate_zeroed(bytes * pool->threads);
    if (!scratch) return false;
    wn_free_zeroed(pool->scratch);
    pool->scratch = scratch;
    pool->scratch_bytes = bytes;
    return true;
}

void *wn_pool_scratch(wn_pool *pool, size_t worker) { return pool->scratch + worker * pool->scratch_bytes; }
