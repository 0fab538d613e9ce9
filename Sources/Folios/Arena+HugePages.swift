import Glibc

/// Whether the kernel backs an arena with huge pages.
public enum HugePageStatus: Sendable, Equatable, CustomStringConvertible {
  /// How much of the resident memory is in huge pages: none, as long as only the ends of the arena, which are not whole huge pages, are in use.
  case granted(bytes: Int, residentBytes: Int)
  /// Resident memory, none of it in huge pages, and what the kernel's setting says.
  case refused(setting: String)
  /// Nothing is resident yet, or the kernel does not tell.
  case unknown

  public var description: String {
    switch self {
    case .granted(let bytes, let resident): "\(bytes >> 20) of \(resident >> 20) MiB resident in huge pages"
    case .refused(let setting): "none: the kernel's setting is '\(setting)'"
    case .unknown: "nothing resident yet"
    }
  }
}

extension Arena {
  /// Asks the kernel how much of the arena is in huge pages. Reads `/proc/self/smaps`: milliseconds, for statistics only.
  package func hugePageStatus() -> HugePageStatus {
    guard let mappings = readWholeFile("/proc/self/smaps") else { return .unknown }
    let start = UInt(bitPattern: unsafe base)
    let end = start + UInt(byteCount)
    var inside = false
    var resident = 0
    var huge = 0
    for line in mappings.split(separator: "\n") {
      let fields = line.split(separator: " ", omittingEmptySubsequences: true)
      guard let first = fields.first else { continue }
      if let dash = first.firstIndex(of: "-"), !first.hasSuffix(":"), let low = UInt(first[..<dash], radix: 16) {
        inside = low >= start && low < end
      } else if inside, fields.count >= 2, let kibibytes = Int(fields[1]) {
        if first == "Rss:" { resident += kibibytes << 10 }
        if first == "AnonHugePages:" || first == "ShmemPmdMapped:" { huge += kibibytes << 10 }
      }
    }
    if resident == 0 { return .unknown }
    let file = kind == .sharedMemory ? "shmem_enabled" : "enabled"
    let setting = readWholeFile("/sys/kernel/mm/transparent_hugepage/" + file) ?? "unknown"
    guard huge == 0, setting.contains("[never]") else { return .granted(bytes: huge, residentBytes: resident) }
    return .refused(setting: setting.split(separator: "\n").first.map(String.init) ?? setting)
  }
}

private func readWholeFile(_ path: String) -> String? {
  let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    if count <= 0 { break }
    bytes.append(contentsOf: buffer[..<count])
  }
  return String(decoding: bytes, as: UTF8.self)
}
