// The same for cores with dot products of bytes: the integer sums are exact, so both tables answer the same bits.
#if defined(__aarch64__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define WN_TABLE wn_products_neon_dot
#define WN_BYTE_DOT
#include "products_body.h"
#pragma clang attribute pop
#endif
