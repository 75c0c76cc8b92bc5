/** Tells what changed by an order of the keyboard to those who do not see it. */
let region: HTMLElement | null = null

export function say(text: string): void {
  if (region === null) {
    region = document.createElement('p')
    region.className = 'unseen'
    region.setAttribute('aria-live', 'polite')
    document.body.append(region)
  }
  region.textContent = text
}
