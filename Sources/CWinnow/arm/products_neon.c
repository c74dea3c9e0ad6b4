#if defined(__aarch64__)
#define WN_TABLE wn_products_neon
#include "products_body.h"
#endif
