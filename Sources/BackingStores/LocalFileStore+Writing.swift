import CPrimitives
import Glibc
import Primitives
internal import SystemPackage

extension LocalFileStore {
  /// Opens a descriptor for reading and writing beside the one that reads. Idempotent, by any thread.
  ///
  /// It is buffered, whatever the policy for reads: it is a second open file description of the same file. A descriptor that could not be opened again
  /// is written to itself, if it was opened for that, and neither directly nor for appending.
  /// - Throws: `StoreError` of the operation `open`: `.system` with the error of the system (`permissionDenied`, `readOnlyFileSystem`,
  ///   `textFileBusy`, ...), `.replaced` where the file can be opened again by its path only and that leads to another one by now, `.exhausted`.
  /// - Cost: two system calls and a lock, the first time.
  public func prepareToWrite() throws(StoreError) {
    if writing.value >= 0 { return }
    try changingDescriptors.withLock { () throws(StoreError) in
      if writing.value >= 0 { return }
      let reading = primary.value
      guard reading >= 0 else { throw failure(.open, .system(.badFileDescriptor)) }
      let opening = FileOpening(name: name, path: path, policy: policy, system: system)
      let status = try opening.regularFileStatus(reading)
      do throws(FileOpening.ReopenFailure) {
        writing.set(try opening.reopenForWriting(reading, status).take())
      } catch {
        switch error {
        case .otherFile: throw failure(.open, .replaced)
        case .refusesDirect(let why): throw failure(.open, .other(why))
        case .system(let errno):
          guard isShared else { throw failure(.open, .of(errno)) }
          writing.set(try shareForWriting(reading, because: errno))
        }
      }
    }
  }

  /// Once more the descriptor that the caller gave, which cannot be opened again.
  private func shareForWriting(_ given: Int32, because reason: Errno) throws(StoreError) -> Int32 {
    let flags = fcntl(given, F_GETFL)
    guard flags >= 0, flags & O_ACCMODE == O_RDWR else {
      throw failure(.open, .of(reason == .noSuchFileOrDirectory ? .badFileDescriptor : reason))
    }
    // pwrite(2) to a descriptor for appending appends, wherever it was told to write.
    guard flags & O_APPEND == 0 else { throw failure(.open, .other("the descriptor is for appending: \(reason)")) }
    guard flags & pagecache_open_direct == 0 else {
      throw failure(.open, .other("the descriptor is for direct I/O, which cannot write everywhere: \(reason)"))
    }
    let copy = fcntl(given, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw failure(.open, .of(Errno(rawValue: errno))) }
    return copy
  }

  /// Writes into the kernel's page cache, on the calling thread.
  ///
  /// Goes on after short writes until everything is written or the system refuses.
  /// - Returns: bytes written.
  /// - Throws: `StoreError` of the operation `write` with the range asked for, if nothing was written: `.system(.badFileDescriptor)` before
  ///   `prepareToWrite()`, `.system(.noSpace)`, `.system(.fileTooLarge)`, `.system(.ioError)`, or whatever else the system said.
  /// - Cost: one system call for each 1024 segments or 2 GiB; one allocation over 64 segments. No lock.
  public func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
    do throws(Errno) {
      return try writeNow(request)
    } catch {
      throw failure(.write, request.range, .of(error))
    }
  }

  private func writeNow(_ request: StoreWriteRequest) throws(Errno) -> Int {
    guard request.offset >= 0 else { throw .invalidArgument }
    guard !request.offset.addingReportingOverflow(Int64(request.count)).overflow else { throw .overflow }
    let descriptor = writing.value
    guard descriptor >= 0 else { throw .badFileDescriptor }
    var done = 0
    if unsafe request.segments.count == 1 {
      let segment = unsafe request.segments[0]
      // Safe: the system reads from it only, and the request's memory stays as it is until the write returns.
      var vector = unsafe iovec(
        iov_base: UnsafeMutableRawPointer(mutating: segment.baseAddress), iov_len: segment.count)
      let count = unsafe system.write(descriptor, &vector, 1, request.offset)
      if count == segment.count { return count }
      guard count > 0 else { throw Self.refusal(count) }
      done = min(count, segment.count)
    }
    return try finish(request, from: done, by: descriptor)
  }

  /// Writes what is left.
  private func finish(_ request: StoreWriteRequest, from done: Int, by descriptor: Int32) throws(Errno) -> Int {
    var cursor = SegmentCursor(request)
    cursor.advance(by: done)
    let capacity = unsafe max(1, min(request.segments.count, Self.vectorsMax))
    let failure: Errno? = unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: capacity) { vectors in
      while true {
        let (filled, wanted) = unsafe cursor.gather(into: vectors)
        guard filled > 0 else { return nil }
        let offset = request.offset + Int64(cursor.done)
        // Safe: the vectors are the request's own memory, which stays as it is until the write returns.
        let count = unsafe system.write(descriptor, vectors.baseAddress!, Int32(filled), offset)
        guard count > 0 else { return Self.refusal(count) }
        cursor.advance(by: min(count, wanted))
      }
    }
    // What stopped it comes again when the caller asks for the rest, or it has gone away.
    if let failure, cursor.done == 0 { throw failure }
    return cursor.done
  }

  /// A write of something that wrote nothing and gave no reason would be tried for ever.
  private static func refusal(_ count: Int) -> Errno {
    count == 0 ? .ioError : Errno(rawValue: Int32(truncatingIfNeeded: -count))
  }

  /// Makes durable what was written, by any descriptor; and the name of a file that opening made. Nothing if the store was never prepared for writing.
  /// - Throws: `StoreError` of the operation `flush`. The kernel tells each open file description once about data that it failed to write back, and
  ///   forgets the data: a flush that succeeds afterwards does not make up for it.
  /// - Cost: one system call; with the first one of a new file two, and a lock.
  public func flush(dataOnly: Bool) throws(StoreError) {
    let descriptor = writing.value
    guard descriptor >= 0 else {
      if primary.value < 0 { throw failure(.flush, .system(.badFileDescriptor)) }
      return
    }
    if let errno = system.flush(descriptor, dataOnly) { throw failure(.flush, .of(errno)) }
    if let errno = newName?.flush(of: descriptor, by: system) { throw failure(.flush, .of(errno)) }
  }

  /// Has the kernel start to write back a range, and drop of it what is clean already. So a second call, a while later, drops what the first began to
  /// write.
  /// - Cost: two system calls; waits where the device's queue is full.
  public func dropBehind(_ range: Range<Int64>) {
    let descriptor = writing.value
    // To the system an empty range means everything behind it.
    guard descriptor >= 0, range.lowerBound >= 0, !range.isEmpty else { return }
    system.dropBehind(descriptor, range)
  }

  func failure(_ operation: StoreError.Operation, _ cause: StoreError.Cause) -> StoreError {
    failure(operation, nil, cause)
  }

  func failure(
    _ operation: StoreError.Operation, _ range: Range<Int64>?, _ cause: StoreError.Cause
  ) -> StoreError {
    StoreError(operation: operation, store: name, range: range, cause: cause)
  }
}
