// Here and not in the header: Swift's Glibc module is built without it, and the two must see the same C types.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "CPrimitives.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/stat.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

__thread void *pagecache_thread_records[PAGECACHE_DOMAIN_LIMIT] PAGECACHE_INITIAL_EXEC;
__thread void *pagecache_fast_records[PAGECACHE_DOMAIN_LIMIT] PAGECACHE_INITIAL_EXEC;

int pagecache_membarrier(void) {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : errno;
}

int pagecache_membarrier_register(void) {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : errno;
}

int pagecache_memfd(const char *name) {
  int descriptor = memfd_create(name, MFD_CLOEXEC);
  return descriptor >= 0 ? descriptor : -errno;
}

void pagecache_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int pagecache_available_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

const int pagecache_open_direct = O_DIRECT;
const int pagecache_open_path_only = O_PATH;

ssize_t pagecache_preadv2(int descriptor, const struct iovec *vectors, int count, int64_t offset, int flags) {
  for (;;) {
    ssize_t done = preadv2(descriptor, vectors, count, offset, flags);
    if (done >= 0) return done;
    if (errno != EINTR) return -errno;
  }
}

int pagecache_file_status(int descriptor, struct pagecache_file_status *status) {
  // The kernel's own header and a plain system call: glibc's struct statx has no fields for direct I/O (Linux 6.1) yet.
  struct statx answer;
  if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &answer) != 0) return errno;
  status->device = makedev(answer.stx_dev_major, answer.stx_dev_minor);
  status->inode = answer.stx_ino;
  status->size = (int64_t)answer.stx_size;
  status->mode = answer.stx_mode;
  status->modified_seconds = answer.stx_mtime.tv_sec;
  status->modified_nanoseconds = answer.stx_mtime.tv_nsec;
  status->changed_seconds = answer.stx_ctime.tv_sec;
  status->changed_nanoseconds = answer.stx_ctime.tv_nsec;
  status->direct_alignment_known = (answer.stx_mask & STATX_DIOALIGN) != 0;
  status->direct_memory_alignment = status->direct_alignment_known ? answer.stx_dio_mem_align : 0;
  status->direct_offset_alignment = status->direct_alignment_known ? answer.stx_dio_offset_align : 0;
  return 0;
}

int pagecache_fallocate(int descriptor, int mode, int64_t offset, int64_t count) {
  for (;;) {
    if (fallocate(descriptor, mode, offset, count) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

ssize_t pagecache_copy_file_range(int source, int64_t from, int destination, int64_t to, size_t count) {
  loff_t source_offset = from, destination_offset = to;
  ssize_t done = copy_file_range(source, &source_offset, destination, &destination_offset, count, 0);
  return done >= 0 ? done : -errno;
}
