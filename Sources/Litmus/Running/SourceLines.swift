#if RaceLaboratory
  import FoundationEssentials

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
      if files[file] == nil {
        let text = paths[file].flatMap { try? String(contentsOfFile: $0, encoding: .utf8) } ?? ""
        files[file] = text.split(separator: "\n", omittingEmptySubsequences: false)
      }
      guard let lines = files[file], number > 0, Int(number) <= lines.count else { return "" }
      let line = lines[Int(number) - 1]
      return String(line.drop { $0 == " " })
    }
  }
#endif
