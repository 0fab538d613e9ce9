import BackingStores

extension ResidencyImage {
  /// Bytes that a file may have: many times what a pool of the largest size needs.
  static let mostBytes: Int64 = 1 << 30

  /// How many bytes of a file are worth reading, by its start: all, if it says itself that it is so large.
  static func wantedByteCount(start: [UInt8], size: Int64) -> Int {
    do throws(ResidencyFileProblem) { try length(start: start, size: size) } catch { return start.count }
    return Int(size)
  }

  /// What is wrong with a file that is not worth reading.
  static func problem(start: [UInt8], size: Int64) -> ResidencyFileProblem {
    do throws(ResidencyFileProblem) { try length(start: start, size: size) } catch { return error }
    // It has become shorter since its size was asked for.
    return .length(Int64(start.count), expected: size)
  }

  private static func length(start: [UInt8], size: Int64) throws(ResidencyFileProblem) {
    guard start.starts(with: magic.prefix(start.count)), !start.isEmpty else { throw .notResidency }
    guard start.count >= headerByteCount else { throw .length(size, expected: Int64(headerByteCount)) }
    let version = UInt32(truncatingIfNeeded: fixed(start, at: 8, byteCount: 4))
    guard version == self.version else { throw .version(version, known: self.version) }
    let body = fixed(start, at: 16, byteCount: 8)
    guard body <= mostBytes else { throw .impossible("\(body) bytes", at: 16) }
    let expected = Int64(body) + Int64(headerByteCount)
    guard size == expected else { throw .length(size, expected: expected) }
  }

  private static func fixed(_ bytes: [UInt8], at place: Int, byteCount: Int) -> UInt64 {
    (0..<byteCount).reduce(0) { $0 | UInt64(bytes[place + $1]) << UInt64(8 * $1) }
  }

  /// Reads an image. Whatever the bytes are, it throws or is what somebody has saved.
  init(_ bytes: [UInt8]) throws(ResidencyFileProblem) {
    try ResidencyImage.length(start: bytes, size: Int64(bytes.count))
    func fixed(_ place: Int) -> UInt32 {
      UInt32(truncatingIfNeeded: ResidencyImage.fixed(bytes, at: place, byteCount: 4))
    }
    let body = bytes[ResidencyImage.headerByteCount...]
    let sum = Checksum.continued(Checksum.continued(over: bytes[..<28]), over: body)
    guard sum == fixed(28) else { throw .checksum(sum, expected: fixed(28)) }
    // What follows was written as it is; by whom, nobody knows.
    let shift = fixed(12)
    guard (8...30).contains(shift) else { throw .impossible("pages of 2^\(shift) bytes", at: 12) }
    pageShift = Int(shift)
    var reader = NumberReader(bytes: bytes, place: ResidencyImage.headerByteCount)
    for _ in 0..<fixed(24) { files.append(try ResidencyImage.file(&reader, pageShift: pageShift)) }
    guard reader.place == bytes.count else { throw .impossible("bytes behind the last file", at: reader.place) }
  }

  private static func file(_ reader: inout NumberReader, pageShift: Int) throws(ResidencyFileProblem) -> File {
    let name = try reader.text()
    let identity = StoreIdentity(realm: try reader.text(), object: try reader.text())
    let start = reader.place
    let size = Int64(bitPattern: try reader.number())
    guard (0...PageCache.maximumFileSize).contains(size) else {
      throw .impossible("a file of \(size) bytes", at: start)
    }
    var file = File(name: name, identity: identity, creationStamp: try creation(&reader), size: size)
    let mostPages = UInt64(PageCache.maximumFileSize) >> UInt64(pageShift)
    var end: UInt64 = 0
    for _ in 0..<(try reader.number()) {
      let place = reader.place
      let gap = try reader.number()
      let word = try reader.number()
      let count = word >> 2
      guard count > 0, gap <= mostPages - end, count <= mostPages - end - gap,
        let heat = Heat(rawValue: UInt8(word & 3))
      else { throw .impossible("\(count) pages, \(gap) behind page \(end)", at: place) }
      file.runs.append(Run(page: end + gap, count: count, heat: heat))
      end += gap + count
    }
    return file
  }

  private static func creation(_ reader: inout NumberReader) throws(ResidencyFileProblem)
    -> StoreStatus.ChangeStamp?
  {
    let place = reader.place
    switch try reader.number() {
    case 0: return nil
    case 1:
      let seconds = Int64(bitPattern: try reader.number())
      guard let nanoseconds = UInt32(exactly: try reader.number()) else { break }
      return .init(seconds: seconds, nanoseconds: nanoseconds)
    default: break
    }
    throw .impossible("no time", at: place)
  }
}

/// Reads numbers and texts one after the other, as far as there are bytes.
private struct NumberReader {
  let bytes: [UInt8]
  var place: Int

  mutating func number() throws(ResidencyFileProblem) -> UInt64 {
    let start = place
    var value: UInt64 = 0
    // Ten groups of seven bits are more than a word has.
    for shift in stride(from: 0 as UInt64, to: 70, by: 7) {
      guard place < bytes.count else { throw .impossible("the end, inside a number", at: start) }
      let group = UInt64(bytes[place])
      place += 1
      guard shift < 63 || group <= 1 else { break }
      value |= (group & 0x7F) << shift
      if group & 0x80 == 0 { return value }
    }
    throw .impossible("a number of more than 64 bits", at: start)
  }

  mutating func text() throws(ResidencyFileProblem) -> String {
    let start = place
    let count = try number()
    guard count <= UInt64(bytes.count - place) else { throw .impossible("a name of \(count) bytes", at: start) }
    let end = place + Int(count)
    defer { place = end }
    return String(decoding: bytes[place..<end], as: UTF8.self)
  }
}
