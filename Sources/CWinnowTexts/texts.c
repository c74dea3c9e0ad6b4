#include "winnow_texts.h"

// #embed is C23; clang takes it in every mode.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char calibration[] = {
#embed "texts/calibration.txt"
};

static const unsigned char scoring[] = {
#embed "texts/scoring.txt"
};

const winnow_text *winnow_calibration_text(void) {
    static const winnow_text text = {
        .name = "Jane Austen, Persuasion (1818)",
        .source = "Project Gutenberg ebook 105, chapters 1 to 11",
        .licence = "public domain",
        .bytes = calibration,
        .count = sizeof calibration,
    };
    return &text;
}

const winnow_text *winnow_scoring_text(void) {
    static const winnow_text text = {
        .name = "Mark Twain, The Adventures of Tom Sawyer (1876)",
        .source = "Project Gutenberg ebook 74, chapters 12 to 21",
        .licence = "public domain",
        .bytes = scoring,
        .count = sizeof scoring,
    };
    return &text;
}
