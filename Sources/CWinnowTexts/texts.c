#include "winnow_texts.h"
