import CPrimitives
import Glibc
import Primitives
internal import SystemPackage

extension LocalFileStore {
  /// Most vectors that the system takes in one call (`IOV_MAX`).
  static let vectorsMax = 1024

  /// Reads into the request's segments.
  ///
  /// Errors are of the operation `read` with the range asked for: `.system(.invalidArgument)` for a negative offset,
  /// `.system(.overflow)` (`EOVERFLOW`) for a range that passes `Int64.max`, `.system(.badFileDescriptor)` after
  /// `close()`, `.exhausted`, or what the system said.
  ///
  /// A request that is not in whole frames is read buffered, unless the policy is `required`. A count that stops short
  /// of the end of the file is continued.
  /// - Cost: one system call per 1024 segments or 2 GiB, one more where the file ends inside the range, one more for
  ///   `DropBehind.byAdvice`; one allocation over 64 segments. With `.background` also what `IOThreads.submit` costs.
  ///   No lock.
  public func read(
    _ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void
  ) {
    switch request.execution {
    case .caller: completion(result(of: request))
    case .background: threads.submit { completion(self.result(of: request)) }
    }
  }

  public var readsOnCaller: Bool { true }

  /// Reads into one piece of memory. Errors, and what is read buffered, as with `read(_:completion:)`.
  /// - Cost: where reads are direct, one system call for whole blocks, and one more at the end of the file.
  public func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    let request = { unsafe StoreReadRequest(offset: offset, segments: [memory], execution: .caller) }
    if readsDirectly, let alignment, unsafe alignment.allows(offset, memory) {
      var vector = unsafe iovec(iov_base: memory.baseAddress, iov_len: memory.count)
      let count = unsafe system.read(primary.value, &vector, 1, offset, 0)
      if count == memory.count || count == 0 { return count }
      if count > 0 { return try result(of: request(), from: count).get() }
      let errno = Errno(rawValue: Int32(truncatingIfNeeded: -count))
      if errno != .invalidArgument {
        throw StoreError(operation: .read, store: name, range: request().range, cause: .of(errno))
      }
    }
    // What cannot be read directly after all.
    return try result(of: request()).get()
  }

  /// - Parameter done: bytes at the start that have been read already, by a direct read.
  private func result(of request: StoreReadRequest, from done: Int = 0) -> Result<Int, StoreError> {
    do throws(Errno) {
      return .success(try readNow(request, from: done))
    } catch {
      return .failure(StoreError(operation: .read, store: name, range: request.range, cause: .of(error)))
    }
  }

  private func readNow(_ request: StoreReadRequest, from done: Int) throws(Errno) -> Int {
    guard request.offset >= 0 else { throw .invalidArgument }
    guard !request.offset.addingReportingOverflow(Int64(request.count)).overflow else {
      throw .overflow
    }
    let descriptor = primary.value
    guard descriptor >= 0 else { throw .badFileDescriptor }
    guard readsDirectly, let alignment else {
      return try readBuffered(request, from: done, by: alignment == nil ? descriptor : try bufferedDescriptor())
    }
    if alignment.allows(request) {
      do throws(Errno) {
        return try readDirectly(request, from: done, by: descriptor, alignment)
      } catch {
        guard error == .invalidArgument, policy != .required else { throw error }
        // Accepted at open, refused at read: some network and stacked file systems do. If the same read works buffered,
        // it was that, and not the request.
        let count = try readBuffered(request, from: done, by: try bufferedDescriptor())
        refusedDirect.set()
        return count
      }
    }
    if policy == .required { throw .invalidArgument }
    return try readBuffered(request, from: done, by: try bufferedDescriptor())
  }

  /// Reads until the segments are full or the file ends.
  ///
  /// A direct read that stops between two blocks has come to the end of the file, as a rule. Some file systems also
  /// stop there in the middle. To go on from there would be an unaligned read, which is refused, so the last block is
  /// read again; and if that gets no further, the rest is read buffered.
  private func readDirectly(
    _ request: StoreReadRequest, from start: Int, by descriptor: Int32, _ alignment: DirectAlignment
  ) throws(Errno) -> Int {
    var (done, first) = (start, -1)
    if start.isMultiple(of: alignment.unit) {
      first = start
      done = try transfer(request, from: start, by: descriptor, flags: 0, blockSize: alignment.unit)
    }
    while !done.isMultiple(of: alignment.unit), !isEnd(request.offset + Int64(done), by: descriptor) {
      let last = done / alignment.unit * alignment.unit
      guard last > first else {
        return policy == .required ? done : try readBuffered(request, from: done, by: try bufferedDescriptor())
      }
      // Bounded: each round begins a block further on at least.
      first = last
      done = try transfer(request, from: last, by: descriptor, flags: 0, blockSize: alignment.unit)
    }
    return done
  }

  /// Whether the file ends at an offset, or before it.
  private func isEnd(_ offset: Int64, by descriptor: Int32) -> Bool {
    var version = pagecache_file_version()
    // Where that cannot be told, the count stands as it is: the cache knows how long the file should be.
    return system.version(descriptor, &version) != nil || version.size <= offset
  }

  /// The buffered descriptor beside a direct primary, opened when it is first needed.
  private func bufferedDescriptor() throws(Errno) -> Int32 {
    let present = secondary.value
    if present >= 0 { return present }
    return try changingDescriptors.withLock { () throws(Errno) -> Int32 in
      let present = secondary.value
      if present >= 0 { return present }
      let direct = primary.value
      guard direct >= 0 else { throw .badFileDescriptor }
      let opening = FileOpening(name: name, path: path, policy: policy, system: system)
      do throws(FileOpening.ReopenFailure) {
        let status: FileStatus
        switch system.status(direct) {
        case .success(let found): status = found
        case .failure(let errno): throw .system(errno)
        }
        let descriptor = try opening.reopenBuffered(direct, status).take()
        secondary.set(descriptor)
        return descriptor
      } catch {
        if case .system(let errno) = error, errno != .noSuchFileOrDirectory { throw errno }
        // Nothing to open it by: the caller learns what the direct read said.
        throw .invalidArgument
      }
    }
  }

  private func readBuffered(
    _ request: StoreReadRequest, from done: Int, by descriptor: Int32
  ) throws(Errno) -> Int {
    if !refusedReadFlag.isSet {
      do throws(Errno) {
        return try transfer(request, from: done, by: descriptor, flags: PAGECACHE_RWF_DONTCACHE, blockSize: nil)
      } catch {
        guard error == .notSupported else { throw error }
        refusedReadFlag.set()
      }
    }
    let count = try transfer(request, from: done, by: descriptor, flags: 0, blockSize: nil)
    // The range asked for, not the range read: the kernel keeps a last page that the advice covers in part only.
    if count > 0 { system.dropFromKernelCache(descriptor, request.offset, request.count) }
    return count
  }

  /// Reads until the segments are full or the system has no more.
  /// - Parameters:
  ///   - done: bytes at the start that have been read already.
  ///   - blockSize: Where reads are direct: stops at a count that is no multiple of this.
  private func transfer(
    _ request: StoreReadRequest, from done: Int, by descriptor: Int32, flags: Int32, blockSize: Int?
  ) throws(Errno) -> Int {
    var cursor = SegmentCursor(request)
    cursor.advance(by: done)
    let capacity = unsafe min(request.segments.count, Self.vectorsMax)
    let failure: Errno? = unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: max(capacity, 1)) { vectors in
      while true {
        let (filled, wanted) = unsafe cursor.gather(into: vectors)
        guard filled > 0 else { return nil }
        let offset = request.offset + Int64(cursor.done)
        // Safe: the vectors are the request's own memory, which stays valid until the completion.
        let count = unsafe system.read(descriptor, vectors.baseAddress!, Int32(filled), offset, flags)
        guard count >= 0 else { return Errno(rawValue: Int32(truncatingIfNeeded: -count)) }
        guard count > 0 else { return nil }
        cursor.advance(by: min(count, wanted))
        if let blockSize, !count.isMultiple(of: blockSize) { return nil }
      }
    }
    if let failure { throw failure }
    return cursor.done
  }
}
