/// The picture of a soak: memory over time, beside the limit.
package struct SoakPlot {
  private let report: SoakReport

  package init(_ report: SoakReport) { self.report = report }

  private static let (left, top, width, height) = (70.0, 76.0, 900.0, 330.0)

  private struct Line {
    let name: String
    let color: String
    var isDashed = false
    let value: (SoakSample) -> Int
  }

  /// The whole picture as text; nil when nothing was sampled.
  package var svg: String? {
    let samples = report.samples
    guard let last = samples.last, last.seconds > 0 else { return nil }
    let frameBytes = 4096
    let lines = [
      Line(name: "limit + 8 MiB", color: "#D55E00", isDashed: true) { $0.limit + SoakMemory.tolerance },
      Line(name: "limit", color: "#000000") { $0.limit },
      Line(name: "resident above the baseline", color: "#0072B2") { $0.residentBytes },
      Line(name: "free frames", color: "#009E73") { $0.freeFrames * frameBytes },
      Line(name: "frames of index nodes", color: "#CC79A7") { $0.nodeFrames * frameBytes },
      Line(name: "retired frames", color: "#B58900") { $0.retiredFrames * frameBytes },
      Line(name: "largest free block", color: "#56B4E9") { $0.largestFreeBlock * frameBytes },
    ]
    let mebibyte = 1_048_576.0
    let most = max(1, lines.flatMap { line in samples.map { Double(line.value($0)) } }.max() ?? 1) / mebibyte
    var unit = 1.0
    while most / unit > 8 { unit *= 2 }
    let range = (most / unit).rounded(.up) * unit
    func x(_ seconds: Double) -> Double { Self.left + seconds / last.seconds * Self.width }
    func y(_ mebibytes: Double) -> Double { Self.top + Self.height - max(0, mebibytes) / range * Self.height }

    var out = Picture.start(width: Self.left + Self.width + 24, height: Self.top + Self.height + 96)
    out.append(
      Picture.text("Memory of a soak", Self.left, 32, size: 18, anchor: "start", color: "#111111", weight: "bold"))
    let worst = fixed(Double(report.worst?.overshoot ?? 0) / mebibyte, 1)
    out.append(
      Picture.text(
        "\(fixed(report.seconds, 0)) s, seed \(report.seed); resident less limit: at most \(worst) MiB", Self.left, 52,
        size: 12, anchor: "start", color: "#555555"))
    for step in 0...Int((range / unit).rounded()) {
      let value = Double(step) * unit
      out.append(
        "<path d=\"M\(Picture.number(Self.left)) \(Picture.number(y(value)))h\(Picture.number(Self.width))\" "
          + "stroke=\"#DDDDDD\" fill=\"none\"/>")
      out.append(
        Picture.text(
          "\(fixed(value, 0)) MiB", Self.left - 8, y(value) + 4, size: 11, anchor: "end", color: "#333333"))
    }
    for step in 0...6 {
      let seconds = last.seconds * Double(step) / 6
      out.append(
        Picture.text(
          "\(fixed(seconds, 0)) s", x(seconds), Self.top + Self.height + 18, size: 11, anchor: "middle",
          color: "#333333"))
    }
    for (index, line) in lines.enumerated() {
      let steps = samples.map {
        "\(Picture.number(x($0.seconds))) \(Picture.number(y(Double(line.value($0)) / mebibyte)))"
      }
      out.append(
        Picture.path("M" + steps.joined(separator: "L"), color: line.color, isDashed: line.isDashed, width: 1))
      let (column, row) = (Double(index % 4), Double(index / 4))
      let (legendX, legendY) = (Self.left + column * 220, Self.top + Self.height + 48 + row * 20)
      out.append(
        Picture.path(
          "M\(Picture.number(legendX)) \(Picture.number(legendY - 4))h26", color: line.color, isDashed: line.isDashed))
      out.append(Picture.text(line.name, legendX + 33, legendY, size: 12, anchor: "start", color: "#222222"))
    }
    return Picture.end(out)
  }
}
