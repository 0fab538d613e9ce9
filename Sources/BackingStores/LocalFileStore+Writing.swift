import CPrimitives
import Glibc
import Primitives
internal import SystemPackage

extension LocalFileStore {
  /// Opens a descriptor for reading and writing beside the one that reads. Idempotent, by any thread.
  ///
  /// It is buffered, whatever the policy for reads: it is a second open file description of the same file.
  ///
  /// Where the caller's descriptor cannot be opened again, the store cannot be written to. Its open file description
  /// would be the caller's as well, and the kernel tells a description of a failed write-back once (D15):
  ///
  ///     T1  the store writes; the kernel fails to write back, and counts the pages as clean
  ///     T2  the program calls fsync(2) by its own descriptor, and is told
  ///     T1  the store calls fsync(2), and is not told: the bytes are gone, and it would say that they are durable
  /// - Throws: `StoreError` of the operation `open`: `.system` with the error of the system (`permissionDenied`,
  ///   `readOnlyFileSystem`, `textFileBusy`, ...), `.replaced` where the file can be opened again by its path only and
  ///   that leads to another one by now, `.exhausted`, `.other` for a descriptor that cannot be opened again.
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
          throw failure(.open, isShared ? Self.refusalToShare(reading, because: errno) : .of(errno))
        }
      }
    }
  }

  /// Why a descriptor that cannot be opened again is not written to.
  private static func refusalToShare(_ given: Int32, because reason: Errno) -> StoreError.Cause {
    let flags = fcntl(given, F_GETFL)
    guard flags >= 0, flags & O_ACCMODE == O_RDWR else {
      return .of(reason == .noSuchFileOrDirectory ? .badFileDescriptor : reason)
    }
    return .other(
      "the descriptor cannot be opened again (\(reason)); by the caller's own one an error of write-back could be lost")
  }

  /// Writes into the kernel's page cache, on the calling thread.
  ///
  /// Goes on after short writes until everything is written or the system refuses.
  /// - Returns: bytes written.
  /// - Throws: `StoreError` of the operation `write` with the range asked for, if nothing was written:
  ///   `.system(.badFileDescriptor)` before `prepareToWrite()`, `.system(.noSpace)`, `.system(.fileTooLarge)`,
  ///   `.system(.ioError)`, or whatever else the system said.
  /// - Cost: one system call for each 1024 segments or 2 GiB; one allocation over 64 segments. No lock.
  public func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
    do throws(Errno) {
      return try writeNow(request)
    } catch {
      if error == .ioError { noteLoss() }
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
    if failure == .ioError { noteLoss() }
    return cursor.done
  }

  /// A write of something that wrote nothing and gave no reason would be tried for ever.
  private static func refusal(_ count: Int) -> Errno {
    count == 0 ? .ioError : Errno(rawValue: Int32(truncatingIfNeeded: -count))
  }

  /// Makes durable what was written to the file, by any descriptor and any process; and the name of a file that opening
  /// made, by whichever store.
  ///
  /// Also where the store is not prepared for writing: what a process wrote that ended before its fsync(2) is in the
  /// kernel, and not on the device (D13). fsync(2) takes any descriptor of the file.
  /// - Throws: `StoreError` of the operation `flush`. The kernel tells each open file description once about data that
  ///   it failed to write back, and forgets the data: a flush that succeeds afterwards does not make up for it.
  /// - Cost: one system call and a lock; with the first one of a new file seven. Where the descriptor could not be
  ///   opened again, the whole file system is flushed.
  public func flush(dataOnly: Bool) throws(StoreError) {
    let written = writing.value
    let descriptor = written >= 0 ? written : primary.value
    guard descriptor >= 0 else { throw failure(.flush, .system(.badFileDescriptor)) }
    let lossesBefore = losses.count
    // Of a description that is the caller's as well, fsync(2) would tell of a failure here, and the program's own
    // fsync(2) not any more. What syncfs(2) tells a description is counted apart.
    let errno = isShared ? system.flushFileSystem(descriptor) : system.flush(descriptor, dataOnly)
    if let errno {
      noteLoss()
      dropCleanPages(descriptor)
      throw failure(.flush, .of(errno))
    }
    losses.cover(through: lossesBefore)
    if let errno = UnflushedNames.shared.flush(identity, created: created, by: descriptor, system: system) {
      throw failure(.flush, .of(errno))
    }
  }

  /// Has the kernel start to write back a range, and drop of it what is clean already. So a second call, a while later,
  /// drops what the first began to write.
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
