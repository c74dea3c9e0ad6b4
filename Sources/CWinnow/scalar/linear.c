#define WN_TABLE wn_linear_scalar
#include "linear_body.h"
