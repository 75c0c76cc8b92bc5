/**
 * How a person wants the page to be: times, traffic, single keys. Kept in this browser, shared by its tabs. Whoever formats
 * calls `settings()` at that moment; the page listens by `onSettings` and shows all anew.
 */
export interface Settings {
  /** Times in UTC, not in the zone of this machine. */
  readonly utc: boolean
  /** Traffic in bits a second, not bytes. */
  readonly bits: boolean
  /** Whether single keys do something. */
  readonly keys: boolean
}

const KEY = 'gaugecast.settings'
const DEFAULTS: Settings = { utc: false, bits: false, keys: true }

let current = stored()
const listeners = new Set<() => void>()

/** The choices that hold now. */
export function settings(): Settings {
  return current
}

/** Changes some of them and remembers all. */
export function choose(changed: Partial<Settings>): void {
  current = { ...current, ...changed }
  try {
    localStorage.setItem(KEY, JSON.stringify(current))
  } catch {
    // Without storage the choice holds until the page is closed.
  }
  for (const listener of listeners) listener()
}

/** Calls when a choice was made, here or in another tab. */
export function onSettings(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Takes over what another tab has stored. */
export function reread(): void {
  current = stored()
  for (const listener of listeners) listener()
}

/** What is stored, each part only where it is a choice; else the defaults. */
function stored(): Settings {
  try {
    return readSettings(localStorage.getItem(KEY))
  } catch {
    return DEFAULTS
  }
}

export function readSettings(text: string | null): Settings {
  let told: Readonly<Record<string, unknown>> = {}
  try {
    const parsed: unknown = JSON.parse(text ?? '{}')
    if (typeof parsed === 'object' && parsed !== null) told = parsed as Readonly<Record<string, unknown>>
  } catch {
    // Somebody else's; the defaults hold.
  }
  const choice = (name: keyof Settings): boolean => (typeof told[name] === 'boolean' ? told[name] : DEFAULTS[name])
  return { utc: choice('utc'), bits: choice('bits'), keys: choice('keys') }
}
