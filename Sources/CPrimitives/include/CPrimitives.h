// Thin wrappers for what Swift cannot name: thread-local words, compiler fences, prefetches and
// system calls without a Glibc face. Nothing here has a policy of its own.

#ifndef PAGECACHE_CPRIMITIVES_H
#define PAGECACHE_CPRIMITIVES_H

#if !defined(__linux__)
#error "swift-page-cache runs on Linux only"
#endif
#if !defined(__x86_64__) && !defined(__aarch64__)
#error "swift-page-cache supports x86-64 and aarch64: others have not been argued to be right"
#endif

#include <linux/falloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/// How many read domains (caches) a process can have at one time.
#define PAGECACHE_DOMAIN_LIMIT 64

#define PAGECACHE_INITIAL_EXEC __attribute__((tls_model("initial-exec")))

/// The calling thread's record in every domain in which it is registered. Initial-exec, so that the address is
/// two instructions also inside a shared object.
extern __thread void *_Nullable pagecache_thread_records[PAGECACHE_DOMAIN_LIMIT] PAGECACHE_INITIAL_EXEC;

/// The same, but only where read sections need no fence. The hit path looks here and nowhere else.
extern __thread void *_Nullable pagecache_fast_records[PAGECACHE_DOMAIN_LIMIT] PAGECACHE_INITIAL_EXEC;

static inline void *_Nullable pagecache_thread_record(size_t slot) {
  return pagecache_thread_records[slot];
}

static inline void *_Nullable pagecache_fast_record(size_t slot) {
  return pagecache_fast_records[slot];
}

static inline void pagecache_set_thread_record(size_t slot, void *_Nullable record, int fast) {
  pagecache_thread_records[slot] = record;
  pagecache_fast_records[slot] = fast ? record : NULL;
}

/// Takes the calling thread's tables away and puts others in their place, records and fast records: for threads of a model, which share one thread of
/// the system.
void pagecache_exchange_thread_records(void *_Nullable *_Nonnull saved, void *_Nullable const *_Nonnull restored);

/// Orders the compiler, not the processor.
static inline void pagecache_compiler_fence(void) { __asm__ volatile("" ::: "memory"); }

/// Tells the processor that this is a spin loop.
static inline void pagecache_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("isb" ::: "memory");
#endif
}

static inline void pagecache_prefetch(const void *_Nonnull address) { __builtin_prefetch(address, 0, 3); }

/// Keeps a value that nobody uses, so that a benchmark's work is not optimised away.
static inline void pagecache_keep(uint64_t value) { __asm__ volatile("" ::"r"(value) : "memory"); }

/// membarrier(2), private expedited: every running thread of this process executes a full fence. Returns 0 or errno.
int pagecache_membarrier(void);
/// Registers the process for it. Returns 0 or errno.
int pagecache_membarrier_register(void);

/// Names the calling thread, as top and gdb show it (15 bytes).
void pagecache_name_thread(const char *_Nonnull name);

/// Cores that this process may run on.
int pagecache_available_cores(void);

/// Has the C library give back at once what is freed, if it is at least so many bytes; by itself it keeps more and more of it (mallopt(3)).
void pagecache_return_freed_memory(int byte_count);

/// memfd_create(2) with close-on-exec. Returns a descriptor or -errno.
int pagecache_memfd(const char *_Nonnull name);

/// FUTEX_WAIT, private: sleeps while the word at an address has a value, for so many nanoseconds at most, or without end if that is
/// negative. Returns also for no reason.
void pagecache_futex_wait(void *_Nonnull word, uint32_t value, int64_t nanoseconds);

/// FUTEX_WAKE, private: wakes as many at most as sleep on the word at an address. Does not touch the word.
void pagecache_futex_wake(void *_Nonnull word, int count);

/// preadv2(2), or pread(2) where that does the same. Returns the count or -errno; retries EINTR.
ssize_t pagecache_preadv2(int descriptor, const struct iovec *_Nonnull vectors, int count, int64_t offset, int flags);

/// copy_file_range(2), once. Returns the count or -errno.
ssize_t pagecache_copy_file_range(int source, int64_t from, int destination, int64_t to, size_t count);

