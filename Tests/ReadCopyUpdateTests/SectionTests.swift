import Primitives
import ReadCopyUpdate
import Testing

@Suite struct SectionTests {
  @Test(arguments: [true, false])
  func aSectionLastsFromEnterToExit(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let record = domain.record()
    #expect(!record.isInside)
    domain.enter(record)
    #expect(record.isInside)
    record.exit()
    #expect(!record.isInside)
  }

  @Test(arguments: [true, false])
  func readReturnsWhatItsBodyReturnsAndThrowsWhatItThrows(usesMembarrier: Bool) throws {
    struct Mishap: Error {}
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let record = domain.record()
    let inside = domain.read { record.isInside }
    #expect(inside)
    #expect(!record.isInside)
    #expect(throws: Mishap.self) { try domain.read { () throws(Mishap) in throw Mishap() } }
    #expect(!record.isInside)
  }

  @Test(arguments: [true, false])
  func onlyTheOutermostReadLeaves(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let record = domain.record()
    domain.read {
      domain.read { domain.read {} }
      #expect(record.isInside)
      let period = domain.ticket()
      domain.read {}
      #expect(!domain.poll(period))
    }
    #expect(!record.isInside)
    // A read inside a section entered by hand leaves that one alone too.
    domain.enter(record)
    domain.read {}
    #expect(record.isInside)
    record.exit()
  }

  @Test func sectionsOfTwoDomainsHaveNothingToDoWithEachOther() throws {
    let one = try ReadDomain()
    let two = try ReadDomain()
    one.read {
      #expect(!two.record().isInside)
      two.synchronize()
      #expect(!one.poll(one.ticket()))
    }
  }

  @Test func onlyReadersWithoutFencesAreFast() throws {
    let fenced = try ReadDomain(usesMembarrier: false)
    #expect(!fenced.readersNeedNoFence)
    _ = fenced.record()
    #expect(ThreadRecord.fast(slot: fenced.slotNumber) == nil)
    let fast = try ReadDomain()
    _ = fast.record()
    #expect((ThreadRecord.fast(slot: fast.slotNumber) != nil) == fast.readersNeedNoFence)
  }

  @Test func aNewDomainOnAnOldSlotDecidesAnewWhoIsFast() async {
    // In a process of its own, so that nobody else takes the slot in between.
    await #expect(processExitsWith: .success) {
      for usesMembarrier in [true, false, true] {
        let domain = try ReadDomain(usesMembarrier: usesMembarrier)
        precondition(domain.slotNumber == 0 || !usesMembarrier, "the slot did not come back")
        // A thread that was registered on the slot before must take the fence if this domain's grace periods rely on it.
        precondition(
          ThreadRecord.fast(slot: domain.slotNumber) == nil || domain.readersNeedNoFence, "fast on a fenced domain")
        _ = domain.record()
        precondition((ThreadRecord.fast(slot: domain.slotNumber) != nil) == domain.readersNeedNoFence)
      }
    }
  }
}
