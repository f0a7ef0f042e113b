/* Faults for one process, loaded before the C library (LD_PRELOAD). Files in the folder $FAULTS say which:
 *   fsync  fsync and fdatasync of files whose path ends with this text fail with EIO; each adds a byte to `failed`
 *   clock  seconds by which the wall clock is wrong
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static ssize_t fault(const char *name, char *text, size_t size) {
    char path[PATH_MAX];
    const char *dir = getenv("FAULTS");
    if (!dir || snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return -1;
    int saved = errno, fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = -1;
    if (fd >= 0) {
        len = read(fd, text, size - 1);
        close(fd);
    }
    errno = saved;
    if (len >= 0) text[len] = 0;
    return len;
}

static int fails(int fd) {
    char needle[256], link[64], path[PATH_MAX], log[PATH_MAX];
    if (fault("fsync", needle, sizeof needle) < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0) return 0;
    path[len] = 0;
    ssize_t tail = (ssize_t)strlen(needle);
    if (tail > len || strcmp(path + len - tail, needle) != 0) return 0;
    snprintf(log, sizeof log, "%s/failed", getenv("FAULTS"));
    int failed = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (failed >= 0) {
        if (write(failed, "x", 1) < 0) abort();
        close(failed);
    }
    errno = EIO;
    return 1;
}

int fsync(int fd) { return fails(fd) ? -1 : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) { return fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }

static time_t wrong_by(void) {
    char text[32];
    return fault("clock", text, sizeof text) > 0 ? (time_t)atoll(text) : 0;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    int told = (int)syscall(SYS_clock_gettime, id, now);
    if (told == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += wrong_by();
    return told;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (told) *told = exact.tv_sec;
    return exact.tv_sec;
}
