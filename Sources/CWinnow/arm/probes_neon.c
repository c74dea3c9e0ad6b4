#if defined(__aarch64__)
#define WN_TABLE wn_probes_neon
#include "probes_body.h"
#endif
