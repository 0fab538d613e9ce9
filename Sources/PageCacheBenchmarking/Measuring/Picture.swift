/// What pictures are made of: SVG, by hand.
enum Picture {
  static func start(width: Double, height: Double) -> [String] {
    [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(number(width)) \(number(height))\" "
        + "width=\"\(number(width))\" height=\"\(number(height))\" "
        + "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>",
    ]
  }

  static func end(_ elements: [String]) -> String { (elements + ["</svg>\n"]).joined(separator: "\n") }

  static func number(_ value: Double) -> String { fixed(value, 1) }

  static func path(_ steps: String, color: String, isDashed: Bool = false, width: Int = 2) -> String {
    let dashes = isDashed ? " stroke-dasharray=\"6 4\"" : ""
    return "<path d=\"\(steps)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"\(width)\"\(dashes)/>"
  }

  static func text(
    _ string: String, _ x: Double, _ y: Double, size: Int, anchor: String, color: String, weight: String = "normal"
  ) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\" font-size=\"\(size)\" text-anchor=\"\(anchor)\" fill=\"\(color)\" "
      + "font-weight=\"\(weight)\">\(escaped(string))</text>"
  }

  static func escaped(_ text: String) -> String {
    text.map { $0 == "&" ? "&amp;" : $0 == "<" ? "&lt;" : $0 == ">" ? "&gt;" : String($0) }.joined()
  }
}
