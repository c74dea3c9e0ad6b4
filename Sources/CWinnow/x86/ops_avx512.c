#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#include "../ops.h"
#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2"))), apply_to = function)
#define WN_TABLE wn_ops_avx512
#define WN_MIX_QUERIES 4
#include "../scalar/ops_body.h"
#pragma clang attribute pop
#endif
