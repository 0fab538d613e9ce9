public import BackingStores
public import SystemPackage

/// A page cache that a program links: folios of many files in one bounded pool of memory.
///
/// Reads that hit take no lock, make no system call and write to no memory that another thread reads (P2), and are atomic against whatever
/// changes the file (P1). What a cache may cost is said in its `Configuration` and nowhere else.
///
/// A cache lives as long as it, or a file opened in it, is referred to. It is for one process: a forked child gets errors.
public final class PageCache: Sendable {
  let engine: Engine

  /// The configuration it was made with.
  public var configuration: Configuration { engine.configuration }

  /// Makes a cache.
  /// - Throws: `CacheError` with cause `.configuration` for numbers that cannot work, `.memory` when the system does not give the memory,
  ///   `.tooManyCaches` when the process has 64 already.
  /// - Cost: two mappings of address space; memory is touched on use unless the configuration says otherwise.
  public init(_ configuration: Configuration) throws(CacheError) {
    engine = try Engine(configuration: configuration)
  }

  /// Opens a file: for reading, unless the options say otherwise.
  ///
  /// Two opens of one inode, by whatever path, share what is cached, and may have different options but for the ownership. The last close takes the
  /// file out of the cache.
  /// - Throws: `CacheError` with cause `.store`: no such file, a directory, FIFO or device, no permission, or `.claimed` by somebody else (P10);
  ///   `.options` for options that do not go together, or with those of another handle.
  /// - Cost: about ten system calls; five if the file is open already.
  public func open(_ path: FilePath, _ options: OpenOptions = .init()) throws(CacheError) -> CachedFile {
    try checkProcess(path.string)
    try check(options, path.string)
    var known: StoreIdentity?
    do throws(StoreError) { known = try LocalFileStore.identity(of: path) } catch {
      // It may be about to be made.
      guard case .system(.noSuchFileOrDirectory) = error.cause, options.creation != .never else {
        throw refusal(path.string, error)
      }
    }
    if let known {
      guard options.creation != .exclusively else {
        throw refusal(path.string, StoreError(operation: .open, store: path.string, cause: .system(.fileExists)))
      }
      if let handle = try openAgain(known, options) { return handle }
    }
    let store: LocalFileStore
    do throws(StoreError) {
      store = try LocalFileStore(
        path: path, creating: options.creation, permissions: options.permissions,
        directIO: configuration.directIO, threads: engine.ioThreads)
    } catch { throw refusal(path.string, error) }
    return try open(store: store, options)
  }

  /// Opens the file behind a descriptor: for reading, unless the options say otherwise. The descriptor stays the caller's: its offset and flags are left
  /// alone, and it may be closed.
  /// - Throws: as `open(_:_:)` of a path; the cause is `EBADF` for a descriptor that is not open, or not open for reading and cannot be opened again.
  /// - Cost: as `open(_:_:)` of a path.
  public func open(_ descriptor: FileDescriptor, _ options: OpenOptions = .init()) throws(CacheError) -> CachedFile {
    let name = "descriptor \(descriptor.rawValue)"
    try checkProcess(name)
    try check(options, name)
    guard options.creation != .exclusively else {
      throw refusal(name, StoreError(operation: .open, store: name, cause: .system(.fileExists)))
    }
    let store: LocalFileStore
    let known: StoreIdentity?
    do throws(StoreError) { known = try LocalFileStore.identity(of: descriptor) } catch { throw refusal(name, error) }
    if let known, let handle = try openAgain(known, options) { return handle }
    do throws(StoreError) {
      store = try LocalFileStore(
        duplicating: descriptor, directIO: configuration.directIO, threads: engine.ioThreads)
    } catch { throw refusal(name, error) }
    return try open(store: store, options)
  }

