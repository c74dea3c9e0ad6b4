#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#include "../linear.h"
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi2"))), apply_to = function)
#define WN_TABLE wn_linear_avx2
#include "../scalar/linear_body.h"
#pragma clang attribute pop
#endif
