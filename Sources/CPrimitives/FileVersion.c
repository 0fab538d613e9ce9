// fstat(2): in a file of its own, because <sys/stat.h> and the kernel's <linux/stat.h> both have a struct statx.
#include "CPrimitives.h"

#include <errno.h>
#include <sys/stat.h>

int pagecache_file_version(int descriptor, struct pagecache_file_version *version) {
  struct stat answer;
  if (fstat(descriptor, &answer) != 0) return errno;
  version->size = (int64_t)answer.st_size;
  version->modified_seconds = answer.st_mtim.tv_sec;
  version->modified_nanoseconds = (uint32_t)answer.st_mtim.tv_nsec;
  return 0;
}
