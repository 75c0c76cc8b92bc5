/** The pictures of pages and of the menu, as lines of 24 × 24. */

const PATHS: Readonly<Record<string, string>> = {
  overview: 'M3 16l5-5 4 3 8-9',
  explore: 'M4 6h16M4 12h16M4 18h10',
  query: 'M5 6l6 6-6 6M13 18h7',
  boards: 'M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z',
  alerts: 'M12 4l9 16H3z',
  targets: 'M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16M12 10a2 2 0 1 0 0 4a2 2 0 0 0 0-4',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
}

export function Icon({ name }: { name: string }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name] ?? PATHS.explore} />
    </svg>
  )
}
