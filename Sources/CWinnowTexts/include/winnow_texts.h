// The two public-domain texts that `winnow demo` calibrates with and scores: embedded, so that one binary is enough.
#ifndef WINNOW_TEXTS_H
#define WINNOW_TEXTS_H
#include <stddef.h>

typedef struct winnow_text {
    const char *name;            // author and title
    const char *source;          // edition and chapters
    const char *licence;
    const unsigned char *bytes;  // ASCII, not ended by a zero
    size_t count;
} winnow_text;

// Disjoint: different books by different authors. Never null.
const winnow_text *winnow_calibration_text(void);
const winnow_text *winnow_scoring_text(void);
#endif
