import PageCache
import Primitives
import SystemPackage

/// A store that keeps a record of all that it is told, over an object that outlives it, and fails when that is due.
final class RecordingStore: BackingStore {
  let name: String
  let identity: StoreIdentity
  private let world: CrashWorld
  private let object: CrashObject
  private let abilities: CrashHistory.Abilities
  private let units: CrashUnits

  init(_ world: CrashWorld, file: Int) {
    self.world = world
    object = world.objects[file]
    abilities = world.abilities
    units = world.units
    name = "file \(file)"
    identity = StoreIdentity(realm: "crash \(world.number)", object: "\(file)")
  }

  var maximumSize: Int64 { units.byte(CrashUnits.most) }
  var readsOnCaller: Bool { abilities.contains(.readOnCaller) }

  private func failure(
    _ operation: StoreError.Operation, _ range: Range<Int64>? = nil, _ cause: StoreError.Cause
  ) -> StoreError {
    StoreError(operation: operation, store: name, range: range, cause: cause)
  }

  private func failure(
    _ operation: StoreError.Operation, _ range: Range<Int64>? = nil, _ manner: CrashFault.Manner
  ) -> StoreError {
    failure(operation, range, .system(manner == .noSpace ? .noSpace : .ioError))
  }

  func status() throws(StoreError) -> StoreStatus {
    world.breathe()
    return world.locked {
      StoreStatus(
        size: units.byte(object.present.size), changeStamp: .init(seconds: Int64(object.changes), nanoseconds: 0),
        allocatedBytes: abilities.contains(.tellHoles) ? object.allocatedBytes : nil)
    }
  }

