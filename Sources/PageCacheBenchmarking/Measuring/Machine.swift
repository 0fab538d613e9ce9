import Glibc
import Primitives

/// Where it was measured.
package struct Machine: Sendable, Codable, Equatable {
  package var cpu: String
  package var cores: Int
  package var kernel: String
  package var memoryBytes: Int
  package var hugePages: String
  package var sharedMemoryHugePages: String
  package var date: String

  enum CodingKeys: String, CodingKey {
    case cpu, cores, kernel, date
    case memoryBytes = "memory_bytes"
    case hugePages = "huge_pages"
    case sharedMemoryHugePages = "shared_memory_huge_pages"
  }

  /// The machine that runs this.
  package init() {
    let lines = (readWholeFile("/proc/cpuinfo") ?? "").split(separator: "\n")
    let model = lines.first { $0.hasPrefix("model name") || $0.hasPrefix("CPU part") }
    cpu = model?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown"
    cores = availableCores()
    kernel = firstLine("/proc/sys/kernel/osrelease")
    memoryBytes = memoryInformation("MemTotal") ?? 0
    hugePages = chosen(firstLine("/sys/kernel/mm/transparent_hugepage/enabled"))
    sharedMemoryHugePages = chosen(firstLine("/sys/kernel/mm/transparent_hugepage/shmem_enabled"))
    var seconds = time(nil)
    var parts = unsafe tm()
    unsafe gmtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { padded(String(number), to: 2, with: "0") }
    let day = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    let hour = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    date = day + "T" + hour + "Z"
  }

  package var summary: String {
    let memory = fixed(Double(memoryBytes) / 0x1p30, 1)
    return "\(cpu), \(cores) cores, \(memory) GiB, Linux \(kernel), huge pages: \(hugePages), \(date)"
  }

  /// Bytes that can be used without pushing anything out: what the kernel says, or the control group if that is less.
  package static func availableMemory() -> Int {
    let available = memoryInformation("MemAvailable") ?? 0
    guard let limit = Int(firstLine("/sys/fs/cgroup/memory.max")),
      let used = Int(firstLine("/sys/fs/cgroup/memory.current"))
    else { return available }
    return min(available, max(0, limit - used))
  }
}

/// A setting that lists its choices, with brackets around the chosen one.
private func chosen(_ setting: String) -> String {
  guard let start = setting.firstIndex(of: "["), let end = setting.firstIndex(of: "]"), start < end else {
    return setting
  }
  return String(setting[setting.index(after: start)..<end])
}

private func memoryInformation(_ name: String) -> Int? {
  for line in (readWholeFile("/proc/meminfo") ?? "").split(separator: "\n") where line.hasPrefix(name + ":") {
    return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
  }
  return nil
}

private func firstLine(_ path: String) -> String {
  readWholeFile(path)?.split(separator: "\n").first.map(String.init) ?? "unknown"
}

/// The text of one of the kernel's small files, or nil.
func readWholeFile(_ path: String) -> String? {
  let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var text: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    if count <= 0 { break }
    text.append(contentsOf: buffer[..<count])
  }
  return String(decoding: text, as: UTF8.self)
}
