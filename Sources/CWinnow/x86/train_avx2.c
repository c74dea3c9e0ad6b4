#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#include "../train.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#define WN_TABLE wn_train_avx2
#define WN_TILE_ROWS 6
#define WN_TILE_VECTORS 1
#include "../scalar/train_body.h"
#pragma clang attribute pop
#endif
