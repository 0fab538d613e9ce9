import PageIndex

/// What a file owes to its store: pages that may not be evicted, because only the cache has them, or because the store might lose them and they would have
/// to be written again (R4). Expects the file's lock held.
///
/// A page is *dirty* until the store has been given it, then *written* until a flush that began after that has succeeded. Flushes alternate between two
/// epochs: what is given to the store while one is under way belongs to the next.
struct Debt {
  /// Pages with any of the three marks.
  var pages = 0
  /// Pages that are marked dirty.
  var dirtyPages = 0
  /// Epoch of what is given to the store now.
  var epoch: UInt64 = 0
  /// When the oldest page that is dirty now became so, or earlier: nanoseconds of the monotonic clock.
  var dirtySince: UInt64?
  /// When the oldest page that waits for a flush was given to the store, or earlier.
  var writtenSince: UInt64?

  /// Writes and other changes that have returned, or are about to; and how many of them are durable.
  var changes: UInt64 = 0
  var durableChanges: UInt64 = 0

  /// Whether a flush is under way: one at a time.
  var isFlushing = false
  /// Whether somebody has a point of the file that other bytes may wait for.
  var hasPoints = false
  /// How many jobs of the background have failed, and how the last one did.
  var failedJobs = 0
  var lastJobError: CacheError?
  /// Changes of the store that a flush with all metadata has covered.
  var fullFlushes: UInt64 = 0
  /// A background job is under way, or asked for.
  var hasJob = false
  /// Not before this time does the background try again, after a failure.
  var retryTime: UInt64 = 0

  /// The mark of what is given to the store now.
  var writtenMark: Mark { Debt.mark(ofEpoch: epoch) }

  static func mark(ofEpoch epoch: UInt64) -> Mark {
    epoch & 1 == 0 ? .writtenInEvenEpoch : .writtenInOddEpoch
  }
}
