/// The ways of `bench scan` to read a file that nothing has cached.
package enum ScanArm: String, CaseIterable, Codable, Sendable {
  /// The cache, new for each measurement.
  case cache
  /// fio with direct reads, as many under way as keep the disk busy: what the disk can do.
  case fio
  /// fio with direct reads, one after the other: what a program gets that reads what it needs when it needs it.
  case fioOne = "fio-one"
  /// pread(2) on a buffered descriptor: the kernel's cache and its read-ahead.
  case pread
}
