// The two public-domain texts that the demo uses, embedded.
#ifndef WINNOW_TEXTS_H
#define WINNOW_TEXTS_H
#include <stddef.h>
typedef struct winnow_text { const char *name, *source; const unsigned char *bytes; size_t count; } winnow_text;
const winnow_text *winnow_calibration_text(void);
const winnow_text *winnow_scoring_text(void);
#endif
