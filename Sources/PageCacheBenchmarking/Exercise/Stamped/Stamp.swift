/// What the cells of a stamped file hold: which write put them there.
///
/// A cell is 64 bytes. Each of its eight words follows from the stamp, so a cell that is part old and part new shows. No two cells of any two
/// writes have the same stamp; zero is a cell that nobody wrote.
///
/// ```
///   63            24 23   16 15          0
///  +----------------+-------+-------------+
///  | version        | group | cell        |
///  +----------------+-------+-------------+
/// ```
enum Stamp {
  static let cellBytes = 64
  static let mostCells = 1 << 16

  @inline(__always)
  static func make(version: UInt64, group: Int, cell: Int) -> UInt64 {
    version &<< 24 | UInt64(truncatingIfNeeded: group & 0xFF) &<< 16 | UInt64(truncatingIfNeeded: cell & 0xFFFF)
  }

  static func version(_ stamp: UInt64) -> UInt64 { stamp &>> 24 }

  /// The word of a cell at a place 0...7.
  @inline(__always)
  static func word(_ stamp: UInt64, _ place: Int) -> UInt64 {
    stamp == 0 ? 0 : stamp &+ UInt64(truncatingIfNeeded: place) &* 0x9E37_79B9_7F4A_7C15
  }

  /// Fills whole cells with the stamps of one write.
  static func fill(_ bytes: UnsafeMutableRawBufferPointer, version: UInt64, group: Int) {
    for cell in 0..<bytes.count / cellBytes {
      let stamp = make(version: version, group: group, cell: cell)
      for place in 0..<8 {
        unsafe bytes.storeBytes(of: word(stamp, place), toByteOffset: cell &* 64 &+ place &* 8, as: UInt64.self)
      }
    }
  }

  /// Whether bytes, which start somewhere in a cell and may end in it, are those of the stamp.
  static func matches(_ bytes: UnsafeRawBufferPointer, from start: Int, stamp: UInt64) -> Bool {
    for index in 0..<bytes.count {
      let place = start + index
      guard unsafe bytes[index] == UInt8(truncatingIfNeeded: word(stamp, place / 8) &>> (UInt64(place % 8) * 8)) else {
        return false
      }
    }
    return true
  }

  /// Whether a whole cell is that of the stamp.
  @inline(__always)
  static func matchesCell(_ bytes: UnsafeRawPointer, stamp: UInt64) -> Bool {
    var difference: UInt64 = 0
    for place in 0..<8 {
      difference |= unsafe bytes.loadUnaligned(fromByteOffset: place &* 8, as: UInt64.self) ^ word(stamp, place)
    }
    return difference == 0
  }
}
