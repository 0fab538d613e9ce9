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

/// memfd_create(2) with close-on-exec. Returns a descriptor or -errno.
int pagecache_memfd(const char *_Nonnull name);

/// preadv2(2). Returns the count or -errno; retries EINTR.
ssize_t pagecache_preadv2(int descriptor, const struct iovec *_Nonnull vectors, int count, int64_t offset, int flags);

/// fallocate(2). Returns 0 or errno; retries EINTR.
int pagecache_fallocate(int descriptor, int mode, int64_t offset, int64_t count);

/// copy_file_range(2), once. Returns the count or -errno.
ssize_t pagecache_copy_file_range(int source, int64_t from, int destination, int64_t to, size_t count);

/// What statx(2) says of an open descriptor.
struct pagecache_file_status {
  uint64_t device;
  uint64_t inode;
  int64_t size;
  uint32_t mode;
  /// Alignment that O_DIRECT asks of memory and offsets; 0 where the kernel or the file system cannot say or cannot do it.
  uint32_t direct_memory_alignment;
  uint32_t direct_offset_alignment;
  /// Whether the file system said anything about direct I/O at all.
  int direct_alignment_known;
  int64_t modified_seconds;
  uint32_t modified_nanoseconds;
  int64_t changed_seconds;
  uint32_t changed_nanoseconds;
};

/// Returns 0 or errno.
int pagecache_file_status(int descriptor, struct pagecache_file_status *_Nonnull status);

/// O_DIRECT and O_PATH: GNU extensions that Swift's Glibc module does not show, with values that differ by architecture.
extern const int pagecache_open_direct;
extern const int pagecache_open_path_only;

/// RWF_DONTCACHE (Linux 6.14), which Debian's headers do not have yet.
#define PAGECACHE_RWF_DONTCACHE 0x80

#endif
