/** A view that would say something wrong: why, and what would suit. */
import type { Misfit } from '../../model/fit'
import { VIEW_NAMES } from '../../model/spec'
import { element } from '../dom'
import type { Face } from './face'
import type { Body, Ground } from './ground'
import { paintRows } from './paint'

export class MisfitBody implements Body {
  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly misfit: Misfit,
  ) {
    const holder = element('div', 'misfit')
    const why = element('p')
    why.textContent = misfit.why
    holder.append(why)
    for (const view of misfit.fits) {
      const button = element('button', 'small')
      button.setAttribute('type', 'button')
      button.textContent = VIEW_NAMES[view]
      button.addEventListener('click', () => {
        ground.choose({ view })
      })
      holder.append(button)
    }
    if (ground.spec.view === 'scatter' && misfit.fits.length === 0) holder.append(this.against())
    ground.parts.body.replaceChildren(holder)
    ground.parts.legend.replaceChildren()
  }

  draw(): void {
    this.face.header({ text: '', unit: '' }, '')
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    paintRows(context, this.ground.page, width, height, [{ label: this.misfit.why, value: '' }])
  }

  /** Asks for the other axis. */
  private against(): HTMLElement {
    const form = element('form')
    const field = document.createElement('input')
    field.setAttribute('aria-label', 'PromQL of the other axis')
    field.placeholder = 'node_load1'
    const button = element('button', 'small')
    button.setAttribute('type', 'submit')
    button.textContent = 'Set against'
    form.append(field, button)
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      if (field.value.trim() !== '') this.ground.choose({ against: field.value.trim() })
    })
    return form
  }
}
