#if RaceLaboratory
  import RaceLaboratory

  /// A failing execution for people to read: one line for each operation, with the line of the source that it stands in.
  struct TraceText {
    private let names: [String]
    private var words: [UInt: Int] = [:]
    private var sources = SourceLines()

    init(names: [String]) { self.names = names }

    /// A word's name: in the order in which they are met.
    private mutating func word(_ address: UInt) -> String {
      if let number = words[address] { return "#\(number)" }
      words[address] = words.count + 1
      return "#\(words.count)"
    }

    mutating func text(_ trace: [TraceEntry]) -> [String] { trace.compactMap { text($0) } }

    private mutating func text(_ entry: TraceEntry) -> String? {
      let name = Int(entry.thread) < names.count ? names[Int(entry.thread)] : "-"
      let operation = describe(entry)
      let margin = String(repeating: " ", count: 14 * Int(entry.thread))
      let head = margin + pad(name, 12) + operation
      guard entry.site.line > 0 else { return head }
      let file = entry.site.file.description
      return pad(head, 76) + " \(file):\(entry.site.line)  \(sources.line(file, entry.site.line))"
    }

    private mutating func describe(_ entry: TraceEntry) -> String {
      let order = entry.order == .relaxed ? "" : ".\(entry.order)"
      let value = "0x" + String(entry.value, radix: 16)
      switch entry.operation {
      case .load, .copyOut:
        let age = entry.other == 0 ? "" : "  (\(entry.other) newer not seen)"
        return "\(entry.operation.rawValue)\(order) \(word(entry.address)) -> \(value)\(age)"
      case .store, .copyIn: return "\(entry.operation.rawValue)\(order) \(word(entry.address)) = \(value)"
      case .exchange, .add, .compareExchange:
        return "\(entry.operation.rawValue)\(order) \(word(entry.address)): "
          + "0x\(String(entry.other, radix: 16)) -> \(value)"
      case .fence: return "fence\(order)"
      case .barrier: return "membarrier"
      case .lock, .tryLock, .unlock, .wait, .wake: return "\(entry.operation.rawValue) \(word(entry.address))"
      case .yield: return "waits a moment"
      case .call, .note: return entry.text ?? ""
      case .end: return "ends"
      }
    }

    private func pad(_ text: String, _ width: Int) -> String {
      text.count < width ? text + String(repeating: " ", count: width - text.count) : text + " "
    }
  }
#endif
