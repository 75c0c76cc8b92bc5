/**
 * Whether something is worth drawing: as often as it is asked for while it is on the screen, and once when it comes near or
 * becomes another, so that what is scrolled to is already there.
 */
export class Sight {
  /** At most a screen away. */
  near = false
  /** Some of it is on the screen. */
  seen = false
  private due = false

  setNear(near: boolean): void {
    this.near = near
    this.due = near
  }

  /** It is another than before: another view, another size, more of the past. */
  changed(): void {
    this.due = true
  }

  /** Asked by what is about to be drawn. */
  get wanted(): boolean {
    return this.near && (this.seen || this.due)
  }

  drawn(): void {
    this.due = false
  }
}
