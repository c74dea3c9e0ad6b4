#if defined(__aarch64__)
#define WN_TABLE wn_linear_neon
#include "../scalar/linear_body.h"
#endif
