#if RaceLaboratory
  import Primitives

  /// A few words of memory for a test of its own.
  @safe
  final class Words {
    let base: UnsafeMutableRawPointer

    /// - Parameter values: what they hold at first.
    init(_ values: [UInt64]) {
      unsafe base = .allocate(byteCount: values.count * 8, alignment: 64)
      unsafe noteSharedMemory(base, count: values.count * 8)
      for (number, value) in values.enumerated() { self[number].storeRelaxed(value) }
    }

    deinit { unsafe base.deallocate() }

    subscript(_ number: Int) -> SharedWord { unsafe SharedWord(at: base + number * 8) }
  }

  /// What a test has seen that must never be, first come.
  final class Verdict {
    var text: String?
    func complain(_ text: String) { if self.text == nil { self.text = text } }
  }
#endif
