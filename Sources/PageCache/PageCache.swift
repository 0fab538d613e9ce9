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

  /// Opens a file for reading.
  ///
  /// Two opens of one inode, by whatever path, share what is cached. The size is taken at the first open. The last close takes the file out
  /// of the cache.
  /// - Throws: `CacheError` with cause `.store`: no such file, a directory, FIFO or device, no permission.
  /// - Cost: eight system calls, ten where direct I/O is refused; four if the file is open already.
  public func open(_ path: FilePath) throws(CacheError) -> CachedFile {
    try checkProcess(path.string)
    do {
      if let file = try engine.openedFile(LocalFileStore.identity(of: path)) { return CachedFile(file) }
      return try open(
        store: LocalFileStore(path: path, directIO: configuration.directIO, threads: engine.ioThreads))
    } catch let error as StoreError {
      throw CacheError(operation: .open, file: path.string, cause: .store(error))
    } catch let error as CacheError {
      throw error
    } catch {
      preconditionFailure("typed errors only")
    }
  }

  /// Opens the file behind a descriptor for reading. The descriptor stays the caller's: its offset and flags are left alone, and it may be closed.
  /// - Throws: as `open(_:)`; the cause is `EBADF` for a descriptor that is not open, or not open for reading and cannot be opened again.
  /// - Cost: as `open(_:)`.
  public func open(_ descriptor: FileDescriptor) throws(CacheError) -> CachedFile {
    let name = "descriptor \(descriptor.rawValue)"
    try checkProcess(name)
    do {
      if let identity = try LocalFileStore.identity(of: descriptor), let file = engine.openedFile(identity) {
        return CachedFile(file)
      }
      return try open(
        store: LocalFileStore(
          duplicating: descriptor, directIO: configuration.directIO, threads: engine.ioThreads))
    } catch let error as StoreError {
      throw CacheError(operation: .open, file: name, cause: .store(error))
    } catch let error as CacheError {
      throw error
    } catch {
      preconditionFailure("typed errors only")
    }
  }

  /// Opens whatever a store holds.
  /// - Parameter store: belongs to the cache from here on, also if this throws (but for `.forkedChild`): it is closed when it is no longer needed.
  /// - Throws: `CacheError` with cause `.store` if the store does not tell its size, `.impossibleSize` if no file can be so large.
  /// - Cost: one call of the store's `status`.
  public func open(store: any BackingStore) throws(CacheError) -> CachedFile {
    try checkProcess(store.name)
    let status: StoreStatus
    do throws(StoreError) { status = try store.status() } catch {
      store.close()
      throw CacheError(operation: .open, file: store.name, cause: .store(error))
    }
    guard status.size >= 0, status.size <= PageCache.maximumFileSize else {
      store.close()
      throw CacheError(operation: .open, file: store.name, cause: .impossibleSize(status.size))
    }
    return CachedFile(engine.adopt(store, size: status.size))
  }

  /// Largest file a cache can hold: what an `Int64` can address, in whole frames.
  public static var maximumFileSize: Int64 { Int64.max / (4 << 20) * (4 << 20) }

  private func checkProcess(_ name: String) throws(CacheError) {
    guard !engine.isInForkedChild else { throw CacheError(operation: .open, file: name, cause: .forkedChild) }
  }
}
