import PageCache

/// What came of a call.
enum CrashOutcome: Sendable {
  case done
  case bytes([UInt8])
  case count(Int)
  /// Nil where there is no such place.
  case place(Int?)
  case flag(Bool)
  case threw(CacheError)
  /// Nothing was done: the handle was not open, or the like.
  case skipped
  /// Something that must not be, whatever the files hold.
  case wrong(String)
}

/// What calls mean to files that are plain bytes, each at one instant.
struct CrashMeaning: Sendable {
  let units: CrashUnits

  typealias Changes = [(file: Int, changes: [CrashChange])]

  /// - Parameter outcome: nil before the call has returned: what it does if it succeeds.
  /// - Returns: what the call has changed; nil if its outcome cannot be, the files being as they are.
  func changes(of call: CrashCall, _ outcome: CrashOutcome?, _ files: [CrashImage]) -> Changes? {
    switch outcome {
    case .skipped?: return []
    case .wrong?: return nil
    case .threw(let error)?: return partial(call, error, files)
    default: break
    }
    guard Self.changesFiles(call.kind) || outcome == nil else { return agrees(call, outcome, files) ? [] : nil }
    let file = call.kind == .reopen ? call[0] : CrashHistory.file(of: call.handle)
    let image = files[min(file, files.count - 1)]
    switch call.kind {
    case .write, .writeAfter, .outside:
      return [(file, CrashChange.writing(call.units) { _ in UInt8(truncatingIfNeeded: call[3]) })]
    case .append:
      if case .count(let place)? = outcome, place != image.size { return nil }
      let end = image.size + call[1]
      guard end <= CrashUnits.most else { return outcome == nil ? [] : nil }
      return [(file, CrashChange.writing(image.size..<end) { _ in UInt8(truncatingIfNeeded: call[2]) })]
    case .resize:
      if call[1] == image.size { return [] }
      return [(file, [call[1] < image.size ? .cut(to: call[1]) : .grow(from: image.size, to: call[1])])]
    case .punch:
      return [(file, CrashChange.zeroing(call.units.clamped(to: 0..<image.size), isHole: true))]
    case .zero:
      return [(file, CrashChange.zeroing(call.units.clamped(to: 0..<image.size), isHole: false) + growing(call, image))]
    case .allocate:
      return [(file, growing(call, image))]
    case .collapse:
      guard call[2] > 0 else { return [] }
      guard 4 * call.pages.upperBound < image.size else { return outcome == nil ? [] : nil }
      return [(file, [.collapse(from: call[1], count: call[2])])]
    case .insert:
      guard call[2] > 0 else { return [] }
      guard 4 * call[1] < image.size, image.size + 4 * call[2] <= CrashUnits.most else {
        return outcome == nil ? [] : nil
      }
      return [(file, [.insert(from: call[1], count: call[2])])]
    case .clone, .copy: return copied(call, outcome, files, most: nil)
    case .exchange: return exchanged(call, files) ?? (outcome == nil ? [] : nil)
    default: return []
    }
  }

  /// What `zero` and `allocate` do to the size.
  private func growing(_ call: CrashCall, _ image: CrashImage) -> [CrashChange] {
    guard call[3] == 0, !call.units.isEmpty else { return [] }
    let end = call.units.upperBound
    return end > image.size ? [.grow(from: image.size, to: end)] : []
  }

  static func changesFiles(_ kind: CrashCall.Kind) -> Bool {
    switch kind {
    case .write, .writeAfter, .outside, .append, .resize, .punch, .zero, .allocate, .collapse, .insert, .clone, .copy,
      .exchange:
      true
    default: false
    }
  }

  /// Whether the call's thread may not tell how it went, or what it saw, by the files alone.
  static func looksAtFiles(_ kind: CrashCall.Kind) -> Bool {
    switch kind {
    case .read, .borrow, .seekData, .seekHole, .dedupe: true
    default: changesFiles(kind)
    }
  }

