public import SystemPackage

extension PageCache {
  /// Begins to read again what `saveResidency` has found cached, of the files that are open now: the hottest first, in the order of the file, in large
  /// reads. Open the files first.
  ///
  /// The work is done on a thread of its own; this returns as soon as the residency file has been read. It gives way: it takes only frames that are free,
  /// leaves some of them, and ends when there are no more; it evicts nothing, and waits while calls need the frames that calls share. Reads and writes of
  /// the same files go on meanwhile and are as right as ever. What had been read often is kept as if it had been read often here.
  ///
  /// A file is told by the identity of its store, or by its name and its object's number, and by when it was made, where the store tells; so one that was
  /// put in another's place is not taken for it, as far as that shows. What lies past the end of a file as it is now is left out. What is wrong with one
  /// file, or with the residency file, costs nothing but its part of the warmth.
  ///
  ///     let data = try cache.open("/var/lib/app/data.db", .readWrite())
  ///     do { try cache.restoreResidency(from: "/var/lib/app/residency", bytesPerSecond: 64 << 20) } catch { /* Starts cold. */ }
  ///
  /// - Parameters:
  ///   - path: what `saveResidency` has written.
  ///   - bytesPerSecond: at most, on average since the start; nil for as fast as the stores are. Others may need them, too.
  /// - Returns: what to cancel it or wait for it by. It need not be kept: the work goes on without, until all its files are closed.
  /// - Throws: `CacheError` with cause `.store` if the file cannot be read (`noSuchFileOrDirectory` at the first start) or there is no thread;
  ///   `.residencyFile` if it is none, is damaged or of a later version; `.options` for a rate that is not positive; `.forkedChild`.
  /// - Cost: five system calls, a thread, and memory for the file and three words for each run in it. Then, on the thread, for each run a few locks, and a
  ///   read of the store for each mebibyte or less that is missing.
  @discardableResult
  public func restoreResidency(
    from path: FilePath, bytesPerSecond: Int? = nil
  ) throws(CacheError) -> ResidencyRestoration {
    func refusal(_ cause: CacheError.Cause) -> CacheError {
      CacheError(operation: .restoreResidency, file: path.string, cause: cause)
    }
    guard !engine.isInForkedChild else { throw refusal(.forkedChild) }
    if let bytesPerSecond, bytesPerSecond <= 0 {
      throw refusal(.options("\(bytesPerSecond) bytes a second bring nothing back"))
    }
    let (bytes, size): ([UInt8], Int64)
    do throws(StoreError) {
      (bytes, size) = try WholeFile.read(
        path, startCount: ResidencyImage.headerByteCount, wanted: ResidencyImage.wantedByteCount)
    } catch { throw refusal(.store(error)) }
    guard bytes.count == size else { throw refusal(.residencyFile(ResidencyImage.problem(start: bytes, size: size))) }
    let image: ResidencyImage
    do throws(ResidencyFileProblem) { image = try ResidencyImage(bytes) } catch { throw refusal(.residencyFile(error)) }
    return try ResidencyRestoration.start(image, in: engine, bytesPerSecond: bytesPerSecond, path: path)
  }
}
