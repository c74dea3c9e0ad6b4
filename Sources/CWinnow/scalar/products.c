#define WN_TABLE wn_products_scalar
#include "products_body.h"
