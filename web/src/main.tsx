/** Starts the page: one connection, one state, one tree. */
import 'uplot/dist/uPlot.min.css'
import './style/tokens.css'
import './style/base.css'
import './style/frame.css'
import './style/card.css'
import './style/strip.css'
import './style/explore.css'
import './style/query.css'
import './style/boards.css'
import './style/targets.css'
import './style/alerts.css'
import './style/overview.css'
import './style/table.css'
import './style/operations.css'
import './style/reports.css'
import './style/admin.css'
import './style/menu.css'
import './style/document.css'
import { render } from 'preact'
import { Page } from './page'
import { App } from './ui/app'

const root = document.getElementById('app')
if (root === null) throw new Error('index.html has an element with the id "app"')
root.replaceChildren()
render(<App page={new Page(document.baseURI)} />, root)