  /// Opens whatever a store holds.
  /// - Parameter store: belongs to the cache from here on, also if this throws (but for `.forkedChild`): it is closed when it is no longer needed.
  /// - Throws: `CacheError` with cause `.store` if the store does not tell its size, cannot be written to where the options want that, or is claimed by somebody
  ///   else; `.impossibleSize` if no file can be so large; `.options`.
  /// - Cost: a few calls of the store.
  public func open(store: any BackingStore, _ options: OpenOptions = .init()) throws(CacheError) -> CachedFile {
    try checkProcess(store.name)
    let handle = try engine.inTurn(store.identity) { () throws(CacheError) in
      if let file = engine.openedFile(store.identity) {
        // Not closed now: closing any descriptor of a file drops this process's POSIX locks on it.
        engine.keep(store, with: file)
        return try self.handle(for: file, options)
      }
      return try openFirst(store, options)
    }
    if options.truncates { try handle.resize(to: 0) }
    return handle
  }

  /// A handle for a file that is open, or nil.
  private func openAgain(_ identity: StoreIdentity, _ options: OpenOptions) throws(CacheError) -> CachedFile? {
    let handle = try engine.inTurn(identity) { () throws(CacheError) -> CachedFile? in
      guard let file = engine.openedFile(identity) else { return nil }
      return try self.handle(for: file, options)
    }
    if let handle, options.truncates { try handle.resize(to: 0) }
    return handle
  }

  /// Opens what is not open. In its turn.
  private func openFirst(_ store: any BackingStore, _ options: OpenOptions) throws(CacheError) -> CachedFile {
    let status: StoreStatus
    do {
      try check(options, store.name)
      if options.access == .readWrite { try store.prepareToWrite() }
      // Claimed before it is looked at: what is seen then stays.
      if options.ownership == .exclusive { try store.claim(forWriting: options.access == .readWrite) }
      status = try store.status()
    } catch let error as StoreError {
      store.close()
      throw refusal(store.name, error)
    } catch let error as CacheError {
      store.close()
      throw error
    } catch {
      preconditionFailure("typed errors only")
    }
    guard status.size >= 0, status.size <= PageCache.maximumFileSize else {
      store.close()
      throw CacheError(operation: .open, file: store.name, cause: .impossibleSize(status.size))
    }
    let file = engine.adopt(
      store, status: status, ownership: options.ownership, isWritable: options.access == .readWrite,
      tenant: options.tenant)
    return CachedFile(file, isWritable: options.access == .readWrite, durability: options.durability)
  }

  /// A handle for an open file, of which the table has counted it already. In its turn.
  private func handle(for file: FileCore, _ options: OpenOptions) throws(CacheError) -> CachedFile {
    do {
      try check(options, file.name)
      guard file.ownership == options.ownership else {
        throw CacheError(
          operation: .open, file: file.name,
          cause: .options("another handle has opened the file with ownership \(file.ownership.rawValue)"))
      }
      guard file.tenant == options.tenant || options.tenant == nil else {
        throw CacheError(
          operation: .open, file: file.name, cause: .options("another handle has opened the file for another tenant"))
      }
      if options.access == .readWrite {
        try file.prepareToWrite()
        file.makeFoliosForWriting()
      }
      return CachedFile(file, isWritable: options.access == .readWrite, durability: options.durability)
    } catch let error as StoreError {
      engine.releaseHandleInTurn(file)
      throw refusal(file.name, error)
    } catch let error as CacheError {
      engine.releaseHandleInTurn(file)
      throw error
    } catch {
      preconditionFailure("typed errors only")
    }
  }

  private func check(_ options: OpenOptions, _ name: String) throws(CacheError) {
    guard options.tenant.map({ $0.engine === engine }) ?? true else {
      throw CacheError(operation: .open, file: name, cause: .options("the tenant is another cache's"))
    }
    guard options.access == .readOnly, options.creation != .never || options.truncates else { return }
    throw CacheError(
      operation: .open, file: name, cause: .options("to create or truncate a file it must be opened for writing"))
  }

  private func refusal(_ name: String, _ error: StoreError) -> CacheError {
    CacheError(operation: .open, file: name, cause: .store(error))
  }

  /// Largest file a cache can hold: what an `Int64` can address, in whole frames.
  public static var maximumFileSize: Int64 { Int64.max / (4 << 20) * (4 << 20) }

  private func checkProcess(_ name: String) throws(CacheError) {
    guard !engine.isInForkedChild else { throw CacheError(operation: .open, file: name, cause: .forkedChild) }
  }
}