  // MARK: Bytes

  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    world.breathe()
    let result: Result<Int, StoreError> = world.locked {
      if let manner = world.fails(object, .read) { return .failure(failure(.read, request.range, manner)) }
      var done = 0
      var offset = request.offset
      for number in unsafe request.segments.indices {
        let segment = unsafe request.segments[number]
        done += unsafe deliver(offset, segment)
        offset += Int64(segment.count)
      }
      return .success(done)
    }
    completion(result)
  }

  func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    world.breathe()
    return try world.locked { () throws(StoreError) in
      if let manner = world.fails(object, .read) {
        throw failure(.read, offset..<offset + Int64(memory.count), manner)
      }
      return unsafe deliver(offset, memory)
    }
  }

  /// Fills memory with units. Returns the bytes that were there.
  private func deliver(_ offset: Int64, _ memory: UnsafeMutableRawBufferPointer) -> Int {
    let end = min(offset + Int64(memory.count), units.byte(object.present.size))
    guard end > offset, var unit = units.unit(offset) else { return 0 }
    var position = offset
    while position < end {
      let next = min(units.byte(unit + 1), end)
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[Int(position - offset)..<Int(next - offset)])
      // Readers look at frames at any time, but not at one that is being filled.
      unsafe part.initializeMemory(as: UInt8.self, repeating: object.present.unit(unit))
      position = next
      unit += 1
    }
    return Int(end - offset)
  }

  func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
    world.breathe()
    defer { world.breathe() }
    let changes: [CrashChange]
    switch taken(request) {
    case .success(let taken): changes = taken
    case .failure(let problem):
      world.locked { world.note("foreign", "\(name) was given \(problem.text)") }
      throw failure(.write, request.range, .system(.invalidArgument))
    }
    return try world.locked { () throws(StoreError) in
      var accepted = changes
      if let manner = world.fails(object, .write) {
        guard manner == .short || manner == .shortSometimes, changes.count > 1 else {
          throw failure(.write, request.range, manner)
        }
        accepted = Array(changes.prefix(1))
      }
      let refused = world.refusedPages[object.number]
      if let place = accepted.firstIndex(where: { $0.writtenPage.map { refused & 1 << UInt16($0) != 0 } ?? false }) {
        world.noteRefusal(object)
        if place == 0 { throw failure(.write, request.range, .system(.ioError)) }
        accepted = Array(accepted.prefix(place))
      }
      for change in accepted {
        switch world.plant {
        case .idleWrites: break
        case .misplacedWrites: world.record(change.misplaced, in: object)
        case .none, .idleFlushes: world.record(change, in: object)
        }
      }
      world.look()
      guard case .bytes(_, _, _, let end)? = accepted.last else { return 0 }
      return Int(units.byte(end) - request.offset)
    }
  }

  private struct Problem: Error { let text: String }

  /// What a write comes to in units, each of which must be of one value.
  private func taken(_ request: StoreWriteRequest) -> Result<[CrashChange], Problem> {
    let range = request.range
    guard let first = units.unit(range.lowerBound), let end = units.unit(range.upperBound), end <= CrashUnits.most
    else {
      return .failure(Problem(text: "bytes \(range), which no call has written so"))
    }
    var values: [UInt8] = []
    var unit = first
    var unitEnd = units.byte(first + 1)
    var position = range.lowerBound
    var isFirst = true
    for number in unsafe request.segments.indices {
      let segment = unsafe request.segments[number]
      for place in 0..<segment.count {
        let byte = unsafe segment[place]
        if position == unitEnd {
          unit += 1
          unitEnd = units.byte(unit + 1)
          isFirst = true
        }
        if isFirst {
          values.append(byte)
          isFirst = false
        } else if byte != values[values.count - 1] {
          return .failure(Problem(text: "\(values[values.count - 1]) and \(byte) in unit \(unit)"))
        }
        position += 1
      }
    }
    return .success(CrashChange.writing(first..<end) { values[$0 - first] })
  }

  func flush(dataOnly: Bool) throws(StoreError) {
    world.breathe()
    defer { world.breathe() }
    let end = world.locked {
      world.tell("    \(name): a flush begins")
      return object.end
    }
    world.breathe()
    try world.locked { () throws(StoreError) in
      if let manner = world.fails(object, .flush) {
        world.flushFailed(object, through: end, manner)
        world.look()
        throw failure(.flush, nil, manner)
      }
      world.tell("    \(name): the flush succeeds")
      if world.plant != .idleFlushes { object.flushed(through: end) }
      world.look()
    }
  }

  // MARK: Structure

  /// The body says what changes, or throws.
  private func changing(
    _ operation: StoreError.Operation, _ range: Range<Int64>?, _ kind: CrashFault.Operation,
    _ body: () throws(StoreError) -> [CrashChange]
  ) throws(StoreError) {
    world.breathe()
    defer { world.breathe() }
    try world.locked { () throws(StoreError) in
      if let manner = world.fails(object, kind) { throw failure(operation, range, manner) }
      for change in try body() { world.record(change, in: object) }
      world.look()
    }
  }

  func resize(to size: Int64) throws(StoreError) {
    try changing(.resize, nil, .resize) { () throws(StoreError) in
      guard let size = units.unit(size), size <= CrashUnits.most else {
        throw failure(.resize, nil, .system(.fileTooLarge))
      }
      if size == object.present.size { return [] }
      return [size < object.present.size ? .cut(to: size) : .grow(from: object.present.size, to: size)]
    }
  }

  private func isAble(_ change: StoreRangeChange) -> Bool {
    switch change {
    case .allocate: abilities.contains(.allocate)
    case .punchHole: abilities.contains(.punch)
    case .zero: abilities.contains(.zero)
    case .collapse: abilities.contains(.collapse)
    case .insert: abilities.contains(.insert)
    case .unshare: true
    }
  }

  func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
    guard isAble(change) else {
      world.breathe()
      throw failure(change.operation, range, .unsupported)
    }
    try changing(change.operation, range, .change) { () throws(StoreError) in
      guard let first = units.unit(range.lowerBound), let end = units.unit(range.upperBound) else {
        throw failure(change.operation, range, .system(.invalidArgument))
      }
      let size = object.present.size
      // The rest of the last page belongs to what reaches past the end. What ends with the file may be an edge of
      // that page, or all of it.
      let reach = end > size || end == size && abilities.contains(.wholeEnd) ? (size + 3) / 4 * 4 : size
      let part = first < size ? first..<(end < size ? end : reach) : first..<first
      let isWhole = first % 4 == 0 && end % 4 == 0
      switch change {
      case .allocate(let keepingSize): return !keepingSize && end > size ? [.grow(from: size, to: end)] : []
      case .punchHole: return CrashChange.zeroing(part, isHole: true).map { $0.ending(by: size) }
      case .zero(let keepingSize):
        return CrashChange.zeroing(part, isHole: false).map { $0.ending(by: size) }
          + (!keepingSize && end > size ? [.grow(from: size, to: end)] : [])
      case .collapse:
        guard isWhole, end < size else { throw failure(.collapseRange, range, .system(.invalidArgument)) }
        return [.collapse(from: first / 4, count: (end - first) / 4)]
      case .insert:
        guard isWhole, first < size, size + end - first <= CrashUnits.most else {
          throw failure(.insertRange, range, .system(.invalidArgument))
        }
        return [.insert(from: first / 4, count: (end - first) / 4)]
      case .unshare: return []
      }
    }
  }

  func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
    guard abilities.contains(.clone), let source = source as? RecordingStore else {
      world.breathe()
      throw failure(.clone, range, .unsupported)
    }
    try changing(.clone, range, .change) { () throws(StoreError) in
      let image = source.object.present
      guard let first = units.unit(range.lowerBound), let end = units.unit(range.upperBound),
        let place = units.unit(offset), first % 4 == 0, place % 4 == 0, end <= image.size, first < end,
        end % 4 == 0 || end == image.size && place + end - first >= object.present.size
      else { throw failure(.clone, range, .unsupported) }
      var pages: UInt16 = 0
      var values = SIMD16<PageState>(repeating: 0)
      for page in first / 4..<(end + 3) / 4 {
        let target = page + (place - first) / 4
        pages |= 1 << UInt16(target)
        values[target] = image.pages[page]
      }
      world.noteShare(object, at: place)
      return [.share(pages: pages, values: values, from: object.present.size, to: place + end - first)]
    }
  }

  func dedupe(_ range: Range<Int64>, with other: any BackingStore, at offset: Int64) throws(StoreError) -> Bool {
    world.breathe()
    guard abilities.contains(.clone), let other = other as? RecordingStore else {
      throw failure(.dedupe, range, .unsupported)
    }
    return try world.locked { () throws(StoreError) in
      guard let first = units.unit(range.lowerBound), let end = units.unit(range.upperBound),
        let place = units.unit(offset), first % 4 == 0, place % 4 == 0
      else { throw failure(.dedupe, range, .unsupported) }
      // Sharing cannot be told from having the same bytes.
      return other.object.present.units(first..<end) == object.present.units(place..<place + end - first)
    }
  }

  func extent(at offset: Int64) throws(StoreError) -> StoreExtent {
    world.breathe()
    guard abilities.contains(.tellHoles) else { return StoreExtent(isHole: false, end: .max) }
    return try world.locked { () throws(StoreError) in
      if let manner = world.fails(object, .extent) { throw failure(.extent, nil, manner) }
      let image = object.present
      let pageCount = (image.size + 3) / 4
      var page = Int(offset) / CrashUnits.pageByteCount
      let isHole = image.holes & 1 << UInt16(page) != 0
      while page < pageCount, (image.holes & 1 << UInt16(page) != 0) == isHole { page += 1 }
      return StoreExtent(isHole: isHole, end: page >= pageCount ? .max : Int64(page * CrashUnits.pageByteCount))
    }
  }

  func prepareToWrite() throws(StoreError) {}

  func close() { world.locked { object.closedAt = world.moment } }
}

extension CrashChange {
  /// The same bytes in the next page.
  fileprivate var misplaced: CrashChange {
    guard case .bytes(let page, let mask, let value, let end) = self, page + 1 < CrashUnits.pagesMax else {
      return self
    }
    return .bytes(page: page + 1, mask: mask, value: value, end: end + CrashUnits.perPage)
  }

  /// The same, which makes nothing longer than it is.
  fileprivate func ending(by size: Int) -> CrashChange {
    guard case .bytes(let page, let mask, let value, let end) = self else { return self }
    return .bytes(page: page, mask: mask, value: value, end: min(end, size))
  }

  /// The page whose bytes it writes.
  var writtenPage: Int? {
    if case .bytes(let page, _, _, _) = self { page } else { nil }
  }
}

extension CrashObject {
  var allocatedBytes: Int64 {
    let pages = (present.size + 3) / 4
    let holes = (0..<pages).count { present.holes & 1 << UInt16($0) != 0 }
    return Int64((pages - holes) * CrashUnits.pageByteCount)
  }
}
