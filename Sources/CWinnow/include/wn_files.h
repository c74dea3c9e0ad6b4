#ifndef WN_FILES_H
#define WN_FILES_H
#include <stdbool.h>

// Renames `from` to `to`; fails with EEXIST when there is something at `to`. False with errno set.
bool wn_rename_new(const char *from, const char *to);
// Lets two paths change places. False with errno set: EINVAL or ENOSYS where the file system cannot.
bool wn_rename_exchange(const char *from, const char *to);
#endif
