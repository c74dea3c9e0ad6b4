#define WN_TABLE wn_train_scalar
#define WN_TILE_ROWS 4
#define WN_TILE_VECTORS 1
#include "train_body.h"
