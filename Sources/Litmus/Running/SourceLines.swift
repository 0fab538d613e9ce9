#if RaceLaboratory
  import FoundationEssentials
  import RaceLaboratory

  /// The lines of the sources, for whoever knows them by what `#fileID` and `#line` say.
  struct SourceLines {
    private var files: [String: [Substring]] = [:]
    private var paths: [String: String] = [:]

    /// - Parameter folder: has a folder for each module; without it, no line has any text.
    init(_ folder: String = "Sources") {
      for path in (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? [] where path.hasSuffix(".swift") {
        let parts = path.split(separator: "/")
        guard let module = parts.first, let file = parts.last else { continue }
        paths["\(module == "Litmus" ? "litmus" : module)/\(file)"] = "\(folder)/\(path)"
      }
    }

    mutating func line(_ file: String, _ number: UInt) -> String {
      let lines = lines(file)
      guard number > 0, Int(number) <= lines.count else { return "" }
      return String(lines[Int(number) - 1].drop { $0 == " " })
    }

    /// Every half of an ordering that is written down in modules.
    mutating func orderings(of modules: [String]) -> [OrderingMutant] {
      var found: [OrderingMutant] = []
      for file in paths.keys where modules.contains(where: { file.hasPrefix($0) }) {
        for (number, line) in lines(file).enumerated() where !line.drop(while: { $0 == " " }).hasPrefix("//") {
          for half in OrderingMutant.halves(in: line) {
            found.append(OrderingMutant(file: file, line: UInt(number + 1), half: half))
          }
        }
      }
      return found
    }

    private mutating func lines(_ file: String) -> [Substring] {
      if let lines = files[file] { return lines }
      let text = paths[file].flatMap { try? String(contentsOfFile: $0, encoding: .utf8) } ?? ""
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      files[file] = lines
      return lines
    }
  }

  extension OrderingMutant {
    /// What is ordered by the operations that a line of source calls.
    static func halves(in line: Substring) -> Set<Half> {
      var halves: Set<Half> = []
      if line.contains("acquireFence()") { halves.insert(.acquire) }
      if line.contains("sequentialFence()") { halves.insert(.sequential) }
      for match in line.matches(of: /\.(load|store|exchange|compareExchange|fetchAdd|fetchSubtract)([A-Z][A-Za-z]*)\(/)
      {
        switch match.2 {
        case "Acquire": halves.insert(.acquire)
        case "Release": halves.insert(.release)
        case "AcquireRelease": halves.formUnion([.acquire, .release])
        default: break
        }
      }
      return halves
    }
  }
#endif
