import Glibc

/// Copies bytes that another thread may be changing.
///
/// The result is only meaningful if the caller finds afterwards, by a version or a count, that nothing changed. `memcpy` is what
/// every sequence lock in the field uses here: the C11 model has no cheaper word for "these bytes may be garbage, I will look".
/// ThreadSanitizer builds copy by relaxed atomic words instead, so that the tool sees an atomic access and not a race.
@inlinable @inline(__always)
package func racyCopy(to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int) {
  #if ThreadSanitizer
    unsafe relaxedCopy(to: destination, from: source, count: count)
  #else
    // Safe: the callers vouch for `count` bytes at both ends.
    unsafe _ = memcpy(destination, source, count)
  #endif
}

/// Fills with zero bytes: what reading a hole or a tail past end of file is.
@inlinable @inline(__always)
package func zeroBytes(_ destination: UnsafeMutableRawPointer, count: Int) {
  unsafe _ = memset(destination, 0, count)
}

#if ThreadSanitizer
  import Synchronization

  @usableFromInline
  package func relaxedCopy(to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int) {
    // Only the source is shared. Words where it is aligned, single bytes at the two ends.
    var done = 0
    while done < count {
      let from = unsafe UnsafeMutableRawPointer(mutating: source) + done
      if UInt(bitPattern: from) & 7 == 0, count - done >= 8 {
        let word = unsafe SharedWord(at: from).loadRelaxed()
        unsafe (destination + done).storeBytes(of: word, as: UInt64.self)
        done += 8
      } else {
        let cell = unsafe from.assumingMemoryBound(to: Atomic<UInt8>.self)
        unsafe (destination + done).storeBytes(of: cell.pointee.load(ordering: .relaxed), as: UInt8.self)
        done += 1
      }
    }
  }
#endif
