/** Gives the browser a file to keep. */

/** A name that every file system takes, of what is shown and when. */
export function fileName(title: string, ms: number, ending: string): string {
  const words = title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60)
  return `${words === '' ? 'chart' : words}-${new Date(ms).toISOString().slice(0, 19).replaceAll(':', '')}.${ending}`
}

export function save(content: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  // The browser has read it when the click was handled; the address is kept a little for slow disks.
  setTimeout(() => {
    URL.revokeObjectURL(link.href)
  }, 10_000)
}
