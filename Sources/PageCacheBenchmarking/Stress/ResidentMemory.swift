import Glibc

/// What the kernel says of this process's memory.
package enum ResidentMemory {
  /// Bytes resident now.
  package static var current: Int { field("VmRSS:") }

  /// The most bytes resident since `resetPeak`.
  package static var peak: Int { field("VmHWM:") }

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
    let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      if fields.count >= 2, let kibibytes = Int(fields[1]) { return kibibytes << 10 }
    }
    return 0
  }
}
