// Threads of a model: stacks that one thread of the system runs in turn, so that a switch between them costs no system call.

#ifndef PAGECACHE_CFIBERS_H
#define PAGECACHE_CFIBERS_H

#include <stddef.h>

typedef struct pagecache_fiber pagecache_fiber;

/// The calling thread's own stack, as something to switch back to.
pagecache_fiber *_Nullable pagecache_fiber_main(void);

/// A stack with a guard page. The body runs from the first switch to it on, and never returns. NULL where memory is short.
pagecache_fiber *_Nullable pagecache_fiber_make(size_t stack, void (*_Nonnull body)(void *_Nullable), void *_Nullable context);

/// Goes on where `to` was left. Returns when somebody switches back to `from`, the stack that calls.
void pagecache_fiber_switch(pagecache_fiber *_Nonnull from, pagecache_fiber *_Nonnull to);

#endif
