import PageCache
import Primitives

/// An index and its log, as a database has them. A transaction appends a record to the log, and writes an entry to a
/// slot of the index that names the record. The entry must not reach the index's store before the record is durable.
///
/// ```
///  record   number   slot     21 words that follow from the number
///  entry    number   offset   check   zero
/// ```
///
/// The number of a transaction is made of its slot and how many the slot has had. Each slot belongs to one writer, so
/// its transactions have an order.
package struct OrderedFiles: Sendable {
  let index: CachedFile
  let log: CachedFile
  /// Whether entries wait for their records. If not, it is the load alone that is the same.
  let isOrdered: Bool

  static let slots = 4096
  static let writers = 4
  /// Does not divide a page: records lie in two pages now and then.
  static let recordBytes = 23 * 8
  static let entryBytes = 32
  static let indexBytes = slots * entryBytes

  /// Makes the index as long as it stays, so that a slot is there before it is written.
  init(index: CachedFile, log: CachedFile, isOrdered: Bool) throws {
    self.index = index
    self.log = log
    self.isOrdered = isOrdered
    try index.resize(to: Int64(OrderedFiles.indexBytes))
    for file in [index, log] { try file.sync() }
  }

  /// One transaction of a slot.
  /// - Parameter count: how many the slot has had, with this one.
  func transact(slot: Int, count: UInt64) throws {
    let number = OrderedFiles.number(slot: slot, count: count)
    let record = OrderedFiles.record(number)
    let offset = try unsafe record.withUnsafeBytes { try unsafe log.append($0) }
    let point = isOrdered ? try log.durabilityPoint() : nil
    let entry = OrderedFiles.entry(number, offset: UInt64(offset))
    _ = try unsafe entry.withUnsafeBytes {
      try unsafe index.write(toAbsoluteOffset: Int64(slot * OrderedFiles.entryBytes), $0, notBefore: point)
    }
  }

  /// A slot of a writer's own: half of the time one of a few.
  static func drawSlot(writer: Int, _ random: inout RandomWords) -> Int {
    let own = UInt64(slots / writers)
    return Int(random.next(below: random.next(below: 2) == 0 ? 16 : own)) * writers + writer
  }

  // MARK: Contents

  static func number(slot: Int, count: UInt64) -> UInt64 { count << 16 | UInt64(slot) }

  private static func mixed(_ word: UInt64) -> UInt64 {
    var random = RandomWords(seed: word)
    return random.next()
  }

  static func record(_ number: UInt64) -> [UInt64] {
    var words = [number, number & 0xFFFF]
    for place in 2..<UInt64(recordBytes / 8) { words.append(mixed(number &+ place << 56)) }
    return words
  }

  static func entry(_ number: UInt64, offset: UInt64) -> [UInt64] { [number, offset, mixed(number ^ offset << 32), 0] }

  /// The words at an offset.
  static func words(_ bytes: [UInt8], at offset: Int, count: Int) -> [UInt64] {
    unsafe bytes.withUnsafeBytes { bytes in
      (0..<count).map { unsafe bytes.loadUnaligned(fromByteOffset: offset + $0 * 8, as: UInt64.self) }
    }
  }
}
