/** What is worth drawing. */
import { expect, test } from 'vitest'
import { Sight } from '../src/ui/sight'

/** Whether it was drawn, being asked as at every frame. */
function frame(sight: Sight): boolean {
  if (!sight.wanted) return false
  sight.drawn()
  return true
}

test('what is far away is never drawn, also when it becomes another', () => {
  const sight = new Sight()
  sight.changed()
  expect(frame(sight)).toBe(false)
})

test('what is near is drawn once, and once more when it becomes another', () => {
  const sight = new Sight()
  sight.setNear(true)
  expect([frame(sight), frame(sight), frame(sight)]).toEqual([true, false, false])
  sight.changed()
  expect([frame(sight), frame(sight)]).toEqual([true, false])
})

test('what is on the screen is drawn at every frame, until it leaves', () => {
  const sight = new Sight()
  sight.setNear(true)
  sight.seen = true
  expect([frame(sight), frame(sight)]).toEqual([true, true])
  sight.seen = false
  expect(frame(sight)).toBe(false)
})

test('what goes far and comes back is drawn again', () => {
  const sight = new Sight()
  sight.setNear(true)
  frame(sight)
  sight.setNear(false)
  sight.setNear(true)
  expect(frame(sight)).toBe(true)
})
