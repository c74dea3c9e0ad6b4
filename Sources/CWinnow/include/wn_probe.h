#ifndef WN_PROBE_H
#define WN_PROBE_H
#include "wn_pool.h"

// ---- Arithmetic roofs --------------------------------------------------------------------------------------
// How much an instruction set can multiply and add when nothing is read from memory: the instruction that the products
// of this table use, on accumulators that stay in registers.
//   F32    fused multiply-add
//   BF16   products of bfloat16: AMX's tiles, or AVX512_BF16's dot products of pairs
//   INT8   dot products of bytes: vpdpbusd (AVX-512), vpmaddwd over both planes at once (AVX2), sdot or smull (NEON)
typedef enum { WN_PROBE_F32 = 0, WN_PROBE_BF16 = 1, WN_PROBE_INT8 = 2, WN_PROBE_COUNT = 3 } wn_probe_kind;

enum { WN_PROBE_ROUNDS = 1 << 22 };  // float32 counts exactly up to there, and four times as far

// Runs `rounds` (at most WN_PROBE_ROUNDS) rounds on every thread of the pool, a few times each. Every product is
// 1 * 1 and the accumulators begin at 0: what they add up to, which is returned, is the number of multiply-adds that were
// done. 0 where the set has no such instruction.
double wn_probe(wn_pool *pool, wn_probe_kind kind, size_t rounds);

// ---- The memory roof ---------------------------------------------------------------------------------------
// Reads memory once, on every thread of the pool, each from `streams` (1 to 16) places in turn that it asks for ahead, as
// products read rows. Returns the sum of its 64-bit words, wrapping around; lines of 64 bytes that the pool's pieces do not
// share out evenly are left out. memory: 16-byte aligned.
uint64_t wn_read_memory(wn_pool *pool, const void *memory, size_t bytes, size_t streams);
#endif
