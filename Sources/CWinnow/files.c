#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "wn_files.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#if defined(__linux__)
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NOREPLACE = 1, EXCHANGE = 2 };  // linux/fs.h; the C library's own names are newer than some of them

static bool rename2(const char *from, const char *to, unsigned flags) {
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) == 0;
}
#elif defined(__APPLE__)
enum { NOREPLACE = RENAME_EXCL, EXCHANGE = RENAME_SWAP };

static bool rename2(const char *from, const char *to, unsigned flags) { return renamex_np(from, to, flags) == 0; }
#else
enum { NOREPLACE, EXCHANGE };

static bool rename2(const char *from, const char *to, unsigned flags) {
    (void)from, (void)to, (void)flags;
    errno = ENOSYS;
    return false;
}
#endif

bool wn_rename_new(const char *from, const char *to) {
    if (rename2(from, to, NOREPLACE)) return true;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return false;
    struct stat status;
    if (lstat(to, &status) == 0) {
        errno = EEXIST;
        return false;
    }
    return rename(from, to) == 0;
}

bool wn_rename_exchange(const char *from, const char *to) { return rename2(from, to, EXCHANGE); }

int wn_open_direct(const char *path) {
#if defined(O_DIRECT)
    return open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
#else
    (void)path;
    errno = EINVAL;
    return -1;
#endif
}
