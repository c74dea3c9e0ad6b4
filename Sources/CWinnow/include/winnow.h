// The kernels of Winnow: everything that needs an instruction set, a thread pool, or float64 linear algebra.
// Swift decides, C computes. No function here allocates, apart from the pool's own creation.
#ifndef WINNOW_H
#define WINNOW_H
#include "wn_files.h"
#include "wn_memory.h"
#include "wn_pool.h"
#include "wn_matrix.h"
#include "wn_ops.h"
#include "wn_train.h"
#include "wn_optimize.h"
#include "wn_pack.h"
#include "wn_select.h"
#include "wn_encode.h"
#include "wn_linear.h"
#include "wn_foreign.h"
#include "wn_probe.h"
#endif
