/** What a program in a page is to do. It returns messages a second. */
export interface Work {
  readonly url: string
  readonly mode: 'pub' | 'sub'
  readonly qos: number
  readonly count: number
  readonly size: number
}
