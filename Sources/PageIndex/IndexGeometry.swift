/// The shape of an index: parameters, so that a test or the race laboratory can shrink them until every corner is met.
package struct IndexGeometry: Sendable, Equatable {
  /// Base-2 logarithm of the slots in a node: 1...9. 6 is the XArray's 64 slots; 9 makes a node a page of slots and saves a level.
  package var fanOutShift: Int
  /// Bits of version in use: 2...20. Fewer make the counter wrap sooner.
  package var versionBits: Int

  /// Base-2 logarithm of the bytes in a page, if lookups are to be made by byte offset (`PageIndex.locate(root:slotMask:key:)`): saves them a
  /// shift. 0...16.
  package var keyShift: Int

  package init(fanOutShift: Int = 6, versionBits: Int = Int(Entry.versionBits), keyShift: Int = 0) {
    precondition((1...9).contains(fanOutShift) && (2...Int(Entry.versionBits)).contains(versionBits))
    precondition((0...16).contains(keyShift))
    self.fanOutShift = fanOutShift
    self.versionBits = versionBits
    self.keyShift = keyShift
  }

  package var fanOut: Int { 1 << fanOutShift }

  /// Bytes of a node, header and marks included.
  package var nodeByteCount: Int { Node.byteCount(fanOut: fanOut) }

  /// Largest page number an index can hold: any byte offset an `Int64` can name, in 512-byte pages or larger.
  package static let maximumPage: UInt64 = (1 << 54) - 1

  /// Largest page number an index of this geometry can hold: its key must be one, too.
  package var maximumPage: UInt64 { min(IndexGeometry.maximumPage, UInt64.max >> UInt64(keyShift)) }
}
