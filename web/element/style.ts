/**
 * The styles of the element. Text has the colour of the page around it, so that it reads on dark and on light; marks are of
 * a brightness that shows on both (`tests/element.test.ts` computes it). All of them can be set from outside.
 */

/** On white and on #0e1116 at least 3:1. */
export const COLOURS = ['#4f78e3', '#178f6e', '#cf519c', '#7a8f1a', '#8a63d8', '#1f8bc4', '#5a8a3c', '#a0659f']
export const WARNING = '#b97a00'
export const CRITICAL = '#de4a36'
export const SERIES = COLOURS.length

export const CSS = `
:host { display: block; min-width: 0; font-variant-numeric: tabular-nums; contain: content }
:host([hidden]) { display: none }
:host(:not([type])), :host([type=value]) { display: inline-block }
.box { color: var(--gauge-cast-text, currentColor); line-height: 1.35 }
p, ul { margin: 0; padding: 0; list-style: none }
.title { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--gauge-cast-muted, color-mix(in srgb, currentColor 72%, transparent)) }
.value { font-size: var(--gauge-cast-size, 1.6em); font-weight: 650 }
.of-bar .now { display: none }
.unit, .word, .more, .ends, .state { color: var(--gauge-cast-muted, color-mix(in srgb, currentColor 72%, transparent)) }
.word, .more, .ends, .state, .level { font-size: .85em }
.level:not(:empty) { padding: 0 .4em; border: 1px solid; border-radius: .3em; font-weight: 650 }
.warning > .now .level { border-color: var(--gauge-cast-warning, ${WARNING}) }
.critical > .now .level { border-color: var(--gauge-cast-critical, ${CRITICAL}) }
.state { overflow-wrap: anywhere }
.state:empty, .more:empty { display: none }
.disconnected :is(.value, .body), .stale :is(.value, .body), .refused :is(.value, .body) { opacity: .5; filter: grayscale(1) }
svg { display: block; width: 100%; overflow: visible; fill: none }
.of-line .body { display: flex; gap: .5em; padding-bottom: .7em }
.of-line svg { flex: 1; min-width: 0; height: var(--gauge-cast-height, 6em) }
.of-gauge .body { max-width: calc(var(--gauge-cast-height, 6em) * 1.3) }
path { vector-effect: non-scaling-stroke; stroke-width: 1.5px }
.grid, .track { stroke: var(--gauge-cast-grid, color-mix(in srgb, currentColor 14%, transparent)); stroke-width: 1px }
.limit { stroke-dasharray: 4 3; stroke-width: 1px }
.limit.warning { stroke: var(--gauge-cast-warning, ${WARNING}) }
.limit.critical { stroke: var(--gauge-cast-critical, ${CRITICAL}) }
.track, .arc { stroke-width: 10px; vector-effect: none }
${COLOURS.map((colour, i) => `.s${i + 1} { stroke: var(--gauge-cast-series-${i + 1}, ${colour}) }`).join('\n')}
.warning .arc { stroke: var(--gauge-cast-warning, ${WARNING}) }
.critical .arc { stroke: var(--gauge-cast-critical, ${CRITICAL}) }
.ends { display: flex; justify-content: space-between }
.of-line .ends { flex-direction: column; min-width: 4.5em; margin-block: -.6em }
.bars { display: grid; grid-template-columns: fit-content(50%) minmax(2em, 1fr) auto; gap: 0 .6em }
.bars li { display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: center }
.bars b { text-align: right }
.label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.bars .bar { height: .6em; border-radius: 2px; background: var(--gauge-cast-series-1, ${COLOURS[0]}); transform: scaleX(var(--share, 0)); transform-origin: left }
.bars .warning .bar { background: var(--gauge-cast-warning, ${WARNING}) }
.bars .critical .bar { background: var(--gauge-cast-critical, ${CRITICAL}) }
@media (forced-colors: active) { path { stroke: CanvasText } .bars .bar { background: CanvasText } }
`
