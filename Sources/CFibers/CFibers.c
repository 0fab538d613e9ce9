// makecontext(3) makes a stack, once; setjmp(3) and longjmp(3) without signal masks switch, because swapcontext(3) would make a
// system call each time. QEMU's coroutines do the same.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
// The checked longjmp takes a jump to another stack for a mistake.
#undef _FORTIFY_SOURCE

#include "CFibers.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

struct pagecache_fiber {
  jmp_buf state;
  // Where it starts; none once it has been switched to.
  ucontext_t *entry;
  void (*body)(void *);
  void *context;
};

pagecache_fiber *pagecache_fiber_main(void) { return calloc(1, sizeof(pagecache_fiber)); }

// makecontext passes ints: a pointer takes two.
static void start(unsigned high, unsigned low) {
  pagecache_fiber *fiber = (pagecache_fiber *)((uintptr_t)high << 32 | (uintptr_t)low);
  free(fiber->entry);
  fiber->entry = NULL;
  fiber->body(fiber->context);
  abort();
}

pagecache_fiber *pagecache_fiber_make(size_t stack, void (*body)(void *), void *context) {
  const size_t guard = 4096;
  pagecache_fiber *fiber = calloc(1, sizeof(*fiber));
  ucontext_t *entry = calloc(1, sizeof(*entry));
  char *memory = mmap(NULL, stack + guard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!fiber || !entry || memory == MAP_FAILED || getcontext(entry) != 0) {
    if (memory != MAP_FAILED) munmap(memory, stack + guard);
    free(entry);
    free(fiber);
    return NULL;
  }
  mprotect(memory, guard, PROT_NONE);
  fiber->entry = entry;
  fiber->body = body;
  fiber->context = context;
  entry->uc_stack.ss_sp = memory + guard;
  entry->uc_stack.ss_size = stack;
  entry->uc_link = NULL;
  uintptr_t address = (uintptr_t)fiber;
  makecontext(entry, (void (*)(void))start, 2, (unsigned)(address >> 32), (unsigned)address);
  return fiber;
}

void pagecache_fiber_switch(pagecache_fiber *from, pagecache_fiber *to) {
  if (_setjmp(from->state) != 0) return;
  if (to->entry) setcontext(to->entry);
  _longjmp(to->state, 1);
}