  private func agrees(_ call: CrashCall, _ outcome: CrashOutcome?, _ files: [CrashImage]) -> Bool {
    let image = files[min(CrashHistory.file(of: call.handle), files.count - 1)]
    switch (call.kind, outcome) {
    case (.read, .bytes(let units)?), (.borrow, .bytes(let units)?): return units == image.units(call.units)
    case (.dedupe, .flag(let isSame)?):
      let other = files[CrashHistory.file(of: call[3])]
      let there = call[4]..<call[4] + call.units.count
      guard call.units.upperBound <= image.size, there.upperBound <= other.size else { return false }
      return isSame == (image.units(call.units) == other.units(there))
    case (.seekData, .place(let place)?):
      // What is passed over reads as zero.
      if let place, place < call[1] || place >= image.size { return false }
      return image.units(call[1]..<(place ?? max(call[1], image.size))).allSatisfy { $0 == 0 }
    case (.seekHole, .place(let place)?):
      guard let place else { return call[1] >= image.size }
      guard place >= call[1], place <= image.size, call[1] < image.size else { return false }
      return place == image.size || image.unit(place) == 0
    default: return true
    }
  }

  /// A call that has thrown has changed nothing, but for what its error tells.
  private func partial(_ call: CrashCall, _ error: CacheError, _ files: [CrashImage]) -> Changes? {
    guard case .partlyWritten(let count, _) = error.cause else { return [] }
    var part = call
    switch call.kind {
    case .write, .writeAfter: part.arguments[2] = end(of: count, from: call[1])
    case .append:
      let size = files[CrashHistory.file(of: call.handle)].size
      part.arguments[1] = end(of: count, from: size) - size
    case .clone, .copy:
      return copied(call, nil, files, most: end(of: count, from: call[4]) - call[4])
    default: return nil
    }
    return changes(of: part, nil, files)
  }

  /// The unit in which so many bytes from another one on end. Stores for tests stop at the end of a unit.
  private func end(of byteCount: Int, from unit: Int) -> Int { units.unit(units.byte(unit) + Int64(byteCount)) ?? unit }

  private func copied(
    _ call: CrashCall, _ outcome: CrashOutcome?, _ files: [CrashImage], most: Int?
  ) -> Changes? {
    let file = CrashHistory.file(of: call.handle)
    let source = files[CrashHistory.file(of: call[3])]
    var units = call.units
    if call.kind == .clone {
      guard units.upperBound <= source.size else { return outcome == nil ? [] : nil }
    } else {
      units = units.clamped(to: 0..<max(units.lowerBound, source.size))
    }
    if let most { units = units.lowerBound..<min(units.upperBound, units.lowerBound + most) }
    if case .count(let count)? = outcome, count != units.count { return nil }
    guard call[4] + units.count <= CrashUnits.most else { return outcome == nil ? [] : nil }
    let distance = call[4] - units.lowerBound
    return [
      (
        file,
        CrashChange.writing(units.lowerBound + distance..<units.upperBound + distance) { source.unit($0 - distance) }
      )
    ]
  }

  /// What has been copied by sharing storage is structure.
  static func shared(_ changes: Changes, _ files: [CrashImage]) -> Changes {
    changes.map { part in
      var image = files[part.file]
      var pages: UInt16 = 0
      var end = 0
      for case .bytes(let page, let mask, let value, let pageEnd) in part.changes {
        image.pages[page] = image.pages[page] & ~mask | value & mask
        pages |= 1 << UInt16(page)
        end = max(end, pageEnd)
      }
      return (part.file, pages == 0 ? [] : [.share(pages: pages, values: image.pages, from: end, to: end)])
    }
  }

  private func exchanged(_ call: CrashCall, _ files: [CrashImage]) -> Changes? {
    let (file, other) = (CrashHistory.file(of: call.handle), CrashHistory.file(of: call[3]))
    let there = call[4]..<call[4] + call.units.count
    guard call.units.upperBound <= files[file].size, there.upperBound <= files[other].size else { return nil }
    guard file != other || !call.units.overlaps(there) else { return nil }
    let distance = call[4] - call[1]
    return [
      (file, CrashChange.writing(call.units) { files[other].unit($0 + distance) }),
      (other, CrashChange.writing(there) { files[file].unit($0 - distance) }),
    ]
  }
}
