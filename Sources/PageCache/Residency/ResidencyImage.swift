import BackingStores

/// What was cached at some moment, as it is kept in a file: runs of pages, and how hot they were.
struct ResidencyImage: Equatable {
  /// Base-2 logarithm of the bytes in a page.
  var pageShift: Int
  var files: [File] = []

  struct File: Equatable {
    var name: String
    var identity: StoreIdentity
    var creationStamp: StoreStatus.ChangeStamp?
    /// Bytes, when it was saved.
    var size: Int64
    /// In order, apart.
    var runs: [Run] = []
  }

  struct Run: Equatable {
    var page: UInt64
    var count: UInt64
    var heat: Heat
  }

  /// What reclaim knew of a folio. The coldest first.
  enum Heat: UInt8, CaseIterable {
    case new
    case newAndRead
    case proven
    case provenAndRead

    init(isProven: Bool, isAccessed: Bool) {
      self =
        switch (isProven, isAccessed) {
        case (false, false): .new
        case (false, true): .newAndRead
        case (true, false): .proven
        case (true, true): .provenAndRead
        }
    }

    /// Whether it had been read often enough to be kept before others.
    var isProven: Bool { self == .proven || self == .provenAndRead }
  }

  var runCount: Int { files.reduce(0) { $0 + $1.runs.count } }
  var pageCount: UInt64 { files.reduce(0) { $1.runs.reduce($0) { $0 + $1.count } } }
}

extension ResidencyImage.File {
  /// Adds pages behind those that are there.
  mutating func append(from first: UInt64, through last: UInt64, heat: ResidencyImage.Heat) {
    let count = last - first + 1
    if let run = runs.last, run.page + run.count == first, run.heat == heat {
      runs[runs.count - 1].count += count
    } else {
      runs.append(.init(page: first, count: count, heat: heat))
    }
  }

  /// Whether a file that is open now is this one, as far as can be told.
  ///
  /// Its name alone says nothing: another may have been put in its place. A device may have another number after a restart, but then name and object
  /// are the same. An object's number may be given to the next one, which is younger.
  func isSame(name: String, identity: StoreIdentity, creationStamp: StoreStatus.ChangeStamp?) -> Bool {
    if let saved = self.creationStamp, let creationStamp, saved != creationStamp { return false }
    return self.identity == identity || self.identity.object == identity.object && self.name == name
  }
}
