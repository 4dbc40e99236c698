/**
 * Functions of Node that no browser has, for the files of tests that import them. The few tests
 * that call them are skipped (../not-in-browser.ts).
 */
function absent(): never {
  throw new Error('a browser does not have this function of Node')
}

export {
  absent as createServer,
  absent as fileURLToPath,
  absent as readdirSync,
  absent as readFileSync,
  absent as spawn,
  absent as subscribe,
  absent as unsubscribe,
}
