// fork(2), which Swift's Glibc module does not offer.

#ifndef PAGECACHE_CTESTSUPPORT_H
#define PAGECACHE_CTESTSUPPORT_H

/// Runs the body in a forked child and returns what it returned there (0...100), or -1 if the child did not end by itself within the given
/// number of seconds, or was ended by a signal.
int pagecache_run_in_fork(int (*_Nonnull body)(void *_Nullable), void *_Nullable context, int seconds);

#endif
