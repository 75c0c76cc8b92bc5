/**
 * A field for PromQL: plain text, with a list of what could follow. Nothing is chosen in the list until somebody goes
 * into it, so that Enter runs what is written; Tab takes the first.
 *
 * Behind the field lies the same text, unseen: it tells where the cursor is on the screen, and carries the mark of an
 * error.
 */
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks'
import { KnownNames } from '../model/known'
import type { Page } from '../page'
import { contextAt } from '../promql/context'
import type { Context } from '../promql/context'
import { suggest } from '../promql/suggest'
import type { Suggestion } from '../promql/suggest'

interface Props {
  readonly page: Page
  readonly id: string
  /** What is written in it at first, and when it becomes another. */
  readonly expression: string
  readonly label: string
  readonly placeholder: string
  /** The place of an error in what was run, in letters from 0; null without. */
  readonly wrongAt: number | null
  /** Names what is wrong, for those who do not see the mark. */
  readonly wrongId?: string
  /** It is what somebody came for. */
  readonly first: boolean
  readonly run: (expression: string) => void
}

/** A list hangs on the field, which plain HTML knows of inputs of one line only. */
const COMBOBOX: object = { role: 'combobox' }

interface Open {
  readonly context: Context
  readonly items: readonly Suggestion[]
  /** Which one is chosen; -1 none. */
  readonly at: number
}

