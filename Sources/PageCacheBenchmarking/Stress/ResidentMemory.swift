import CPrimitives
import Glibc

/// What the kernel says of this process's memory.
package enum ResidentMemory {
  /// Bytes resident now.
  package static var current: Int { field("VmRSS:") }

  /// The most bytes resident since `resetPeak`.
  package static var peak: Int { field("VmHWM:") }

  /// Bytes of the proportional set size, and those of it that are the program's text and other files'. Pages shared with other processes count by their
  /// share: so those of files become more when another program that has the same libraries ends.
  package static var proportional: (total: Int, ofFiles: Int) {
    let text = readWholeFile("/proc/self/smaps_rollup") ?? ""
    return (field("Pss:", of: text), field("Pss_File:", of: text))
  }

  /// Has the C library give back at once what is freed, if it is 64 KiB or more. By itself it keeps some mebibytes for each thread, once they have been used for
  /// a moment: then nobody can tell what is in use.
  package static func returnFreedMemory() {
    pagecache_return_freed_memory(64 << 10)
  }

  /// Makes the peak start again from now. Returns false where the kernel does not let us.
  package static func resetPeak() -> Bool {
    let file = unsafe open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    return unsafe write(file, "5", 1) == 1
  }

  private static func field(_ name: String) -> Int {
    let file = unsafe open("/proc/self/status", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 8192)
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    return field(name, of: String(decoding: buffer.prefix(max(0, count)), as: UTF8.self))
  }

  private static func field(_ name: String, of text: String) -> Int {
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      if fields.count >= 2, let kibibytes = Int(fields[1]) { return kibibytes << 10 }
    }
    return 0
  }
}