/// What statx(2) says of an open descriptor.
struct pagecache_file_status {
  uint64_t device;
  uint64_t inode;
  int64_t size;
  /// Bytes of storage behind the file.
  int64_t allocated;
  uint32_t block_size;
  uint32_t mode;
  /// Alignment that O_DIRECT asks of memory and offsets; 0 where the kernel or the file system cannot say or cannot do it.
  uint32_t direct_memory_alignment;
  uint32_t direct_offset_alignment;
  /// Whether the file system said anything about direct I/O at all.
  int direct_alignment_known;
  int64_t modified_seconds;
  uint32_t modified_nanoseconds;
  /// When the file was made, where the file system knows.
  int creation_known;
  int64_t created_seconds;
  uint32_t created_nanoseconds;
};

/// Returns 0 or errno.
int pagecache_file_status(int descriptor, struct pagecache_file_status *_Nonnull status);

/// What of an open descriptor changes with its contents.
struct pagecache_file_version {
  int64_t size;
  int64_t modified_seconds;
  uint32_t modified_nanoseconds;
};

/// By fstat(2), which is quicker than statx(2). Returns 0 or errno.
int pagecache_file_version(int descriptor, struct pagecache_file_version *_Nonnull version);

/// The same of what a path leads to. Returns 0 or errno.
int pagecache_path_status(const char *_Nonnull path, struct pagecache_file_status *_Nonnull status);

/// pwrite(2) for one vector, pwritev(2) for more. Returns the count or -errno; retries EINTR.
ssize_t pagecache_pwritev(int descriptor, const struct iovec *_Nonnull vectors, int count, int64_t offset);

/// fdatasync(2) or fsync(2). Returns 0 or errno; retries EINTR.
int pagecache_sync(int descriptor, int data_only);

/// syncfs(2): the file system under a descriptor. Returns 0 or errno.
int pagecache_sync_file_system(int descriptor);

/// ftruncate(2). Returns 0 or errno; retries EINTR.
int pagecache_truncate(int descriptor, int64_t size);

/// fallocate(2) with modes of FALLOC_FL_*. Returns 0 or errno; retries EINTR.
int pagecache_fallocate(int descriptor, int mode, int64_t offset, int64_t count);

/// The ioctl FICLONERANGE. A count of 0 means up to the source's end. Returns 0 or errno.
int pagecache_clone_range(int source, int64_t source_offset, int64_t count, int destination, int64_t destination_offset);

/// The ioctl FIDEDUPERANGE with one destination. Returns the bytes that are shared now (maybe fewer than asked for), -errno, or
/// PAGECACHE_DEDUPE_DIFFERS.
int64_t pagecache_dedupe_range(int source, int64_t source_offset, int64_t count, int destination, int64_t destination_offset);
static const int64_t PAGECACHE_DEDUPE_DIFFERS = INT64_MIN;

/// lseek(2) with SEEK_HOLE or SEEK_DATA: where the next one begins. Moves the descriptor's offset. Returns it or -errno.
int64_t pagecache_seek(int descriptor, int64_t offset, int to_hole);

/// Starts write-back of a range and lets go of what is clean already: sync_file_range(2), then posix_fadvise(2).
void pagecache_drop_behind(int descriptor, int64_t offset, int64_t count);

/// Locks, or unlocks, the whole file for the open file description (F_OFD_SETLK): F_RDLCK, F_WRLCK or F_UNLCK. Returns 0 or errno.
int pagecache_set_description_lock(int descriptor, int type);

/// The first lock of anybody else that would be in the way of a lock of this type on the whole file (F_OFD_GETLK). Returns 0 or errno.
/// The holder is 0 if there is none, the process of a POSIX lock, or -1 for another description's lock and where the kernel does not say.
int pagecache_conflicting_lock(int descriptor, int type, pid_t *_Nonnull holder);

/// O_DIRECT and O_PATH: GNU extensions that Swift's Glibc module does not show, with values that differ by architecture.
extern const int pagecache_open_direct;
extern const int pagecache_open_path_only;

/// RWF_DONTCACHE (Linux 6.14), which Debian's headers do not have yet.
#define PAGECACHE_RWF_DONTCACHE 0x80

#endif
