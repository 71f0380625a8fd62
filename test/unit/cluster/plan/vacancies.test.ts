import assert from 'node:assert/strict'
import test from 'node:test'
import { Vacancies } from '../../../../src/cluster/plan/roster'

const nothing = new Set<string>()

test('there are as many vacancies as workers are missing, however many deaths were noted', () => {
  const vacancies = new Vacancies()
  vacancies.open({ notBefore: 500, expects: nothing })
  vacancies.open({ notBefore: 100, expects: nothing })
  vacancies.fit(1, 0)
  assert.equal(vacancies.nextAt, 100)
  vacancies.fit(3, 50)
  assert.equal(vacancies.nextAt, 50)
  assert.equal(vacancies.takeDue(1000).length, 3)
})

test('only those that are due are taken, and only once', () => {
  const vacancies = new Vacancies()
  vacancies.open({ notBefore: 100, expects: nothing })
  vacancies.open({ notBefore: 200, expects: nothing })
  assert.equal(vacancies.takeDue(99).length, 0)
  assert.equal(vacancies.takeDue(100).length, 1)
  assert.equal(vacancies.takeDue(100).length, 0)
  assert.equal(vacancies.takeDue(200).length, 1)
})

test('haste brings later ones forward and leaves earlier ones alone', () => {
  const vacancies = new Vacancies()
  vacancies.open({ notBefore: 30_000, expects: nothing })
  vacancies.open({ notBefore: 100, expects: nothing })
  vacancies.hasten(1000)
  assert.equal(vacancies.nextAt, 100)
  assert.equal(vacancies.takeDue(1000).length, 2)
})

test('a vacancy remembers the addresses of the last holder', () => {
  const vacancies = new Vacancies()
  vacancies.open({ notBefore: 0, expects: new Set(['4:127.0.0.1:80']) })
  vacancies.fit(1, 0)
  assert.deepEqual([...(vacancies.takeDue(0)[0]?.expects ?? [])], ['4:127.0.0.1:80'])
})
