/// CRC-32C, which finds every damage of up to 32 bits in a row, and any three wrong bits in a file of this size.
package enum Checksum {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 0 ? sum >> 1 : sum >> 1 ^ 0x82F6_3B78 }
  }

  /// Continues a sum over more bytes; from 0 at the start.
  package static func continued(_ sum: UInt32 = 0, over bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~sum) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
  }
}
