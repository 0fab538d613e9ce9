// The file, integers with the lowest byte first:
//
// ```
//   byte 0   magic      "PGCRESID"
//        8   version    32 bits
//       12   pageShift  32 bits: base-2 logarithm of the bytes in a page
//       16   length     64 bits: bytes behind the header
//       24   files      32 bits
//       28   checksum   32 bits: CRC-32C of all other bytes
//       32   the files:
//              name, realm, object   each a length and so many bytes of UTF-8
//              size                  bytes in the file
//              creation              0, or 1 and seconds and nanoseconds
//              number of runs
//              runs, in order        pages since the end of the last one; count * 4 + heat
// ```
//
// Numbers of the files are in groups of seven bits, the lowest first, with the high bit set in all but the last group. A run takes three bytes, mostly.
extension ResidencyImage {
  static let magic = Array("PGCRESID".utf8)
  static let version: UInt32 = 1
  static let headerByteCount = 32

  /// The file's bytes.
  func encoded() -> [UInt8] {
    var body: [UInt8] = []
    func number(_ value: UInt64) {
      var rest = value
      while rest >= 0x80 {
        body.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      body.append(UInt8(rest))
    }
    func text(_ value: String) {
      let bytes = value.utf8
      number(UInt64(bytes.count))
      body.append(contentsOf: bytes)
    }
    for file in files {
      text(file.name)
      text(file.identity.realm)
      text(file.identity.object)
      number(UInt64(bitPattern: file.size))
      if let creation = file.creationStamp {
        number(1)
        number(UInt64(bitPattern: creation.seconds))
        number(UInt64(creation.nanoseconds))
      } else {
        number(0)
      }
      number(UInt64(file.runs.count))
      var end: UInt64 = 0
      for run in file.runs {
        number(run.page - end)
        number(run.count << 2 | UInt64(run.heat.rawValue))
        end = run.page + run.count
      }
    }
    var header = ResidencyImage.magic
    func fixed(_ value: UInt64, byteCount: Int) {
      for place in 0..<byteCount { header.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * place))) }
    }
    fixed(UInt64(ResidencyImage.version), byteCount: 4)
    fixed(UInt64(pageShift), byteCount: 4)
    fixed(UInt64(body.count), byteCount: 8)
    fixed(UInt64(files.count), byteCount: 4)
    fixed(UInt64(Checksum.continued(Checksum.continued(over: header), over: body)), byteCount: 4)
    return header + body
  }
}
