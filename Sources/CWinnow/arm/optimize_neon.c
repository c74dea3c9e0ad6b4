#if defined(__aarch64__)
#define WN_TABLE wn_optimize_neon
#include "../scalar/optimize_body.h"
#endif
