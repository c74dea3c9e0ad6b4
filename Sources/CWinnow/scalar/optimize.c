#define WN_TABLE wn_optimize_scalar
#include "optimize_body.h"
