/** The rules that are evaluated, by group: what fails or fires first, errors in full. */
import { useState } from 'preact/hooks'
import { age, formatText } from '../../format/number'
import { count, severityOf } from '../../model/alerts'
import type { Group, Rule } from '../../model/rules'
import { readRules, rulesIn, troubleFirst } from '../../model/rules'
import { matches, words } from '../../model/search'
import { linkOf } from '../../model/spec'
import type { Page } from '../../page'
import { serverNow } from '../alert-feed'
import { useAnswer } from '../answer'
import { useClock } from '../hooks'
import { WORDS } from '../severity'

const ASK_MS = 10_000
/** So many rules at first; more on demand. */
const ROWS = 40

export function Rules({ page }: { page: Page }) {
  useClock(1_000)
  const [most, setMost] = useState(ROWS)
  const answer = useAnswer(page, 'api/v1/rules', readRules, { every: ASK_MS, on: ['alert'] })
  if (answer === null) return null
  if ('refused' in answer) return <p class="refused" role="alert">The rules could not be read: {answer.refused}</p>
  const wanted = words(page.query)
  const found = troubleFirst(answer.told)
    .map((group) => ({ ...group, rules: group.rules.filter((rule) => matches(haystack(group, rule), wanted)) }))
    .filter(({ rules }) => rules.length > 0)
  if (rulesIn(answer.told) === 0) {
    return (
      <div class="nothing">
        <p>No rule is evaluated. A file of Prometheus rules makes alerts:</p>
        <pre tabIndex={0}>{'rule_files: [rules/*.yml]'}</pre>
      </div>
    )
  }
  if (found.length === 0) return <p class="nothing">No rule matches “{page.query}”.</p>
  const total = rulesIn(found)
  let left = most
  return (
    <div class="rules">
      {found.map((group) => {
        const rules = group.rules.slice(0, Math.max(0, left))
        left -= group.rules.length
        return rules.length === 0 ? null : <GroupRows key={`${group.file} ${group.name}`} page={page} group={group} rules={rules} />
      })}
      {total > most && (
        <p class="rest">
          {count(most)} of {count(total)} shown{' '}
          <button type="button" class="link" onClick={() => { setMost(most * 4) }}>
            more
          </button>
        </p>
      )}
    </div>
  )
}

function haystack(group: Group, rule: Rule): string {
  return [group.name, group.file, rule.name, rule.expression, rule.state, rule.error, ...Object.entries(rule.labels).flat()].join('\n').toLowerCase()
}

function GroupRows({ page, group, rules }: { page: Page; group: Group; rules: readonly Rule[] }) {
  const facts = [
    group.file,
    `every ${Number.isInteger(group.interval) ? age(group.interval) : formatText(group.interval, 'seconds')}`,
    ...(Number.isNaN(group.evaluatedAt) ? ['not evaluated yet'] : [`${age((serverNow(page) - group.evaluatedAt) / 1000)} ago`, `took ${formatText(group.took, 'seconds')}`]),
  ]
  return (
    <section class="group" aria-label={group.name}>
      <h2>
        {group.name} <span>{facts.join(' · ')}</span>
      </h2>
      <ul>
        {rules.map((rule, i) => <Row key={`${rule.name} ${rule.expression} ${i}`} page={page} rule={rule} />)}
      </ul>
    </section>
  )
}

function Row({ page, rule }: { page: Page; rule: Rule }) {
  const facts = [
    ...(rule.hold > 0 ? [`for ${age(rule.hold)}`] : []),
    Number.isNaN(rule.evaluatedAt) ? 'not evaluated yet' : `${age((serverNow(page) - rule.evaluatedAt) / 1000)} ago`,
    ...(Number.isNaN(rule.took) ? [] : [`took ${formatText(rule.took, 'seconds')}`]),
    ...(rule.alerts > 0 ? [`${count(rule.alerts)} ${rule.alerts === 1 ? 'alert' : 'alerts'}`] : []),
  ]
  const state = rule.health === 'err' ? 'Fails' : rule.recording ? 'Recording' : rule.state === 'firing' ? 'Firing' : rule.state === 'pending' ? 'Pending' : rule.health === 'unknown' ? 'Waiting' : 'Inactive'
  const level = rule.labels.severity
  return (
    <li class={`rule ${state.toLowerCase()} ${level === undefined ? '' : severityOf(level)}`}>
      <span class="state">{state}</span>
      <span class="names">
        <b title={rule.name}>{rule.name}</b>
        {level !== undefined && <span class="under">{WORDS[severityOf(level)]}</span>}
      </span>
      <code title={rule.expression}>
        <a href={linkOf({ query: rule.expression })}>{rule.expression}</a>
      </code>
      <span class="facts">{facts.join(' · ')}</span>
      {rule.error !== '' && <p class="error">{rule.error}</p>}
    </li>
  )
}
