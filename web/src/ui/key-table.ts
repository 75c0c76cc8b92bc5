/**
 * What single keys do. Whoever has something to do on a key registers it here for as long as it is there: the frame, a
 * page, the cards. The list of keys shows what is registered, so that it cannot say something else.
 */
import { useEffect } from 'preact/hooks'

export interface KeyUse {
  /** As `KeyboardEvent.key` has it. */
  readonly keys: readonly string[]
  /** As the list shows it; empty for a second way that needs no line. */
  readonly shown: string
  readonly does: string
  /**
   * Does it; false if there was nothing to do, so that others may. `target` has the focus: `target.closest('.card')` is the card
   * that is meant.
   */
  readonly act: (event: KeyboardEvent, target: Element | null) => boolean
}

/** The latest come first: a page goes before the frame. */
const uses: (readonly KeyUse[])[] = []

/** Registers uses; returns the end of it. `last`: those of the frame, which come after all others. */
export function addKeys(added: readonly KeyUse[], last = false): () => void {
  if (last) uses.push(added)
  else uses.unshift(added)
  return () => {
    uses.splice(uses.indexOf(added), 1)
  }
}

/** Registers uses for as long as the component is there. What they do may change from one rendering to the next. */
export function useKeyUses(added: readonly KeyUse[]): void {
  useEffect(() => addKeys(added))
}

/** Does what the key says; whether it says anything. */
export function press(event: KeyboardEvent, target: Element | null): boolean {
  for (const some of uses) {
    for (const use of some) if (use.keys.includes(event.key) && use.act(event, target)) return true
  }
  return false
}

/** What the list of keys says, in the order in which it was registered. */
export function listed(): readonly KeyUse[] {
  return uses.toReversed().flatMap((some) => some.filter(({ shown }) => shown !== ''))
}
