import RaceLaboratory
import Testing

/// One at a time: there is one laboratory in a process.
@Suite(.serialized) enum RaceLaboratoryTests {}

/// A few words that threads of a model share.
@safe
final class Words {
  private let memory: UnsafeMutablePointer<UInt64>

  init(_ count: Int) {
    unsafe memory = .allocate(capacity: count)
    unsafe memory.initialize(repeating: 0, count: count)
  }

  deinit { unsafe memory.deallocate() }

  private func address(_ word: Int) -> UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(memory + word) }

  func load(_ word: Int, _ order: MemoryOrder = .relaxed, line: UInt = #line) -> UInt64 {
    unsafe Explorer.shared.load(address(word), order, Site(#fileID, line))
  }

  func store(_ word: Int, _ value: UInt64, _ order: MemoryOrder = .relaxed, line: UInt = #line) {
    unsafe Explorer.shared.store(address(word), value, order, Site(#fileID, line))
  }

  func add(_ word: Int, _ value: UInt64, _ order: MemoryOrder = .relaxed, line: UInt = #line) -> UInt64 {
    unsafe Explorer.shared.update(address(word), order, Site(#fileID, line), as: .add) { $0 &+ value }
  }

  func replace(
    _ word: Int, _ expected: UInt64, with value: UInt64, _ order: MemoryOrder = .relaxed, line: UInt = #line
  ) -> UInt64 {
    unsafe Explorer.shared.update(address(word), order, Site(#fileID, line), as: .compareExchange) {
      $0 == expected ? value : nil
    }
  }
}

func fence(_ order: MemoryOrder, line: UInt = #line) { Explorer.shared.fence(order, Site(#fileID, line)) }

/// What the threads have read, for one execution.
final class Notes {
  var values: [String: UInt64] = [:]
  subscript(_ name: String) -> UInt64 {
    get { values[name] ?? 99 }
    set { values[name] = newValue }
  }
  var text: String { values.sorted { $0.key < $1.key }.map { "\($0.key)\($0.value)" }.joined(separator: " ") }
}

/// Every outcome of a program, and how many executions it took to find them.
func outcomes(
  words: Int = 2, preemptions: Int? = nil, strategy: Strategy? = nil,
  _ threads: [(Words, Notes) -> Void]
) -> (found: Set<String>, report: RaceReport) {
  var found: Set<String> = []
  let report = Explorer.shared.explore(strategy ?? .exhaustive(preemptions: preemptions)) {
    let memory = Words(words)
    let notes = Notes()
    return Program(
      threads: threads.enumerated().map { number, body in ("thread \(number)", { body(memory, notes) }) },
      check: {
        found.insert(notes.text)
        return nil
      })
  }
  return (found, report)
}
