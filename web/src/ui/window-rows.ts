/** The rows of the page's window of some series, those before the page was opened too, for whatever shows them in its own way. */
import type { Columns } from '../model/columns'
import { Filling } from '../model/past'
import type { SeriesInfo, Store } from '../model/store'
import type { Page } from '../page'

/** After the cards: they are looked at first. */
const LAST = 1e6

export class WindowRows {
  private readonly past: Filling

  constructor(
    private readonly page: Page,
    readonly store: Store,
    series: () => readonly SeriesInfo[],
  ) {
    this.past = new Filling(
      page.past,
      store,
      series,
      () => LAST,
      () => {
        page.pastCame()
      },
    )
  }

  /** As far as they are here; what is missing is on its way. */
  get columns(): Columns {
    const { page } = this
    const to = page.windowEnd
    return this.past.columns({ from: to - page.windowMs, to })
  }

  /** Nobody looks any more. */
  stop(): void {
    this.past.stop()
  }
}