export function Expression({ page, id, expression, label, placeholder, wrongAt, wrongId, first, run }: Props) {
  const field = useRef<HTMLTextAreaElement>(null)
  const caret = useRef<HTMLSpanElement>(null)
  const list = useRef<HTMLUListElement>(null)
  const [text, setText] = useState(expression)
  const [open, setOpen] = useState<Open | null>(null)
  const [more, again] = useReducer<number, null>((n) => n + 1, 0)
  const known = useMemo(
    () =>
      new KnownNames(
        page.store,
        async (path) => (await page.token.fetch(path)).json() as Promise<unknown>,
        () => {
          again(null)
        },
      ),
    [page],
  )
  useEffect(() => {
    setText(expression)
    setOpen(null)
  }, [expression])
  useEffect(() => {
    if (first) field.current?.focus({ preventScroll: true })
  }, [])

  /** Looks again what could be written here. `asked`: somebody wants to know, also with nothing written yet. */
  const look = (asked: boolean) => {
    const { current } = field
    if (current === null || current.selectionStart !== current.selectionEnd) {
      setOpen(null)
      return
    }
    const found = lookAt(current.value, current.selectionStart, known, asked)
    setOpen((before) => (found === null ? null : { ...found, at: before?.context.from !== found.context.from ? -1 : Math.min(before.at, found.items.length - 1) }))
  }
  // The server knows more than the page.
  useEffect(() => {
    if (more > 0 && document.activeElement === field.current && open !== null) look(true)
  }, [more])

  const take = (item: Suggestion) => {
    const { current } = field
    if (current === null || open === null) return
    const { from, to } = open.context
    current.focus()
    current.setSelectionRange(from, to)
    // The one way that the browser's own undo takes back; nothing has come in its place.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    if (!document.execCommand('insertText', false, item.insert)) current.setRangeText(item.insert, from, to, 'end')
    const at = from + item.insert.length - item.back
    current.setSelectionRange(at, at)
    setText(current.value)
    const found = lookAt(current.value, at, known, /[=(]$/.test(current.value.slice(0, at)))
    setOpen(found === null ? null : { ...found, at: -1 })
  }

  const pressed = (event: KeyboardEvent) => {
    const move = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (open !== null && move !== 0) {
      const count = open.items.length
      setOpen({ ...open, at: open.at < 0 ? (move > 0 ? 0 : count - 1) : (open.at + move + count) % count })
    } else if (open !== null && (event.key === 'Tab' || (event.key === 'Enter' && open.at >= 0)) && !event.shiftKey) {
      const item = open.items[Math.max(0, open.at)]
      if (item !== undefined) take(item)
    } else if (event.key === 'Escape') {
      if (open === null) field.current?.blur()
      setOpen(null)
    } else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      setOpen(null)
      run(field.current?.value ?? '')
    } else if (event.key === ' ' && event.ctrlKey) look(true)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  useLayoutEffect(() => {
    const { current } = list
    if (open === null || current === null || caret.current === null) return
    const left = Math.max(0, Math.min(caret.current.offsetLeft - 8, (current.parentElement?.clientWidth ?? 0) - current.offsetWidth))
    current.style.setProperty('--left', `${left}px`)
    current.style.setProperty('--top', `${caret.current.offsetTop + caret.current.offsetHeight + 4}px`)
    current.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' })
  }, [open])

  const listId = `${id}-list`
  const from = open?.context.from ?? text.length
  const wrong = wrongAt !== null && text === expression ? wrongPart(text, wrongAt) : null
  return (
    <div class="expression">
      <div class="ghost" aria-hidden="true">
        {wrong === null ? (
          <>
            {text.slice(0, from)}
            <span ref={caret}>{text.slice(from) || '\u200b'}</span>
          </>
        ) : (
          <>
            {text.slice(0, wrong.from)}
            <mark>{text.slice(wrong.from, wrong.to) || '\u00a0'}</mark>
            {text.slice(wrong.to)}
          </>
        )}
        {'\u200b'}
      </div>
      <textarea
        ref={field}
        id={id}
        rows={1}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        {...COMBOBOX}
        aria-label={label}
        aria-autocomplete="list"
        aria-haspopup="listbox"
        aria-expanded={open !== null}
        aria-controls={listId}
        aria-activedescendant={open !== null && open.at >= 0 ? `${id}-${open.at}` : undefined}
        aria-invalid={wrongAt !== null && text === expression}
        aria-describedby={wrongId}
        placeholder={placeholder}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value)
          look(false)
        }}
        onKeyDown={pressed}
        onKeyUp={(event) => {
          if (open !== null && /^(Arrow(Left|Right)|Home|End)$/.test(event.key)) look(true)
        }}
        onClick={() => {
          if (open !== null) look(false)
        }}
        onBlur={() => {
          setOpen(null)
        }}
      />
      <ul ref={list} id={listId} class="suggestions" role="listbox" aria-label="What could be written here" hidden={open === null}>
        {open?.items.map((item, i) => (
          <li
            key={item.text}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === open.at}
            onPointerDown={(event) => {
              event.preventDefault()
              take(item)
            }}
          >
            <Found text={item.text} word={open.context.word} />
            <span class="is">{item.is}</span>
            {item.says !== '' && <span class="says">{item.says}</span>}
          </li>
        ))}
      </ul>
    </div>
  )
}

/** The text, with what was typed of it set apart. */
function Found({ text, word }: { text: string; word: string }) {
  const at = word === '' ? -1 : text.toLowerCase().indexOf(word.toLowerCase())
  if (at < 0) return <span class="text">{text}</span>
  return (
    <span class="text">
      {text.slice(0, at)}
      <b>{text.slice(at, at + word.length)}</b>
      {text.slice(at + word.length)}
    </span>
  )
}

function lookAt(text: string, cursor: number, known: KnownNames, asked: boolean): Omit<Open, 'at'> | null {
  const context = contextAt(text, cursor)
  // Names are proposed once a letter is there; labels, values and ranges are few.
  const wordless = context.kind === 'label' || context.kind === 'value' || context.kind === 'range'
  if (context.word === '' && !asked && !wordless) return null
  const items = suggest(context, known, text.charAt(context.to))
  return items.length === 0 ? null : { context, items }
}

/** The word at the place of the error, or the letter, or the place behind the last. */
function wrongPart(text: string, at: number): { readonly from: number; readonly to: number } {
  const length = /^(?:[\w:.]+|.)/su.exec(text.slice(at))?.[0].length ?? 0
  return { from: at, to: at + length }
}
