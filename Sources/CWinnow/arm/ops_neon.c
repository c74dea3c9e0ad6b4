#if defined(__aarch64__)
#define WN_TABLE wn_ops_neon
#include "../scalar/ops_body.h"
#endif
