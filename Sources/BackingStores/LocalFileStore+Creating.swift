import CPrimitives
import Glibc
internal import SystemPackage

/// A regular file that was opened by a path, and maybe made for that.
struct CreatedFile: ~Copyable {
  var file: OpenedFile
  /// The descriptor that made it. Nil if it was there.
  var writing: OwnedDescriptor?
}

extension FileOpening {
  /// As many as the kernel follows in one path.
  private static let linksMax = 40

  /// Opens a file by its path, and makes it if it may.
  ///
  /// What is there is opened as ever: looked at first, and never by a call that could also make it. So both a file that
  /// appears and one that goes away meanwhile need another look.
  func open(
    _ path: FilePath, creating: FileCreation, permissions: FilePermissions
  ) throws(StoreError) -> CreatedFile {
    if creating == .exclusively {
      switch try create(path, permissions) {
      case .some(let created): return created
      case .none: throw error(.system(.fileExists))
      }
    }
    for _ in 0..<Self.attemptsMax {
      switch try openPath(path, missingIsNil: creating == .ifMissing) {
      case .some(let file): return CreatedFile(file: file)
      case .none: break
      }
      switch try createThroughLinks(path, permissions) {
      case .some(let created): return created
      case .none: break
      }
    }
    throw keepsChanging
  }

  /// Makes the file where a path leads to nothing. A symbolic link in its place is in the way of making it, so the
  /// link's target is made, as open(2) would.
  /// - Returns: Nil if it is there by now.
  private func createThroughLinks(
    _ path: FilePath, _ permissions: FilePermissions
  ) throws(StoreError) -> CreatedFile? {
    var target = path
    for _ in 0..<Self.linksMax {
      switch try create(target, permissions) {
      case .some(let created): return created
      case .none: break
      }
      guard let link = Self.linkTarget(of: target) else { return nil }
      target = target.removingLastComponent().pushing(link)
    }
    throw error(.system(.tooManySymbolicLinkLevels))
  }

  /// - Returns: Nil if something is there already.
  private func create(_ path: FilePath, _ permissions: FilePermissions) throws(StoreError) -> CreatedFile? {
    guard let (descriptor, status) = try makeFile(path, permissions) else { return nil }
    let writing = OwnedDescriptor(descriptor)
    let file: OpenedFile
    do throws(ReopenFailure) {
      file = try openForReading(writing.rawValue, status)
    } catch {
      switch error {
      case .otherFile: throw keepsChanging
      case .system(let errno): throw self.error(.of(errno))
      case .refusesDirect(let why): throw self.error(.other(why))
      }
    }
    return CreatedFile(file: file, writing: writing)
  }

  /// Makes a file, and notes that its name is not durable yet.
  /// - Returns: A descriptor that reads and writes, which the caller closes. Nil if something is there already.
  private func makeFile(
    _ path: FilePath, _ permissions: FilePermissions
  ) throws(StoreError) -> (descriptor: Int32, status: FileStatus)? {
    let parent = path.removingLastComponent()
    // A file has its directory's device.
    let directory = try? system.pathStatus(parent.isEmpty ? "." : parent).get()
    let realm = directory.map { LocalFileStore.identity(of: $0).realm }
    let names = UnflushedNames.shared
    return try names.whileMaking(in: realm) { () throws(StoreError) -> (descriptor: Int32, status: FileStatus)? in
      switch system.create(path, permissions) {
      case .failure(.fileExists): return nil
      case .failure(let errno): throw error(.of(errno))
      case .success(let descriptor):
        let file = OwnedDescriptor(descriptor)
        let status = try regularFileStatus(file.rawValue)
        names.add(Self.absolute(path), of: LocalFileStore.identity(of: status), created: status.created)
        return (file.take(), status)
      }
    }
  }

  static func linkTarget(of path: FilePath) -> FilePath? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe path.withPlatformString { link in
      unsafe buffer.withUnsafeMutableBytes { unsafe readlink(link, $0.baseAddress!, $0.count) }
    }
    guard count > 0, count < buffer.count else { return nil }
    // Bytes, and not text: a path need not be UTF-8.
    buffer[count] = 0
    return unsafe buffer.withUnsafeBytes {
      unsafe FilePath(platformString: $0.assumingMemoryBound(to: CInterop.PlatformChar.self).baseAddress!)
    }
  }

  /// A path that leads to the same place when the working directory is another. As given where that cannot be told.
  static func absolute(_ path: FilePath) -> FilePath {
    guard path.isRelative, !path.isEmpty else { return path }
    var buffer = [CInterop.PlatformChar](repeating: 0, count: Int(PATH_MAX))
    let isKnown = unsafe buffer.withUnsafeMutableBufferPointer { unsafe getcwd($0.baseAddress!, $0.count) != nil }
    guard isKnown else { return path }
    return unsafe buffer.withUnsafeBufferPointer { unsafe FilePath(platformString: $0.baseAddress!).pushing(path) }
  }
}
