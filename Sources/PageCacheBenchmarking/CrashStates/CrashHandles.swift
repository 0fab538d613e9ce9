import PageCache
import Primitives

/// The handles of one history, and what a call comes to by them. Handles are opened and closed while one thread is at
/// it only.
final class CrashHandles: @unchecked Sendable {
  let cache: PageCache
  let world: CrashWorld
  private(set) var handles = [CachedFile?](repeating: nil, count: CrashHistory.handleCount)
  /// The last point of each file, and when it was asked for. Guarded by the lock of the world.
  var points = [(point: DurabilityPoint, moment: Int)?](repeating: nil, count: CrashHistory.fileCount)

  private var units: CrashUnits { world.units }

  init(_ cache: PageCache, _ world: CrashWorld) {
    self.cache = cache
    self.world = world
  }

  func isOpen(_ handle: Int) -> Bool { handles[handle] != nil }

  func openHandles(of file: Int) -> [Int] {
    (0..<CrashHistory.handleCount).filter { CrashHistory.file(of: $0) == file && isOpen($0) }
  }

  func open(_ handle: Int, isShared: Bool) -> CrashOutcome {
    guard handles[handle] == nil else { return .skipped }
    let store = RecordingStore(world, file: CrashHistory.file(of: handle))
    let ownership: PageCache.Ownership = isShared ? .external : .exclusive
    let options: PageCache.OpenOptions =
      CrashHistory.isReader(handle)
      ? .init(ownership: ownership)
      : .readWrite(durability: CrashHistory.isThrough(handle) ? .writeThrough : .writeBack, ownership: ownership)
    do throws(CacheError) {
      handles[handle] = try cache.open(store: store, options)
      return .done
    } catch { return .threw(error) }
  }

  func close(_ handle: Int, discarding: Bool) -> CrashOutcome {
    guard let file = handles[handle] else { return .skipped }
    var failure: CacheError?
    do throws(CacheError) { try file.close(discardingDirty: discarding) } catch { failure = error }
    if file.isClosed { handles[handle] = nil }
    return failure.map { .threw($0) } ?? .done
  }

  /// Lets go of everything, whatever state it is in.
  func abandon() {
    for handle in handles.indices {
      _ = try? handles[handle]?.close(discardingDirty: true)
      handles[handle] = nil
    }
  }

  /// Does a call of those that neither open nor close nor lend.
  func perform(_ call: CrashCall) -> CrashOutcome {
    switch call.kind {
    case .reclaim:
      cache.reclaimDeferred()
      return .done
    case .fail:
      guard let operation = CrashFault.Operation(rawValue: call[1]), let manner = CrashFault.Manner(rawValue: call[3])
      else { return .skipped }
      world.locked { world.arm(CrashFault(operation: operation, skips: call[2], manner: manner), file: call[0]) }
      return .done
    case .refuse:
      world.locked { world.refuse(page: call[1], file: call[0]) }
      return .done
    case .heal:
      world.locked { world.heal() }
      return .done
    case .open, .close, .discard, .reopen, .borrow, .giveBack: return .skipped
    default: break
    }
    guard let file = handles[call.handle] else { return .skipped }
    do throws(CacheError) { return try perform(call, file) } catch { return .threw(error) }
  }

  private func bytes(of units: Range<Int>) -> Range<Int64> { self.units.bytes(units) }

  private func content(_ units: Range<Int>, _ value: Int) -> [UInt8] {
    [UInt8](repeating: UInt8(truncatingIfNeeded: value), count: bytes(of: units).count)
  }

