#ifndef WN_POOL_H
#define WN_POOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- Instruction sets ------------------------------------------------------------------------------------
// The table is chosen once, at first use: the best this CPU has, or WINNOW_ISA. avx512 means F, BW, DQ, VL,
// VNNI, VBMI, VBMI2, VPOPCNTDQ and BITALG together; anything less is avx2 (with FMA, F16C, BMI2).
typedef enum { WN_ISA_SCALAR = 0, WN_ISA_AVX2 = 1, WN_ISA_AVX512 = 2, WN_ISA_NEON = 3 } wn_isa;
wn_isa wn_isa_current(void);
bool wn_isa_available(wn_isa isa);
// Switches the whole table; false when this CPU lacks it. A job keeps the table it began with.
bool wn_isa_select(wn_isa isa);
// The same for what this thread starts, until it selects -1: comparing tables while other threads run on theirs.
bool wn_isa_select_local(int isa);
const char *wn_isa_name(wn_isa isa);

// What multiplies bfloat16 under the current set: nothing, so that rounded numbers are multiplied as float32; AVX512_BF16's
// dot products of pairs; AMX's tiles. The best that this CPU and its system have, unless another was selected.
typedef enum { WN_BF16_ROUNDED = 0, WN_BF16_PAIRS = 1, WN_BF16_TILES = 2 } wn_bf16;
wn_bf16 wn_bf16_current(void);
bool wn_bf16_available(wn_bf16 kind);
// For this thread and the jobs that it starts; below 0: as the CPU has it. False where it is not available.
bool wn_bf16_select_local(int kind);

// ---- Pool ------------------------------------------------------------------------------------------------
// One job at a time. The caller is worker 0 and works too; chunks are claimed from a counter. Workers spin for
// some tens of microseconds, then sleep. A pool of one thread runs everything in the caller.
typedef struct wn_pool wn_pool;
typedef void (*wn_chunk_function)(void *context, size_t chunk, size_t worker);
wn_pool *wn_pool_create(size_t threads);  // NULL when a thread cannot be started
void wn_pool_destroy(wn_pool *pool);
size_t wn_pool_threads(const wn_pool *pool);
void wn_pool_run(wn_pool *pool, size_t chunks, wn_chunk_function function, void *context);
// `bytes` of scratch, 64-byte aligned, owned by one worker; grows (only between jobs) by wn_pool_reserve.
bool wn_pool_reserve(wn_pool *pool, size_t bytes);
void *wn_pool_scratch(wn_pool *pool, size_t worker);
#endif
