// Prints the load average of the last minute, and as it changes; Ctrl-C ends it. node examples/live.mjs [URL]
import { connect } from 'gaugecast-client'

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

const live = connect(process.argv[2] ?? 'http://127.0.0.1:7171', { signal: stop.signal })
for await (const tick of live.subscribe('node_load1', { history: '1m' })) {
  for (const { times, values } of tick.history.values()) {
    times.forEach((time, i) => console.log(new Date(time).toISOString(), values[i] ?? 'ended'))
  }
  console.log(new Date(tick.time).toISOString(), tick.value('node_load1'))
}
