/** A label keeps its colour for the session: `mode="user"` is the same on every card. */

const SLOTS = 8

export class Slots {
  private readonly given = new Map<string, number>()
  private next = 0

  /**
   * Colour slots (0..7) for the lines of one card. Lines with a colour keep it; where two of a card would share one, the
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
    // A card of known and new labels takes the lowest free, so that few lines are in the first colours.
    labels.forEach((label, i) => {
      if (result[i] !== -1) return
      let slot = this.given.has(label) ? 0 : this.next
      for (let tries = 0; tries < SLOTS && taken.has(slot % SLOTS); tries++) slot++
      slot %= SLOTS
      result[i] = slot
      taken.add(slot)
      if (!this.given.has(label)) {
        this.given.set(label, slot)
        this.next = (slot + 1) % SLOTS
      }
    })
    return result
  }
}
