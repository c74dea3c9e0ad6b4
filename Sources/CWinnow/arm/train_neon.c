#if defined(__aarch64__)
#define WN_TABLE wn_train_neon
#define WN_TILE_ROWS 6
#define WN_TILE_VECTORS 1
#include "../scalar/train_body.h"
#endif
