// Prints the load average as it changes; Ctrl-C ends it. node examples/live.mjs [URL]
import { connect } from 'gaugecast-client'

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

const live = connect(process.argv[2] ?? 'http://127.0.0.1:7171', { signal: stop.signal })
for await (const tick of live.subscribe('node_load1')) {
  console.log(new Date(tick.time).toISOString(), tick.value('node_load1'))
}
