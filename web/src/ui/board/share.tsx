/** A board out and in: as a link, as JSON, as YAML; by copying, by files. */
import { useEffect, useState } from 'preact/hooks'
import { readBoard, toJson, toYaml } from '../../model/board/file'
import { toLink } from '../../model/board/link'
import type { Board } from '../../model/board/schema'
import { hrefOf } from '../../route'
import { Dialog } from './dialog'

type Form = 'yaml' | 'json'
const FORMS: readonly { readonly form: Form; readonly label: string; readonly write: (board: Board) => string; readonly type: string }[] = [
  { form: 'yaml', label: 'YAML', write: toYaml, type: 'application/yaml' },
  { form: 'json', label: 'JSON', write: toJson, type: 'application/json' },
]

export function ShareDialog({ board, close }: { board: Board; close: () => void }) {
  const [form, setForm] = useState<Form>('yaml')
  const [link, setLink] = useState('')
  const [told, setTold] = useState('')
  const { write, type } = FORMS.find((one) => one.form === form) ?? { write: toJson, type: 'application/json' }
  const text = write(board)
  useEffect(() => {
    toLink(board).then(
      (packed) => { setLink(new URL(hrefOf('boards', '', [['board', packed]]), location.href).href) },
      (error: unknown) => { setTold(error instanceof Error ? error.message : String(error)) },
    )
  }, [board])
  const copy = (what: string, named: string) => {
    // Without https there may be no clipboard; the field is there to copy from.
    const { clipboard } = navigator as { readonly clipboard?: Clipboard }
    void (clipboard?.writeText(what) ?? Promise.reject(new Error())).then(
      () => { setTold(`${named} copied.`) },
      () => { setTold('This browser does not let the page copy; select the text instead.') },
    )
  }
  return (
    <Dialog title="Share the board" close={close}>
      <label>
        Link, with all that the board is
        <input type="text" readOnly value={link} onFocus={(event) => { event.currentTarget.select() }} />
      </label>
      <div class="ends">
        <button type="button" disabled={link === ''} onClick={() => { copy(link, 'Link') }}>
          Copy link
        </button>
      </div>
      <div class="segment" role="group" aria-label="Form of the file">
        {FORMS.map((one) => (
          <button key={one.form} type="button" aria-pressed={form === one.form} onClick={() => { setForm(one.form) }}>
            {one.label}
          </button>
        ))}
      </div>
      <textarea class="mono" rows={10} readOnly aria-label={`The board as ${form.toUpperCase()}`} value={text} />
      <div class="ends">
        <button type="button" onClick={() => { copy(text, form.toUpperCase()) }}>
          Copy
        </button>
        <button type="button" onClick={() => { download(text, type, `${fileName(board.title)}.${form}`) }}>
          Save as a file
        </button>
      </div>
      <p class="source" role="status">{told}</p>
    </Dialog>
  )
}

export function ImportDialog({ close, take }: { close: () => void; take: (board: Board) => void }) {
  const [text, setText] = useState('')
  const [refused, setRefused] = useState<readonly string[]>([])
  const read = async (given: string) => {
    const board = await readBoard(given).catch((error: unknown) => ({ refused: [`The reader could not be loaded: ${error instanceof Error ? error.message : String(error)}`] }))
    if ('refused' in board) {
      setRefused(board.refused)
      return
    }
    take(board)
    close()
  }
  return (
    <Dialog title="Import a board" close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void read(text)
        }}
      >
        <label>
          A file, JSON or YAML
          <input
            type="file"
            accept=".json,.yaml,.yml,application/json,application/yaml"
            onChange={(event) => {
              const [file] = event.currentTarget.files ?? []
              if (file === undefined) return
              void file.text().then((content) => {
                setText(content)
                return read(content)
              })
            }}
          />
        </label>
        <label>
          Or its text
          <textarea class="mono" rows={10} spellcheck={false} value={text} onInput={(event) => { setText(event.currentTarget.value) }} />
        </label>
        {refused.length > 0 && (
          <ul class="refused" role="alert">
            {refused.map((words) => (
              <li key={words}>{words}</li>
            ))}
          </ul>
        )}
        <div class="ends">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={text.trim() === ''}>
            Import
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function fileName(title: string): string {
  return title.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').toLowerCase() || 'board'
}

function download(text: string, type: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  URL.revokeObjectURL(url)
}
