#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#include "../train.h"
#pragma clang attribute push(                                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2"))), apply_to = function)
#define WN_TABLE wn_train_avx512
#define WN_TILE_ROWS 12
#define WN_TILE_VECTORS 2
#include "../scalar/train_body.h"
#pragma clang attribute pop
#endif
