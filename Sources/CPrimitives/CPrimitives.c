// Here and not in the header: Swift's Glibc module is built without it, and the two must see the same C types.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "CPrimitives.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/stat.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

__thread void *pagecache_thread_records[PAGECACHE_DOMAIN_LIMIT] PAGECACHE_INITIAL_EXEC;
__thread void *pagecache_fast_records[PAGECACHE_DOMAIN_LIMIT] PAGECACHE_INITIAL_EXEC;

void pagecache_exchange_thread_records(void **saved, void *const *restored) {
  memcpy(saved, pagecache_thread_records, sizeof(pagecache_thread_records));
  memcpy(saved + PAGECACHE_DOMAIN_LIMIT, pagecache_fast_records, sizeof(pagecache_fast_records));
  memcpy(pagecache_thread_records, restored, sizeof(pagecache_thread_records));
  memcpy(pagecache_fast_records, restored + PAGECACHE_DOMAIN_LIMIT, sizeof(pagecache_fast_records));
}

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

// errno stays as it was: whoever takes a lock may be about to look at it.
void pagecache_futex_wait(void *word, uint32_t value, int64_t nanoseconds) {
  int saved = errno;
  struct timespec rest = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nanoseconds < 0 ? NULL : &rest, NULL, 0);
  errno = saved;
}

void pagecache_futex_wake(void *word, int count) {
  int saved = errno;
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
  errno = saved;
}

ssize_t pagecache_preadv2(int descriptor, const struct iovec *vectors, int count, int64_t offset, int flags) {
  for (;;) {
    // The plain call has less to copy and to check.
    ssize_t done = count == 1 && flags == 0 ? pread(descriptor, vectors->iov_base, vectors->iov_len, offset)
                                            : preadv2(descriptor, vectors, count, offset, flags);
    if (done >= 0) return done;
    if (errno != EINTR) return -errno;
  }
}

static int file_status(int directory, const char *path, int flags, struct pagecache_file_status *status) {
  // The kernel's own header and a plain system call: glibc's struct statx has no fields for direct I/O (Linux 6.1) yet.
  struct statx answer;
  if (syscall(SYS_statx, directory, path, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_DIOALIGN, &answer) != 0) return errno;
  status->device = makedev(answer.stx_dev_major, answer.stx_dev_minor);
  status->inode = answer.stx_ino;
  status->size = (int64_t)answer.stx_size;
  status->allocated = (int64_t)answer.stx_blocks * 512;
  status->block_size = answer.stx_blksize;
  status->mode = answer.stx_mode;
  status->modified_seconds = answer.stx_mtime.tv_sec;
  status->modified_nanoseconds = answer.stx_mtime.tv_nsec;
  status->creation_known = (answer.stx_mask & STATX_BTIME) != 0;
  status->created_seconds = status->creation_known ? answer.stx_btime.tv_sec : 0;
  status->created_nanoseconds = status->creation_known ? answer.stx_btime.tv_nsec : 0;
  status->direct_alignment_known = (answer.stx_mask & STATX_DIOALIGN) != 0;
  status->direct_memory_alignment = status->direct_alignment_known ? answer.stx_dio_mem_align : 0;
  status->direct_offset_alignment = status->direct_alignment_known ? answer.stx_dio_offset_align : 0;
  return 0;
}

int pagecache_file_status(int descriptor, struct pagecache_file_status *status) {
  return file_status(descriptor, "", AT_EMPTY_PATH, status);
}

int pagecache_path_status(const char *path, struct pagecache_file_status *status) {
  return file_status(AT_FDCWD, path, 0, status);
}

ssize_t pagecache_pwritev(int descriptor, const struct iovec *vectors, int count, int64_t offset) {
  for (;;) {
    ssize_t done = count == 1 ? pwrite(descriptor, vectors->iov_base, vectors->iov_len, offset)
                              : pwritev(descriptor, vectors, count, offset);
    if (done >= 0) return done;
    if (errno != EINTR) return -errno;
  }
}

int pagecache_sync(int descriptor, int data_only) {
  for (;;) {
    if ((data_only ? fdatasync(descriptor) : fsync(descriptor)) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int pagecache_sync_file_system(int descriptor) { return syncfs(descriptor) == 0 ? 0 : errno; }

int pagecache_truncate(int descriptor, int64_t size) {
  for (;;) {
    if (ftruncate(descriptor, size) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int pagecache_fallocate(int descriptor, int mode, int64_t offset, int64_t count) {
  for (;;) {
    if (fallocate(descriptor, mode, offset, count) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int pagecache_clone_range(int source, int64_t source_offset, int64_t count, int destination, int64_t destination_offset) {
  struct file_clone_range range = {
      .src_fd = source,
      .src_offset = (uint64_t)source_offset,
      .src_length = (uint64_t)count,
      .dest_offset = (uint64_t)destination_offset,
  };
  for (;;) {
    if (ioctl(destination, FICLONERANGE, &range) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int64_t pagecache_dedupe_range(int source, int64_t source_offset, int64_t count, int destination, int64_t destination_offset) {
  _Alignas(struct file_dedupe_range) char
      memory[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
  struct file_dedupe_range *range = (struct file_dedupe_range *)memory;
  for (;;) {
    memset(memory, 0, sizeof(memory));
    range->src_offset = (uint64_t)source_offset;
    range->src_length = (uint64_t)count;
    range->dest_count = 1;
    range->info[0].dest_fd = destination;
    range->info[0].dest_offset = (uint64_t)destination_offset;
    if (ioctl(source, FIDEDUPERANGE, range) != 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (range->info[0].status == FILE_DEDUPE_RANGE_DIFFERS) return PAGECACHE_DEDUPE_DIFFERS;
    if (range->info[0].status == -EINTR) continue;
    if (range->info[0].status < 0) return range->info[0].status;
    return (int64_t)range->info[0].bytes_deduped;
  }
}

int64_t pagecache_seek(int descriptor, int64_t offset, int to_hole) {
  off_t found = lseek(descriptor, offset, to_hole ? SEEK_HOLE : SEEK_DATA);
  return found >= 0 ? found : -errno;
}

void pagecache_drop_behind(int descriptor, int64_t offset, int64_t count) {
  sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
  posix_fadvise(descriptor, offset, count, POSIX_FADV_DONTNEED);
}

int pagecache_set_description_lock(int descriptor, int type) {
  struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET};
  return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

int pagecache_conflicting_lock(int descriptor, int type, pid_t *holder) {
  struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET};
  if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) return errno;
  *holder = lock.l_type == F_UNLCK ? 0 : lock.l_pid > 0 ? lock.l_pid : -1;
  return 0;
}

ssize_t pagecache_copy_file_range(int source, int64_t from, int destination, int64_t to, size_t count) {
  loff_t source_offset = from, destination_offset = to;
  ssize_t done = copy_file_range(source, &source_offset, destination, &destination_offset, count, 0);
  return done >= 0 ? done : -errno;
}

void pagecache_return_freed_memory(int byte_count) {
  // Setting them ends their growing by themselves, too.
  mallopt(M_MMAP_THRESHOLD, byte_count);
  mallopt(M_TRIM_THRESHOLD, byte_count);
}
