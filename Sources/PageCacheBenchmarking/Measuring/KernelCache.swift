import Glibc
import SystemPackage

/// What the kernel has cached of a file, and how to make it forget that.
package enum KernelCache {
  /// Brings a file to storage and has the kernel forget its pages.
  ///
  /// The advice leaves pages that somebody has mapped or is working on; then, as root, all clean pages of the system go.
  /// - Throws: `BenchmarkError` if pages are left: a cold read could not be told from a warm one.
  package static func drop(_ path: FilePath) throws {
    let file = try FileDescriptor.open(path, .readOnly)
    try file.closeAfter {
      fsync(file.rawValue)
      posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
      if try residentPages(file.rawValue) == 0 { return }
      let all = unsafe open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC)
      if all >= 0 {
        unsafe _ = write(all, "1", 1)
        close(all)
        posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
      }
      let left = try residentPages(file.rawValue)
      guard left == 0 else { throw BenchmarkError("the kernel keeps \(left) pages of \(path) cached") }
    }
  }

  /// Pages of a file that are in the kernel's cache, by mincore(2). The file has to be the caller's: of others' it says that all are.
  static func residentPages(_ descriptor: Int32) throws -> Int {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw failure("ask for the size of a file") }
    let byteCount = Int(status.st_size)
    guard byteCount > 0 else { return 0 }
    guard let mapped = unsafe mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0), unsafe mapped != MAP_FAILED
    else { throw failure("map a file") }
    defer { unsafe munmap(mapped, byteCount) }
    var pages = [UInt8](repeating: 0, count: (byteCount + 4095) / 4096)
    guard unsafe mincore(mapped, byteCount, &pages) == 0 else { throw failure("ask what is cached") }
    return pages.reduce(0) { $0 + Int($1 & 1) }
  }

  private static func failure(_ what: String) -> BenchmarkError {
    BenchmarkError("cannot \(what): \(Errno(rawValue: errno))")
  }
}
