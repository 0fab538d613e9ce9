/// Where blocks are written.
package enum WritePlacement: String, Sendable, Codable, CaseIterable {
  /// Anywhere in the file.
  case random
  /// Anywhere in its first MiB.
  case hot
}

/// What `bench writes` measures, and for how long.
package struct WritePlan: Sendable {
  package var blockBytes = [256, 4096, 16 << 10, 64 << 10, 1 << 20]
  package var fileBytes = 64 << 20
  /// Writes of 4 KiB between two syncs.
  package var syncPeriods = [1, 16, 256]
  /// Rounds that count; one more, before them, does not.
  package var rounds = 9
  package var millisecondsPerRound = 25

  package init() {}

  package mutating func makeQuick() {
    rounds = 5
    millisecondsPerRound = 5
  }

  package static let hotBytes = 1 << 20
  package static let allowedBlockBytes = 1...hotBytes
  package static let allowedFileBytes = hotBytes...(16 << 30)
  package static let allowedPeriods = 1...1_000_000

  var cells: [WriteCell] {
    let plain = WritePlacement.allCases.flatMap { placement in
      blockBytes.map { WriteCell(placement: placement, blockBytes: $0, writesPerSync: nil) }
    }
    return plain + syncPeriods.map { WriteCell(placement: .random, blockBytes: 4096, writesPerSync: $0) }
  }
}

/// What all arms do before the next thing is measured.
package struct WriteCell: Sendable, Equatable {
  package var placement: WritePlacement
  package var blockBytes: Int
  package var writesPerSync: Int?

  var title: String {
    "\(placement.rawValue) blocks of \(byteCountText(blockBytes))"
      + (writesPerSync.map { ", a sync after \($0 == 1 ? "each" : "every \($0)")" } ?? "")
  }
}
