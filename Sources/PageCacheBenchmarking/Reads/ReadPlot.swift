/// The picture: nanoseconds a read by block size, a line for each arm, a panel for each file size. SVG, by hand.
package struct ReadPlot {
  private struct Line {
    let name: String
    let color: String
    let isDashed: Bool
    var points: [(block: Int, nanoseconds: Double)]
  }

  private struct Panel {
    let title: String
    var lines: [Line]
  }

  private let panels: [Panel]
  private let title: String
  private let subtitle: String

  /// Of the measurements of all cores on one file; if there are none, of the first number of threads that was measured.
  package init(_ results: ReadResults) {
    let counts = Set(results.measurements.map(\.threads))
    let threads = counts.contains(results.machine.cores) ? results.machine.cores : counts.min() ?? 0
    var panels: [(fileBytes: Int, panel: Panel)] = []
    for measurement in results.measurements where measurement.threads == threads && measurement.placement == .same {
      if panels.last?.fileBytes != measurement.fileBytes {
        panels.append(
          (measurement.fileBytes, Panel(title: "file of \(byteCountText(measurement.fileBytes))", lines: [])))
      }
      let name = ReadPlot.name(measurement)
      let point = (measurement.blockBytes, Spread(measurement.nanoseconds).median)
      let panel = panels.count - 1
      if let line = panels[panel].panel.lines.firstIndex(where: { $0.name == name }) {
        panels[panel].panel.lines[line].points.append(point)
      } else {
        panels[panel].panel.lines.append(
          Line(
            name: name, color: ReadPlot.color(measurement.arm), isDashed: (measurement.folioOrder ?? 0) > 0,
            points: [point]))
      }
    }
    for index in panels.indices {
      for line in panels[index].panel.lines.indices {
        panels[index].panel.lines[line].points.sort { $0.block < $1.block }
      }
    }
    self.panels = panels.map(\.panel)
    title = "Nanoseconds per read, \(threads) thread\(threads == 1 ? "" : "s"), one file"
    let machine = results.machine
    subtitle = "random blocks; medians; \(machine.cpu), \(machine.cores) cores, Linux \(machine.kernel)"
  }

  private static func name(_ measurement: ReadMeasurement) -> String {
    measurement.arm.rawValue + (measurement.folioOrder.map { $0 > 0 ? ", order \($0)" : "" } ?? "")
  }

  // Distinguishable with any colour vision (Okabe and Ito).
  private static func color(_ arm: ReadArmKind) -> String {
    switch arm {
    case .pread: "#D55E00"
    case .mmap: "#000000"
    case .cache: "#0072B2"
    case .cacheBorrow: "#56B4E9"
    case .cacheMany: "#7A5195"
    case .cacheRefcount: "#009E73"
    case .cacheRefcountCompareExchange: "#CC79A7"
    case .cacheReadWriteLock: "#B58900"
    }
  }

  // MARK: Geometry

  private static let panelWidth = 360.0
  private static let panelHeight = 330.0
  private static let gap = 28.0
  private static let left = 64.0
  private static let top = 96.0
  private static let legendColumn = 226.0

  private var blocks: [Int] { Set(panels.flatMap { $0.lines.flatMap { $0.points.map(\.block) } }).sorted() }
  private var nanoseconds: [Double] { panels.flatMap { $0.lines.flatMap { $0.points.map(\.nanoseconds) } } }

  private static func logarithm(_ value: Double) -> Double {
    // Of base 2, to 20 bits: each squaring gives the next bit.
    var exponent = Double(value.exponent)
    var rest = value.significand
    var bit = 0.5
    for _ in 0..<20 {
      rest *= rest
      if rest >= 2 {
        rest /= 2
        exponent += bit
      }
      bit /= 2
    }
    return exponent
  }

  /// The whole picture as text; nil when nothing was measured.
  package var svg: String? {
    guard !panels.isEmpty, let least = nanoseconds.min(), let most = nanoseconds.max(), least > 0 else { return nil }
    let names = legendLines
    let width = ReadPlot.left + Double(panels.count) * (ReadPlot.panelWidth + ReadPlot.gap) + 12
    let columns = max(1, Int((width - ReadPlot.left) / ReadPlot.legendColumn))
    let legendRows = (names.count + columns - 1) / columns
    let legendTop = ReadPlot.top + ReadPlot.panelHeight + 62
    let height = legendTop + Double(legendRows) * 20 + 8
    var decades: [Double] = [1]
    while decades[0] > least { decades.insert(decades[0] / 10, at: 0) }
    while decades[0] * 10 <= least { decades[0] *= 10 }
    while decades[decades.count - 1] < most { decades.append(decades[decades.count - 1] * 10) }
    var out = Picture.start(width: width, height: height)
    out += [
      Picture.text(title, ReadPlot.left, 32, size: 18, anchor: "start", color: "#111111", weight: "bold"),
      Picture.text(subtitle, ReadPlot.left, 52, size: 12, anchor: "start", color: "#555555"),
    ]
    for index in panels.indices {
      let left = ReadPlot.left + Double(index) * (ReadPlot.panelWidth + ReadPlot.gap)
      out += draw(panels[index], at: left, decades: decades, labelled: index == 0)
    }
    for index in names.indices {
      let x = ReadPlot.left + Double(index % columns) * ReadPlot.legendColumn
      let y = legendTop + Double(index / columns) * 20
      out.append(path("M\(number(x)) \(number(y - 4))h26", names[index]))
      out.append("<circle cx=\"\(number(x + 13))\" cy=\"\(number(y - 4))\" r=\"3\" fill=\"\(names[index].color)\"/>")
      out.append(Picture.text(names[index].name, x + 33, y, size: 12, anchor: "start", color: "#222222"))
    }
    return Picture.end(out)
  }

  private var legendLines: [Line] {
    var lines: [Line] = []
    for panel in panels {
      for line in panel.lines where !lines.contains(where: { $0.name == line.name }) { lines.append(line) }
    }
    return lines
  }

  private func draw(_ panel: Panel, at left: Double, decades: [Double], labelled: Bool) -> [String] {
    let (width, height, top) = (ReadPlot.panelWidth, ReadPlot.panelHeight, ReadPlot.top)
    let blocks = blocks
    let inset = 16.0
    let first = ReadPlot.logarithm(Double(blocks[0]))
    let span = max(1, ReadPlot.logarithm(Double(blocks[blocks.count - 1])) - first)
    func x(_ block: Int) -> Double {
      left + inset + (ReadPlot.logarithm(Double(block)) - first) / span * (width - 2 * inset)
    }
    let low = ReadPlot.logarithm(decades[0])
    let range = max(1, ReadPlot.logarithm(decades[decades.count - 1]) - low)
    func y(_ nanoseconds: Double) -> Double {
      top + height - (ReadPlot.logarithm(nanoseconds) - low) / range * height
    }

    var out = [
      Picture.text(
        panel.title, left + width / 2, top - 12, size: 14, anchor: "middle", color: "#111111", weight: "bold")
    ]
    for decade in decades {
      for multiple in decade == decades[decades.count - 1] ? [1] : [1, 2, 5] {
        let value = decade * Double(multiple)
        let shade = multiple == 1 ? "#CFCFCF" : "#EFEFEF"
        let across = "M\(number(left)) \(number(y(value)))h\(number(width))"
        out.append("<path d=\"\(across)\" stroke=\"\(shade)\" fill=\"none\"/>")
        if labelled, multiple == 1 || decades.count <= 3 {
          out.append(Picture.text(label(value), left - 8, y(value) + 4, size: 12, anchor: "end", color: "#333333"))
        }
      }
    }
    if labelled { out.append(Picture.text("ns", left - 8, top - 12, size: 12, anchor: "end", color: "#333333")) }
    for block in blocks {
      out.append("<path d=\"M\(number(x(block))) \(number(top + height))v5\" stroke=\"#888888\" fill=\"none\"/>")
      out.append(
        Picture.text(byteCountText(block), x(block), top + height + 19, size: 11, anchor: "middle", color: "#333333"))
    }
    out.append(
      "<rect x=\"\(number(left))\" y=\"\(number(top))\" width=\"\(number(width))\" height=\"\(number(height))\" "
        + "fill=\"none\" stroke=\"#888888\"/>")
    // What is looked for first lies on top.
    for line in panel.lines.reversed() {
      let steps = line.points.map { "\(number(x($0.block))) \(number(y($0.nanoseconds)))" }
      out.append(path("M" + steps.joined(separator: "L"), line))
      for point in line.points {
        let place = "cx=\"\(number(x(point.block)))\" cy=\"\(number(y(point.nanoseconds)))\""
        let note = "\(Picture.escaped(line.name)), \(byteCountText(point.block)): \(fixed(point.nanoseconds, 1)) ns"
        out.append("<circle \(place) r=\"3\" fill=\"\(line.color)\"><title>\(note)</title></circle>")
      }
    }
    return out
  }

  // MARK: Elements

  private func label(_ value: Double) -> String { value < 1 ? fixed(value, 1) : fixed(value, 0) }

  private func number(_ value: Double) -> String { Picture.number(value) }

  private func path(_ steps: String, _ line: Line) -> String {
    Picture.path(steps, color: line.color, isDashed: line.isDashed)
  }
}
