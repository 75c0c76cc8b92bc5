/** A label keeps its colour for the session: `mode="user"` is the same on every card. */

const SLOTS = 8

export class Slots {
  private readonly given = new Map<string, number>()

  /**
   * Colour slots (0..7) for the at most eight lines of one card. Lines with a colour keep it; where two of a card would share one, the
   * later takes one that is free on this card. A card with one line has the first colour.
   */
  assign(labels: readonly string[]): readonly number[] {
    if (labels.length === 1) return [0]
    const taken = new Set<number>()
    const result = new Array<number>(labels.length).fill(-1)
    labels.forEach((label, i) => {
      const slot = this.given.get(label)
      if (slot !== undefined && !taken.has(slot)) {
        result[i] = slot
        taken.add(slot)
      }
    })
    // The rest take the lowest free, so that a card of few lines has the first colours.
    labels.forEach((label, i) => {
      if (result[i] !== -1) return
      let slot = 0
      while (slot < SLOTS - 1 && taken.has(slot)) slot++
      result[i] = slot
      taken.add(slot)
      if (!this.given.has(label)) this.given.set(label, slot)
    })
    return result
  }
}
