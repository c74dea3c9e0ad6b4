#define WN_TABLE wn_ops_scalar
#include "ops_body.h"
