import Glibc
import Primitives
internal import SystemPackage

/// The name of a file that was just made.
///
/// It is in its directory's blocks, not in the file's: a flush of the file promises nothing about it, and after a power cut a file without a name
/// is no file. So the first flush of the file flushes the directory, too.
final class UnflushedName: Sendable {
  private let monitor = Monitor()
  /// The directory, as it was when the file was made. -1 where it could not be opened, and once it has been flushed.
  private let directory: SharedDescriptor
  // Guarded by `monitor`.
  private nonisolated(unsafe) var isDurable = false

  init(in directory: Int32) { self.directory = SharedDescriptor(directory) }

  deinit { close() }

  /// Flushes the directory unless that was done. Whoever comes meanwhile waits: it must not believe that the name is durable already.
  /// - Parameter file: A descriptor of the file.
  func flush(of file: Int32, by system: FileSystemCalls) -> Errno? {
    monitor.withLock {
      guard unsafe !isDurable else { return nil }
      let descriptor = directory.value
      var failure: Errno? = descriptor >= 0 ? system.flush(descriptor, false) : .invalidArgument
      // A directory that may be written to and not read cannot be opened, and some file systems flush no directories: then everything there is.
      if failure == .invalidArgument { failure = system.flushFileSystem(file) }
      guard failure == nil else { return failure }
      unsafe isDurable = true
      close()
      return nil
    }
  }

  func close() {
    let descriptor = directory.take()
    if descriptor >= 0 { Glibc.close(descriptor) }
  }
}
