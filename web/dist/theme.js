/* Sets the theme before the first paint. Small and blocking on purpose; the page takes over from here. */
;(function () {
  var choice = null
  try {
    choice = localStorage.getItem('gaugecast.theme')
  } catch {
    /* Storage may be forbidden; then the system decides. */
  }
  if (choice === 'dark' || choice === 'light') document.documentElement.dataset.theme = choice
  document.documentElement.dataset.script = 'on'
})()