  private func perform(_ call: CrashCall, _ file: CachedFile) throws(CacheError) -> CrashOutcome {
    let range = bytes(of: call.units)
    switch call.kind {
    case .read:
      return values(try file.read(fromAbsoluteOffset: range.lowerBound, count: range.count), from: call[1])
    case .write: try file.write(toAbsoluteOffset: range.lowerBound, content(call.units, call[3]))
    case .writeAfter:
      let point = world.locked { points[min(call[4], points.count - 1)]?.point }
      try file.write(toAbsoluteOffset: range.lowerBound, content(call.units, call[3]), notBefore: point)
    case .append:
      // Whole pages are of one length wherever they begin. Less than that is appended where nobody else moves the end.
      let end = call[1] % 4 == 0 ? 0 : units.unit(try file.size) ?? 0
      let place = try file.append(content(end..<min(CrashUnits.most + 3, end + call[1]), call[2]))
      return units.unit(place).map { .count($0) } ?? .wrong("append at byte \(place), where no unit begins")
    case .point:
      let moment = world.locked { world.moment }
      let point = try file.durabilityPoint()
      world.locked { points[CrashHistory.file(of: call.handle)] = (point, moment) }
    case .resize: try file.resize(to: units.byte(call[1]))
    case .punch: try file.punchHole(range)
    case .zero: try file.zeroRange(range, keepingSize: call[3] != 0)
    case .allocate: try file.allocate(range, keepingSize: call[3] != 0)
    case .collapse: try file.collapseRange(bytes(of: 4 * call.pages.lowerBound..<4 * call.pages.upperBound))
    case .insert: try file.insertRange(bytes(of: 4 * call.pages.lowerBound..<4 * call.pages.upperBound))
    case .clone, .copy, .exchange, .dedupe: return try performPair(call, file)
    case .sync: try file.sync(dataOnly: call[1] != 0)
    case .flush: try file.flush(range)
    case .seekData: return place(try file.seekData(from: units.byte(call[1])))
    case .seekHole: return place(try file.seekHole(from: units.byte(call[1])))
    case .outside:
      guard world.writeFromOutside(call) else { return .skipped }
      do throws(CacheError) { try file.invalidate() } catch {
        // The bytes are there, and what the cache shows of them is not known.
        world.locked { world.exclude(.refusedInvalidation) }
        throw error
      }
    case .invalidate: try file.invalidate(call.arguments.count > 2 ? range : nil)
    case .evict: _ = file.evict(page: UInt64(call[1]))
    case .move: _ = file.move(page: UInt64(call[1]))
    default: return .skipped
    }
    return .done
  }

  private func performPair(_ call: CrashCall, _ file: CachedFile) throws(CacheError) -> CrashOutcome {
    guard let other = handles[call[3]] else { return .skipped }
    // Units are not of one length: ranges must begin at the same place of a page.
    guard call[1] % 4 == call[4] % 4 else { return .skipped }
    let range = bytes(of: call.units)
    let offset = units.byte(call[4])
    switch call.kind {
    case .clone: try file.clone(range, of: other, to: offset)
    case .copy:
      let count = try file.copy(range, of: other, to: offset)
      guard let end = units.unit(range.lowerBound + count) else { return .wrong("copied \(count) bytes") }
      return .count(end - call[1])
    case .dedupe: return .flag(try file.dedupe(range, with: other, at: offset))
    default: try file.exchange(range, with: other, at: offset)
    }
    return .done
  }

  private func place(_ byte: Int64?) -> CrashOutcome {
    guard let byte else { return .place(nil) }
    return units.unit(byte).map { .place($0) } ?? .wrong("byte \(byte), where no unit begins")
  }

  /// Bytes from the start of a unit on, as units.
  func values(_ bytes: [UInt8], from first: Int) -> CrashOutcome {
    guard let end = units.unit(units.byte(first) + Int64(bytes.count)) else {
      return .wrong("\(bytes.count) bytes, which end in the middle of a unit")
    }
    var values: [UInt8] = []
    let start = units.byte(first)
    for unit in first..<end {
      let part = bytes[Int(units.byte(unit) - start)..<Int(units.byte(unit + 1) - start)]
      guard let value = part.first else { continue }
      if let other = part.first(where: { $0 != value }) {
        return .wrong("\(value) and \(other) in unit \(unit): it is torn")
      }
      values.append(value)
    }
    return .bytes(values)
  }
}
