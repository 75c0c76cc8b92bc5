/** Elements made by hand, for what moves too often to be rendered. Text is only ever a text node. */

export function element(name: string, className = ''): HTMLElement {
  const made = document.createElement(name)
  if (className !== '') made.className = className
  return made
}

/** An element with a text, which is also its tooltip where it may be cut. */
export function labelled(name: string, className: string, text: string): HTMLElement {
  const made = element(name, className)
  made.textContent = text
  made.title = text
  return made
}

/** Sets text only when it is another, so that unchanged cards cost nothing. */
export function setText(target: Element | null | undefined, text: string): void {
  if (target != null && target.textContent !== text) target.textContent = text
}
