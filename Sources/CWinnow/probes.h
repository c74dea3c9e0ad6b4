// The table of arithmetic probes that an instruction set fills; NULL where it has no such instruction.
#ifndef WN_PROBES_H
#define WN_PROBES_H
#include "wn_probe.h"

// `one` is 1, told at run time so that nothing is worked out when this is compiled. Returns the multiply-adds done.
typedef double (*wn_probe_function)(size_t rounds, int one);

typedef struct wn_probe_table {
    wn_probe_function kinds[WN_PROBE_COUNT];
} wn_probe_table;

// Chains that do not wait for each other: a core starts two of four to six cycles' latency in each.
enum { WN_PROBE_CHAINS = 12 };

extern const wn_probe_table wn_probes_scalar;
#if defined(__x86_64__)
extern const wn_probe_table wn_probes_avx2, wn_probes_avx512;
double wn_probe_tiles(size_t rounds, int one);  // WN_PROBE_BF16 where AMX multiplies it
#endif
#if defined(__aarch64__)
extern const wn_probe_table wn_probes_neon, wn_probes_neon_dot;
bool wn_has_byte_dot(void);
#endif
#endif
