import Glibc

#if !RaceLaboratory
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

  /// Copies bytes to where other threads may be reading: they will find that something has changed, and not use what they got.
  @inlinable @inline(__always)
  package func racyStore(to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int) {
    #if ThreadSanitizer
      unsafe relaxedStore(to: destination, from: source, count: count)
    #else
      // Safe: the callers vouch for `count` bytes at both ends.
      unsafe _ = memcpy(destination, source, count)
    #endif
  }

  /// Fills bytes with zero where other threads may be reading.
  @inlinable @inline(__always)
  package func racyZero(_ destination: UnsafeMutableRawPointer, count: Int) {
    #if ThreadSanitizer
      unsafe relaxedStore(to: destination, from: nil, count: count)
    #else
      unsafe _ = memset(destination, 0, count)
    #endif
  }

  /// Fills with zero bytes: what reading a hole or a tail past end of file is.
  @inlinable @inline(__always)
  package func zeroBytes(_ destination: UnsafeMutableRawPointer, count: Int) {
    unsafe _ = memset(destination, 0, count)
  }
#endif

/// Reads a byte of every page of some memory, so that copying from it soon will not fault.
package func makeResident(_ bytes: UnsafeRawBufferPointer) {
  var sum: UInt64 = 0
  var offset = 0
  while offset < bytes.count {
    unsafe sum &+= UInt64(bytes[offset])
    offset += 4096
  }
  if let last = unsafe bytes.last { sum &+= UInt64(last) }
  keep(sum)
}

#if ThreadSanitizer
  import Synchronization

  @usableFromInline
  package func relaxedStore(to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer?, count: Int) {
    // Only the destination is shared.
    var done = 0
    while done < count {
      let to = unsafe destination + done
      if UInt(bitPattern: to) & 7 == 0, count - done >= 8 {
        let word = unsafe source.map { unsafe ($0 + done).loadUnaligned(as: UInt64.self) } ?? 0
        unsafe SharedWord(at: to).storeRelaxed(word)
        done += 8
      } else {
        let byte = unsafe source.map { unsafe ($0 + done).load(as: UInt8.self) } ?? 0
        unsafe to.assumingMemoryBound(to: Atomic<UInt8>.self).pointee.store(byte, ordering: .relaxed)
        done += 1
      }
    }
  }

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
