#if defined(__aarch64__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define WN_TABLE wn_probes_neon_dot
#define WN_BYTE_DOT
#include "probes_body.h"
#pragma clang attribute pop
#endif
