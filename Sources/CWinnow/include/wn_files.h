#ifndef WN_FILES_H
#define WN_FILES_H
#include <stdbool.h>

// Renames `from` to `to`; fails with EEXIST when there is something at `to`. False with errno set.
bool wn_rename_new(const char *from, const char *to);
// Lets two paths change places. False with errno set: EINVAL or ENOSYS where the file system cannot.
bool wn_rename_exchange(const char *from, const char *to);
// Opens a file for reads past the page cache, which are made of multiples of 4096 bytes. -1 with errno set; EINVAL
// where the file system or the system cannot.
int wn_open_direct(const char *path);
#endif
